"""A survey as a person reads it in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from ._survey import UNITS, Fit, Survey, amount, cost_text, size_text


def render(found: Survey) -> str:
    """Aligned lines: the size of the space, its costs, and every budget with what fits it."""
    size = size_text(found.input_size)
    lines = [f"{found.space}: {found.model} on {size} images, {found.num_classes} classes", f"  {_sizes(found)}", ""]
    rows = [["cost of one image", "min", "median", "max"]]
    for kind, spread in found.costs.items():
        name = UNITS[kind] if kind == "params" else f"{UNITS[kind]} at {size}"
        rows.append([name, amount(spread.min), amount(spread.median), amount(spread.max)])
    lines += _table(rows)
    if not found.exact:
        lines.append("  (median of the samples; min and max as far as coordinate descent found)")
    fits = [*found.budgets, *([found.together] if found.together else [])]
    if fits:
        lines.append("")
        of_all = f"fit, of {found.distinct:,}" if found.exact else "fit, estimated"
        lines += _table([["budget", of_all, "share"], *(_row(found, fit) for fit in fits)])
        for fit in fits:
            lines += _remarks(found, fit)
        if any(fit.verdict == "measured" for fit in fits):
            lines += ["", *_MEASURED]
    return "\n".join(line.rstrip() for line in lines)


# Nothing is measured here: a million candidates would take a day.
_MEASURED = (
    "  a latency is decided in the search: what fits every other budget is measured there, once, before it is trained",
    "    (median of one image at a time, on one CPU thread or on the GPU). Of one network: mgic-nas profile NAME",
    "    --set k=v --budget latency=5ms",
)


def _sizes(found: Survey) -> str:
    if found.exact:
        allowed = f", {found.allowed:,} allowed by where" if found.allowed != found.settings else ""
        return f"{found.settings:,} settings{allowed}, {found.distinct:,} distinct architectures (all counted)"
    allowed = f", about {amount(found.allowed, 3)} allowed by where" if found.allowed != found.settings else ""
    return (
        f"{found.settings:,} settings{allowed}: too many to enumerate, so {found.samples:,} random ones were looked at "
        f"({found.distinct:,} distinct architectures)"
    )


def _row(found: Survey, fit: Fit) -> list[str]:
    label = fit.label if len(fit.budgets) == 1 else "all limits"
    if fit.verdict == "measured":
        return [label, "measured in the search", ""]
    if fit.fits is not None:
        return [label, f"{fit.fits:,}", _percent(fit.share)]
    if not fit.share:
        return [label, "none of the samples", ""]
    error = f" +- {100 * fit.error:.1g}" if fit.error else ""
    return [label, f"about {amount(fit.share * found.allowed, 2)}", f"{100 * fit.share:.2g}{error} %"]


def _remarks(found: Survey, fit: Fit) -> list[str]:
    if fit.nearest is None:
        return []
    cost = cost_text(fit.nearest.cost, (b.kind for b in fit.budgets), found.input_size)
    if fit.verdict == "fits":
        what = f"met by no sample, but coordinate descent found one with {cost}"
    else:
        what = f"{fit.verdict}; the nearest has {cost}"
    return ["", f"  {fit.label}: {what}", f"    {fit.nearest.line}"]


def _percent(share: float | None) -> str:
    return f"{100 * (share or 0):.3g} %"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows with the first column to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return [
        "  " + "  ".join(cell.rjust(w) if i else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths)))
        for row in rows
    ]

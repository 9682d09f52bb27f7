"""What a survey of a space found, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .._text import UNITS, aligned, amount, cost_text, size_text
from ..cost import Cost
from .budget import Budget

if TYPE_CHECKING:
    from .parameters import InputSize, Setting


_NO_PROBLEM = ("fits", "measured", "none measured")


@dataclass(frozen=True)
class Spread:
    """Smallest, middle and largest value of one cost."""

    min: float
    median: float
    max: float


@dataclass(frozen=True)
class Example:
    """A network of the space, with the line that builds it."""

    setting: Setting
    arch_id: str
    cost: Cost
    line: str


@dataclass(frozen=True)
class Fit:
    """How much of the space is within some budgets.

    Attributes:
        budgets: all of them have to be met.
        verdict: ``fits``; ``cannot be met`` (every architecture was looked at); ``none found (sampled)``;
            ``measured`` for a latency, which nothing is known of before a network has run; or ``none measured`` where a
            csv has no measurement within it.
        fits: distinct architectures within the budgets; None where the space was sampled.
        share: of the distinct architectures, or the estimated share of the settings where it was sampled.
        error: standard error of an estimated ``share``.
        measured: of a csv of measurements: of how many networks it has one, of which ``fits`` and ``share`` are.
        nearest: the network that comes nearest where none fits, and one that fits where descent alone found any.
    """

    budgets: tuple[Budget, ...]
    verdict: str
    fits: int | None = None
    share: float | None = None
    error: float | None = None
    nearest: Example | None = None
    measured: int | None = None

    @property
    def label(self) -> str:
        """The budgets in their canonical writing."""
        return ", ".join(b.label for b in self.budgets)


@dataclass(frozen=True)
class Survey:
    """What :func:`survey` found. ``str()`` of it is for people, :meth:`to_dict` for programs.

    Attributes:
        space: the file or the name of the space.
        model: its model.
        input_size: (C, H, W) that all costs are for.
        num_classes: of the classifier.
        settings: the size of the grid.
        exact: every setting was looked at; else all that follows comes from random ones.
        samples: number of random settings looked at, 0 where ``exact``.
        allowed: settings that meet ``where`` (estimated where sampled).
        distinct: distinct architectures (among the samples where sampled).
        costs: kind -> spread over the distinct architectures, or over the samples with the extremes that
            coordinate descent found; kind of latency -> that of a csv's measurements, seconds.
        measured: kind of latency -> of how many networks the csv has a measurement.
        budgets: one entry for each budget.
        together: all hard limits at once, where budgets of several kinds were given and each can be met alone.
    """

    space: str
    model: str
    input_size: InputSize
    num_classes: int
    settings: int
    exact: bool
    samples: int
    allowed: int
    distinct: int
    costs: dict[str, Spread]
    budgets: tuple[Fit, ...] = ()
    together: Fit | None = None
    measured: dict[str, int] = field(default_factory=dict)

    @property
    def problems(self) -> list[str]:
        """One line for each budget that nothing was found for, with the nearest network. Empty: go ahead."""
        fits = [*self.budgets, *([self.together] if self.together else [])]
        return [_problem(self, fit) for fit in fits if fit.verdict not in _NO_PROBLEM]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "space": self.space,
            "model": self.model,
            "input_size": list(self.input_size),
            "num_classes": self.num_classes,
            "settings": self.settings,
            "exact": self.exact,
            "samples": self.samples,
            "allowed": self.allowed,
            "distinct": self.distinct,
            "measured": self.measured,
            "costs": {kind: dict(vars(spread)) for kind, spread in self.costs.items()},
            "budgets": [_fit_dict(fit) for fit in self.budgets],
            "together": _fit_dict(self.together) if self.together else None,
        }

    def __str__(self) -> str:
        return render(self)


def _problem(found: Survey, fit: Fit) -> str:
    assert fit.nearest is not None
    cost = cost_text(fit.nearest.cost, (b.kind for b in fit.budgets), found.input_size)
    return f"Budget {fit.label}: {fit.verdict} in {found.space}; the nearest has {cost}: {fit.nearest.line}"


def _fit_dict(fit: Fit) -> dict[str, Any]:
    nearest = fit.nearest
    return {
        "budget": fit.label,
        "limits": {b.kind: b.limit for b in fit.budgets},
        "verdict": fit.verdict,
        "fits": fit.fits,
        "share": fit.share,
        "error": fit.error,
        "nearest": nearest
        and {
            "setting": nearest.setting,
            "arch_id": nearest.arch_id,
            "cost": dict(vars(nearest.cost)),
            "create_model": nearest.line,
        },
    }


def render(found: Survey) -> str:
    """Aligned lines: the size of the space, its costs, and every budget with what fits it."""
    size = size_text(found.input_size)
    of = "image" if found.input_size[2] > 1 else "input"  # a cloud or a vector is one pixel wide
    lines = [f"{found.space}: {found.model} on {size} {of}s, {found.num_classes} classes", f"  {_sizes(found)}", ""]
    rows = [[f"cost of one {of}", "min", "median", "max"]]
    for kind, spread in found.costs.items():
        if kind in found.measured:
            milliseconds = (f"{1e3 * seconds:.4g}" for seconds in (spread.min, spread.median, spread.max))
            rows.append([f"{kind}, ms", *milliseconds])
            continue
        name = UNITS[kind] if kind == "params" else f"{UNITS[kind]} at {size}"
        rows.append([name, amount(spread.min), amount(spread.median), amount(spread.max)])
    lines += _indented(rows)
    if not found.exact:
        lines.append("  (median of the samples; min and max as far as coordinate descent found)")
    for kind, number in found.measured.items():
        of_all = f" of the {found.distinct:,}" if found.exact else ""
        lines.append(
            f"  ({kind}: the csv has measurements of {number:,}{of_all} networks; what it lacks is not trained)"
        )
    fits = [*found.budgets, *([found.together] if found.together else [])]
    if fits:
        lines.append("")
        of_all = f"fit, of {found.distinct:,}" if found.exact else "fit, estimated"
        lines += _indented([["budget", of_all, "share"], *(_row(found, fit) for fit in fits)])
        for fit in fits:
            lines += _remarks(found, fit)
        if any(fit.verdict == "measured" for fit in fits):
            lines += ["", *_MEASURED]
    return "\n".join(line.rstrip() for line in lines)


# Nothing is measured here: a million candidates would take a day.
_MEASURED = (
    "  a latency is decided in the search: what fits every other budget is measured there, once, before it is trained",
    "    (median of one image at a time, on one CPU thread or on the GPU); where all of them would take too long, only",
    "    what a predictor lets through. Of one network: mgic-nas profile NAME --set k=v --budget latency=5ms",
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
    if fit.measured is not None:
        return [label, f"{fit.fits:,} of {fit.measured:,} measured", _percent(fit.share)]
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


def _indented(rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"  {line}" for line in aligned(rows)]

"""The page and the picture of :mod:`mgic_nas.experiments.width`."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

from .._figure import GREY, INK, ORANGE, PURPLE, TEAL, dress, figure, save
from ._record import describe

Rows = Sequence[Mapping[str, str]]
PAYS, COSTS = 0.95, 1.05  # a ratio below, above which a difference is called one
WAYS = {
    ("torch", "infer"): "torch",
    ("torch", "train"): "torch, training",
    ("onnxruntime", "infer"): "onnxruntime",
    ("openvino", "infer"): "OpenVINO",
}
_COLOURS = {"8": PURPLE, "16": TEAL, "32": ORANGE, "64": GREY}


def page(times: Rows, memory: Rows) -> str:
    """README.md: from which width it pays, by how much, and where not."""
    if not times:
        return "# From which width MGIC blocks pay\n\nNothing is measured yet.\n"
    ways = [way for way in WAYS if _of(times, way)]
    absent = [WAYS[way] for way in WAYS if way not in ways]
    lines = [
        "# From which width MGIC blocks pay",
        "",
        "`python -m mgic_nas.experiments.width --out runs/width`: one MGIC block beside the plain block that it wraps, "
        "on maps of 14x14 (7x7 from 1,024 channels on, as networks have it), s_c = s_g but at least 16. Inference of "
        "one image with every BatchNorm folded, training (forward and backward pass) of 4; float32, one thread, CPU "
        "time, every s_g and the plain block in turns: what counts is the ratio, the median over rounds. A width is "
        "that of the tensors; a bottleneck's levels run on a quarter of it. Blocks no wider than s_c are plain and not "
        "shown." + (f" Not installed, and left out: {', '.join(absent)}." if absent else ""),
        "",
        "![Ratios by width](widths.png)",
        "",
        "## From which width, and by how much",
        "",
        f"The narrowest width from which on the block takes less than {PAYS:g} times the plain one's time at every "
        "width measured; behind it the ratio there, and the ratio at the widest.",
        "",
        f"| block | run in | {' | '.join(f's_g = {s_g}' for s_g in _group_sizes(times))} |",
        f"|---|---|{'---|' * len(_group_sizes(times))}",
    ]
    for block, way in itertools.product(_values(times, "block"), ways):
        cells = [_from_width(_series(times, way, block, s_g)) for s_g in _group_sizes(times)]
        lines.append(f"| {block} | {WAYS[way]} | {' | '.join(cells)} |")
    lines += ["", "## Where it does not", "", *_where_not(times, ways)]
    for block in _values(times, "block"):
        lines += ["", f"## Every ratio: {block}", "", *_ratios(times, ways, block)]
    lines += ["", "## Growth (sec. 3.4)", "", *_growth(times)]
    lines += ["", "## Memory (sec. 3.4)", "", *_memory(memory)]
    versions = {row["runtime"]: row["version"] for row in times}
    shown = ", ".join(f"{name} {number}" for name, number in versions.items() if name != "torch")
    lines += ["", f"{len(times)} comparisons, {describe(times[-1])}" + (f", {shown}" if shown else "") + "."]
    return "\n".join(lines) + "\n"


def _values(rows: Rows, column: str) -> list[str]:
    return list(dict.fromkeys(row[column] for row in rows))


def _group_sizes(rows: Rows) -> list[str]:
    return sorted(_values(rows, "s_g"), key=int)


def _of(rows: Rows, way: tuple[str, str]) -> list[Mapping[str, str]]:
    return [row for row in rows if (row["runtime"], row["mode"]) == way]


def _series(rows: Rows, way: tuple[str, str], block: str, s_g: str) -> list[Mapping[str, str]]:
    """By width."""
    found = [row for row in _of(rows, way) if (row["block"], row["s_g"]) == (block, s_g)]
    return sorted(found, key=lambda row: int(row["width"]))


def _from_width(series: Rows) -> str:
    if not series:
        return "–"
    last = series[-1]
    end = f"{float(last['ratio']):.2f} at {int(last['width']):,}"
    pays = list(itertools.takewhile(lambda row: float(row["ratio"]) < PAYS, reversed(series)))
    if not pays:
        return f"never; {end}"
    first = pays[-1]
    text = f"**{int(first['width']):,}**: {float(first['ratio']):.2f}"
    return text if first is last else f"{text}; {end}"


def _where_not(times: Rows, ways: Sequence[tuple[str, str]]) -> list[str]:
    lines = []
    for way, block in itertools.product(ways, _values(times, "block")):
        slow = [row for row in _of(times, way) if row["block"] == block and float(row["ratio"]) > COSTS]
        if not slow:
            lines.append(f"- {block}, {WAYS[way]}: at no width measured is it slower by more than {COSTS - 1:.0%}.")
            continue
        worst = max(slow, key=lambda row: float(row["ratio"]))
        widths = sorted({int(row["width"]) for row in slow})
        few = " and ".join(f"{w:,}" for w in widths) if len(widths) < 3 else f"{widths[0]:,} to {widths[-1]:,}"
        lines.append(
            f"- {block}, {WAYS[way]}: slower than the plain block in {len(slow)} of "
            f"{sum(row['block'] == block for row in _of(times, way))} comparisons, at {few} channels; at worst "
            f"{float(worst['ratio']):.2f} times its time (s_g = {worst['s_g']} at {int(worst['width']):,})."
        )
    return lines


def _ratios(times: Rows, ways: Sequence[tuple[str, str]], block: str) -> list[str]:
    lines = [
        f"| width | s_g | levels | parameters | MACs | {' | '.join(WAYS[way] for way in ways)} |",
        f"|--:|--:|--:|--:|--:|{'--:|' * len(ways)}",
    ]
    some = {(int(r["width"]), int(r["s_g"])): r for r in times if r["block"] == block}
    found = {(r["width"], r["s_g"], r["runtime"], r["mode"]): r["ratio"] for r in times if r["block"] == block}
    for _, row in sorted(some.items()):
        counts = [f"{int(row[name]) / int(row[f'plain_{name}']):.2f}" for name in ("params", "macs")]
        cells = [f"{float(r):.2f}" if (r := found.get((row["width"], row["s_g"], *way))) else "–" for way in ways]
        lines.append(
            f"| {int(row['width']):,} | {row['s_g']} | {row['levels']} | {' | '.join(counts)} | {' | '.join(cells)} |"
        )
    return lines


def _growth(times: Rows) -> list[str]:
    """What doubling the width multiplies, with MGIC at s_g = 16 and plain."""
    lines = [
        "What each doubling of the width multiplies, at s_g = 16 and in the plain block (time: inference in torch; "
        "from 512 to 1,024 channels the maps shrink to a quarter, and MACs and times are taken per pixel). Linear "
        "growth is 2, quadratic 4.",
        "",
        "| block | widths | parameters, MGIC | plain | MACs, MGIC | plain | time, MGIC | plain |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for block in _values(times, "block"):
        for a, b in itertools.pairwise(_series(times, ("torch", "infer"), block, "16")):
            cells = []
            for name in ("params", "macs", "ms"):
                pixels = 1.0 if name == "params" else (int(a["side"]) / int(b["side"])) ** 2
                cells += [f"{float(b[k]) / float(a[k]) * pixels:.2f}" for k in (name, f"plain_{name}")]
            widths = f"{int(a['width']):,} to {int(b['width']):,}"
            lines.append(f"| {block} | {widths} | {' | '.join(cells)} |")
    return lines


def _memory(memory: Rows) -> list[str]:
    lines = [
        "Maps of the block's own size: the most at a moment of one inference (BatchNorm not folded, the input not "
        "counted), and those that a forward pass in training keeps. The paper: the peak about the plain block's, about "
        "twice the maps in training.",
        "",
        "| block | peak, MGIC | plain | ratio | kept in training, MGIC | plain | ratio |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for block in _values(memory, "block"):
        rows = [row for row in memory if row["block"] == block]
        cells = []
        for name in ("peak", "kept"):
            columns = [[float(r[name]) for r in rows], [float(r[f"plain_{name}"]) for r in rows]]
            cells += [_range(c) for c in columns] + [_range([a / b for a, b in zip(*columns)])]
        lines.append(f"| {block} | {' | '.join(cells)} |")
    return lines


def _range(values: Sequence[float]) -> str:
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    return low if low == high else f"{low} to {high}"


def draw(times: Rows, path: Path) -> None:
    """widths.png: time as a multiple of the plain block's by width; dotted, what MACs alone would say."""
    ways = [way for way in WAYS if _of(times, way)]
    blocks = _values(times, "block")
    made = figure(3.4 * len(ways) + 0.6, 3.4 * len(blocks) + 0.4)
    axes = made.subplots(len(blocks), len(ways), squeeze=False, sharex=True, sharey=True)
    for (i, block), (j, way) in itertools.product(enumerate(blocks), enumerate(ways)):
        at = axes[i][j]
        for s_g in _group_sizes(times):
            series = _series(times, way, block, s_g)
            x = [int(row["width"]) for row in series]
            macs = [int(row["macs"]) / int(row["plain_macs"]) for row in series]
            colour = _COLOURS.get(s_g, INK)
            at.plot(x, [float(row["ratio"]) for row in series], "o-", color=colour, ms=3, lw=1.6, label=f"s_g = {s_g}")
            at.plot(x, macs, ":", color=colour, lw=1.1)
        at.axhline(1, color=INK, lw=0.8)
        at.set_xscale("log", base=2)
        at.set_yscale("log")
        at.set_xticks([int(w) for w in _values(times, "width")], [f"{int(w):,}" for w in _values(times, "width")])
        ticks = [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 4]
        at.set_yticks(ticks, [f"{t:g}x" for t in ticks])
        at.minorticks_off()
        dress(at, f"{block}, {WAYS[way]}", x="channels" if block == blocks[-1] else "", y="" if j else "MGIC / plain")
    axes[0][0].legend(fontsize=7.5, frameon=False, loc="lower left")
    made.suptitle(
        "Time of an MGIC block as a multiple of the plain block's; below the line it pays. Dotted: its MACs.",
        fontsize=9.5, color=INK, x=0.01, ha="left",
    )  # fmt: skip
    save(made, path)

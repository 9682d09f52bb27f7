"""The look of all pictures (reports, replays, experiments): one palette, light lines, no frame."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from ._files import write_atomic

# The light colours of report/style.css.
INK, MUTED, RULE, GRID = "#1d1c1a", "#5d594f", "#cfcabf", "#eae6dd"
TEAL, ORANGE, PURPLE, GREY = "#0b6b66", "#a34a07", "#6b3fa0", "#a9a498"


def figure(width: float, height: float) -> Figure:
    """An empty figure of ``width`` x ``height`` inches at 200 dots an inch."""
    # The object interface: pyplot would keep state, and choose a window system.
    made = Figure(figsize=(width, height), dpi=200, facecolor="white", layout="constrained")
    FigureCanvasAgg(made)
    return made


def dress(axes: Any, title: str, subtitle: str = "", x: str = "", y: str = "") -> None:
    """Title, subtitle, axis titles and a light grid."""
    axes.set_title(title, loc="left", fontsize=12, color=INK, fontweight="bold", pad=22 if subtitle else 8)
    if subtitle:
        axes.text(0, 1.03, subtitle, transform=axes.transAxes, fontsize=8.5, color=MUTED)
    axes.set_xlabel(x, color=MUTED, fontsize=9.5)
    axes.set_ylabel(y, color=MUTED, fontsize=9.5)
    axes.grid(True, color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", colors=MUTED, labelsize=9, length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(RULE)


# Around a point, in 1/72 inch, the best first: to its right, to its left, and then above and below.
_PLACES = (
    *((7, 0, "left"), (-7, 0, "right"), (7, 7, "left"), (7, -7, "left"), (-7, 7, "right"), (-7, -7, "right")),
    *((0, 11, "center"), (0, -11, "center"), (7, 15, "left"), (7, -15, "left"), (-7, 15, "right"), (-7, -15, "right")),
)
_AROUND = 9  # pixels of a point to each side that a text should not cover


def label(axes: Any, points: Sequence[tuple[float, float, str]], size: float = 7.5) -> None:
    """Writes a text beside each point (x, y, text), where it covers no other and no point if there is such a place.

    To be called when all else of the figure is drawn.
    """
    axes.figure.draw_without_rendering()  # so that places are known in pixels
    frame = axes.get_window_extent()
    at = [axes.transData.transform((x, y)) for x, y, _ in points]
    taken = [Bbox.from_extents(x - _AROUND, y - _AROUND, x + _AROUND, y + _AROUND) for x, y in at]
    for x, y, text in points:
        tries: list[tuple[float, int, Any, Bbox]] = []
        style = {"fontsize": size, "color": INK, "textcoords": "offset points", "va": "center"}
        for dx, dy, side in _PLACES:
            note = axes.annotate(text, (x, y), xytext=(dx, dy), ha=side, **style)
            box = note.get_window_extent()
            covered = sum(_area(Bbox.intersection(box, other)) for other in taken)
            tries.append((covered + _area(box) - _area(Bbox.intersection(box, frame)), len(tries), note, box))
            if not tries[-1][0]:
                break
        *_, kept, box = min(tries)
        for _, _, note, _ in tries:
            if note is not kept:
                note.remove()
        taken.append(box)


def _area(box: Bbox | None) -> float:
    return 0.0 if box is None else float(box.width * box.height)


def png(made: Figure) -> bytes:
    """The figure as PNG. Names from outside may hold dollar signs, which are no formulas; ticks of ours are some."""
    axes = [axis for axes in made.axes for axis in (axes.xaxis, axes.yaxis)]
    ticks = {id(label) for axis in axes for label in axis.get_ticklabels(which="both")}
    for text in made.findobj(Text):
        if isinstance(text, Text) and id(text) not in ticks:
            text.set_parse_math(False)
    stream = io.BytesIO()
    made.savefig(stream, format="png")
    return stream.getvalue()


def save(made: Figure, path: Path) -> None:
    """Writes the figure as PNG, whole or not at all."""
    write_atomic(path, png(made))

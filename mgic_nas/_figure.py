"""The look of all pictures (reports, replays, experiments): one palette, light lines, no frame."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

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

"""The look of the pictures of experiments and replays: the report's palette, light lines, no frame."""

import io
from pathlib import Path
from typing import Any

from ._files import write_atomic

INK, MUTED, RULE, GRID = "#1d1c1a", "#5d594f", "#cfcabf", "#eae6dd"
TEAL, ORANGE, PURPLE, GREY = "#0b6b66", "#a34a07", "#6b3fa0", "#a9a498"


def figure(width: float, height: float) -> Any:
    """An empty figure of so many inches, drawn at 200 dots an inch."""
    # The object interface: pyplot would keep state, and choose a window system.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

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


def save(made: Any, path: Path) -> None:
    """Writes the figure as PNG, whole or not at all."""
    stream = io.BytesIO()
    made.savefig(stream, format="png")
    write_atomic(path, stream.getvalue())

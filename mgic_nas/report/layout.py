"""What the interactive figures are made of: a layout of the page's fonts and colours, and axes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from .axes import accuracy_range, log_ticks
from .data import Summary

Figure = dict[str, Any]
HOVER = {"hovertext": "@trials", "hovertemplate": "%{hovertext}<extra></extra>"}


def frame(*, xaxis: dict[str, Any], yaxis: dict[str, Any], **other: Any) -> dict[str, Any]:
    """A figure's layout."""
    axis = {
        "gridcolor": "var(--grid)",
        "linecolor": "var(--rule)",
        "zeroline": False,
        "automargin": True,
        "tickfont": {"color": "var(--muted)", "size": 12},
    }
    return {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "var(--sans)", "color": "var(--muted)", "size": 13},
        "hoverlabel": {
            "bgcolor": "var(--card)",
            "bordercolor": "var(--rule)",
            "font": {"family": "var(--sans)", "color": "var(--ink)", "size": 12.5},
            "align": "left",
        },
        "hovermode": "closest",
        "showlegend": False,
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": -0.2,
            "yanchor": "top",
            "font": {"color": "var(--muted)", "size": 12.5},
            "bgcolor": "rgba(0,0,0,0)",
        },
        "shapes": [],
        "annotations": [],
        "xaxis": {**axis, "showline": True, **xaxis},
        "yaxis": {**axis, **yaxis},
        **other,
    }


def accuracy_axis(summary: Summary, data: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """An axis of accuracies, wide enough for the front and the reference points."""
    low, high = accuracy_range(summary, [y for trace in data for y in trace["y"] if y is not None])
    references = [p.acc for p in summary.reference]
    low = min([low, *(acc - 1 for acc in references)])
    return {"range": [low, high], "ticksuffix": ""}


def log_axis(values: Iterable[float]) -> dict[str, Any]:
    """A logarithmic axis."""
    positive = [v for v in values if v > 0]
    low, high = min(positive), max(positive)
    pad = max(0.06 * math.log10(high / low), 0.04)
    first, last = math.log10(low) - pad, math.log10(high) + pad
    ticks, labels = log_ticks(10**first, 10**last)
    return {"type": "log", "range": [first, last], "tickvals": ticks, "ticktext": labels}


def whole_axis(first: int, last: int) -> dict[str, Any]:
    """An axis of whole numbers."""
    step = next(s * 10**p for p in range(9) for s in (1, 2, 5) if (last - first) / (s * 10**p) <= 10)
    pad = max(0.02 * (last - first), 0.15)
    ticks = [first, *(n for n in range(step, last + 1, step) if n >= first + step / 2)]
    return {"range": [first - pad, last + pad], "tickvals": ticks}


def with_gaps(parts: Iterable[Sequence[Any]]) -> list[Any]:
    """Several lines as one trace."""
    joined: list[Any] = []
    for part in parts:
        joined += [*part, None]
    return joined[:-1]

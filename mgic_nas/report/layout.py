"""What the interactive figures are made of: plain values for JSON, which ``chart.js`` draws.

A figure is ``{"data": [trace, ...], "layout": {...}}``. A trace has ``x`` and ``y`` (None is a gap), and of these what
it needs: ``name`` (in the legend), ``line``, ``marker``, ``bars`` (standard errors), ``fill``, ``text`` with its
``label`` style, ``ids`` (the trials' numbers) and ``hover``: ``"@trials"`` for the trials' own texts, a list of texts,
or a pattern of ``{x}``, ``{y:1}`` (one decimal) and ``{id}``. Ranges of logarithmic axes are decimal logarithms.
Colours are written ``var(--name)`` and are the style sheet's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from .axes import accuracy_range, log_ticks
from .data import Summary

Figure = dict[str, Any]
ACCENT, FAINT, INK, BUDGET, REFERENCE, BAD = (
    f"var(--{name})" for name in ("accent", "faint", "ink", "budget", "reference", "bad")
)


def frame(*, xaxis: Figure, yaxis: Figure, height: int, margin: tuple[int, int, int, int], **other: Any) -> Figure:
    """A figure's layout. ``margin``: left, right, top and bottom, in pixels."""
    return {
        "xaxis": xaxis,
        "yaxis": yaxis,
        "height": height,
        "margin": dict(zip("lrtb", margin, strict=True)),
        **other,
    }


def accuracy_axis(summary: Summary, data: Sequence[Figure]) -> Figure:
    """An axis of accuracies, wide enough for the front and the reference points."""
    low, high = accuracy_range(summary, [y for trace in data for y in trace["y"] if y is not None])
    references = [p.acc for p in summary.reference]
    return {"range": [min([low, *(acc - 1 for acc in references)]), high]}


def log_axis(values: Iterable[float]) -> Figure:
    """A logarithmic axis."""
    positive = [v for v in values if v > 0]
    low, high = min(positive), max(positive)
    pad = max(0.06 * math.log10(high / low), 0.04)
    first, last = math.log10(low) - pad, math.log10(high) + pad
    ticks, labels = log_ticks(10**first, 10**last)
    return {"type": "log", "range": [first, last], "tickvals": ticks, "ticktext": labels}


def whole_axis(first: int, last: int) -> Figure:
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

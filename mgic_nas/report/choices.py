"""Points of the front that people ask for: the knee, and the cheapest network that reaches an accuracy."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .. import _text as words
from ..engine.storage.trial import Trial
from .data import Summary
from .thinning import CHOICES, evenly
from .winners import create_model

_BELOW = (0.5, 1.0, 2.0, 5.0)  # points below the best accuracy


def knee(front: Sequence[Trial]) -> Trial | None:
    """Where a front bends most: the network farthest above the chord from the cheapest to the most accurate.

    Accuracy against the logarithm of the MACs, as the figure shows them. None for fewer than three networks, or where
    none is above the chord.
    """
    if len(front) < 3:
        return None
    points = [(math.log(t.macs or 1), t.val_acc or 0.0) for t in front]
    (x0, y0), (x1, y1) = points[0], points[-1]
    above = [y - (y0 + (y1 - y0) * (x - x0) / (x1 - x0)) for x, y in points]
    at = max(range(len(front)), key=above.__getitem__)
    return front[at] if above[at] > 1e-9 else None


def cheapest(front: Sequence[Trial], accuracy: float) -> Trial | None:
    """The network of a front (cheapest first) with the fewest MACs that reaches an accuracy, in percent."""
    return next((t for t in front if (t.val_acc or 0.0) >= accuracy), None)


def knee_text(summary: Summary) -> str:
    """Where the front bends; empty where it does not."""
    found = knee(summary.front)
    if found is None or summary.best is None:
        return ""
    left = summary.step(found, summary.best)
    spared = 100 * (1 - (found.macs or 0) / (summary.best.macs or 1))
    return (
        f"The front bends most at trial {found.number}: {summary.acc(found, error=False)} with "
        f"{words.count(found.macs)} MACs {summary.at}, {summary.points(left.gain)} points below the best with "
        f"{words.fixed(spared, 0)}{words.THIN}% less cost."
    )


def cheapest_rows(summary: Summary) -> list[tuple[str, Trial]]:
    """(what is asked for, the cheapest network that gives it): from the best accuracy downwards, each network once."""
    best = summary.best
    if best is None or len(summary.front) < 2:
        return []
    top = best.val_acc or 0.0
    rows: dict[int, tuple[str, Trial]] = {}
    for below in _BELOW:
        found = cheapest(summary.front, top - below)
        if found is not None and found.number not in rows and found is not best:
            rows[found.number] = (f"within {below:g} point{'s' * (below != 1)} of the best", found)
    return list(rows.values())


def slider(summary: Summary) -> list[dict[str, object]]:
    """What the page's slider shows of each network of the front, cheapest first; of a very long one of a part."""
    return [
        {
            "n": t.number,
            "macs": t.macs,
            "count": words.count(t.macs),
            "acc": t.val_acc,
            "text": summary.acc(t),
            "line": create_model(summary, t),
        }
        for t in evenly(summary.front, CHOICES)
    ]

"""What the interactive figures and the picture have in common: titles, ranges and ticks of their axes."""

from __future__ import annotations

import math
from collections.abc import Iterable

from .. import _text as words
from ..cost.runtimes.kinds import is_latency, latency_title
from .data import Summary

TITLES = {"macs": "MACs", "params": "Parameters", "activations": "Activations"}
NAMED = 15  # as many reference points are named in a figure; more would be a scribble


def costs(summary: Summary) -> dict[str, str]:
    """Kind -> title of every cost of the run's networks: what is counted, then the latencies."""
    return TITLES | {kind: latency_title(kind) for kind in summary.record.timed}


def on_axis(kind: str, cost: float) -> float:
    """A cost as it stands on an axis: latencies in milliseconds."""
    return cost * 1e3 if is_latency(kind) else cost


def axis_title(summary: Summary, kind: str) -> str:
    """``MACs per image at 1×14×14 (log scale)``; parameters depend on no input size."""
    if kind == "params":
        return "Parameters (log scale)"
    if is_latency(kind):
        return f"{latency_title(kind)}, ms {summary.at} (log scale)"
    return f"{TITLES[kind]} per {summary.metric.item} {summary.at} (log scale)"


def accuracy_range(summary: Summary, highest: Iterable[float] = ()) -> tuple[float, float]:
    """The part of the accuracy scale to show at first: the front with room below it, not a failed network's 10 %."""
    top = max([t.val_acc or 0 for t in summary.complete] + list(highest), default=100.0)
    lowest = lowest_shown(summary)
    low = min([max(t.val_acc or 0, lowest) for t in summary.complete], default=0.0)
    pad = max(0.08 * (top - low), 1.0, *(summary.error(t.val_acc) or 0 for t in summary.front))
    floor = 0.0 if summary.metric.of_classes else -math.inf  # a constant explains more than a bad network
    return max(low - pad, floor), min(top + 1.5 * pad, 102.0)


def lowest_shown(summary: Summary) -> float:
    """The accuracy below which a network is so bad that the first view leaves it out."""
    accs = [t.val_acc or 0 for t in summary.front]
    return min(accs) - max(0.75 * (max(accs) - min(accs)), 5.0) if accs else 0.0


def log_ticks(low: float, high: float) -> tuple[list[float], list[str]]:
    """Ticks on a logarithmic axis; the more decades there are, the fewer of them are labelled."""
    decades = math.log10(high / low)
    labelled: tuple[float, ...] = (
        (1, 1.5, 2, 3, 4, 5, 6, 8) if decades < 0.7 else (1, 2, 3, 5) if decades < 1.5 else (1, 2, 5)
    )
    labelled = labelled if decades < 3 else (1,)
    values, labels = [], []
    for power in range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1):
        for digit in (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9):
            if low <= (value := digit * 10.0**power) <= high:
                values.append(value)
                labels.append(words.count(value, strip=True) if digit in labelled else "")
    return values, labels

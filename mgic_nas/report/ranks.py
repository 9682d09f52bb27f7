"""How far two orders of the same networks agree."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from .data import Summary

LEAST_RANKED = 3  # networks between which ranks are correlated


def spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Spearman's rank correlation; None for fewer than three pairs, or where one side does not vary."""
    if len(first) < LEAST_RANKED:
        return None
    found = float(pd.DataFrame({"first": first, "second": second}).corr(method="spearman").to_numpy()[0, 1])
    return None if math.isnan(found) else found


def rank_correlation(summary: Summary, kind: str) -> tuple[int, float | None]:
    """(networks that were measured, Spearman's rank correlation between their MACs and a cost)."""
    known = summary.costed(kind)
    return len(known), spearman([t.cost("macs") for t in known], [t.cost(kind) for t in known])

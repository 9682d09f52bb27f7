"""Who is better, and whether that can be told: ranks on a table and over tables, and differences paired by seed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from .compare import Comparison

SHARE = 0.95


@dataclass(frozen=True)
class Difference:
    """Epochs more than another contestant needs, mean over seeds and its standard error.

    ``censored``: some replay ended before the share was found, and counts as if it had been found at its end.
    """

    mean: float
    error: float
    censored: bool

    def __str__(self) -> str:
        mark = "at least " if self.censored else ""
        error = f" ± {self.error:.0f}" if math.isfinite(self.error) else ""
        return f"{mark}{self.mean:+.0f}{error}"


def ranks(comparison: Comparison, share: float = SHARE) -> dict[str, float]:
    """Contestant -> 1 for the fewest epochs (median over seeds) to a share; equal ones have the mean of their ranks."""
    medians = {s.name: s.median(share) for s in comparison.standings}
    ordered = sorted(medians.values())
    return {
        name: statistics.fmean(i for i, other in enumerate(ordered, 1) if other == value)
        for name, value in medians.items()
    }


def mean_ranks(comparisons: Sequence[Comparison], share: float = SHARE) -> dict[str, float]:
    """Contestant -> its mean rank over the tables."""
    found = [ranks(comparison, share) for comparison in comparisons]
    return {name: statistics.fmean(rank[name] for rank in found) for name in found[0]}


def difference(comparison: Comparison, name: str, other: str, share: float = SHARE) -> Difference | None:
    """Of the epochs that ``name`` needs to those that ``other`` needs, by seed; None where one was not asked for."""
    mine, theirs = comparison.find(name), comparison.find(other)
    if mine is None or theirs is None:
        return None
    pairs = list(zip(mine.epochs[share], mine.ends, theirs.epochs[share], theirs.ends, strict=True))
    values = [min(a, end_a) - min(b, end_b) for a, end_a, b, end_b in pairs]
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    # Where only the other was cut short, the difference in truth is smaller, not larger: it is no lower bound then.
    censored = any(math.isinf(a) for a, _, _, _ in pairs)
    return Difference(statistics.fmean(values), error, censored)

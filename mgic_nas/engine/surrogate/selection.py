"""Which observations a long search still models: a proposal must not cost more the longer the search is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...pareto import ranks
from ...space.budget import COUNTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .expected_gain import Observation

MOST = 1_000  # observations that are modelled; below it nothing is left out
NEAR_FRONT = {"macs": 0.5, "params": 0.05, "activations": 0.05}  # shares of them: nearest to the front in each cost


def informative(observations: Sequence[Observation], most: int = MOST) -> list[Observation]:
    """Those that say the most about what may still be gained, in their order; all where there are at most ``most``.

    Trainings under way; of the finished ones the fronts in each cost, and what is next behind them (by the number of
    fronts in between); of the rest, which shows where nothing is to be gained, evenly many from all of the search.
    """
    if len(observations) <= most:
        return list(observations)
    accs = np.array([math.nan if o.acc is None else o.acc for o in observations])
    costs = np.array([o.costs for o in observations])
    finished = np.flatnonzero(~np.isnan(accs))
    keep = np.array([o.acc is None and not o.waiting for o in observations])
    for kind, share in NEAR_FRONT.items():
        cost = costs[finished, COUNTS.index(kind)]
        keep[finished[_nearest(ranks(accs[finished], cost), cost, int(share * most))]] = True
    rest = np.flatnonzero(~keep)
    keep[rest[_evenly(len(rest), most - int(keep.sum()))]] = True
    return [observations[i] for i in np.flatnonzero(keep).tolist()]


def _nearest(rank: NDArray[np.int_], cost: NDArray[np.float64], places: int) -> NDArray[np.int_]:
    """Positions of the lowest ranks; of the rank that does not fit as a whole, evenly many along the cost."""
    order = np.lexsort((cost, rank))
    if len(order) <= places:
        return order
    last = rank[order[places - 1]]
    whole, part = order[rank[order] < last], order[rank[order] == last]
    return np.concatenate([whole, part[_evenly(len(part), places - len(whole))]])


def _evenly(n: int, most: int) -> NDArray[np.int_]:
    """At most so many of n positions, evenly spaced."""
    return np.unique(np.linspace(0, n - 1, min(n, max(0, most))).round().astype(int))

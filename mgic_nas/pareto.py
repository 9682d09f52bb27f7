"""Fronts of accuracy against cost: pure arrays, no trials, no studies.

Accuracy is maximised and in percent, cost (MACs, parameters, milliseconds, ...) is minimised. A point with a
NaN in either is no point: it is never on a front, wins nothing and covers nothing.
"""

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Mask = NDArray[np.bool_]
Values = NDArray[np.float64]


def non_dominated(acc: ArrayLike, cost: ArrayLike) -> Mask:
    """Which points are Pareto-optimal, as a mask in the order of the input. O(n log n).

    A point is dominated where another one is at least as good in both and better in one. Of equal points only
    the first counts, so a front has no two points with the same accuracy or the same cost.
    """
    accs, costs = _pair(acc, cost)
    mask = np.zeros(len(accs), dtype=bool)
    valid = np.flatnonzero(~(np.isnan(accs) | np.isnan(costs)))
    if not len(valid):
        return mask
    # Cheapest first, of equals the most accurate, of equals the first: a point is on the front exactly if it
    # is more accurate than everything before it.
    order = valid[np.lexsort((valid, -accs[valid], costs[valid]))]
    best = np.maximum.accumulate(accs[order])
    mask[order[0]] = True
    mask[order[1:]] = accs[order[1:]] > best[:-1]
    return mask


def non_dominated_in_all(acc: ArrayLike, costs: ArrayLike) -> Mask:
    """Which points no other one beats: as :func:`non_dominated`, with several costs. O(n^2).

    Whatever limits are put on the costs, the most accurate point within all of them is one of these (of equally
    accurate ones, the one whose costs come first in lexicographic order).

    Args:
        acc: (n,).
        costs: (n, k); a point with a NaN among them is on no front.
    """
    accs, table = np.asarray(acc, dtype=float), np.asarray(costs, dtype=float)
    if accs.ndim != 1 or table.ndim != 2 or len(table) != len(accs):
        raise ValueError(f"need accuracies (n,) and costs (n, k), not {accs.shape} and {table.shape}")
    mask = ~(np.isnan(accs) | np.isnan(table).any(axis=1))
    points = np.column_stack((-accs, table))
    for i in np.flatnonzero(mask):
        if not mask[i]:
            continue
        no_better = (points >= points[i]).all(axis=1)
        # Of equal points the first counts.
        mask &= ~no_better | ((points == points[i]).all(axis=1) & (np.arange(len(points)) <= i))
    return mask


def best_within(acc: ArrayLike, cost: ArrayLike, limit: float) -> int | None:
    """The index of the most accurate point that costs no more than ``limit``; None where there is none.

    Of equally accurate ones the cheaper, of equally cheap ones the first.
    """
    accs, costs = _pair(acc, cost)
    fits = np.flatnonzero(~np.isnan(accs) & (costs <= limit))
    if not len(fits):
        return None
    return int(fits[np.lexsort((fits, costs[fits], -accs[fits]))[0]])


def hypervolume(acc: ArrayLike, cost: ArrayLike, reference: tuple[float, float], *, log_cost: bool = True) -> float:
    """The area that the points dominate within ``reference``, computed by moocore.

    Args:
        acc: accuracies in percent.
        cost: costs, all positive where ``log_cost``.
        reference: the worst accuracy and the worst cost that count, ``(acc, cost)``; a point that is not
            better in both adds nothing.
        log_cost: measure cost by its decimal logarithm: the unit of the result is then percent times decades,
            and saving half of a small network counts as much as saving half of a large one.
    """
    accs, costs, worst = _scaled(acc, cost, reference, log_cost)
    valid = ~(np.isnan(accs) | np.isnan(costs))
    if not valid.any():
        return 0.0
    import moocore

    points = np.column_stack((-accs[valid], costs[valid]))
    return float(moocore.hypervolume(points, ref=np.array([-worst[0], worst[1]])))


def hypervolume_history(
    acc: ArrayLike, cost: ArrayLike, reference: tuple[float, float], *, log_cost: bool = True
) -> Values:
    """:func:`hypervolume` after each point, in the order of evaluation; never falls.

    The area is kept up to date point by point (a sorted front, and the rectangles that a new point adds to
    it), so that the history of a long search costs n log n and not n hypervolumes. A NaN point repeats the
    value before it.
    """
    accs, costs, (worst_acc, worst_cost) = _scaled(acc, cost, reference, log_cost)
    # The front so far, cheapest first: both lists ascend.
    front_costs: list[float] = []
    front_accs: list[float] = []
    history = np.empty(len(accs))
    area = 0.0
    for index, (a, c) in enumerate(zip(accs.tolist(), costs.tolist(), strict=True)):
        if a > worst_acc and c < worst_cost:
            area += _insert(front_costs, front_accs, c, a, worst_cost, worst_acc)
        history[index] = area
    return history


def _insert(
    costs: list[float], accs: list[float], cost: float, acc: float, worst_cost: float, worst_acc: float
) -> float:
    """Puts a point into the front, removes those that it dominates; returns the area that it adds."""
    at = bisect_left(costs, cost)
    floor = accs[at - 1] if at else worst_acc  # the accuracy that is had already for less
    if acc <= floor or (at < len(costs) and costs[at] == cost and accs[at] >= acc):
        return 0.0
    end = at
    added, left = 0.0, cost
    # Walk right over the steps that the new point is above: each was covered up to the height before it.
    while end < len(costs) and accs[end] <= acc:
        added += (costs[end] - left) * (acc - floor)
        left, floor = costs[end], accs[end]
        end += 1
    added += ((costs[end] if end < len(costs) else worst_cost) - left) * (acc - floor)
    costs[at:end] = [cost]
    accs[at:end] = [acc]
    return added


def _pair(acc: ArrayLike, cost: ArrayLike) -> tuple[Values, Values]:
    accs, costs = np.asarray(acc, dtype=float), np.asarray(cost, dtype=float)
    if accs.ndim != 1 or accs.shape != costs.shape:
        raise ValueError(f"need two one-dimensional arrays of one length, not {accs.shape} and {costs.shape}")
    return accs, costs


def _scaled(
    acc: ArrayLike, cost: ArrayLike, reference: Sequence[float], log_cost: bool
) -> tuple[Values, Values, tuple[float, float]]:
    accs, costs = _pair(acc, cost)
    worst_acc, worst_cost = (float(value) for value in reference)
    if log_cost:
        if worst_cost <= 0 or np.any(costs <= 0):
            raise ValueError("costs must be positive to be taken on a logarithmic scale")
        costs, worst_cost = np.log10(costs), float(np.log10(worst_cost))
    return accs, costs, (worst_acc, worst_cost)

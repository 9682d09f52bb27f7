"""Fronts of accuracy against cost: pure arrays, no trials, no studies.

Accuracy is maximised and in percent, cost (MACs, parameters, milliseconds, ...) is minimised. A point with a
NaN in either is no point: it is never on a front, wins nothing and covers nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import moocore
import numpy as np
from numpy.typing import ArrayLike, NDArray

Mask = NDArray[np.bool_]
Values = NDArray[np.float64]


def non_dominated(acc: ArrayLike, costs: ArrayLike) -> Mask:
    """Which points are Pareto-optimal, as a mask in the order of the input, computed by moocore.

    A point is dominated where another one is at least as good in everything and better in something. Of equal points
    only the first counts, so a front in one cost has no two points with the same accuracy or the same cost.

    Args:
        acc: (n,).
        costs: (n,), or (n, k) for several costs.
    """
    accs, table = _points(acc, costs)
    valid = ~(np.isnan(accs) | np.isnan(table).any(axis=1))
    mask = np.zeros(len(accs), dtype=bool)
    if valid.any():
        mask[valid] = moocore.is_nondominated(np.column_stack((-accs, table))[valid])
    return mask


def ranks(acc: ArrayLike, cost: ArrayLike) -> NDArray[np.int_]:
    """How many fronts lie before each point's (n,): 0 for those that nothing dominates. Computed by moocore.

    Args:
        acc, cost: (n,), without NaN.
    """
    accs, costs = np.asarray(acc, dtype=float), np.asarray(cost, dtype=float)
    if not len(accs):
        return np.zeros(0, dtype=int)
    return np.asarray(moocore.pareto_rank(np.column_stack((-accs, costs))), dtype=int)


def best_within(acc: ArrayLike, costs: ArrayLike, limits: ArrayLike) -> int | None:
    """The winner rule: the index of the most accurate point within all limits; None where there is none.

    Of equally accurate ones the cheaper (in the first cost that differs), of equally cheap ones the first.

    Args:
        acc: (n,).
        costs: (n,), or (n, k) for several costs.
        limits: one, or (k,); a cost that equals its limit fits.
    """
    accs, table = _points(acc, costs)
    fits = np.flatnonzero(~np.isnan(accs) & (table <= np.asarray(limits, dtype=float)).all(axis=1))
    order = np.lexsort((*table[fits].T[::-1], -accs[fits]))  # stable; the last key is compared first
    return int(fits[order[0]]) if len(fits) else None


def can_win(acc: ArrayLike, costs: ArrayLike) -> Mask:
    """Which points :func:`best_within` chooses for some limits, on one of the costs or on all of them together.

    Args:
        acc: (n,).
        costs: (n, k); a cost that is NaN for some point sets no limit.
    """
    return np.asarray(fronts_of(acc, costs).any(axis=1))


def fronts_of(acc: ArrayLike, costs: ArrayLike) -> Mask:
    """On which fronts points are: that in each of the costs which set a limit, and that in all of these: (n, m + 1).

    Args:
        acc, costs: as for :func:`can_win`.
    """
    accs, table = _points(acc, costs)
    table = table[:, ~np.isnan(table).any(axis=0)]
    return np.stack([non_dominated(accs, column) for column in (*table.T, table)], axis=1)


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


def expected_hypervolume(
    acc: ArrayLike, cost: ArrayLike, reference: tuple[float, float], *, log_cost: bool = True
) -> Values:
    """The mean of :func:`hypervolume_history` over all orders of the points (n,), exactly.

    A place that m of the n points dominate is covered after k of them unless all k are among the other n - m: with the
    probability 1 - C(n - m, k) / C(n, k). Takes time and memory n squared.
    """
    accs, costs, (worst_acc, worst_cost) = _scaled(acc, cost, reference, log_cost)
    total = len(accs)
    counts = (accs > worst_acc) & (costs < worst_cost)
    by_cost = np.argsort(costs[counts], kind="stable")
    accs, costs = accs[counts][by_cost], costs[counts][by_cost]
    heights = np.sort(accs)
    # Cell (i, j): between the i-th cost and the next, up to the j-th accuracy from the one below.
    widths = np.diff(np.append(costs, worst_cost))
    steps = np.diff(np.append(worst_acc, heights))
    covering = np.cumsum(accs[:, None] >= heights[None, :], axis=0)
    areas = np.bincount(covering.ravel(), weights=np.outer(widths, steps).ravel(), minlength=total + 1)
    among = np.arange(len(areas))
    missed = np.ones(len(areas))
    history = np.empty(total)
    for k in range(total):  # C(n - m, k + 1) / C(n, k + 1) from that of k
        missed *= np.maximum(total - among - k, 0) / (total - k)
        history[k] = areas @ (1 - missed)
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


def _points(acc: ArrayLike, costs: ArrayLike) -> tuple[Values, Values]:
    """Accuracies (n,) and costs (n, k)."""
    accs, table = np.asarray(acc, dtype=float), np.asarray(costs, dtype=float)
    if accs.ndim != 1 or table.ndim not in (1, 2) or len(accs) != len(table):
        raise ValueError(f"need accuracies and costs of one length, not {accs.shape} and {table.shape}")
    return accs, table[:, None] if table.ndim == 1 else table


def _scaled(
    acc: ArrayLike, cost: ArrayLike, reference: Sequence[float], log_cost: bool
) -> tuple[Values, Values, tuple[float, float]]:
    accs, costs = np.asarray(acc, dtype=float), np.asarray(cost, dtype=float)
    if accs.ndim != 1 or accs.shape != costs.shape:
        raise ValueError(f"need two one-dimensional arrays of one length, not {accs.shape} and {costs.shape}")
    worst_acc, worst_cost = (float(value) for value in reference)
    if log_cost:
        if worst_cost <= 0 or np.any(costs <= 0):
            raise ValueError("costs must be positive to be taken on a logarithmic scale")
        costs, worst_cost = np.log10(costs), float(np.log10(worst_cost))
    return accs, costs, (worst_acc, worst_cost)

"""What a front promises: nobody is shown a network that another one beats, and nothing is counted twice."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mgic_nas.pareto import (
    best_within,
    can_win,
    expected_hypervolume,
    hypervolume,
    hypervolume_history,
    non_dominated,
)

# Few distinct values, so that ties and duplicates are common; NaN among them.
percent = st.one_of(st.integers(0, 12).map(lambda k: 8.0 * k), st.floats(0, 100), st.just(math.nan))
macs = st.one_of(st.integers(1, 12).map(lambda k: 1e5 * k), st.floats(1.0, 1e9), st.just(math.nan))
points = st.lists(st.tuples(percent, macs), max_size=40)
REFERENCE = (10.0, 1.1e6)


def split(pairs):
    return [a for a, _ in pairs], [c for _, c in pairs]


def dominates(p, q):
    return p[0] >= q[0] and p[1] <= q[1] and (p[0] > q[0] or p[1] < q[1])


def test_a_front_by_hand():
    acc = [70.0, 80.0, 75.0, 80.0, math.nan, 60.0]
    cost = [1.0, 2.0, 2.0, 2.0, 0.5, 3.0]
    assert non_dominated(acc, cost).tolist() == [True, True, False, False, False, False]


def test_the_empty_front():
    """A run whose first trial has not finished yet has no front and no winner, and no crash."""
    assert non_dominated([], []).tolist() == []
    assert best_within([], [], 1e6) is None
    assert hypervolume([], [], REFERENCE) == 0.0
    assert hypervolume_history([], [], REFERENCE).tolist() == []
    assert hypervolume([math.nan], [1e5], REFERENCE) == 0.0


@given(points)
def test_a_front_has_no_dominated_point_and_misses_none(pairs):
    mask = non_dominated(*split(pairs))
    valid = [p for p in pairs if not (math.isnan(p[0]) or math.isnan(p[1]))]
    for index, (point, on_front) in enumerate(zip(pairs, mask, strict=True)):
        expected = point in valid and not any(dominates(q, point) for q in valid) and point not in pairs[:index]
        assert bool(on_front) == expected


@given(points, st.data())
def test_a_dominated_point_changes_neither_front_nor_hypervolume(pairs, data):
    acc, cost = split(pairs)
    mask = non_dominated(acc, cost)
    if not mask.any():
        return
    at = data.draw(st.sampled_from(np.flatnonzero(mask).tolist()))
    worse = (acc[at] - data.draw(st.floats(0, 50)), cost[at] * data.draw(st.floats(1, 10)))
    acc2, cost2 = split([*pairs, worse])
    assert non_dominated(acc2, cost2).tolist() == [*mask.tolist(), False]
    assert hypervolume(acc2, cost2, REFERENCE) == pytest.approx(hypervolume(acc, cost, REFERENCE))


@given(points, st.booleans())
def test_the_history_is_the_hypervolume_of_every_prefix(pairs, log_cost):
    """The curve in the report must end where moocore says the front is, and never fall on the way."""
    acc, cost = split(pairs)
    history = hypervolume_history(acc, cost, REFERENCE, log_cost=log_cost)
    assert len(history) == len(pairs)
    assert np.all(np.diff(history) >= 0)
    for stop in range(1, len(pairs) + 1):
        expected = hypervolume(acc[:stop], cost[:stop], REFERENCE, log_cost=log_cost)
        assert history[stop - 1] == pytest.approx(expected, rel=1e-9, abs=1e-9 * (1 if log_cost else 1e6))


@given(points, st.floats(0, 2e6))
def test_the_winner_fits_its_budget_and_nobody_else_beats_it(pairs, limit):
    acc, cost = split(pairs)
    winner = best_within(acc, cost, limit)
    fits = [i for i, (a, c) in enumerate(pairs) if not math.isnan(a) and c <= limit]
    if not fits:
        assert winner is None
    else:
        assert winner == min(fits, key=lambda i: (-acc[i], cost[i], i))
        assert non_dominated(acc, cost)[winner]


def test_ties_go_to_the_cheaper_then_to_the_first():
    assert best_within([80.0, 80.0, 80.0, 79.0], [3.0, 2.0, 2.0, 1.0], 3.0) == 1
    assert best_within([80.0], [3.0], 2.9) is None


def test_hypervolume_in_decades():
    """One point, 50 percent above the reference and a tenth of its cost: 50 percent times one decade."""
    assert hypervolume([60.0], [1e5], (10.0, 1e6)) == pytest.approx(50.0)
    assert hypervolume([60.0], [1e5], (10.0, 1e6), log_cost=False) == pytest.approx(50.0 * 9e5)


def test_costs_that_have_no_logarithm_are_refused():
    with pytest.raises(ValueError, match="positive"):
        hypervolume([50.0], [0.0], REFERENCE)
    with pytest.raises(ValueError, match="one length"):
        non_dominated([1.0, 2.0], [1.0])


def test_a_long_history_is_not_quadratic():
    """50,000 evaluations, all on the front: the report must not take minutes."""
    n = 50_000
    history = hypervolume_history(np.linspace(20, 90, n), np.linspace(1e5, 1e6, n), REFERENCE)
    assert history[-1] == pytest.approx(hypervolume(np.linspace(20, 90, n), np.linspace(1e5, 1e6, n), REFERENCE))


@given(
    st.lists(st.integers(0, 4), min_size=0, max_size=10).flatmap(
        lambda accs: st.tuples(
            st.just(accs),
            st.lists(st.lists(st.integers(0, 3), min_size=2, max_size=2), min_size=len(accs), max_size=len(accs)),
        )
    )
)
def test_a_front_in_several_costs_has_what_nobody_beats(points):
    """Whoever is left out is no better in anything than somebody who is on it."""
    accs, costs = points
    mask = non_dominated(accs, np.array(costs, dtype=float).reshape(-1, 2))
    better = [
        [i != j and a >= b and all(x <= y for x, y in zip(c, d)) for j, (a, c) in enumerate(zip(accs, costs))]
        for i, (b, d) in enumerate(zip(accs, costs))
    ]
    for i, on_front in enumerate(mask):
        equal = [j for j in range(len(accs)) if (accs[j], costs[j]) == (accs[i], costs[i])]
        beaten = any(better[i][j] for j in range(len(accs)) if j not in equal)
        assert on_front == (not beaten and i == equal[0])
    one = non_dominated(accs, np.array(costs, dtype=float).reshape(-1, 2)[:, :1])
    assert list(one) == list(non_dominated(accs, [c[0] for c in costs]))


@given(
    points, st.lists(st.one_of(st.integers(0, 12).map(lambda k: 1e5 * k), st.just(math.inf)), min_size=2, max_size=2)
)
def test_whoever_wins_some_limits_keeps_its_weights(pairs, limits):
    """The weights that can_win leaves out are deleted: no limit on either cost, or on both, may ask for them."""
    acc, first = split(pairs)
    costs = np.column_stack((first, first[::-1])) if pairs else np.empty((0, 2))
    if np.isnan(costs).any():
        costs = np.nan_to_num(costs, nan=5e5)
    kept = can_win(acc, costs)
    for column, limit in (*zip(costs.T, limits, strict=True), (costs, limits)):
        winner = best_within(acc, column, limit)
        assert winner is None or kept[winner]


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(1, 6)), min_size=1, max_size=5))
def test_the_expected_hypervolume_is_the_mean_over_all_orders(points):
    acc, cost = ([float(value) for value in side] for side in zip(*points, strict=True))
    reference = (1.0, 5.0)
    orders = [
        hypervolume_history([acc[i] for i in order], [cost[i] for i in order], reference)
        for order in itertools.permutations(range(len(points)))
    ]
    assert expected_hypervolume(acc, cost, reference) == pytest.approx(np.mean(orders, axis=0), abs=1e-9)

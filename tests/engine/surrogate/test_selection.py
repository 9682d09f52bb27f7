"""Which observations a long search still models: what may be improved on must be among them."""

import numpy as np
import pytest

from mgic_nas.engine.surrogate.expected_gain import Observation
from mgic_nas.engine.surrogate.selection import informative
from mgic_nas.pareto import non_dominated


def finished(number: int, seed: int = 0) -> list[Observation]:
    rng = np.random.default_rng(seed)
    costs = np.exp(rng.uniform(10, 14, (number, 3)))
    return [Observation(c, np.zeros(2), (), float(np.log(c[0]) + rng.normal())) for c in costs]


def test_a_short_search_models_all() -> None:
    seen = finished(100)
    assert informative(seen, 100) == seen


def test_a_long_search_models_so_many_in_their_order() -> None:
    seen = finished(3_000)
    chosen = informative(seen, 400)
    assert len(chosen) == pytest.approx(400, abs=2)
    positions = [next(i for i, o in enumerate(seen) if o is one) for one in chosen]
    assert positions == sorted(positions)
    assert max(np.diff(positions)) < 100, "from all of the search"


def test_the_front_in_every_cost_is_among_them() -> None:
    """Or a proposal would be taken for an improvement on what is there."""
    seen = finished(3_000)
    chosen = {id(o) for o in informative(seen, 400)}
    for kind in range(3):
        front = non_dominated([o.acc for o in seen], [o.costs[kind] for o in seen])
        assert all(id(seen[i]) in chosen for i in np.flatnonzero(front))


def test_what_is_in_training_is_among_them() -> None:
    """Or it would be proposed beside itself: the model would not know that something like it is under way."""
    seen = finished(2_000)
    for i in (5, 700, 1_999):
        seen[i].acc = None
    chosen = {id(o) for o in informative(seen, 300)}
    assert all(id(seen[i]) in chosen for i in (5, 700, 1_999))


def test_a_front_of_thousands_is_thinned_along_its_costs() -> None:
    seen = finished(2_000)
    for one in seen:
        one.acc = float(np.log(one.costs[0]))
    chosen = informative(seen, 200)
    assert len(chosen) <= 202
    logs = sorted(np.log(o.costs[0]) for o in chosen)
    assert logs[0] < 10.1
    assert logs[-1] > 13.9
    assert max(np.diff(logs)) < 0.1

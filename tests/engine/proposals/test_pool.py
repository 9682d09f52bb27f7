"""The architectures that our samplers choose from."""

from __future__ import annotations

import numpy as np
import pytest
from fakes.engine import FakeSpace, feasible

from mgic_nas.engine.proposals import pool as module
from mgic_nas.engine.proposals.candidate import SearchProblem
from mgic_nas.engine.proposals.pool import CandidatePool
from mgic_nas.errors import UserError
from mgic_nas.space import Budget, thresholds

SIZE = (1, 8, 8)


class Wide(FakeSpace):
    """Too large to enumerate; its architectures are the fake space's all the same."""

    def __init__(self) -> None:
        super().__init__()
        self.size = thresholds.EAGER_SIZE + 1

    def enumerate_values(self):
        raise AssertionError("enumerated")


class Picky(FakeSpace):
    """The model refuses a combination that ``where`` lets through."""

    def cost_values(self, values, input_size, num_classes):
        if values[0] == 3:
            raise UserError("refused")
        return super().cost_values(values, input_size, num_classes)


def make(space: FakeSpace, limit: float = 20_000) -> CandidatePool:
    return CandidatePool(SearchProblem(space, SIZE, 10, (Budget("macs", limit),)), seed=0)


def test_a_small_space_is_held_whole() -> None:
    pool = make(FakeSpace())
    assert pool.whole
    assert set(pool.arch_ids) == feasible(FakeSpace(), 20_000)
    assert len(pool.arch_ids) == len(pool.settings) == len(pool.costs) == len(pool.features)
    assert pool.macs == pytest.approx([1000 * s["a"] * s["b"] for s in pool.settings])
    assert np.abs(pool.features).max() <= 1.5
    costs, features = pool.describe(pool.settings[4])
    assert costs == pytest.approx(pool.costs[4])
    assert features == pytest.approx(pool.features[4])


def test_what_was_tried_or_is_too_slow_is_left_out() -> None:
    pool = make(FakeSpace())
    assert [pool.arch_ids[i] for i in pool.untried(set(pool.arch_ids[3:]))] == pool.arch_ids[:3]


def test_a_larger_space_is_held_in_a_random_part_that_is_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HELD", 4)
    monkeypatch.setattr(module, "REFRESHED", 2)
    pool = make(Wide())
    assert not pool.whole
    assert 1 <= len(pool.arch_ids) <= 4
    assert pool.arch_ids == make(Wide()).arch_ids  # the same seed, the same part
    tried: set[str] = set()
    for _ in range(60):
        left = pool.untried(tried)
        assert len(pool.arch_ids) <= 2 * 4
        assert len(pool.arch_ids) == len(pool.costs) == len(pool.features)
        tried |= {pool.arch_ids[i] for i in left}
    assert tried == feasible(FakeSpace(), 20_000)


def test_a_space_that_cannot_be_enumerated_is_sampled() -> None:
    pool = make(Picky())
    assert not pool.whole
    assert set(pool.arch_ids) == {arch for arch in feasible(FakeSpace(), 20_000) if not arch.startswith("a3")}

"""Proposals: whatever the sampler answers, only feasible untried architectures are trained, and the end is noticed."""

from __future__ import annotations

from collections import Counter
from typing import Any, cast

import optuna
import pytest
from fakes.engine import FakeSpace, feasible

from mgic_nas.engine.proposals.candidate import LazyCandidate, SearchProblem
from mgic_nas.engine.proposals.filters import FastByPrediction
from mgic_nas.engine.proposals.pool import CandidatePool
from mgic_nas.engine.proposals.proposer import REJECTIONS_IN_A_ROW, SAMPLER, UNIFORM, Proposer
from mgic_nas.engine.samplers.registry import make_sampler
from mgic_nas.engine.storage.predictor import Accuracy, Predictor
from mgic_nas.engine.storage.study import REJECTED, StudyStore
from mgic_nas.space import Budget

LIMIT = 20_000.0


class Bench:
    """A proposer on a study in memory; ``problem`` may be changed before the first proposal."""

    def __init__(self, sampler: optuna.samplers.BaseSampler, **problem: Any) -> None:
        self.store = StudyStore(None, "demo")
        self.store.set_sampler(sampler)
        self.tried: set[str] = set()
        self.reasons: Counter[str] = Counter()
        budgets = (Budget("macs", LIMIT), *problem.pop("budgets", ()))
        self.problem = SearchProblem(FakeSpace(), (1, 8, 8), 10, budgets, **problem)
        self.proposer = self.open()

    def open(self, doubtful: bool = False) -> Proposer:
        return Proposer(self.store, self.problem, self.tried, 0, self.reject, doubtful)

    def reject(self, reason: str) -> None:
        self.reasons[reason] += 1

    def next(self) -> str | None:
        proposal = self.proposer.propose()
        if proposal is None:
            return None
        self.tried.add(proposal.candidate.arch_id)
        return proposal.drawn


class Stubborn(optuna.samplers.RandomSampler):
    """Always the same answer."""

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        return {"a": 8, "b": 8, "alias": 0}[param_name]


@pytest.mark.parametrize("name", ["random", "nsga2", "tpe"])
def test_every_feasible_architecture_is_proposed_once_and_then_none(name: str) -> None:
    bench = Bench(make_sampler(name, 0))
    while bench.next():
        assert len(bench.tried) <= 32
    assert bench.tried == feasible(FakeSpace(), LIMIT)
    assert bench.proposer.exhausted == "no untried architecture is left within the budgets"
    assert {"where", "over budget", "duplicate"} >= set(bench.reasons)


def test_a_stubborn_sampler_does_not_stop_the_search() -> None:
    """Its proposal is over the budget for ever: after 20 rejections each the next one is drawn uniformly."""
    bench = Bench(Stubborn())
    assert bench.next() == UNIFORM
    assert bench.reasons == {"over budget": REJECTIONS_IN_A_ROW}
    rejected = [t for t in bench.store.trials() if REJECTED in t.user_attrs]
    assert len(rejected) == REJECTIONS_IN_A_ROW
    assert {t.state for t in rejected} == {optuna.trial.TrialState.PRUNED}


def test_what_passes_is_the_samplers_own() -> None:
    bench = Bench(make_sampler("random", 1))
    assert bench.next() == SAMPLER
    (running,) = [t for t in bench.store.trials() if t.state == optuna.trial.TrialState.RUNNING]
    assert bench.problem.space.arch_id(running.params) in bench.tried


def test_uniform_draws_repeat_with_the_seed_and_what_was_tried() -> None:
    first, second = Bench(Stubborn()), Bench(Stubborn())
    for bench in (first, second):
        for _ in range(5):
            bench.next()
    assert first.tried == second.tried


def test_a_finished_search_is_not_asked_again() -> None:
    """On resuming, one draw shows that nothing is left; a sampler's 20 rejections would be written to the study."""
    bench = Bench(make_sampler("random", 0))
    bench.tried |= feasible(FakeSpace(), LIMIT)
    bench.proposer = bench.open(doubtful=True)
    assert bench.next() is None
    assert not bench.store.trials()
    assert not bench.reasons


class Slow:
    """Latencies of which all but one are over the limit."""

    kind = "latency"
    limit = 1.0

    def __init__(self) -> None:
        self.too_slow: set[str] = set()
        self.lacking: set[str] = set()
        self.settings: dict[str, Any] = {}
        self.measured: list[str] = []

    def known(self, arch_id: str) -> float | None:
        return None

    def seconds(self, arch_id: str, config: Any) -> float:
        self.measured.append(arch_id)
        if arch_id != "a1b2":
            self.too_slow.add(arch_id)
        return 2.0 if arch_id in self.too_slow else 0.5

    def slow_ones(self, model: str, num_classes: int) -> str:
        return f" ({len(self.too_slow)} were too slow)"


def test_the_one_that_is_fast_enough_is_found_and_none_is_measured_twice() -> None:
    latencies = Slow()
    bench = Bench(Stubborn(), latencies=(latencies,))
    assert bench.next() == UNIFORM
    assert bench.tried == {"a1b2"}
    assert bench.next() is None
    slow = len(feasible(FakeSpace(), LIMIT)) - 1
    assert bench.proposer.exhausted == f"no untried architecture is left within the budgets ({slow} were too slow)"
    assert set(latencies.measured) == feasible(FakeSpace(), LIMIT)
    assert len([arch_id for arch_id in latencies.measured if arch_id != "a1b2"]) == slow


class Predicted:
    """A second is predicted for each step of ``a``; nothing for 8. Errors are within a tenth."""

    accuracy = Accuracy(median=0.05, ninety=0.1, rank=0.9, fitted=16, held_out=16)
    fastest = 1.0

    def seconds(self, config: Any) -> float | None:
        return None if config["a"] == 8 else float(config["a"])

    def threshold(self, limit: float) -> float:
        return limit * 1.1


PREDICTED = cast(Predictor, Predicted())


class Timed(Slow):
    """Measured, ``a`` = 3 takes longer than predicted and a3b2 does not; a7b1 was measured to be fast before."""

    limit = 3.0

    def known(self, arch_id: str) -> float | None:
        return 2.0 if arch_id == "a7b1" else None

    def seconds(self, arch_id: str, config: Any) -> float:
        if arch_id == "a7b1":
            return 2.0
        self.measured.append(arch_id)
        if arch_id.startswith("a3") and arch_id != "a3b2":
            self.too_slow.add(arch_id)
            return 3.1
        return 1.0


@pytest.mark.parametrize("name", ["random", "nsga2", "tpe", "cost"])
def test_predictions_choose_what_is_measured_and_measurements_what_is_trained(name: str) -> None:
    """What is predicted too slow is never measured, what is measured too slow never trained, and nothing is lost."""
    latencies = Timed()
    budget = Budget("latency", 3.0)
    bench = Bench(
        make_sampler("random", 0), budgets=(budget,), latencies=(latencies,), predictors={"latency": PREDICTED}
    )
    bench.store.set_sampler(make_sampler(name, 0, lambda: CandidatePool(bench.problem), bench.problem))
    while bench.next():
        assert len(bench.tried) <= 32
    fits = feasible(FakeSpace(), LIMIT)
    assert bench.tried == {a for a in fits if a[1] in "128" or a in ("a3b2", "a7b1")}
    assert set(latencies.measured) == {a for a in fits if a[1] in "1238"}
    assert bench.proposer.exhausted.endswith(
        "; what is predicted to be over latency=3000ms was left out (the fastest of 32 networks that were measured for "
        "that takes 1000 ms)"
    )


def test_what_is_predicted_too_slow_is_told_to_the_sampler() -> None:
    """As a constraint above zero, so that it learns to stay away."""
    bench = Bench(
        Stubborn(), budgets=(Budget("latency", 3.0),), latencies=(Timed(),), predictors={"latency": PREDICTED}
    )
    rejection = FastByPrediction()(LazyCandidate({"a": 5, "b": 1, "alias": 0}, bench.problem))
    assert rejection is not None
    assert rejection.reason == "predicted too slow"
    assert rejection.violation == pytest.approx(5 / 3.3 - 1)
    assert FastByPrediction()(LazyCandidate({"a": 8, "b": 1, "alias": 0}, bench.problem)) is None

"""Samplers by name, and the space in Optuna's words."""

import random
from typing import Any

import optuna
import pytest

from mgic_nas.engine.proposals.candidate import LazyCandidate, SearchProblem
from mgic_nas.engine.proposals.filters import Budgets, Chain, Untried, Where
from mgic_nas.engine.proposals.params import distributions, to_setting
from mgic_nas.engine.proposals.pool import CandidatePool, PoolMaker
from mgic_nas.engine.samplers.base import PoolSampler
from mgic_nas.engine.samplers.registry import DEFAULT_SAMPLER, SAMPLERS, make_sampler
from mgic_nas.errors import UserError
from mgic_nas.space import Budget, SearchSpace


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    params: dict[str, Any] = {
        "s_g": {"choices": [4, 8, 16]},
        "s_c": {"low": 8, "high": 32, "step": 8},
        "width_mult": {"low": 0.3, "high": 0.9, "step": 0.1, "per_stage": 3},
        "block": {"choices": ["basic", "bottleneck"]},
    }
    return SearchSpace.from_dict({"model": "mgic_resnet20", "params": params, "where": ["s_c >= s_g"]})


def test_values_that_optuna_proposes_are_the_spaces_own(space: SearchSpace) -> None:
    """0.1 + 0.2 is not 0.3: off the grid by rounding, one architecture would count as two."""
    study = optuna.create_study(sampler=make_sampler("random", 0), directions=["maximize", "minimize"])
    for _ in range(100):
        setting = to_setting(space, study.ask(distributions(space)).params)
        for name, value in setting.items():
            assert value in space.params[name]
            assert type(value) in (int, float, str)
        space.arch_id(setting)


def test_ranges_stay_ranges(space: SearchSpace) -> None:
    """A sampler may then use that 0.5 lies between 0.4 and 0.6."""
    found = distributions(space)
    assert found["s_g"] == optuna.distributions.CategoricalDistribution((4, 8, 16))
    assert found["s_c"] == optuna.distributions.IntDistribution(8, 32, step=8)
    assert found["width_mult.2"] == optuna.distributions.FloatDistribution(0.3, 0.9, step=0.1)
    for setting in (space.sample(random.Random(i)) for i in range(50)):
        for name, value in setting.items():
            assert found[name]._contains(found[name].to_internal_repr(value))


def test_unknown_sampler_names_those_there_are() -> None:
    with pytest.raises(UserError, match=r"Unknown sampler 'gauss'.*cost, gp, nsga2, random, stratified, tpe"):
        make_sampler("gauss", 0)
    assert DEFAULT_SAMPLER in SAMPLERS


def make_first(seed: int, pool: PoolMaker, problem: SearchProblem | None) -> PoolSampler:
    class First(PoolSampler):
        """Always the cheapest untried one."""

        def propose(self, study: optuna.Study, pool: CandidatePool) -> dict[str, Any]:
            return pool.settings[int(pool.untried({pool.arch_id(t.params) for t in study.trials[:-1]})[0])]

    return First(pool(), seed)


def test_a_sampler_from_outside_is_one_line(space: SearchSpace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SAMPLERS, "_entries", dict(SAMPLERS._entries))
    SAMPLERS.register("mine", f"{__name__}:make_first")
    pool = CandidatePool(SearchProblem(space, (3, 32, 32), 10))
    study = optuna.create_study(sampler=make_sampler("mine", 0, lambda: pool), directions=["maximize", "minimize"])
    asked = [study.ask(distributions(space)).params for _ in range(3)]
    assert asked == pool.settings[:3]
    with pytest.raises(UserError, match="there is a sampler named 'tpe' already"):
        SAMPLERS.register("tpe", f"{__name__}:make_first")


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_repeats_itself_for_a_seed(name: str, space: SearchSpace) -> None:
    pool = CandidatePool(SearchProblem(space, (3, 32, 32), 10))

    def proposals(seed: int) -> list[dict[str, Any]]:
        study = optuna.create_study(sampler=make_sampler(name, seed, lambda: pool), directions=["maximize", "minimize"])
        found = []
        for i in range(25):
            trial = study.ask(distributions(space))
            study.tell(trial, [float(i % 7), float(i % 5)])
            found.append(trial.params)
        return found

    assert proposals(1) == proposals(1) != proposals(2)


def test_filters_say_why_and_by_how_much(space: SearchSpace) -> None:
    task = SearchProblem(space, (3, 32, 32), 10)
    setting = {"s_g": 8, "s_c": 16, "width_mult.0": 0.5, "width_mult.1": 0.5, "width_mult.2": 0.5, "block": "basic"}
    candidate = LazyCandidate(setting, task)
    macs = candidate.cost.macs
    tried: set[str] = set()
    rules = Chain((Where(), Budgets([Budget("macs", macs), Budget("params", 1e9)]), Untried(tried)))
    assert rules(candidate) is None
    assert Budgets([Budget("macs", macs)]).violation(candidate) == 0
    tried.add(candidate.arch_id)
    duplicate = rules(candidate)
    assert duplicate is not None
    assert (duplicate.reason, duplicate.violation) == ("duplicate", None)
    over = Chain((Where(), Budgets([Budget("macs", macs / 2)])))(candidate)
    assert over is not None
    assert (over.reason, over.violation) == ("over budget", 1.0)
    where = rules(LazyCandidate({**setting, "s_g": 16, "s_c": 8}, task))
    assert where is not None
    assert where.reason == "where"
    assert (where.violation or 0) > 0
    impossible = rules(LazyCandidate({**setting, "s_g": -4}, task))
    assert impossible is not None
    assert impossible.reason == "impossible"

"""The samplers of ours, in Optuna's own terms and in a search's."""

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    MultiObjectiveSamplerTestCase,
    RelativeSamplerTestCase,
)

from mgic_nas.engine.proposals.candidate import SearchProblem
from mgic_nas.engine.proposals.params import distributions
from mgic_nas.engine.proposals.pool import CandidatePool
from mgic_nas.engine.samplers.cost_aware import CostAwareSampler
from mgic_nas.engine.samplers.stratified import StratifiedSampler
from mgic_nas.engine.storage.study import JOB, RESULT
from mgic_nas.space import Budget, SearchSpace

LIMIT = 1e6
SIZE = (1, 14, 14)


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return SearchSpace.from_yaml("fashion_table")


@pytest.fixture(scope="module")
def pool(space: SearchSpace) -> CandidatePool:
    return CandidatePool(SearchProblem(space, SIZE, 10, (Budget("macs", LIMIT),)))


class TestConformance(BasicSamplerTestCase, RelativeSamplerTestCase, MultiObjectiveSamplerTestCase):
    """Optuna's published tests: in a study of other parameters ours are random samplers."""

    @pytest.fixture(params=[CostAwareSampler, StratifiedSampler])
    def sampler(self, request: pytest.FixtureRequest, pool: CandidatePool) -> Callable[[], BaseSampler]:
        return lambda: request.param(pool, seed=0)


def truth(setting: dict[str, Any]) -> float:
    """Accuracies that grow with width and group size, and favour one block."""
    widths = sum(setting[f"width_mult.{i}"] for i in range(3))
    return 70 + 2 * widths + math.log2(setting["s_g"]) + (1.5 if setting["block"] == "basic" else 0)


def test_a_prior_is_followed_at_first_and_forgotten_where_it_is_wrong(space: SearchSpace) -> None:
    """Of the first trainings most have the value that is believed in; of the later ones the better value's are more."""
    problem = SearchProblem(space, SIZE, 10, (Budget("macs", LIMIT),), prior={"block": {"basic": 50.0}})
    believed = CandidatePool(problem)
    assert len(believed.believed(range(3))) == 3
    shares = []
    for held in (believed, CandidatePool(SearchProblem(space, SIZE, 10, (Budget("macs", LIMIT),)))):
        found = [
            [t.params["block"] for t in optimise(space, CostAwareSampler(held, seed=seed), 40).trials]
            for seed in range(3)
        ]
        shares.append([
            sum(block.count("basic") for block in (blocks[part] for blocks in found)) / (3 * length)
            for part, length in ((slice(8), 8), (slice(28, None), 12))
        ])  # fmt: skip
    (first, last), (usual, usual_last) = shares
    assert first > usual + 0.1
    assert last < 0.5
    assert abs(last - usual_last) < 0.3


def optimise(space: SearchSpace, sampler: BaseSampler, trials: int) -> optuna.Study:
    """A plain study, as somebody without our Controller would write it."""
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        setting = {name: trial._suggest(name, d) for name, d in distributions(space).items()}
        return truth(setting), space.cost(setting, SIZE, 10).macs

    study.optimize(objective, n_trials=trials)
    return study


@pytest.mark.parametrize("kind", [CostAwareSampler, StratifiedSampler])
def test_in_a_plain_study_it_keeps_to_the_budget_and_proposes_nothing_twice(kind: Any, space, pool) -> None:
    study = optimise(space, kind(pool, seed=0), 30)
    assert max(t.values[1] for t in study.trials) <= LIMIT
    assert len({space.arch_id(pool.setting(t.params)) for t in study.trials}) == 30


def test_it_finds_the_front_with_a_part_of_the_trials(space, pool) -> None:
    """Within 40 of the feasible architectures nine tenths of what is to be gained over a random start."""
    from mgic_nas.pareto import hypervolume

    everything = [(truth(s), m) for s, m in zip(pool.settings, pool.macs, strict=True)]
    whole = hypervolume(*zip(*everything, strict=True), (72.0, LIMIT))
    found = {}
    for name, sampler in (("cost", CostAwareSampler(pool, seed=1)), ("random", StratifiedSampler(pool, seed=1))):
        study = optimise(space, sampler, 30)
        found[name] = hypervolume(*zip(*[t.values for t in study.trials], strict=True), (72.0, LIMIT)) / whole
    assert found["cost"] > 0.97
    assert found["cost"] > found["random"]


def test_the_same_seed_proposes_the_same(space, pool) -> None:
    runs = [[t.params for t in optimise(space, CostAwareSampler(pool, seed=s), 15).trials] for s in (3, 3, 4)]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_a_search_that_was_killed_goes_on_with_the_same_proposals(space, pool) -> None:
    """After a restart the sampler is a new one, with another seed: what it proposes depends on what is known alone."""
    study = optimise(space, CostAwareSampler(pool, seed=0), 14)
    study.ask(distributions(space))  # under way when the driver was killed
    proposed = [CostAwareSampler(pool, seed=seed).propose(study, pool) for seed in (1, 2)]
    assert proposed[0] == proposed[1] == study.sampler.propose(study, pool)


def test_it_starts_cheap_and_spreads_over_the_macs(space, pool) -> None:
    macs = [t.values[1] for t in optimise(space, CostAwareSampler(pool, seed=0), 8).trials]
    assert macs == sorted(macs)
    assert macs[-1] / macs[0] > 0.5 * pool.macs.max() / pool.macs.min()


def test_trials_that_run_side_by_side_are_different(space, pool) -> None:
    study = optimise(space, CostAwareSampler(pool, seed=0), 12)
    asked = [study.ask(distributions(space)) for _ in range(8)]
    assert len({pool.arch_id(pool.setting(t.params)) for t in asked}) == 8


def test_when_everything_is_tried_it_still_answers(space) -> None:
    few = CandidatePool(SearchProblem(space, SIZE, 10, (Budget("macs", 115_000),)))
    assert len(few.settings) < 12
    study = optimise(space, CostAwareSampler(few, seed=0), len(few.settings))
    assert len({few.arch_id(few.setting(t.params)) for t in study.trials}) == len(few.settings)
    assert study.ask(distributions(space)).params


def test_what_failed_is_no_observation_and_no_reason_to_stop(space, pool) -> None:
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=CostAwareSampler(pool, seed=0))
    for number in range(15):
        trial = study.ask(distributions(space))
        if number % 3:
            study.tell(trial, [truth(pool.setting(trial.params)), 1.0])
        else:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
    assert len({tuple(t.params.values()) for t in study.trials}) == 15


def test_unfinished_curves_count(space, pool) -> None:
    """A stopped or paused trial's curve moves the proposals: two studies that differ in it alone go apart."""

    def next_after(good: str) -> list[dict[str, Any]]:
        sampler = CostAwareSampler(pool, seed=0, epochs=4)
        study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
        for _ in range(16):
            trial = study.ask(distributions(space))
            promising = trial.params["block"] == good
            curve = [{"epoch": 1, "val_acc": 60.0 + 5 * promising, "train_loss": 1.0 - 0.4 * promising}]
            trial.set_user_attr(JOB, {"curve": curve, "paused": True})
            if trial.number % 2:  # stopped for good; the others wait
                trial.set_user_attr(RESULT, {"curve": curve})
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        asked = [study.ask(distributions(space)).params for _ in range(6)]
        return [trial.params for trial in study.trials[8:16]] + asked  # all that follow the spread start

    chosen = [sum(p["block"] == "basic" for p in next_after(good)) for good in ("basic", "bottleneck")]
    assert chosen[0] > chosen[1] + 2


def test_a_study_with_other_distributions_is_left_to_chance_or_refused_by_optuna(pool) -> None:
    """The pool's answer would be out of range there; and Optuna wants a parameter's choices to stay the same."""
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=CostAwareSampler(pool, seed=0))
    for _ in range(5):
        trial = study.ask({"width_mult.0": FloatDistribution(4.0, 8.0, step=1.0), "lr": FloatDistribution(0.1, 1.0)})
        assert 4 <= trial.params["width_mult.0"] <= 8
        assert 0.1 <= trial.params["lr"] <= 1
        study.tell(trial, [1.0, 1.0])
    with pytest.raises(ValueError, match="dynamic value space"):
        study.ask({"s_g": CategoricalDistribution((64, 128))})


def test_a_trial_whose_parameters_are_given_takes_no_proposal(space, pool) -> None:
    """What is enqueued must not change what the sampler proposes afterwards."""
    given = pool.settings[-1]
    proposals = []
    for enqueued in (False, True):
        study = optuna.create_study(directions=["maximize", "minimize"], sampler=StratifiedSampler(pool, seed=0))
        if enqueued:
            study.enqueue_trial(given)
            assert study.ask(distributions(space)).params == given
        proposals.append(study.ask(distributions(space)).params)
    assert proposals[0] == proposals[1]


def test_a_large_space_is_searched_in_a_part_that_is_renewed() -> None:
    problem = SearchProblem(SearchSpace.from_yaml("cifar10_resnet56"), (3, 32, 32), 10, (Budget("macs", 4e7),))
    pool = CandidatePool(problem, seed=0)
    assert not pool.whole
    before = set(pool.arch_ids)
    assert len(before) > 1000
    assert pool.macs.max() <= 4e7
    tried = set(random.Random(0).sample(sorted(before), 100))
    left = pool.untried(tried)
    assert not tried & {pool.arch_ids[i] for i in left}
    assert set(pool.arch_ids) - before
    assert pool.features.shape == (len(pool.arch_ids), pool.describe(pool.settings[0])[1].shape[0])
    assert np.allclose(pool.features[5], pool.describe(pool.settings[5])[1])


def test_a_budget_on_parameters_has_its_best_found(space) -> None:
    """MACs and parameters rank networks differently: a front over MACs alone would neglect a budget on parameters."""
    pool = CandidatePool(SearchProblem(space, SIZE, 10, (Budget("macs", LIMIT),)))
    limit = 8_000.0
    fits = pool.costs[:, 1] <= limit
    best = max(truth(s) for s, ok in zip(pool.settings, fits, strict=True) if ok)
    budgets = [Budget("macs", LIMIT), Budget("params", limit)]
    study = optimise(space, CostAwareSampler(pool, seed=0, budgets=budgets), 25)
    settings = [pool.setting(t.params) for t in study.trials]
    found = [truth(s) for s in settings if pool.describe(s)[0][1] <= limit]
    assert max(found) > best - 0.3

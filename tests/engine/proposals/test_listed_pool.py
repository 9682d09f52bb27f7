"""A pool from plain arrays, and the samplers with it in a study of Optuna's that knows nothing of this package."""

from __future__ import annotations

import itertools
import logging
import math
import multiprocessing
import pickle
import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from mgic_nas.engine.proposals.pool import CandidatePool
from mgic_nas.engine.samplers.cost_aware import CostAwareSampler
from mgic_nas.engine.samplers.stratified import StratifiedSampler
from mgic_nas.errors import UserError

SETTINGS = [{"width": w, "depth": d, "act": a} for w in (16, 32, 64) for d in (1, 2, 3) for a in ("relu", "silu")]
COSTS = [s["width"] ** 2 * s["depth"] for s in SETTINGS]
KINDS = pytest.mark.parametrize("kind", [CostAwareSampler, StratifiedSampler])


def accuracy(setting: dict[str, Any]) -> float:
    return 70 + 3 * math.log2(setting["width"]) + setting["depth"] + (setting["act"] == "silu")


def study_of(sampler: optuna.samplers.BaseSampler) -> optuna.Study:
    return optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)


@KINDS
def test_in_a_plain_study_every_setting_is_tried_once_and_then_it_ends(kind: Any) -> None:
    """As Optuna's own GridSampler ends a study: a hundred trials are asked for, and there are eighteen settings."""
    pool = CandidatePool.from_arrays(SETTINGS, COSTS)
    study = study_of(kind(pool, seed=0))

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        setting = pool.suggest(trial)
        return accuracy(setting), COSTS[SETTINGS.index(setting)]

    study.optimize(objective, n_trials=100)
    assert len(study.trials) == len(SETTINGS)
    assert len({tuple(t.params.items()) for t in study.trials}) == len(SETTINGS)


def test_columns_and_rows_make_the_same_pool() -> None:
    frame = pd.DataFrame(SETTINGS)
    costs = {"macs": np.array(COSTS), "params": pd.Series(range(1, 19))}
    pools = [CandidatePool.from_arrays(s, costs) for s in (SETTINGS, frame, frame.to_dict("list"))]
    for pool in pools:
        assert pool.settings == SETTINGS
        assert all(type(value) in (int, str) for value in pool.settings[0].values())
        assert pool.macs == pytest.approx(COSTS)
        assert pool.costs[:, 1] == pytest.approx(range(1, 19))
        assert pool.arch_ids == pools[0].arch_ids
        assert np.array_equal(pool.features, pools[0].features)


def test_settings_that_are_not_listed_are_not_proposed() -> None:
    """Half of the grid is listed: the other half is what cannot be built."""
    pool = CandidatePool.from_arrays(SETTINGS[::2], COSTS[::2])
    study = study_of(CostAwareSampler(pool, seed=0))
    asked = [pool.suggest(study.ask()) for _ in SETTINGS[::2]]
    assert sorted(map(str, asked)) == sorted(map(str, SETTINGS[::2]))


def test_an_objective_may_have_distributions_and_parameters_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    """It learns all the same: after the first eight the accurate ones come, not the cheapest."""
    pool = CandidatePool.from_arrays(SETTINGS, COSTS, distributions={"depth": IntDistribution(1, 3)})
    study = study_of(sampler := CostAwareSampler(pool, seed=0))

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        setting = {
            "width": trial.suggest_categorical("width", [16, 32, 64]),
            "depth": trial.suggest_int("depth", 1, 3),
            "act": trial.suggest_categorical("act", ["relu", "silu"]),
        }
        trial.suggest_float("lr", 0.01, 0.1)
        return accuracy(setting), COSTS[SETTINGS.index(setting)]

    optuna.logging.enable_propagation()
    with caplog.at_level(logging.WARNING, logger="mgic_nas"):
        study.optimize(objective, n_trials=12)
    assert len(sampler.tried(study, pool)) == 12
    assert len({(t.params["width"], t.params["depth"], t.params["act"]) for t in study.trials}) == 12
    [warning] = [r.message for r in caplog.records if r.name.startswith("mgic_nas")]
    assert re.match(r"lr is drawn at random: the pool has width, depth, act", warning)


@KINDS
def test_whoever_takes_the_end_of_the_pool_for_the_end_is_not_told_of_a_repetition(
    kind: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A search trains nothing twice, however many trials are asked for; in a study of one's own settings come again."""
    optuna.logging.enable_propagation()
    for alone, expected in ((True, 0), (False, 1)):
        pool = CandidatePool.from_arrays(SETTINGS[:3], COSTS[:3])
        study = study_of(kind(pool, seed=0, alone=alone))
        caplog.clear()
        with caplog.at_level(logging.WARNING, logger="mgic_nas"):
            for _ in range(6):
                pool.suggest(study.ask())
        assert sum("everything in the pool was tried" in r.message for r in caplog.records) == expected


@KINDS
def test_without_a_pool_nothing_is_drawn_at_random_in_silence(kind: Any) -> None:
    with pytest.raises(
        UserError, match=rf"{kind.__name__} chooses from a pool: pass CandidatePool\.from_arrays"
    ) as told:
        kind(seed=0)
    assert "\n" not in str(told.value)


WRONG = [
    ([], [], "settings is empty"),
    ([{}], [1], "settings is empty"),
    ({}, [], "settings is empty"),
    ("width", [1], "a list of dicts, or a dict of columns"),
    ([1, 2], [1, 2], "a list of dicts, or a dict of columns"),
    ([{"a": 1}, {"b": 1}], [1, 2], "setting 1 has other parameters than setting 0: a, b"),
    ({"a": [1, 2], "b": [1]}, [1, 2], r"different lengths: \{'a': 2, 'b': 1\}"),
    ([{"a": 1}, {"a": 1}], [1, 2], "settings 0 and 1 are the same"),
    ([{"a": 1}, {"a": [2]}], [1, 2], "a holds '\\[2\\]'"),
    ([{"a": 1}, {"a": math.nan}], [1, 2], "a holds 'nan'"),
    ([{"a": 1}, {"a": 2}], [1], "macs must be 2 numbers"),
    ([{"a": 1}, {"a": 2}], [[1], [2]], "macs must be 2 numbers"),
    ([{"a": 1}, {"a": 2}], [1, "x"], "macs holds something that is no number"),
    ([{"a": 1}, {"a": 2}], [0.5, 2], "macs of setting 0 is 0.5: a cost is 1 or more; take a smaller unit"),
    ([{"a": 1}, {"a": 2}], [1, -5], "macs of setting 1 is -5: a cost is 1 or more; give it a number from 1 up"),
    ([{"a": 1}, {"a": 2}], [1, math.inf], "macs of setting 1 is inf"),
    ([{"a": 1}, {"a": 2}], {"params": [1, 2]}, "costs lacks macs"),
    ([{"a": 1}, {"a": 2}], {"macs": [1, 2], "flops": [1, 2]}, "unknown kind 'flops'"),
]


@pytest.mark.parametrize(("settings", "costs", "hint"), WRONG)
def test_wrong_arrays_are_one_line(settings: Any, costs: Any, hint: str) -> None:
    with pytest.raises(UserError, match=hint) as told:
        CandidatePool.from_arrays(settings, costs)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("distributions", "hint"),
    [
        ({"widht": IntDistribution(1, 3)}, "no parameter 'widht'. Did you mean width"),
        ({"width": IntDistribution(1, 32)}, "of width does not hold 64"),
        ({"act": IntDistribution(1, 32)}, "of act does not hold 'relu'"),
    ],
)
def test_distributions_that_do_not_fit_are_one_line(distributions: Any, hint: str) -> None:
    with pytest.raises(UserError, match=hint):
        CandidatePool.from_arrays(SETTINGS, COSTS, distributions=distributions)


def test_the_lines_of_the_page_run_as_they_stand_there() -> None:
    page = (Path(__file__).parents[3] / "docs" / "samplers.md").read_text()
    [code] = [b for b in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "from_arrays" in b]
    names: dict[str, Any] = {"optuna": optuna, "settings": SETTINGS, "costs": COSTS, "accuracy": accuracy}
    exec(code, names)
    found = names["study"]
    assert len(found.trials) == 12
    assert all(t.values[1] == COSTS[SETTINGS.index(t.params)] for t in found.trials)


GRID = [{"width": w, "depth": d} for w in (0.25, 0.5, 0.75, 1) for d in (1, 2)]


@pytest.mark.parametrize(
    "distributions",
    [
        {},
        {"width": FloatDistribution(0.25, 1, step=0.25)},
        {"width": FloatDistribution(0.1, 2.0)},
        {"depth": FloatDistribution(1, 2)},
        {"depth": IntDistribution(1, 2), "width": CategoricalDistribution((1.0, 0.75, 0.5, 0.25))},
    ],
)
@KINDS
def test_a_number_is_the_same_setting_however_optuna_writes_it(kind: Any, distributions: dict[str, Any]) -> None:
    pool = CandidatePool.from_arrays(GRID, range(10, 18), distributions=distributions)
    study = study_of(kind(pool, seed=0))
    study.optimize(lambda trial: (1.0, pool.macs_of(pool.suggest(trial))), n_trials=30)
    assert len(study.trials) == len(GRID)
    assert {tuple(pool.setting(t.params).items()) for t in study.trials} == {tuple(s.items()) for s in GRID}


@KINDS
def test_an_objective_need_not_suggest_what_a_setting_does_not_have(kind: Any, caplog: Any) -> None:
    """Conditional parameters as Optuna's users write them: plain blocks have no levels."""
    settings = [{"kind": "plain", "width": w, "levels": 0} for w in (8, 16, 32)]
    settings += [{"kind": "mgic", "width": w, "levels": n} for w in (8, 16, 32) for n in (1, 2, 3)]
    pool = CandidatePool.from_arrays(settings, [s["width"] * (4 - s["levels"]) for s in settings])
    study = study_of(kind(pool, seed=0))
    seen = []

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        kind = trial.suggest_categorical("kind", pool.distributions["kind"].choices)
        width = trial.suggest_categorical("width", pool.distributions["width"].choices)
        levels = trial.suggest_categorical("levels", pool.distributions["levels"].choices) if kind == "mgic" else 0
        seen.append({"kind": kind, "width": width, "levels": levels})
        return float(width), pool.macs_of(seen[-1])

    study.optimize(objective, n_trials=7)
    resumed = kind(pool, seed=1)  # another process: it knows the trials by their parameters alone
    study.sampler = resumed
    study.optimize(objective, n_trials=20)
    assert sorted(map(str, seen)) == sorted(map(str, settings))
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING and r.name.startswith("mgic_nas")]


@pytest.mark.parametrize("jobs", [2, 8])
@KINDS
def test_threads_train_nothing_twice(kind: Any, jobs: int) -> None:
    pool = CandidatePool.from_arrays(SETTINGS, COSTS)
    study = study_of(kind(pool, seed=0))
    begin = threading.Barrier(jobs)
    turns = itertools.count()

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        if next(turns) < jobs:  # all have been proposed to before any suggests
            begin.wait(timeout=30)
        setting = pool.suggest(trial)
        return accuracy(setting), pool.macs_of(setting)

    study.optimize(objective, n_trials=len(SETTINGS), n_jobs=jobs)
    assert len({tuple(t.params.items()) for t in study.trials}) == len(study.trials)


def _search(number: int, url: str, trials: int) -> None:
    grid = [{"width": w, "depth": d} for w in (8, 16, 32, 64) for d in range(1, 20)]
    pool = CandidatePool.from_arrays(grid, [s["width"] * s["depth"] for s in grid])
    study = optuna.load_study(study_name="shared", storage=url, sampler=CostAwareSampler(pool, seed=number))
    study.optimize(lambda trial: (pool.suggest(trial)["width"] ** 0.5, 1.0), n_trials=trials)


def test_processes_that_share_a_storage_train_nothing_twice(tmp_path: Path) -> None:
    """They begin at the same moment, when nothing is known, and so would make the same proposals."""
    url = f"sqlite:///{tmp_path / 'study.db'}"
    study = optuna.create_study(study_name="shared", storage=url, directions=["maximize", "minimize"])
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=_search, args=(number, url, 8)) for number in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=120)
        assert process.exitcode == 0
    assert len({tuple(t.params.items()) for t in study.trials}) == len(study.trials) == 24


def test_many_may_be_asked_for_before_any_is_suggested() -> None:
    pool = CandidatePool.from_arrays(SETTINGS, COSTS)
    study = study_of(CostAwareSampler(pool, seed=0))
    asked = [pool.suggest(trial) for trial in [study.ask() for _ in SETTINGS]]
    assert sorted(map(str, asked)) == sorted(map(str, SETTINGS))


def test_trials_of_other_settings_are_left_out_and_said(caplog: pytest.LogCaptureFixture) -> None:
    """A study goes on after the pool was cut down to a smaller budget."""
    optuna.logging.enable_propagation()
    study = study_of(CostAwareSampler(CandidatePool.from_arrays(SETTINGS, COSTS), seed=0))
    whole = study.sampler._pool  # type: ignore[attr-defined]
    study.optimize(lambda trial: (accuracy(whole.suggest(trial)), 1.0), n_trials=12)
    before = {tuple(t.params.items()) for t in study.trials}
    # The distributions of a study do not change: those of the smaller pool are given.
    cut = [s for s in SETTINGS if s["width"] < 64]
    pool = CandidatePool.from_arrays(cut, [COSTS[SETTINGS.index(s)] for s in cut], distributions=whole.distributions)
    study.sampler = CostAwareSampler(pool, seed=0)
    study.optimize(lambda trial: (accuracy(pool.suggest(trial)), 1.0), n_trials=30)
    assert {tuple(s.items()) for s in cut} - before <= {tuple(t.params.items()) for t in study.trials[12:]}
    assert [r.getMessage() for r in caplog.records if "none of the pool's settings" in r.getMessage()]


def test_after_everything_was_tried_it_stays_in_the_pool(caplog: pytest.LogCaptureFixture) -> None:
    optuna.logging.enable_propagation()
    pool = CandidatePool.from_arrays(SETTINGS[::2], COSTS[::2])
    study = study_of(CostAwareSampler(pool, seed=0))
    asked = [pool.suggest(study.ask()) for _ in range(14)]
    assert all(setting in SETTINGS[::2] for setting in asked)
    assert len([r for r in caplog.records if "was tried" in r.getMessage()]) == 1


def test_an_enqueued_trial_counts_and_what_was_proposed_in_its_place_does_not() -> None:
    pool = CandidatePool.from_arrays(SETTINGS, COSTS)
    study = study_of(CostAwareSampler(pool, seed=0))
    for setting in SETTINGS[:3]:
        study.enqueue_trial(setting)
    study.optimize(lambda trial: (accuracy(pool.suggest(trial)), 1.0), n_trials=100)
    assert [t.params for t in study.trials[:3]] == SETTINGS[:3]
    assert len(study.trials) == len(SETTINGS) == len({tuple(t.params.items()) for t in study.trials})


def test_the_order_of_the_rows_does_not_matter_to_a_study() -> None:
    pools = [CandidatePool.from_arrays(SETTINGS[::step], COSTS[::step]) for step in (1, -1)]
    assert pools[0].distributions == pools[1].distributions


def test_costs_are_not_rounded() -> None:
    pool = CandidatePool.from_arrays(SETTINGS[:4], [1.2, 1.4, 1e20, 7])
    assert [pool.macs_of(s) for s in SETTINGS[:4]] == [1.2, 1.4, 1e20, 7]
    assert isinstance(pool.macs_of(SETTINGS[3]), int)
    assert pool.macs == pytest.approx([1.2, 1.4, 1e20, 7])


def test_a_sampler_survives_pickling() -> None:
    sampler = pickle.loads(pickle.dumps(CostAwareSampler(CandidatePool.from_arrays(SETTINGS, COSTS), seed=0)))
    study = study_of(sampler)
    study.optimize(lambda trial: (accuracy(sampler._pool.suggest(trial)), 1.0), n_trials=3)
    assert len(study.trials) == 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CandidatePool.from_arrays([{"a": True}, {"a": 1}], [1, 2]), "write them alike"),
        (lambda: CandidatePool.from_arrays({"w": 8}, [5]), "w must be a list"),
        (lambda: CandidatePool.from_arrays(pd.DataFrame([[1, 2]], columns=["a", "a"]), [5]), "'a' twice"),
        (lambda: CandidatePool.from_arrays(SETTINGS, COSTS, distributions={"width": [8]}), "Optuna's distributions"),
        (lambda: CandidatePool.from_arrays(SETTINGS, COSTS, distributions=["depth"]), "must be a dict"),  # type: ignore[arg-type]
        (lambda: CandidatePool.from_arrays(SETTINGS, COSTS).macs_of({"width": 16}), "lacks depth, act"),
        (lambda: CandidatePool.from_arrays(SETTINGS, COSTS).macs_of(3), "macs_of takes a setting, a dict such as"),
        (
            lambda: CandidatePool.from_arrays(SETTINGS, COSTS).macs_of({"width": [16], "depth": 1, "act": "relu"}),
            "macs_of takes a setting",
        ),
        (
            lambda: CandidatePool.from_arrays(SETTINGS, COSTS).macs_of({"width": 5, "depth": 1, "act": "relu"}),
            "none of the 18 settings",
        ),
        (lambda: CostAwareSampler([1, 2]), "not a list"),  # type: ignore[arg-type]
        (lambda: CostAwareSampler(CandidatePool.from_arrays(SETTINGS, COSTS), budgets=["20q"]), "20q"),
    ],
)
def test_what_no_pool_can_be_made_of_is_one_line(make: Any, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        make()
    assert "\n" not in str(caught.value)

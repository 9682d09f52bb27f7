"""A pool from plain arrays, and the samplers with it in a study of Optuna's that knows nothing of this package."""

from __future__ import annotations

import logging
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.distributions import IntDistribution

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

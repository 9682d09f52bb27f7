"""Recipes come from YAML and the command line: a typo must not silently train something else."""

import dataclasses
import json
import pickle

import pytest

from mgic_nas.errors import UserError
from mgic_nas.tasks import Augment
from mgic_nas.train import RECIPES, Job, Recipe, Setup, get_recipe
from mgic_nas.train.recipes import resumed_recipe


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_recipe_survives_run_yaml_and_the_journey_to_a_worker(name: str) -> None:
    recipe = dataclasses.replace(RECIPES[name], decay_milestones=(3, 5), scale=(0.2, 1.0))
    assert recipe.name == name
    assert get_recipe(json.loads(json.dumps(recipe.to_dict()))) == recipe
    assert pickle.loads(pickle.dumps(recipe)) == recipe


def test_a_mapping_changes_a_preset() -> None:
    recipe = get_recipe({"name": "paper", "lr": 0.05})
    assert (recipe.lr, recipe.sched, recipe.opt) == (0.05, "step", "momentum")
    assert get_recipe({"lr": 0.05}).name == "custom"
    assert get_recipe(recipe) is recipe
    assert RECIPES["paper"].augment == Augment(flip=True, pad=None)


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ("quik", "Did you mean quick"),
        ({"name": "quik"}, "Did you mean quick"),
        ({"learning_rate": 1}, "no setting 'learning_rate'"),
        ({"lr": 0}, "lr=0 is not a number above 0"),
        ({"lr": "fast"}, "lr='fast'"),
        ({"lr": True}, "lr=True"),
        ({"batch_size": 1.5}, "whole number"),
        ({"sched": "cosin"}, "one of cosine"),
        ({"amp": False}, "in quotes"),
        ({"smoothing": 1}, "below 1"),
        ({"pad": -1}, "pixels"),
        ({"clip_grad": 0}, "no limit"),
        ({"decay_milestones": [5, 3]}, "rising"),
        ({"flip": "yes"}, "true or false"),
        ({"fused": 1}, "true or false"),
        ({"channels_last": "gpu"}, "true, false or cpu"),
        ({"channels_last": 1}, "true, false or cpu"),
        (3, "not a recipe"),
    ],
)
def test_a_wrong_recipe_is_refused_with_what_to_change(value: object, part: str) -> None:
    with pytest.raises(UserError) as caught:
        get_recipe(value)  # type: ignore[arg-type]
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_preset_goes_on_as_the_run_was_made_where_only_rounding_differs() -> None:
    before = {**RECIPES["quick"].to_dict(), "channels_last": False, "fused": False}
    assert resumed_recipe("quick", before) == get_recipe(before) != RECIPES["quick"]
    assert resumed_recipe("full", before) == RECIPES["full"]
    assert resumed_recipe("quick", before | {"lr": 0.2}) == RECIPES["quick"]  # made with another: to be refused
    assert resumed_recipe({"name": "quick", "fused": True}, before).fused  # asked for by the setting


def test_channels_last_may_be_meant_for_cpus_alone() -> None:
    always, never = Recipe(channels_last=True), Recipe(channels_last=False)
    found = [[recipe.lays_channels_last(kind) for kind in ("cpu", "cuda")] for recipe in (Recipe(), always, never)]
    assert found == [[True, False], [True, True], [False, False]]


def test_jobs_and_setups_travel_as_json_and_pickle() -> None:
    job = Job(3, 1, {"s_g": 4, "width_mult": [0.5, 1.0]}, 1, 3, "/runs/x/checkpoint.pt", 7)
    setup = Setup("mgic_resnet20", "fashion", 3, Recipe(), "/runs/x/trials", fingerprint="0123")
    for value in (job, setup):
        assert type(value).from_dict(json.loads(json.dumps(value.to_dict()))) == value
        assert pickle.loads(pickle.dumps(value)) == value
    assert Setup("m", "d", 1, "quick", "/x").recipe == RECIPES["quick"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong", [{"first_epoch": 3}, {"first_epoch": -1}, {"first_epoch": 1}, {"checkpoint": "/x/checkpoint.pt"}]
)
def test_a_job_that_cannot_be_trained_is_refused(wrong: dict[str, object]) -> None:
    values = {"number": 0, "attempt": 0, "config": {}, "first_epoch": 0, "last_epoch": 3, "checkpoint": None} | wrong
    with pytest.raises(ValueError, match="a job from epoch"):
        Job(**values)  # type: ignore[arg-type]


def test_describing_a_job_imports_no_torch() -> None:
    import subprocess
    import sys

    code = "import sys; from mgic_nas.train import Job, Setup, get_recipe, read_result; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"

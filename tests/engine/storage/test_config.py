"""run.yaml, and what may change when a run goes on: a wrong answer mixes results that do not belong together."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml
from fakes.engine import DATA, make_config

from mgic_nas.engine.storage.config import RunConfig, continued, find_run, version_warning, versions
from mgic_nas.errors import UserError
from mgic_nas.train import get_recipe

SPACE = {"model": "m", "kwargs": {"depths": 1}, "params": {"s_g": {"choices": [2, 4]}, "s_c": {"choices": [4]}}}


def test_a_recipe_without_a_later_setting_means_what_was_trained_then(tmp_path: Path) -> None:
    before = {name: value for name, value in get_recipe("quick").to_dict().items() if name != "fused"}
    make_config(recipe=before).save(tmp_path)
    assert RunConfig.load(tmp_path).recipe == before | {"fused": False}


def test_run_yaml_gives_the_same_configuration_back(tmp_path: Path) -> None:
    config = make_config(
        space=SPACE, budgets=["0.5M", "params=1M"], concurrent=2, gpus_per_trial=0.5, recipe={"lr": 0.1, "fused": True}
    )
    config.save(tmp_path)
    assert RunConfig.load(tmp_path) == config
    written = yaml.safe_load((tmp_path / "run.yaml").read_text())  # plain YAML: any program may read it
    assert written["space"]["params"]["s_g"] == {"choices": [2, 4]}
    assert written["budgets"] == ["0.5M", "params=1M"]
    # Tuples, as Python gives them, are no difference.
    assert continued(RunConfig.load(tmp_path), make_config(**{**_values(config), "budgets": ("0.5M",)}), tmp_path)


def _values(config: RunConfig) -> dict[str, Any]:
    return {f.name: getattr(config, f.name) for f in dataclasses.fields(config)}


@pytest.mark.parametrize(
    "changes",
    [
        {"trials": 100},
        {"budgets": ["1k"]},
        {"executor": "ray"},
        {"concurrent": 7},
        {"address": "somewhere:6379"},
        {"gpus_per_trial": 0.25},
        {"data": {**DATA, "spec": "/moved/there"}},
        {"versions": {"torch": "99"}, "created": "later"},
    ],
)
def test_what_may_change_when_a_run_goes_on(changes: dict[str, Any]) -> None:
    old = make_config()
    new = continued(old, make_config(**changes), "runs/demo")
    for name, value in changes.items():
        assert getattr(new, name) == (getattr(old, name) if name in ("versions", "created") else value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"epochs": 5}, "epochs = 3, not 5"),
        ({"seed": 1}, "seed = 0, not 1"),
        ({"sampler": "tpe"}, "sampler = 'random', not 'tpe'"),
        ({"keep": "all"}, "keep = 'front', not 'all'"),
        ({"recipe": {"lr": 0.2}}, "recipe.lr = nothing, not 0.2"),
        ({"storage": "/shared"}, "storage = None, not '/shared'"),
        ({"data": {**DATA, "spec": "other", "fingerprint": "f2"}}, "data = 'fake', not 'other'"),
        ({"data": {**DATA, "fingerprint": "f2"}}, "data.fingerprint = 'f1', not 'f2'"),
        ({"space": {**SPACE, "kwargs": {"depths": 2}}}, "space.kwargs.depths = 1, not 2"),
        (
            {"space": {**SPACE, "params": {**SPACE["params"], "s_g": {"choices": [2, 8]}}}},
            r"space.params.s_g.choices = \[2, 4\], not \[2, 8\]",
        ),
        (
            {"space": {**SPACE, "params": dict(reversed(SPACE["params"].items()))}},
            "the order of space.params",
        ),
    ],
)
def test_anything_else_is_refused_naming_field_and_both_values(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=f"runs/demo is a run with {said}"):
        continued(make_config(space=SPACE), make_config(**{"space": SPACE, **changes}), "runs/demo")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"trials": 0}, "trials must be a whole number from 1 up, not 0"),
        ({"trials": -3}, "trials must be"),
        ({"trials": 2.5}, "trials must be"),
        ({"trials": True}, "trials must be"),
        ({"epochs": 0}, "epochs must be"),
        ({"concurrent": 0}, "concurrent must be"),
        ({"seed": -1}, "seed must be"),
        ({"keep": "best"}, "keep must be front or all"),
        ({"recipe": {"lr": float("nan")}}, "recipe holds something"),
    ],
)
def test_impossible_values_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        make_config(**changes)


def test_folders_that_are_no_run_are_left_alone(tmp_path: Path) -> None:
    """Nobody's files are mixed with a run's because of a mistyped --out."""
    assert find_run(tmp_path / "new") is None
    (tmp_path / "empty").mkdir()
    assert find_run(tmp_path / "empty") is None
    (tmp_path / "empty/.lock").touch()  # of a driver that was killed at once
    (tmp_path / "empty/.run.yaml.x7").touch()
    assert find_run(tmp_path / "empty") is None
    (tmp_path / "other").mkdir()
    (tmp_path / "other/thesis.tex").touch()
    with pytest.raises(UserError, match=r"other is not a run .* not empty \(thesis.tex"):
        find_run(tmp_path / "other")
    with pytest.raises(UserError, match="is a file"):
        find_run(tmp_path / "other/thesis.tex")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("trials: [", "line 1: not valid YAML"),
        ("- 1", "does not describe a run"),
        ("trials: 3", "does not describe a run: budgets, data, epochs"),
        ("format: 99", "is of format 99"),
    ],
)
def test_damaged_run_yaml_is_one_clear_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "run.yaml").write_text(text)
    with pytest.raises(UserError, match=said):
        RunConfig.load(tmp_path)


def test_unknown_field_of_a_later_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(make_config().to_yaml() + "quantum: true\n")
    with pytest.raises(UserError, match="does not know: quantum"):
        RunConfig.load(tmp_path)


def test_other_library_versions_only_warn() -> None:
    assert version_warning(make_config(versions=versions())) == ""
    assert "torch 1.0 -> " in version_warning(make_config(versions={**versions(), "torch": "1.0"}))


def test_storage_that_is_not_mounted_is_one_line_and_nothing_is_made_in_its_place(tmp_path: Path, run: Any) -> None:
    storage = tmp_path / "shared"
    with run.open(storage=str(storage)):
        pass
    storage.rename(tmp_path / "unmounted")
    with pytest.raises(UserError, match=r"shared/demo, where the run's workers wrote, is not there: mount its disk"):
        run.open(storage=str(storage))
    assert not storage.exists()
    (tmp_path / "unmounted").rename(storage)
    with run.open(storage=str(storage)):
        pass


def test_storage_of_another_run_with_the_same_name_is_refused(tmp_path: Path, run: Any) -> None:
    """Two runs that write into the same trials/ would take each other's results."""
    storage = str(tmp_path / "shared")
    with run.open(storage=storage) as controller:
        assert controller.trials_folder == tmp_path / "shared/demo/trials"
        job = controller.next()
        run.trials = controller.trials_folder
        run.train(controller, job)
    assert not (run.folder / "trials").exists()
    assert (run.folder / "study.db").exists()  # stays with the driver
    with run.open(storage=storage) as controller:  # the run itself may of course go on
        assert controller.counts.complete == 1
    other = type(run)(tmp_path / "elsewhere/demo")
    with pytest.raises(UserError, match="already holds the trials of another run named demo"):
        other.open(storage=storage)
    assert not other.folder.exists()


def test_refused_resume_changes_nothing(run: Any) -> None:
    with run.open(trials=1) as controller:
        run.finish(controller)
    before = {p.name: p.read_bytes() for p in run.folder.iterdir() if p.is_file() and p.name != ".lock"}
    with pytest.raises(UserError, match="seed"):
        run.open(trials=1, seed=4)
    after = {p.name: p.read_bytes() for p in run.folder.iterdir() if p.is_file() and p.name != ".lock"}
    assert before == after
    run.open(trials=1).close()  # and the lock is free again

"""The example spaces for other people's networks: a plain ResNet of timm, and MGIC beside the blocks that it wraps."""

from __future__ import annotations

from pathlib import Path

import pytest

import mgic_nas
from mgic_nas import SearchSpace
from mgic_nas.space import FeasibleSet
from mgic_nas.space.survey import survey
from mgic_nas.train import Job, Setup, train

DATA = "fashion?train=64&val=32"
SIZE = (1, 14, 14)


def trained(space: SearchSpace, folder: Path) -> float:
    """The cheapest network of a space after one epoch of one batch, percent."""
    cheapest = FeasibleSet(space, SIZE, 10).cheapest()
    assert cheapest is not None
    setup = Setup(space.model, DATA, 1, "quick", str(folder), "cpu")
    [row] = train(Job(0, 1, space.config(cheapest.setting), 0, 1), setup)
    return row["val_acc"]


def test_a_plain_resnet_of_timm(tmp_path: Path) -> None:
    space = SearchSpace.from_yaml("timm_resnet")
    found = survey(space, SIZE, 10, ["1M", "2M"])
    assert found.distinct == 80
    assert (found.costs["macs"].min, found.costs["macs"].max) == (745_856, 3_422_912)
    assert space.create_model_line(next(space.settings()), 10, 1) == (
        'timm.create_model("resnet18", stem_type="", layers=[1, 1, 1, 1], channels=[32, 32, 32, 32], '
        "num_classes=10, in_chans=1)"
    )
    assert 0 <= trained(space, tmp_path) <= 100


def test_mgic_beside_plain_blocks(tmp_path: Path) -> None:
    """``none`` is a text, not YAML's null; a plain network is one architecture, whatever s_g and s_c say."""
    space = SearchSpace.from_yaml("mgic_or_plain")
    assert space.params["levels"] == ("auto", "none")
    found = FeasibleSet(space, SIZE, 10).candidates
    levels = [found[i].setting["levels"] for i in range(len(found))]
    assert (levels.count("auto"), levels.count("none")) == (36, 8)
    assert 0 <= trained(space, tmp_path) <= 100


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "budgets", "line"),
    [
        ("timm_resnet", ["1M", "2M"], 'timm.create_model("resnet18", '),
        ("mgic_or_plain", ["0.5M", "1M"], 'timm.create_model("mgic_resnet20", '),
    ],
)
def test_searched_on_embedded_data(
    name: str, budgets: list[str], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = {"trials": 12, "epochs": 2, "executor": "local", "concurrent": 2, "progress": False}
    run = mgic_nas.search(name, "fashion?train=500&val=200", budgets, **options)
    assert len(run.front()) >= 1
    assert run.best().line.startswith(line)
    if name == "mgic_or_plain":
        assert {*run.trials()["p.levels"]} == {"auto", "none"}
        assert set(run.front()["p.levels"]) <= {"auto", "none"}

"""A run's winners retrained: each network once, scored honestly, and never in the place of the search's weights."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fakes.tasks import picture, refused, write_folder
from fakes.wrong import unpack

import mgic_nas
from mgic_nas import load_run, train_network
from mgic_nas._files import read_csv
from mgic_nas.report import build
from mgic_nas.retraining.config import TrainingConfig
from mgic_nas.retraining.results import no_test, read_one
from mgic_nas.tasks import load_data
from mgic_nas.train.final import right_items

QUICK: dict[str, Any] = {"epochs": 1, "recipe": {"name": "quick", "batch_size": 32}, "executor": "local"}


def test_winners_are_retrained_once_and_offered_beside_the_searchs_weights(tmp_path: Path) -> None:
    run = load_run(unpack(tmp_path))
    found = run.retrain(["0.3M", "macs=0.3M", "params=3.2k"], **QUICK, seeds=2)
    assert list(found.networks) == ["trial-2"]  # wins within each of them
    rows = read_csv(run.folder / "retrain.csv")
    assert [(row["trial"], row["seed"]) for row in rows] == [("2", "0"), ("2", "1")]
    assert {row["budgets"] for row in rows} == {"0.3M params=3.2k"}
    winner = run.best(macs="0.3M")
    data = load_data(run.config.data["spec"])
    for seed, row in enumerate(rows):
        net = winner.retrained(seed)
        assert data.test is not None
        assert data.task.evaluate(net, data.test)["val_acc"] == pytest.approx(float(row["test_acc"]), abs=0.11)
        assert float(row["test_error"]) == pytest.approx(
            100 * np.sqrt(float(row["test_acc"]) / 100 * (1 - float(row["test_acc"]) / 100) / 1000), abs=1e-3
        )
        right = right_items(found.trained[seed].result["test"])
        assert right is not None
        assert 100 * right.mean() == pytest.approx(float(row["test_acc"]))
    before, after = (copy.deepcopy(n.state_dict()) for n in (winner.create_model(), winner.retrained()))
    assert before.keys() == after.keys()
    assert not all(torch.equal(before[name], after[name]) for name in before)
    assert "was not retrained with seed 5" in refused(winner.retrained, 5)
    assert "--trial 1" in refused(run.best(macs="0.2M").retrained)

    build(run.folder)  # its scores are in the report, and nothing is ranked by them
    for name in ("report.html", "report.md"):
        text = (run.folder / name).read_text()
        assert "scored once on the test split" in text
        assert f"{float(found.networks['trial-2'].test_mean or 0):.2f} ±" in text


@pytest.mark.parametrize(
    "change",
    [
        {"network": "\x1b[31mtrial-0"},
        {"network": "<script>"},
        {"seed": "0"},
        {"macs": None},
        {"macs": 1e400},
        {"test": {"acc": "<b>", "loss": 1.0, "items": 10}},
        {"budgets": ["\x1b[31m"]},
        {"val_acc": "high"},
        {"epochs": None},
    ],
    ids=str,
)
def test_results_that_are_none_of_ours_are_passed_over(tmp_path: Path, change: dict[str, Any]) -> None:
    """Somebody else's run: its report is built, and what it says is printed."""
    run = unpack(tmp_path)
    path = run / "retrain/trial-0/seed-0"
    path.mkdir(parents=True)
    good = {
        "network": "trial-0",
        "seed": 0,
        "macs": 5,
        "params": 5,
        "epochs": 1,
        "val_acc": 50.0,
        "budgets": ["1M"],
        "test": {"acc": 50.0, "loss": 1.0, "items": 10},
    }
    (path / "result.json").write_text(json.dumps(good))
    assert read_one(path) is not None
    (path / "result.json").write_text(json.dumps({**good, **change}))
    assert read_one(path) is None


def test_report_is_built_beside_trainings_that_are_none_of_ours(tmp_path: Path) -> None:
    run = unpack(tmp_path)
    (run / "retrain/trial-0/seed-0").mkdir(parents=True)
    (run / "retrain/trial-0/seed-0/result.json").write_text('{"network": "<script>"}')
    TrainingConfig(load_run(run).config.data, 1, {}).save(run / "retrain")
    build(run)
    assert "scored once" not in (run / "report.html").read_text()
    (run / "retrain/training.yaml").write_text("epochs: [")
    build(run)


def test_every_network_of_the_front_gets_its_own_number(tmp_path: Path) -> None:
    run = load_run(unpack(tmp_path))
    front = run.retrain(front=True, **QUICK)
    assert list(front.networks) == ["trial-0", "trial-1", "trial-2"]
    assert len({one.test_mean for one in front.networks.values()}) > 1
    both = run.retrain(trials=3, **QUICK)  # more extend it
    assert list(both.networks) == ["trial-0", "trial-1", "trial-2", "trial-3"]
    assert "trial 9 is not there" in refused(run.retrain, trials=9, **QUICK)
    assert "within 1k" in refused(run.retrain, "1k", **QUICK)


def test_test_part_that_the_search_saw_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = load_run(unpack(tmp_path))
    spec = run.config.data["spec"]
    same = run.retrain(trials=0, **QUICK, data=spec, out=tmp_path / "same")
    assert "not held out" not in str(same)
    other = run.retrain(trials=0, **QUICK, data="fashion?train=300&val=60&test=50", out=tmp_path / "other")
    assert "the test images were not held out from the search" in str(other)
    assert other.trained[0].result["test"]["items"] == 50
    assert "images of 1x12x12" in refused(run.retrain, trials=0, data="fashion?size=12", **QUICK)
    write_folder(tmp_path / "photos", ["cat", "dog"], 9, size=(14, 14), mode="L")
    assert "has other classes" in refused(run.retrain, trials=0, data=str(tmp_path / "photos"), **QUICK)


def test_without_a_test_part_there_is_no_score_but_the_way_to_one(tmp_path: Path) -> None:
    for label, name in enumerate(("cat", "dog")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(20):
            picture(label, number, (16, 16)).save(tmp_path / "photos" / name / f"{number}.png")
    given: dict[str, Any] = {"name": "test_resnet", **QUICK}  # of timm's, and no family of ours
    found = train_network(**given, data=str(tmp_path / "photos"), out=tmp_path / "out")
    assert found.trained[0].result["test"] is None
    assert "photos?test=0.1" in str(found)
    assert read_csv(tmp_path / "out/train.csv")[0]["test_acc"] == ""
    scored = train_network(**given, data=f"{tmp_path}/photos?test=0.5", out=tmp_path / "scored")
    assert scored.trained[0].result["test"]["items"] == 20
    assert "no test" not in str(scored)
    net = mgic_nas.load_winner(scored.trained[0].folder)
    assert net.pretrained_cfg["input_size"] == (3, 16, 16)
    assert net.pretrained_cfg["label_names"] == ["cat", "dog"]
    assert "photos?size=32&test=0.1'" in no_test({"spec": "photos?size=32"})


def test_with_validation_images_the_last_weights_count(tmp_path: Path) -> None:
    given: dict[str, Any] = {**QUICK, "name": "test_resnet", "data": "fashion?train=64&val=64&test=10"}
    found = train_network(**given, with_val=True, out=tmp_path)
    assert found.trained[0].result["val_acc"] is None
    assert "training and validation part" in str(found)
    assert "validation top-1" not in str(found)
    assert "use the last" in refused(train_network, **given, with_val=True, weights="best")

"""A training that was killed and goes on is, to the last bit, the one that nobody killed; what is done stays done."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from fakes.tasks import refused
from fakes.training import save, train_here
from safetensors.torch import load_file

from mgic_nas import train_network
from mgic_nas._files import read_csv, read_json
from mgic_nas.engine.executors import local
from mgic_nas.errors import MachineFault, TrainingFailed
from mgic_nas.retraining import start
from mgic_nas.retraining.results import COLUMNS
from mgic_nas.retraining.source import Retraining
from mgic_nas.tasks import load_data
from mgic_nas.train import loop

#: Everything of which a checkpoint could forget a part.
RECIPE = {
    "name": "quick",
    "batch_size": 32,
    "ema_decay": 0.9,
    "mixup": 0.4,
    "cutmix": 1.0,
    "grad_accum_steps": 2,
    "drop_path": 0.2,
    "clip_grad": 1.0,
    "smoothing": 0.1,
    "flip": True,
    "pad": None,
}
SMALL: dict[str, Any] = {
    "name": "mgic_resnet20",
    "data": "fashion?train=150&val=40&test=40",
    "arguments": {"depths": 1, "s_g": 4, "s_c": 8, "width_mult": 0.25},
    "epochs": 4,
    "recipe": RECIPE,
    "weights": "best",
    "concurrent": 2,
}


def folder(out: Path, seed: int = 0) -> Path:
    (found,) = out.glob(f"train/mgic_resnet20-*/seed-{seed}")
    return found


def same(one: Path, other: Path) -> bool:
    first, second = (load_file(path / "model.safetensors") for path in (one, other))
    results = [read_json(path / "result.json") for path in (one, other)]
    scores = [[(row["train_loss"], row["val_acc"]) for row in result["curve"]] for result in results]
    return (
        first.keys() == second.keys()
        and all(torch.equal(first[name], second[name]) for name in first)
        and results[0]["test"] == results[1]["test"]
        and scores[0] == scores[1]
    )


def test_training_whose_worker_and_driver_are_killed_equals_one_that_nobody_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {**SMALL, "teacher": save(tmp_path / "teacher", load_data(SMALL["data"]).info.classes)[0]}
    train_network(**given, out=tmp_path / "whole")

    workers: list[Any] = []
    begin, report = local.Worker.__init__, Retraining.report

    def noted(self: Any, *args: Any) -> None:
        begin(self, *args)
        workers.append(self)

    def struck(self: Retraining, job: Any, result: Any) -> bool:
        if result["epoch"] == 1:
            os.kill(workers[-1]._process.pid, signal.SIGKILL)
        if result["epoch"] == 3:  # the driver's end, as far as its files tell: nothing is closed or written any more
            monkeypatch.setattr(Retraining, "write_table", lambda self: None)
            raise KeyboardInterrupt
        return report(self, job, result)

    monkeypatch.setattr(local.Worker, "__init__", noted)
    monkeypatch.setattr(Retraining, "report", struck)
    monkeypatch.setattr(start, "executor", lambda name: local.execute)
    with pytest.raises(KeyboardInterrupt):
        train_network(**given, out=tmp_path / "killed")
    assert len(workers) > 1
    assert not list((tmp_path / "killed").glob("train/*/seed-*"))
    monkeypatch.undo()
    torch.set_num_threads(1)
    monkeypatch.setattr(start, "executor", lambda name: train_here)
    capsys.readouterr()
    train_network(**given, out=tmp_path / "killed")
    assert "goes on after epoch" in capsys.readouterr().err
    assert same(folder(tmp_path / "whole"), folder(tmp_path / "killed"))


def test_what_is_done_is_not_trained_again_and_more_seeds_extend_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {**SMALL, "epochs": 2, "recipe": {"name": "quick", "batch_size": 50}, "weights": "last"}
    first = train_network(**given, out=tmp_path)
    before = (folder(tmp_path) / "model.safetensors").read_bytes()
    again = train_network(given["name"], given["data"], given["arguments"], out=tmp_path)  # as it was: nothing to say
    assert "nothing to do" in capsys.readouterr().err
    assert again.to_dict() == first.to_dict()
    both = train_network(**given, seeds=2, out=tmp_path)
    assert (folder(tmp_path) / "model.safetensors").read_bytes() == before
    assert not same(folder(tmp_path), folder(tmp_path, 1))
    rows = read_csv(tmp_path / "train.csv")
    assert list(rows[0]) == list(COLUMNS)
    assert [row["seed"] for row in rows] == ["0", "1"]
    (one,) = both.networks.values()
    accs = [float(row["test_acc"]) for row in rows]
    assert one.test_mean == pytest.approx(sum(accs) / 2)
    assert one.test_spread == pytest.approx(abs(accs[0] - accs[1]) / 2**0.5)
    for change, field in (({"epochs": 3}, "epochs"), ({"recipe": {**given["recipe"], "lr": 0.2}}, "recipe.lr")):
        assert f"with {field} =" in refused(train_network, **{**given, **change}, out=tmp_path)
    assert "fashion?train=99" in refused(train_network, **{**given, "data": "fashion?train=99&val=40"}, out=tmp_path)
    assert len(read_csv(tmp_path / "train.csv")) == 2


def test_training_that_diverges_is_told_in_one_line_and_the_others_are_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {**SMALL, "epochs": 2, "recipe": {"name": "quick", "batch_size": 50}, "weights": "last"}
    measured, seeds = loop._finite, []

    def diverged(value: float, part: str, epoch: int) -> float:
        seeds.append(part)
        return measured(float("nan") if len(seeds) == 1 else value, part, epoch)

    monkeypatch.setattr(loop, "_finite", diverged)
    with pytest.raises(
        TrainingFailed, match=r"1 training failed \(.*, seed 0: FloatingPointError: .*nan.*same command"
    ):
        train_network(**given, seeds=2, out=tmp_path)
    assert [row["seed"] for row in read_csv(tmp_path / "train.csv")] == ["1"]
    assert len(train_network(**given, seeds=2, out=tmp_path).trained) == 2


def test_machine_that_lacks_space_ends_it_in_one_line_and_the_same_call_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mgic_nas.train import worker

    write, calls = worker.write_atomic, []

    def full(path: Path, content: Any) -> None:
        calls.append(path.name)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        write(path, content)

    monkeypatch.setattr(worker, "write_atomic", full)
    with pytest.raises(MachineFault, match=r"No space left on device; nothing is lost, and the same command goes on"):
        train_network(**SMALL, out=tmp_path)
    found = train_network(**SMALL, out=tmp_path)
    assert len(found.trained) == 1
    assert not (tmp_path / "train/.work").exists()

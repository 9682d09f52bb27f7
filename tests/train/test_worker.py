"""What a worker leaves on disk: a result that is there is whole, and everything it vouches for is there too."""

import csv
import errno
import multiprocessing
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from mgic_nas.engine.executors.messages import messages
from mgic_nas.train import attempt_folder, loop, read_result, work, worker
from mgic_nas.train.stages import stage_of


def files(bench: Any, number: int = 0, attempt: int = 0) -> list[str]:
    folder = attempt_folder(bench.folder / "trials", number, attempt)
    return sorted(path.name for path in folder.iterdir())


def table(folder: Path) -> list[dict[str, float]]:
    with open(folder / "epochs.csv", newline="") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def test_a_finished_training_leaves_curve_weights_and_result(bench: Any) -> None:
    setup = bench.setup()
    rows = list(work(bench.job(number=7, attempt=2, config={"width": 4}), setup))
    folder = attempt_folder(setup.folder, 7, 2)
    assert folder == bench.folder / "trials" / "7" / "attempt-2"
    assert files(bench, 7, 2) == ["epochs.csv", "result.json", "right.bits", "weights.safetensors"]
    assert table(folder) == rows
    result = read_result(setup.folder, 7, 2)
    assert result is not None
    assert result["curve"] == rows
    assert result["val_acc"] == rows[-1]["val_acc"]
    assert result["seconds"] == pytest.approx(sum(row["seconds"] for row in rows))
    assert (result["number"], result["attempt"], result["seed"], result["epochs"]) == (7, 2, 1, 3)
    assert result["device"] == str(loop.resolve_device("auto")) or torch.cuda.is_available()
    assert 50 < result["peak_memory_mb"] < 20_000


def test_the_saved_weights_are_the_last_epochs_and_give_its_accuracy(bench: Any) -> None:
    setup, job = bench.setup(), bench.job()
    rows = list(work(job, setup))
    data = loop.cached_data(setup.data)
    net = loop.build_network(setup.model, job.config, 10, 1)
    net.load_state_dict(load_file(attempt_folder(setup.folder, 0, 0) / "weights.safetensors"))
    net.to(memory_format=torch.channels_last)  # as it was trained
    assert data.task.evaluate(net, data.val)["val_acc"] == rows[-1]["val_acc"]


def test_a_job_in_two_parts_leaves_the_same_as_one(bench: Any) -> None:
    setup = bench.setup()
    whole = list(work(bench.job(number=0), setup))
    list(work(bench.job(number=1, last_epoch=1), setup))
    assert files(bench, 1, 0) == ["checkpoint.pt", "epochs.csv", "result.json", "weights.safetensors"]
    checkpoint = str(attempt_folder(setup.folder, 1, 0) / "checkpoint.pt")
    rest = list(work(bench.job(number=1, attempt=1, first_epoch=1, checkpoint=checkpoint), setup))
    assert [row["epoch"] for row in rest] == [2, 3]
    folders = [attempt_folder(setup.folder, 0, 0), attempt_folder(setup.folder, 1, 1)]
    first, second = (load_file(folder / "weights.safetensors") for folder in folders)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert [row["epoch"] for row in table(folders[1])] == [1, 2, 3]
    result, part = read_result(setup.folder, 1, 1), read_result(setup.folder, 1, 0)
    assert result is not None
    assert part is not None
    assert [row["val_acc"] for row in result["curve"]] == [row["val_acc"] for row in whole]
    assert result["epochs"] == 3
    assert result["seconds"] > part["seconds"]
    assert result["peak_memory_mb"] >= part["peak_memory_mb"]


def test_the_result_is_there_before_the_last_row_is_reported(bench: Any) -> None:
    for row in work(bench.job(), bench.setup()):
        assert len(table(attempt_folder(bench.folder / "trials", 0, 0))) == row["epoch"]
        assert (read_result(bench.folder / "trials", 0, 0) is not None) == (row["epoch"] == 3)


def test_a_stopped_training_leaves_its_curve_and_no_result(bench: Any) -> None:
    training = work(bench.job(), bench.setup())
    next(training)
    next(training)
    training.close()
    assert files(bench) == ["epochs.csv"]
    assert len(table(attempt_folder(bench.folder / "trials", 0, 0))) == 2


def test_a_broken_off_attempt_is_begun_afresh_and_a_finished_one_is_left_alone(bench: Any) -> None:
    training = work(bench.job(), bench.setup())
    next(training)
    training.close()
    folder = attempt_folder(bench.folder / "trials", 0, 0)
    (folder / "weights.safetensors").write_bytes(b"half")
    list(work(bench.job(), bench.setup()))
    assert len(table(folder)) == 3
    before = (folder / "result.json").read_bytes()
    with pytest.raises(FileExistsError, match="new attempt number"):
        next(work(bench.job(), bench.setup()))
    assert (folder / "result.json").read_bytes() == before
    list(work(bench.job(attempt=1), bench.setup()))
    assert (folder / "result.json").read_bytes() == before


def test_run_that_is_gone_is_not_begun_anew_at_its_old_place(bench: Any) -> None:
    """Renamed, or its disk unmounted: what is trained there would be lost once the disk is back."""
    setup = bench.setup(folder=str(bench.folder / "gone" / "trials"))
    with pytest.raises(FileNotFoundError):
        next(work(bench.job(), setup))
    assert [kind for kind, _ in messages(work, bench.job(), setup)] == ["failed"]  # nor for a traceback
    assert not (bench.folder / "gone").exists()


@pytest.mark.parametrize("victim", ["epochs.csv", "weights.safetensors", "checkpoint.pt", "result.json"])
def test_a_full_disk_is_an_oserror_and_leaves_no_result(
    bench: Any, monkeypatch: pytest.MonkeyPatch, victim: str
) -> None:
    def fail(path: Path, *args: Any) -> None:
        if Path(path).name == victim:
            raise OSError(errno.ENOSPC, "No space left on device")
        originals[write](path, *args)

    originals = {"bytes": worker.write_atomic, "json": worker.write_json}
    write = "json" if victim == "result.json" else "bytes"
    monkeypatch.setattr(worker, "write_json" if write == "json" else "write_atomic", fail)
    if victim == "epochs.csv":
        monkeypatch.setattr(worker.os, "fsync", lambda _: fail(Path(victim)))
    with pytest.raises(OSError, match="No space"):
        list(work(bench.job(last_epoch=2), bench.setup()))
    assert "result.json" not in files(bench)
    assert read_result(bench.folder / "trials", 0, 0) is None


def test_a_training_that_fails_leaves_no_result(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from mgic_nas.train import get_recipe

    with pytest.raises(FloatingPointError):
        list(work(bench.job(), bench.setup(recipe=get_recipe({"name": "quick", "lr": 1e30}))))
    assert files(bench) == ["epochs.csv"]


def test_weights_that_share_memory_are_saved(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Tied(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = torch.nn.Linear(196, 10)
            self.second = torch.nn.Linear(196, 10)
            self.second.weight = self.first.weight
            self.register_buffer("view", torch.arange(6.0).view(2, 3).t())

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.first(x.flatten(1)) + self.second(x.flatten(1))

    monkeypatch.setattr(loop, "build_network", lambda *_: Tied())
    list(work(bench.job(last_epoch=1), bench.setup()))
    saved = load_file(attempt_folder(bench.folder / "trials", 0, 0) / "weights.safetensors")
    assert torch.equal(saved["first.weight"], saved["second.weight"])
    assert saved["view"].shape == (3, 2)


def endless(folder: str) -> None:
    """A worker in a process of its own, on the real family."""
    from mgic_nas.train import Job, Setup, get_recipe

    setup = Setup("mgic_resnet20", "fashion?train=640&val=200", 50, get_recipe("quick"), folder, "cpu", 1)
    for _ in work(Job(0, 0, {"depths": 1, "width_mult": 0.25}, 0, 50), setup):
        pass


def test_a_killed_worker_leaves_its_epochs_and_no_result(bench: Any) -> None:
    process = multiprocessing.get_context("spawn").Process(target=endless, args=(str(bench.folder),))
    process.start()
    folder = attempt_folder(bench.folder, 0, 0)
    deadline = time.monotonic() + 120
    try:
        while not (folder / "epochs.csv").exists() or len(table(folder)) < 2:
            assert time.monotonic() < deadline
            assert process.is_alive()
            time.sleep(0.1)
    finally:
        process.kill()
        process.join()
    assert read_result(bench.folder, 0, 0) is None
    assert [row["epoch"] for row in table(folder)][:2] == [1, 2]


@pytest.mark.parametrize("harm", [lambda p: p.write_bytes(p.read_bytes()[:200]), lambda p: p.unlink()])
def test_a_checkpoint_that_is_torn_or_gone_is_named_as_the_fault(bench: Any, harm: Any) -> None:
    """The controller then has the network trained from its beginning."""
    setup = bench.setup()
    list(work(bench.job(number=1, last_epoch=1), setup))
    checkpoint = attempt_folder(setup.folder, 1, 0) / "checkpoint.pt"
    harm(checkpoint)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever torch makes of it
        list(work(bench.job(number=1, attempt=1, first_epoch=1, checkpoint=str(checkpoint)), setup))
    assert stage_of(caught.value) == "checkpoint"

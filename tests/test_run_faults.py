"""A search on a machine that lacks something: one line, nothing lost, and the same call goes on."""

import errno
from pathlib import Path
from typing import Any

import pytest
from fakes.training import train_here

from mgic_nas import load_run, search
from mgic_nas.errors import MachineFault

SMALL: dict[str, Any] = {
    "space": "quickstart",
    "data": "fashion?train=80&val=60",
    "budgets": ["1M"],
    "trials": 1,
    "epochs": 1,
    "executor": "local",
    "sampler": "random",
    "concurrent": 1,
    "progress": False,
}


@pytest.fixture
def full_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A disk on which the first result cannot be written."""
    from mgic_nas.train import worker

    calls: list[int] = []
    write = worker.write_json

    def write_json(path: Path, value: Any) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, value)

    monkeypatch.setattr(worker, "write_json", write_json)
    monkeypatch.setattr("mgic_nas.run.executor", lambda name: train_here)
    return calls


def test_full_disk_is_one_line_and_the_same_call_goes_on(full_for_a_moment: list[int], tmp_path: Path) -> None:
    with pytest.raises(MachineFault, match=r"No space left on device; nothing is lost, and the same command goes on"):
        search(**SMALL, out=tmp_path / "run")
    assert list(load_run(tmp_path / "run").trials()["state"]) == ["running"]
    run = search(**SMALL, out=tmp_path / "run")
    assert list(run.trials()["state"]) == ["complete"]


def test_search_that_waits_goes_on_by_itself(
    full_for_a_moment: list[int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("mgic_nas.run.WAIT_SECONDS", 0.0)
    run = search(**SMALL, out=tmp_path / "run", wait=True)
    assert list(run.trials()["state"]) == ["complete"]
    assert capsys.readouterr().err.count("waiting: tried again every") == 1


def test_disk_that_is_full_for_the_driver_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "study.db")

    monkeypatch.setattr("mgic_nas.run.executor", lambda name: broken)
    with pytest.raises(MachineFault, match=r"No space left on device: study\.db; nothing is lost"):
        search(**SMALL, out=tmp_path / "run")


def test_failures_of_every_training_are_in_a_report_and_tried_again_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(controller: Any, setup: Any, *_: Any) -> None:
        while (job := controller.next()) is not None:
            controller.fail(job, "ValueError: no such layer")

    monkeypatch.setattr("mgic_nas.run.executor", lambda name: fail)
    with pytest.raises(RuntimeError, match="none of 1 trials could be trained to its end"):
        search(**SMALL, out=tmp_path / "run")
    assert "no such layer" in (tmp_path / "run/report.html").read_text()
    monkeypatch.setattr("mgic_nas.run.executor", lambda name: train_here)
    run = search(**SMALL, out=tmp_path / "run", retry_failed=True)
    assert list(run.trials()["state"]) == ["complete"]

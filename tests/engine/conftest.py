"""Fixtures of the engine's tests. Workers find the fakes because they can import what the driver can."""

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
from fakes import engine as fakes

from mgic_nas import _registry
from mgic_nas.engine.controller import Controller
from mgic_nas.engine.proposals.candidate import SearchProblem


class Run:
    """A run of the fake space; ``open`` gives a new Controller on it, as a new driver would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.trials = folder / "trials"
        self.space = fakes.FakeSpace()
        self.events: list[Any] = []

    def open(
        self, space: fakes.FakeSpace | None = None, rungs: Any = None, retry_failed: bool = False, **changes: Any
    ) -> Controller:
        if isinstance(rungs, str):  # by name, as run.yaml has it
            changes, rungs = {**changes, "rungs": rungs}, None
        config = fakes.make_config(**changes)
        return Controller(
            self.folder,
            config,
            self.events.append,
            problem=SearchProblem.of_run(config, space or self.space),
            scheduler=rungs,
            read_result=fakes.read_result,
            retry_failed=retry_failed,
        )

    def kill(self, controller: Controller) -> None:
        """What is left of a driver after SIGKILL: its lock is gone, and nothing was put in order."""
        controller._lock.release()
        controller._store.close()

    def train(self, controller: Controller, job: Any) -> None:
        """One job from start to end, as an executor and a good worker do it."""
        for epoch in range(job.first_epoch + 1, job.last_epoch + 1):
            val_acc = fakes.accuracy(job.config) - (fakes.EPOCHS - epoch)
            if not controller.report(job, {"epoch": epoch, "val_acc": val_acc, "seconds": 0.5}):
                return
        fakes.write_result(self.trials, job.number, job.attempt, fakes.accuracy(job.config), job.last_epoch)
        controller.finish(job)

    def finish(self, controller: Controller) -> None:
        """The rest of the run, one job after the other."""
        while not controller.done:
            job = controller.next()
            if job is None:
                assert controller.done
                break
            self.train(controller, job)

    def rows(self) -> list[dict[str, Any]]:
        from mgic_nas.engine import read_trials

        return read_trials(self.folder)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path / "demo")


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module outside the package that registers what the trainings need, imported in this process."""
    monkeypatch.setattr(_registry, "_REGISTRATIONS", {})
    monkeypatch.setattr(fakes.TOYS, "_entries", {})
    (tmp_path / "toy_addition.py").write_text(fakes.TOY_MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "toy_addition", raising=False)
    importlib.import_module("toy_addition")
    return "toy_addition"

"""Training by a function of the user's, as a generator of epochs: recorded, paused and taken up as a network's is.

The function runs in a thread of its own, so that it can report an epoch where it stands; between two reports nothing
else of this process does anything.
"""

from __future__ import annotations

import csv
import inspect
import math
import os
import queue
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from .._files import read_json, write_atomic, write_json
from .._portable import from_text, to_text
from ..errors import UserError
from ._memory import process_peak
from .job import Job, Setup, begin_attempt
from .loop import resolve_device
from .stages import CHECKPOINT, WRITE, during
from .worker import COLUMNS

Train = Callable[..., Any]

FIRST = ("setting", "epochs", "report")  # what every such function takes, in this order
OPTIONAL = ("checkpoint", "seed")  # what it gets by name, where it takes them
OWN = "checkpoint.own"  # the function's own file, in the attempt's folder


def portable(train: Any) -> str:
    """A train function as text for the workers.

    Raises:
        UserError: it is none, or a worker process cannot import it.
    """
    if not callable(train):
        raise UserError(f"train must be a function train(setting, epochs, report), not {train!r}.")
    try:
        inspect.signature(train).bind(*FIRST, **dict.fromkeys(_wanted(train)))
    except TypeError as error:
        raise UserError(
            f"train must take (setting, epochs, report), and may take checkpoint and seed by name: {error}."
        ) from None
    except ValueError:  # a builtin without a signature
        raise UserError(f"train must be a function train(setting, epochs, report), not {train!r}.") from None
    return to_text(train, "train")


def _wanted(train: Train) -> set[str]:
    return {*OPTIONAL} & {*inspect.signature(train).parameters}


def keeps_checkpoints(train: Train) -> bool:
    """Whether a paused training goes on from a file of its own, and does not begin again."""
    return "checkpoint" in _wanted(train)


def work(job: Job, setup: Setup) -> Iterator[dict[str, Any]]:
    """Calls ``train(setting, epochs, report)``, and yields what it reports.

    Recorded in the attempt's folder as :func:`.worker.work` does, without weights: ``epochs.csv``, ``checkpoint.pt``
    where the job is not the last, then ``result.json``.

    Raises:
        NotImportable: the function cannot be imported in this process.
        UserError: what it reports is no accuracy.
        Exception: whatever it raises.
    """
    with during(WRITE):
        folder = begin_attempt(setup.folder, job.number, job.attempt)
    assert setup.function is not None
    function = from_text(setup.function, "train")
    if setup.threads is not None:
        torch.set_num_threads(setup.threads)
    own = folder / OWN
    curve: list[dict[str, Any]] = []
    if job.checkpoint is not None:
        with during(CHECKPOINT):
            curve = _before(Path(job.checkpoint), job.first_epoch)
            if Path(job.checkpoint).stat().st_size:
                shutil.copyfile(job.checkpoint, own)
    given = {"checkpoint": own, "seed": job.seed}
    call = _Call(job, setup.epochs, function, {name: given[name] for name in _wanted(function)})
    with open(folder / "epochs.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerows([COLUMNS, *(_cells(row) for row in curve)])
        for row in call.epochs():
            curve.append(row)
            rows.writerow(_cells(row))
            file.flush()
            if row["epoch"] >= job.last_epoch and math.isfinite(row["val_acc"]):  # else the trial fails for it
                with during(WRITE):
                    _finish(folder, job, setup, curve)
            yield row


def _before(checkpoint: Path, epochs: int) -> list[dict[str, Any]]:
    """The epochs that were reported up to a pause. ValueError where they are no longer there."""
    result = read_json(checkpoint.with_name("result.json")) or {}
    curve: list[dict[str, Any]] = list(result.get("curve") or ())[:epochs]
    if len(curve) < epochs:
        raise ValueError(f"{checkpoint.parent} does not have the {epochs} epochs of its checkpoint")
    return curve


def _cells(row: dict[str, Any]) -> list[Any]:
    return [row.get(column) for column in COLUMNS]


def _finish(folder: Path, job: Job, setup: Setup, curve: list[dict[str, Any]]) -> None:
    last = curve[-1]
    if last["epoch"] < setup.epochs:
        own = folder / OWN
        if own.is_dir():
            raise UserError("train left a folder at checkpoint: save its state in a file of that name.")
        if own.exists():
            os.replace(own, folder / "checkpoint.pt")
        else:  # a training that begins again; what it has reported is kept
            write_atomic(folder / "checkpoint.pt", b"")
    device = resolve_device(setup.device)
    write_json(
        folder / "result.json",
        {
            "number": job.number,
            "attempt": job.attempt,
            "seed": job.seed,
            "epochs": last["epoch"],
            "val_acc": last["val_acc"],
            "val_loss": None,
            "seconds": sum(row["seconds"] for row in curve),
            "peak_memory_mb": process_peak(),
            "curve": curve,
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        },
    )


class _Stop(BaseException):
    """Ends a function from inside ``report``; no Exception, so that a function does not catch it by chance."""


class _Call:
    """One call of a train function."""

    def __init__(self, job: Job, epochs: int, function: Train, options: dict[str, Any]) -> None:
        self._job = job
        self._epochs = epochs
        self._function = function
        self._options = options
        self._reached = 0  # the epoch of the latest report
        self._stopped = False
        self._rows: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._go_on: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._error: BaseException | None = None
        self._last: float | None = None  # what was reported of the last epoch of all
        self._since = time.perf_counter(), time.process_time()

    def epochs(self) -> Iterator[dict[str, Any]]:
        """The rows of the job's epochs; closing it ends the function at its next report."""
        thread = threading.Thread(target=self._run, name="train", daemon=True)
        thread.start()
        try:
            while (row := self._rows.get()) is not None:
                yield row
                self._go_on.put(True)
        finally:
            self._go_on.put(False)
            thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            returned = self._function(dict(self._job.config), self._epochs, self._report, **self._options)
            if not self._stopped:  # else it went on after it was told to end: by finally, or in another thread
                self._end(returned)
        except _Stop:
            pass
        except SystemExit as error:  # of a script that was wrapped: it must not end the worker
            self._error = RuntimeError(f"train called sys.exit({error.code!r}): return, or raise an error")
        except BaseException as error:  # told in the generator, whose worker knows what to do with it
            self._error = None if self._stopped else error
        finally:
            self._rows.put(None)

    def _report(self, accuracy: float, epoch: int) -> None:
        """What the function calls after each epoch."""
        value = _accuracy(accuracy, f"report({accuracy!r}, {epoch!r})")
        if self._stopped:
            raise _Stop
        number = epoch.item() if hasattr(epoch, "item") else epoch
        if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= self._epochs:
            raise UserError(f"report: epoch {epoch!r} is not one of 1 to {self._epochs}, the epochs of a training.")
        known = self._job.first_epoch
        if number != self._reached + 1 and not (self._reached == 0 and number <= known + 1):
            raise UserError(
                f"report: epoch {number} comes after epoch {self._reached or known}: report each in turn, or none."
            )
        self._reached = number
        if number <= known:
            return  # from before the pause
        if number == self._epochs:
            self._last = value
            return  # what the function returns may say it better
        self._tell(value, number)
        if number >= self._job.last_epoch or not self._go_on.get():
            self._stopped = True
            raise _Stop

    def _end(self, returned: Any) -> None:
        value = self._last if returned is None else _accuracy(returned, f"train returned {returned!r}: it")
        if value is None:
            raise UserError(
                "train returned nothing: return the accuracy, or report(accuracy, epoch) up to the last epoch."
            )
        self._tell(value, self._epochs)

    def _tell(self, accuracy: float, epoch: int) -> None:
        now = time.perf_counter(), time.process_time()
        seconds, cpu = (after - before for after, before in zip(now, self._since))
        self._since = now
        self._rows.put({"epoch": epoch, "val_acc": accuracy, "seconds": seconds, "cpu_seconds": cpu})


def _accuracy(value: Any, what: str) -> float:
    """A percentage; UserError where it is none. NaN passes: the trial then fails for it."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"{what} is no accuracy: a number in percent.")
    if math.isinf(value):
        raise UserError(f"{what} is infinite, and no accuracy: a number in percent.")
    if value > 100:
        raise UserError(f"{what} is above 100: accuracies are percent, the higher the better.")
    return float(value)

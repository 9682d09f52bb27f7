"""Training with a record on disk that is either complete or not there."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import safetensors.torch
import torch

from .._files import write_atomic, write_json
from .final import score_on_test
from .job import Job, Setup, begin_attempt, checkpoint_name
from .loop import Training
from .right import write_right
from .stages import WRITE, during

SHARE = 0.05  # of the time at most that writing checkpoints takes
COLUMNS = ("epoch", "train_loss", "val_acc", "val_loss", "lr", "seconds", "cpu_seconds")


def work(job: Job, setup: Setup) -> Iterator[dict[str, Any]]:
    """:func:`mgic_nas.train.train`, recorded in the attempt's folder.

    Where the setup is ``final`` the latest ``checkpoint-<epochs>.pt`` is there as well while it goes on, and the result
    has the score on the test split, see :func:`.final.score_on_test`.

    ``epochs.csv`` grows with every epoch (after a checkpoint it begins with the earlier ones). Before the last row
    is yielded ``weights.safetensors`` is written, then ``checkpoint.pt`` if the training is not at its end, else
    ``right.bits`` where the score is a share of right items, then ``result.json``; each is on the disk before the
    next. So whoever has seen the last row, or ``result.json``, can rely on all of them; a generator that is closed
    before its last row leaves no ``result.json``.

    Raises:
        FileExistsError: the attempt has a result already; it is left alone.
        OSError: a file cannot be written.
    """
    with during(WRITE):
        folder = begin_attempt(setup.folder, job.number, job.attempt)

    training = Training(job, setup)
    keeper = _Keeper(folder)
    with open(folder / "epochs.csv", "w", newline="") as file:
        _append(file, [COLUMNS, *(_cells(row) for row in training.curve)])
        for row in training.epochs():
            _append(file, [_cells(row)])
            if row["epoch"] == job.last_epoch:
                with during(WRITE):
                    os.fsync(file.fileno())
                    _finish(folder, training)
            elif setup.final is not None:
                with during(WRITE):
                    keeper.keep(training)
            yield row


def _write_checkpoint(path: Path, training: Training) -> None:
    """All that a training needs to go on, whole or not at all."""
    buffer = io.BytesIO()
    torch.save(training.state(), buffer)
    write_atomic(path, buffer.getvalue())


class _Keeper:
    """Keeps the latest checkpoint of a training in its folder: after every epoch, where that takes little time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._due = 0.0
        self._before: Path | None = None

    def keep(self, training: Training) -> None:
        """An epoch is over. OSError where there is no space."""
        began = time.monotonic()
        if began < self._due:
            return
        path = self._folder / checkpoint_name(len(training.curve))
        _write_checkpoint(path, training)
        if self._before is not None:
            with contextlib.suppress(OSError):
                self._before.unlink()
        self._before = path
        ended = time.monotonic()
        self._due = ended + (ended - began) * (1 / SHARE - 1)


def _append(file: TextIO, rows: list[tuple[Any, ...]]) -> None:
    csv.writer(file).writerows(rows)
    file.flush()


def _cells(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row.get(column) for column in COLUMNS)


def _finish(folder: Path, training: Training) -> None:
    """Weights, checkpoint where one is needed, and then the result that vouches for them."""
    job = training.job
    chosen = training.chosen()
    result = {  # before anything is written: a checkpoint must not know of a smaller peak than its result
        "number": job.number,
        "attempt": job.attempt,
        "seed": job.seed,
        "epochs": len(training.curve),
        "val_acc": chosen["val_acc"],
        "val_loss": chosen["val_loss"],
        "seconds": training.seconds,
        "peak_memory_mb": training.peak_memory_mb,
        "curve": training.curve,
        "device": _device_name(training.device),
    }
    weights = training.chosen_weights()
    # As bytes, because a full disk is then an OSError from write_atomic and not whatever the writing library makes of
    # it.
    write_atomic(folder / "weights.safetensors", safetensors.torch.save(weights, metadata={"format": "pt"}))
    if job.last_epoch < training.setup.epochs:
        _write_checkpoint(folder / "checkpoint.pt", training)
    elif training.setup.final is not None:
        result |= {"weights_epoch": chosen["epoch"], "test": score_on_test(training)}
    elif training.right is not None:
        write_right(folder, training.right)
    write_json(folder / "result.json", result)


def _device_name(device: torch.device) -> str:
    """ "cpu", or the GPU's model, which says more than its index."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)

"""A run's trials in TensorBoard: one curve a trial, in ``RUN/tensorboard``, where tensorboard is installed."""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .engine import events
from .engine.events import Event

FOLDER = "tensorboard"
_METRICS = ("val_acc", "val_loss", "train_loss", "lr")


def installed() -> bool:
    """Whether there is something to write with, and to look with."""
    return find_spec("tensorboard") is not None


class TensorBoard:
    """An observer of a search that writes what its trials report: ``tensorboard --logdir RUN/tensorboard`` shows it.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER
        self._writers: dict[int, Any] = {}  # of trials under way

    def __call__(self, event: Event) -> None:
        """Writes the metrics of an epoch; of a finished trial its costs too."""
        if event.number is None:
            return
        if event.kind == events.EPOCH:
            writer = self._writer(event.number)
            epoch = int(event.result["epoch"])
            for name in _METRICS:
                value = event.result.get(name)
                if isinstance(value, int | float) and math.isfinite(value):
                    writer.add_scalar(name, value, epoch)
            writer.flush()
        elif event.kind == events.FINISHED:
            writer = self._writer(event.number)
            for kind, count in event.cost.items():
                writer.add_scalar(f"cost/{kind}", count, 0)
        if event.kind in (events.FINISHED, events.STOPPED, events.FAILED, events.PAUSED, events.RETRIED, events.HELD):
            self._close(event.number)

    def close(self) -> None:
        """The end of the search, however it came."""
        for number in list(self._writers):
            self._close(number)

    def _writer(self, number: int) -> Any:
        if number not in self._writers:
            from torch.utils.tensorboard import SummaryWriter  # of a package that few have; a second to import

            self._writers[number] = SummaryWriter(str(self._folder / f"trial-{number}"))
        return self._writers[number]

    def _close(self, number: int) -> None:
        writer = self._writers.pop(number, None)
        if writer is not None:
            writer.close()

"""Where early stopping plugs in: who is stopped after an epoch, and who is trained further.

The Controller asks; it hands out, pauses, continues from checkpoints and records. Nothing here is asked twice about the
same epoch, and all that is needed to decide again after a restart comes back through ``remember``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from .record import Entry


class Rungs(Protocol):
    """Decides how long each trial is trained. Epochs count from the trial's first one."""

    def first(self, entry: Entry) -> int:
        """How many epochs a new trial's first job trains; fewer than all, and it pauses there with a checkpoint."""

    def decide(self, entry: Entry, result: dict[str, Any]) -> bool:
        """Whether a trial goes on after an epoch that is not its last. False: it is stopped for good."""

    def promote(self, paused: Sequence[Entry]) -> tuple[int, int] | None:
        """Which paused trial goes on, and until which epoch: ``(number, last_epoch)``; None where none should.

        Asked often, and changes nothing.
        """

    def remember(self, entry: Entry) -> None:
        """After a restart: a trial of earlier, with its curve."""


class NoRungs:
    """Everything is trained to the end."""

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs

    def first(self, entry: Entry) -> int:
        return self._epochs

    def decide(self, entry: Entry, result: dict[str, Any]) -> bool:
        return True

    def promote(self, paused: Sequence[Entry]) -> tuple[int, int] | None:
        # A run that once had rungs may have left some behind.
        return (paused[0].number, self._epochs) if paused else None

    def remember(self, entry: Entry) -> None:
        return None

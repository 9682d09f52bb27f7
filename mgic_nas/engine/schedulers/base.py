"""What a scheduler decides: how long each trial is trained, and which paused one goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from ..storage.trial import Trial


class Scheduler(Protocol):
    """Decides how long each trial is trained. Epochs count from the trial's first one."""

    def first(self, entry: Trial) -> int:
        """How many epochs a new trial's first job trains; fewer than all, and it pauses there with a checkpoint."""

    def decide(self, entry: Trial, result: dict[str, Any]) -> bool:
        """Whether a trial goes on after an epoch that is not its last. False: it is stopped for good."""

    def promote(self, paused: Sequence[Trial], ending: bool = False) -> tuple[int, int] | None:
        """Which paused trial goes on, and until which epoch: ``(number, last_epoch)``; None where none should.

        Asked often, and changes nothing. ``ending``: no new trial will be started.
        """

    def remember(self, entry: Trial) -> None:
        """A trial's curve as it is now known: after a restart, or from a worker that an earlier driver started."""


class NoEarlyStopping:
    """Everything is trained to the end."""

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs

    def first(self, entry: Trial) -> int:
        return self._epochs

    def decide(self, entry: Trial, result: dict[str, Any]) -> bool:
        return True

    def promote(self, paused: Sequence[Trial], ending: bool = False) -> tuple[int, int] | None:
        # A run that once had rungs may have left some behind.
        return (paused[0].number, self._epochs) if paused else None

    def remember(self, entry: Trial) -> None:
        return None

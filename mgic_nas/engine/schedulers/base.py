"""What a scheduler decides: how long each trial is trained, and which paused one continues."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..storage.trial import Trial

if TYPE_CHECKING:
    from ..proposals.candidate import SearchProblem
    from ..proposals.pool import PoolMaker


class Scheduler(ABC):
    """Decides how long each trial is trained. Epochs count from the trial's first one.

    The Controller asks; it hands out, pauses, continues from checkpoints and records. All that is needed to decide
    again after a restart comes back through :meth:`remember`.
    """

    @abstractmethod
    def first(self, trial: Trial) -> int:
        """How many epochs a new trial's first job trains; fewer than all, and it pauses there with a checkpoint."""

    @abstractmethod
    def promote(self, paused: Sequence[Trial], ending: bool = False) -> tuple[int, int] | None:
        """Which paused trial continues, and until which epoch: ``(number, last_epoch)``; None where none should.

        Called often, and changes nothing. ``ending``: no new trial will be started.
        """

    def decide(self, trial: Trial, result: Mapping[str, Any]) -> bool:
        """Whether a trial continues after an epoch that is not its last. False: it is stopped for good."""
        self.remember(trial)
        return True

    def remember(self, trial: Trial) -> None:
        """A trial's curve as it is now known: after a restart, or from a worker that an earlier driver started."""
        return


class NoEarlyStopping(Scheduler):
    """Trains every trial to the end."""

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs

    def first(self, trial: Trial) -> int:
        return self._epochs

    def promote(self, paused: Sequence[Trial], ending: bool = False) -> tuple[int, int] | None:
        # A run that once had rungs may have left some behind.
        return (paused[0].number, self._epochs) if paused else None


def make(pool: PoolMaker, problem: SearchProblem) -> NoEarlyStopping:
    """The entry of the registry."""
    return NoEarlyStopping(problem.epochs)

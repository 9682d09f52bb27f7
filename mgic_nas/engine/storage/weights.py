"""Which trials' weights stay on disk."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from ...pareto import can_win
from ...space.budget import KINDS
from .trial import COMPLETE, FAILED, STOPPED, Trial


class Weights:
    """Deletes what no budget's winner needs. Only ever told of what the study knows already.

    Args:
        trials_folder: where the workers write.
        keep: ``front`` (weights of what is the most accurate within some limits on :data:`KINDS`) or ``all``.
    """

    def __init__(self, trials_folder: Path, keep: str) -> None:
        self._folder = trials_folder
        self._keep_all = keep == "all"
        self._kept: dict[int, Trial] = {}

    def finished(self, entry: Trial) -> None:
        """A trial is over, and the study knows."""
        if entry.state == COMPLETE:
            self._kept[entry.number] = entry
            for beaten in self._beaten():
                del self._kept[beaten.number]
                if beaten is not entry:
                    self._tidy(beaten)
        self._tidy(entry)

    def sweep(self, entries: Iterable[Trial]) -> None:
        """All trials again: what a killed driver did not get to delete, and what orphaned workers wrote since."""
        over = [e for e in entries if e.state in (COMPLETE, STOPPED, FAILED)]
        self._kept = {e.number: e for e in over if e.state == COMPLETE}
        for beaten in self._beaten():
            del self._kept[beaten.number]
        for entry in over:
            self._tidy(entry)

    def _beaten(self) -> list[Trial]:
        if self._keep_all:
            return []
        entries = sorted(self._kept.values(), key=lambda e: e.number)
        accs = [e.val_acc or 0.0 for e in entries]
        costs = np.array([[e.cost(kind) for kind in KINDS] for e in entries])
        return [e for e, keep in zip(entries, can_win(accs, costs), strict=True) if not keep]

    def _tidy(self, entry: Trial) -> None:
        """Removes a finished trial's checkpoints, and all weights but those that are kept."""
        keep = entry.weights(self._folder) if entry.number in self._kept else None
        for path in self._large_files(entry):
            if path != keep:
                # What cannot be deleted now is tried again by the next sweep; it is no reason to end a search.
                with contextlib.suppress(OSError):
                    path.unlink()

    def _large_files(self, entry: Trial) -> Iterator[Path]:
        for attempt in entry.attempts_folder(self._folder).glob("attempt-*"):
            # With a dot: temporary files of workers that were killed.
            for pattern in ("weights*", ".weights*", "checkpoint*", ".checkpoint*"):
                yield from attempt.glob(pattern)

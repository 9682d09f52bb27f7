"""Which trials' weights stay on disk."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...pareto import can_win, non_dominated
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
        self._table = np.zeros((0, 1 + len(KINDS)))  # accuracy and costs of those kept, in their order
        self._tied = False  # some are kept only because they are the first of equal ones

    def finished(self, entry: Trial) -> None:
        """A trial is over, and the study knows."""
        if entry.state == COMPLETE:
            for beaten in self._add(entry):
                self._tidy(beaten)
        self._tidy(entry)

    def sweep(self, entries: Iterable[Trial]) -> None:
        """All trials again: what a killed driver did not get to delete, and what orphaned workers wrote since."""
        over = [e for e in entries if e.state in (COMPLETE, STOPPED, FAILED)]
        self._choose(e for e in over if e.state == COMPLETE)
        for entry in over:
            self._tidy(entry)

    def _add(self, entry: Trial) -> list[Trial]:
        """Keeps a complete trial if it can win; returns the others that no longer can.

        Where neither it nor another is as good as the other in everything (ties apart), one look at the table tells
        as much as to choose anew among all.
        """
        if self._keep_all:
            self._kept[entry.number] = entry
            return []
        row = np.array([entry.val_acc or 0.0, *(entry.cost(kind) for kind in KINDS)])
        known = ~np.isnan(row)
        if known[1:].any() and not self._tied and (~np.isnan(self._table).any(axis=0) == known).all():
            ahead = (self._table - row)[:, known] * np.where(np.arange(known.sum()) == 0, 1, -1)  # > 0: they are better
            if _beats(ahead).any():
                return []
            worse = _beats(-ahead)
            if not (ahead >= 0).all(axis=1).any() and not ((ahead <= 0).all(axis=1) & ~worse).any():
                beaten = [e for e, out in zip(self._kept.values(), worse, strict=True) if out]
                for one in beaten:
                    del self._kept[one.number]
                self._kept[entry.number] = entry
                self._table = np.concatenate([self._table[~worse], row[None]])
                return beaten
        before = [*self._kept.values()]
        self._choose([*before, entry])
        return [e for e in before if e.number not in self._kept]

    def _choose(self, entries: Iterable[Trial]) -> None:
        """Keeps those of the complete trials that can win."""
        chosen = sorted(entries, key=lambda e: e.number)
        if self._keep_all:
            self._kept = {e.number: e for e in chosen}
            return
        table = np.array([[e.val_acc or 0.0, *(e.cost(kind) for kind in KINDS)] for e in chosen])
        table = table.reshape(-1, 1 + len(KINDS))
        keep = can_win(table[:, 0], table[:, 1:])
        self._kept = {e.number: e for e, stays in zip(chosen, keep, strict=True) if stays}
        self._table = table = table[keep]
        known = ~np.isnan(table).any(axis=0)
        self._tied = not non_dominated(table[:, 0], table[:, known][:, 1:]).all()

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


def _beats(ahead: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which rows (n, 1 + k) beat in accuracy and every one of the costs, whichever of these is limited: (n,)."""
    return (ahead >= 0).all(axis=1) & ((ahead[:, 0] > 0) | (ahead[:, 1:] > 0).all(axis=1))

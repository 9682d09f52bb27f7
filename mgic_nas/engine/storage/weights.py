"""Which trials' weights stay on disk."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...pareto import fronts_of
from ...space.budget import KINDS
from .trial import COMPLETE, FAILED, STOPPED, Trial

GROWTH = 1.15  # who may win by what is expected is asked again when there are so many times the complete trials
MORE = 4  # and so many more, at least


class Weights:
    """Deletes what no budget's winner needs. Only ever told of what the study knows already.

    Args:
        trials_folder: where the workers write.
        keep: ``front`` (weights of what is the most accurate within some limits on ``kinds``) or ``all``.
        kinds: of cost that limits may be on.
        may_win: the numbers of those complete trials that may be chosen by what is expected of them, too: asked of
            all, now and then; until then all are kept. None: they are chosen by what was measured alone.
    """

    def __init__(
        self,
        trials_folder: Path,
        keep: str,
        kinds: Sequence[str] = KINDS,
        may_win: Callable[[Sequence[Trial]], Set[int]] | None = None,
    ) -> None:
        self._folder = trials_folder
        self._keep_all = keep == "all"
        self._kept: dict[int, Trial] = {}
        self._kinds = tuple(kinds)
        self._may_win = None if self._keep_all else may_win
        self._complete: dict[int, Trial] = {}  # all of them, where may_win is asked
        self._spared: dict[int, Trial] = {}  # beaten by what was measured, and kept
        self._asked_at = 0  # complete trials
        self._signs = np.array([1.0, *(-1.0 for _ in kinds)])  # accuracy is better the higher, costs the lower
        self._table = np.zeros((0, len(self._signs)))  # accuracy and costs of those kept, in their order
        self._fronts = np.zeros((0, 0), dtype=bool)  # on which fronts they are ...
        self._known = _known(self._table)  # ... in the columns that are known of all

    def finished(self, entry: Trial) -> None:
        """A trial is over, and the study knows."""
        if entry.state == COMPLETE:
            beaten = self._add(entry)
            if self._may_win is None:
                for one in beaten:
                    self._tidy(one)
            else:
                self._complete[entry.number] = entry
                if entry.number not in self._kept:
                    beaten.append(entry)
                self._spared |= {one.number: one for one in beaten}
                if len(self._complete) >= max(self._asked_at + MORE, GROWTH * self._asked_at):
                    self._review()
        self._tidy(entry)

    def sweep(self, entries: Iterable[Trial]) -> None:
        """All trials again: what a killed driver did not get to delete, and what orphaned workers wrote since."""
        over = [e for e in entries if e.state in (COMPLETE, STOPPED, FAILED)]
        complete = {e.number: e for e in over if e.state == COMPLETE}
        self._choose(complete.values())
        if self._may_win is not None:
            self._complete = complete
            self._spared = {number: e for number, e in complete.items() if number not in self._kept}
            self._review()
        for entry in over:
            self._tidy(entry)

    def _review(self) -> None:
        """Asks which of the spared ones may win, and lets the others go."""
        assert self._may_win is not None
        self._asked_at = len(self._complete)
        winning = self._may_win([self._complete[number] for number in sorted(self._complete)])
        gone = [e for number, e in self._spared.items() if number not in winning]
        for one in gone:
            del self._spared[one.number]
            self._tidy(one)

    def _add(self, entry: Trial) -> list[Trial]:
        """Keeps a complete trial if it can win; returns the others that no longer can. Costs one look at the table."""
        if self._keep_all:
            self._kept[entry.number] = entry
            return []
        row = self._row(entry)
        before = [*self._kept.values()]
        known = _known(self._table, row[None])
        if not before or (known != self._known).any():  # other costs set limits than so far
            self._choose([*before, entry])
            return [e for e in before if e.number not in self._kept]
        ahead = (self._table - row)[:, known] * self._signs[known]  # > 0: they are better than the entry
        earlier = np.array([number < entry.number for number in self._kept], dtype=bool)
        wins: NDArray[np.bool_] = ~np.asarray(_beat(ahead, earlier).any(axis=0))
        if not wins.any():
            return []
        fronts = self._fronts & ~_beat(-ahead, ~earlier)
        stays: NDArray[np.bool_] = np.asarray(fronts.any(axis=1))
        beaten = [e for e, still in zip(before, stays, strict=True) if not still]
        for one in beaten:
            del self._kept[one.number]
        self._kept[entry.number] = entry
        self._table = np.concatenate([self._table[stays], row[None]])
        self._fronts = np.concatenate([fronts[stays], wins[None]])
        return beaten

    def _choose(self, entries: Iterable[Trial]) -> None:
        """Keeps those of the complete trials that can win."""
        chosen = sorted(entries, key=lambda e: e.number)
        if self._keep_all:
            self._kept = {e.number: e for e in chosen}
            return
        table = np.array([self._row(e) for e in chosen]).reshape(-1, len(self._signs))
        fronts = fronts_of(table[:, 0], table[:, 1:])
        stays: NDArray[np.bool_] = np.asarray(fronts.any(axis=1))
        self._kept = {e.number: e for e, still in zip(chosen, stays, strict=True) if still}
        self._table, self._fronts, self._known = table[stays], fronts[stays], _known(table)

    def _row(self, entry: Trial) -> NDArray[np.float64]:
        return np.array([entry.val_acc or 0.0, *(entry.cost(kind) for kind in self._kinds)])

    def _tidy(self, entry: Trial) -> None:
        """Removes a finished trial's checkpoints, and all weights but those that are kept."""
        held = entry.number in self._kept or entry.number in self._spared
        keep = entry.weights(self._folder) if held else None
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


def _known(*tables: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The columns that are numbers in every row."""
    return np.asarray(~np.isnan(np.concatenate(tables)).any(axis=0))


def _beat(ahead: NDArray[np.float64], earlier: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which rows take another point's place on which front (n, k + 1), as :func:`fronts_of` orders them.

    Args:
        ahead: (n, 1 + k), by how much they are better in accuracy and in each cost.
        earlier: (n,), whether they come first where all is equal.
    """
    better, costs = (ahead[:, :1] > 0) | earlier[:, None], ahead[:, 1:]
    one = (costs >= 0) & (better | (costs > 0))
    every = (costs >= 0).all(axis=1, keepdims=True) & (better | (costs > 0).any(axis=1, keepdims=True))
    return (ahead[:, :1] >= 0) & np.concatenate([one, every], axis=1)

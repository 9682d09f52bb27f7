"""Early stopping by what going on is expected to gain: freeze-thaw (Swersky et al. 2014), for two objectives.

Every training pauses after each eighth of its epochs. What goes on, or whether a new architecture is begun instead, is
decided by the gain that is expected for each epoch still to be trained; see :mod:`.beliefs`.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import TYPE_CHECKING, Any

import numpy as np

from ..storage.trial import COMPLETE, FAILED, PAUSED, STOPPED, Trial
from ..surrogate.expected_gain import ExpectedGain, Objective, Observation

if TYPE_CHECKING:
    from ..proposals.pool import CandidatePool

PAUSES = 8  # at most so many jobs make a training
STARTUP = 8  # trials before the model is asked
WORTH = 0.02  # percent by which the front must be expected to rise for a training to be ended after all have begun
LOOKED_AT = 1_024  # candidates that are compared with the paused trials


class FreezeThaw:
    """Scheduler after every eighth of the epochs, without a fixed share that goes on.

    Args:
        pool: the architectures that might be begun instead.
        scope: what is searched.
    """

    def __init__(self, pool: CandidatePool, scope: Objective) -> None:
        self._pool = pool
        self._scope = scope
        pauses = {max(1, round(scope.epochs * part / PAUSES)) for part in range(1, PAUSES + 1)}
        self.levels = tuple(sorted(pauses))
        self._entries: dict[int, Trial] = {}
        self._seen: dict[int, Observation] = {}
        self._settled: tuple[int, tuple[float, float] | None] = (0, None)
        self._news = 0
        self._answer: tuple[Any, tuple[int, int] | None] = (None, None)

    def first(self, entry: Trial) -> int:
        self.remember(entry)
        return self.levels[0]

    def decide(self, entry: Trial, result: dict[str, Any]) -> bool:
        self.remember(entry)
        return True

    def remember(self, entry: Trial) -> None:
        self._entries[entry.number] = entry
        self._news += 1

    def promote(self, paused: Sequence[Trial], ending: bool = False) -> tuple[int, int] | None:
        if not paused:
            return None
        for entry in paused:
            if entry.number not in self._entries:
                self.remember(entry)
        asked = self._news, tuple(entry.number for entry in paused), ending
        if self._answer[0] != asked:
            self._answer = asked, self._choose(set(asked[1]), ending)
        return self._answer[1]

    def _choose(self, paused: Set[int], ending: bool) -> tuple[int, int] | None:
        numbers = [n for n, e in self._entries.items() if e.state != FAILED]
        if len(numbers) < STARTUP and not ending:
            return None
        seen = [self._see(self._entries[number]) for number in numbers]
        if not any(s.curve for s in seen):
            return None
        if len(seen) > self._settled[0]:
            self._settled = int(1.15 * len(seen)), None
        beliefs = ExpectedGain(seen, self._scope, self._settled[1])
        self._settled = self._settled[0], beliefs.settled
        waiting, gains = beliefs.of_waiting()
        here = [i for i, position in enumerate(waiting) if numbers[position] in paused]
        if not here:
            return None
        left = np.array([self._scope.epochs - len(seen[waiting[i]].curve) for i in here])
        rates = gains[here] / left
        best = int(np.argmax(rates))
        if ending:
            if gains[here][best] < WORTH:
                return None
        elif self._of_new(beliefs) / self._scope.epochs > rates[best]:
            return None
        position = int(waiting[here[best]])
        done = len(seen[position].curve)
        return numbers[position], next(level for level in self.levels if level > done)

    def _of_new(self, beliefs: ExpectedGain) -> float:
        """The gain of the best architecture that is not tried."""
        pool = self._pool
        positions = pool.untried({entry.arch_id for entry in self._entries.values()})
        if not len(positions):
            return 0.0
        positions = positions[:: max(1, len(positions) // LOOKED_AT)]
        return float(beliefs.of_candidates(pool.costs[positions], pool.features[positions]).max())

    def _see(self, entry: Trial) -> Observation:
        seen = self._seen.get(entry.number)
        if seen is None:
            seen = self._seen[entry.number] = Observation(*self._pool.describe(entry.setting))
        seen.curve = tuple(entry.curve)
        seen.acc = entry.val_acc if entry.state == COMPLETE else None
        seen.waiting = entry.state in (PAUSED, STOPPED)
        return seen

"""Early stopping by the expected gain of training on: freeze-thaw (Swersky et al. 2014), for two objectives.

Every training pauses after each eighth of its epochs. Which one continues, or whether a new architecture is started
instead, is decided by the expected gain per epoch still to be trained; see :mod:`..surrogate.expected_gain`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from typing import TYPE_CHECKING, Any

import numpy as np

from ..storage.trial import COMPLETE, FAILED, PAUSED, STOPPED, Trial
from ..surrogate.expected_gain import ExpectedGain, Objective, Observation
from .base import Scheduler

if TYPE_CHECKING:
    from ..proposals.candidate import SearchProblem
    from ..proposals.pool import CandidatePool, PoolMaker

PAUSES = 8  # jobs of a training, at most
STARTUP = 8  # trials before the model is used
MIN_GAIN = 0.02  # percent by which the front must be expected to rise for a training to continue once all are started
MAX_CANDIDATES = 1_024  # that are compared with the paused trials


class FreezeThaw(Scheduler):
    """Pauses every trial after each eighth of the epochs; no fixed share continues.

    Args:
        pool: the architectures that might be started instead.
        objective: what is searched.
    """

    def __init__(self, pool: CandidatePool, objective: Objective) -> None:
        self._pool = pool
        self._objective = objective
        pauses = {max(1, round(objective.epochs * part / PAUSES)) for part in range(1, PAUSES + 1)}
        self.levels = tuple(sorted(pauses))
        self._trials: dict[int, Trial] = {}
        self._observations: dict[int, Observation] = {}
        self._changes = 0
        self._answer: tuple[Any, tuple[int, int] | None] = (None, None)  # the last question, and its answer

    def first(self, trial: Trial) -> int:
        self.remember(trial)
        return self.levels[0]

    def remember(self, trial: Trial) -> None:
        self._trials[trial.number] = trial
        self._changes += 1

    def promote(self, paused: Sequence[Trial], ending: bool = False) -> tuple[int, int] | None:
        if not paused:
            return None
        for trial in paused:
            if trial.number not in self._trials:
                self.remember(trial)
        question = self._changes, tuple(trial.number for trial in paused), ending
        if self._answer[0] != question:
            self._answer = question, self._choose(set(question[1]), ending)
        return self._answer[1]

    def _choose(self, paused: Set[int], ending: bool) -> tuple[int, int] | None:
        numbers = sorted(number for number, trial in self._trials.items() if trial.state != FAILED)
        if len(numbers) < STARTUP and not ending:
            return None
        observations = [self._observe(self._trials[number]) for number in numbers]
        if not any(o.curve for o in observations):
            return None
        gain = ExpectedGain(observations, self._objective, self._pool.groups)
        waiting, gains = gain.of_waiting()
        here = [i for i, position in enumerate(waiting) if numbers[position] in paused]
        if not here:
            return None
        epochs_left = np.array([self._objective.epochs - len(observations[waiting[i]].curve) for i in here])
        rates = gains[here] - np.log(epochs_left)
        best = int(np.argmax(rates))
        if ending:
            if gains[here][best] < math.log(MIN_GAIN):
                return None
        elif self._of_new(gain) - math.log(self._objective.epochs) > rates[best]:
            return None
        position = int(waiting[here[best]])
        done = len(observations[position].curve)
        return numbers[position], next(level for level in self.levels if level > done)

    def _of_new(self, gain: ExpectedGain) -> float:
        """The log gain of the best untried architecture."""
        pool = self._pool
        positions = pool.untried({trial.arch_id for trial in self._trials.values()})
        if not len(positions):
            return -math.inf
        positions = positions[:: max(1, len(positions) // MAX_CANDIDATES)]
        gains = gain.of_candidates(pool.costs[positions], pool.features[positions], pool.believed(positions))
        return float(gains.max())

    def _observe(self, trial: Trial) -> Observation:
        seen = self._observations.get(trial.number)
        if seen is None:
            seen = self._observations[trial.number] = Observation(*self._pool.describe(trial.setting))
        seen.curve = trial.curve
        seen.acc = trial.val_acc if trial.state == COMPLETE else None
        seen.waiting = trial.state in (PAUSED, STOPPED)
        return seen


def make(pool: PoolMaker, problem: SearchProblem) -> FreezeThaw:
    """The entry of the registry."""
    candidates = pool()
    assert candidates is not None
    return FreezeThaw(candidates, Objective.over(candidates.macs, problem.epochs, problem.budgets))

"""Asynchronous successive halving on the distance to the front."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..storage.trial import Trial
from ..surrogate.learning_curves import LearningCurves
from .base import Scheduler

if TYPE_CHECKING:
    from ..proposals.candidate import SearchProblem
    from ..proposals.pool import PoolMaker

MAX_RUNGS = 4  # the whole training included


class SuccessiveHalving(Scheduler):
    """Asynchronous successive halving (Li et al. 2020) on the distance to the front.

    Rungs are at E, E / eta, E / eta^2, ... epochs. A trial pauses at each; one continues as soon as it is among the
    best 1 / eta of all that have reached its rung. By accuracy alone the costly ones would be promoted: a trial's
    predicted final accuracy (see :class:`.LearningCurves`) is compared with those of no more MACs, and its score is
    the distance to their front. Once no new trial will be started, every trial on the predicted front continues, so
    that a short search too ends with a front and not with one winner.

    Args:
        epochs: of a whole training.
        eta: the reduction factor: each rung promotes one of ``eta`` trials.
        first: epochs of the lowest rung; by default as low as eta allows, with at most :data:`MAX_RUNGS` rungs.
    """

    def __init__(self, epochs: int, eta: float = 2.0, first: int | None = None) -> None:
        levels = [epochs]
        while len(levels) < MAX_RUNGS and levels[0] / eta >= (first or 1):
            levels.insert(0, max(1, math.floor(levels[0] / eta)))
        self.levels = tuple(levels)
        self._epochs = epochs
        self._eta = eta
        self._curves: dict[int, list[dict[str, Any]]] = {}
        self._macs: dict[int, float] = {}
        self._rankings: dict[int, list[tuple[int, float]]] = {}  # by level; until a curve changes

    def first(self, trial: Trial) -> int:
        return self.levels[0]

    def remember(self, trial: Trial) -> None:
        if trial.curve:
            self._curves[trial.number] = list(trial.curve)
            self._macs[trial.number] = float(trial.cost("macs"))
            self._rankings.clear()

    def promote(self, paused: Sequence[Trial], ending: bool = False) -> tuple[int, int] | None:
        waiting = {trial.number: trial.last_epoch for trial in paused}
        steps = [*zip(self.levels, self.levels[1:], strict=False)][::-1]
        for level, following in steps:
            if level in waiting.values():
                ranking = self._ranking(level)
                for number, _ in ranking[: int(len(ranking) / self._eta)]:
                    if waiting.get(number) == level:
                        return number, following
        for number, last in waiting.items():  # paused by rungs of another shape
            if last not in self.levels:
                return number, next(level for level in self.levels if level > last)
        for level, following in steps if ending else ():
            for number, score in self._ranking(level) if level in waiting.values() else ():
                if score >= 0 and waiting.get(number) == level:
                    return number, following
        return None

    def _ranking(self, level: int) -> list[tuple[int, float]]:
        """(number, score) of all that have reached a rung, the best first."""
        if level not in self._rankings:
            scores = self._scores(level)
            self._rankings[level] = sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))
        return self._rankings[level]

    def _scores(self, level: int) -> dict[int, float]:
        """Number -> distance to the predicted front in percent, of all that have reached a rung."""
        here = {number: curve[:level] for number, curve in self._curves.items() if len(curve) >= level}
        curves = LearningCurves(list(self._curves.values()), self._epochs)
        predicted = dict(zip(here, curves.predict(list(here.values()))[0].tolist(), strict=True))
        scores: dict[int, float] = {}
        best = min(predicted.values())
        for number in sorted(predicted, key=lambda n: (self._macs[n], -predicted[n])):  # the cheapest first
            scores[number] = predicted[number] - best
            best = max(best, predicted[number])
        return scores


def make(pool: PoolMaker, problem: SearchProblem) -> SuccessiveHalving:
    """The entry of the registry."""
    return SuccessiveHalving(problem.epochs)

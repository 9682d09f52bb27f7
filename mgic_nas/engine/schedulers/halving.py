"""Asynchronous successive halving on the distance to the front."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..storage.trial import Trial
from ..surrogate.learning_curves import LearningCurves


class SuccessiveHalving:
    """Asynchronous successive halving (Li et al. 2020) on the distance to the front.

    Rungs are at E, E / eta, E / eta^2, ... epochs. A trial pauses at each; one goes on as soon as it is among the best
    1 / eta of all that have reached its rung. Accuracy alone would promote the dear ones: what a trial promises (see
    :mod:`.learning`) is compared with what those of no more MACs promise, and its score is by how much it is above,
    or below, their front. Once no new trial will be started, every trial on the promised front goes on, so that a
    short search too ends with a front and not with one winner.

    Args:
        epochs: of a whole training.
        eta: every rung keeps one of so many.
        first: epochs of the lowest rung; by default as low as eta allows, three halvings at most.
    """

    def __init__(self, epochs: int, eta: float = 2.0, first: int | None = None) -> None:
        levels = [epochs]
        while len(levels) < 4 and levels[0] / eta >= (first or 1):
            levels.insert(0, max(1, math.floor(levels[0] / eta)))
        self.levels = tuple(levels)
        self._epochs = epochs
        self._eta = eta
        self._curves: dict[int, list[dict[str, Any]]] = {}
        self._macs: dict[int, float] = {}
        self._rankings: dict[int, list[tuple[int, float]]] = {}  # by level; until something new is known

    def first(self, entry: Trial) -> int:
        return self.levels[0]

    def decide(self, entry: Trial, result: dict[str, Any]) -> bool:
        self.remember(entry)
        return True

    def remember(self, entry: Trial) -> None:
        if entry.curve:
            self._curves[entry.number] = list(entry.curve)
            self._macs[entry.number] = float(entry.cost("macs"))
            self._rankings.clear()

    def promote(self, paused: Sequence[Trial], ending: bool = False) -> tuple[int, int] | None:
        waiting = {entry.number: int(entry.last_epoch) for entry in paused}
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
        """Number -> distance to the front, of all that have reached a rung."""
        here = {number: curve[:level] for number, curve in self._curves.items() if len(curve) >= level}
        curves = LearningCurves(list(self._curves.values()), self._epochs)
        promised = dict(zip(here, curves.expect(list(here.values()))[0].tolist(), strict=True))
        scores: dict[int, float] = {}
        best = min(promised.values())
        for number in sorted(promised, key=lambda n: (self._macs[n], -promised[n])):  # the cheapest first
            scores[number] = promised[number] - best
            best = max(best, promised[number])
        return scores

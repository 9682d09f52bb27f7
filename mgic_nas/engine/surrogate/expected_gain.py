"""What a search believes of its architectures, trained, in training and untried, and what each is expected to add.

The cost-aware sampler asks which untried one is next, and the rungs whether a paused one should go on instead.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...cost.rows_cost import COSTS
from ...pareto import non_dominated
from .gaussian_process import Surrogate, TrainingData
from .learning_curves import LearningCurves

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

BUDGETS = 0.1  # the weight of the winners within budgets, against the front's: more of it starves the rest of the front
ARCHITECTURE_SHARE = (
    0.5  # of what the model cannot explain: the part that is the architecture's own and not one training's luck
)


@dataclass
class Observation:
    """An architecture whose training began.

    Attributes:
        costs: float64 (3,), as :data:`.pool.COSTS` names them.
        features: float64 (d,).
        curve: its epochs so far, ``{"val_acc", "train_loss", ...}``.
        acc: at the end, percent; None where it has not come there.
        waiting: it is paused: whether it goes on is open.
    """

    costs: Array
    features: Array
    curve: Sequence[Mapping[str, Any]] = ()
    acc: float | None = None
    waiting: bool = False


@dataclass(frozen=True)
class Objective:
    """What is searched: MACs from ``least`` to ``most``, (kind, limit) budgets, epochs of a whole training."""

    least: float
    most: float
    epochs: int
    budgets: Sequence[tuple[str, float]] = field(default=())


class ExpectedGain:
    """Accuracies that are to be expected, in percent, and gains.

    A gain is what an architecture is expected to add to the front of those that are finished or in training (as they
    are expected to come out): mean lift of the front over the range of log MACs, and of the winners within budgets.

    Args:
        seen: n of them, of which at least one has a curve or an end.
        scope: what is searched.
        settled: of an earlier :class:`Surrogate`.

    Attributes:
        mean, deviation: float64 (n,), of what each architecture seen is truly worth.
        settled: for the next one.
    """

    def __init__(
        self, seen: Sequence[Observation], scope: Objective, settled: tuple[float, float] | None = None
    ) -> None:
        self._scope = scope
        told = [i for i, s in enumerate(seen) if s.acc is not None or s.curve]
        values, extra = _expected([seen[i] for i in told], scope.epochs)
        features = np.array([s.features for s in seen])
        self._model = Surrogate(TrainingData(features[told], values, extra), settled)
        self.settled = self._model.settled
        self._own = ARCHITECTURE_SHARE * self._model.noise
        self.mean, deviation = self._model.predict(features)
        variance = deviation**2 + self._own
        # What an architecture showed itself counts for it beyond what it says of others like it.
        trust = self._own / (self._model.noise + extra)
        self.mean[told] += trust * (values - self.mean[told])
        variance[told] = deviation[told] ** 2 / 2 + self._own * (1 - trust)
        self.deviation = np.sqrt(np.maximum(variance, 1e-6))
        self._costs = np.array([s.costs for s in seen])
        self._waiting = np.array([s.waiting for s in seen], dtype=bool)
        self._worst = float(np.percentile(values, 10))
        held = np.flatnonzero(~self._waiting)
        self._held_costs, self._held_accs = self._costs[held], self.mean[held]
        front = held[np.flatnonzero(non_dominated(self.mean[held], self._costs[held, 0]))]
        front = front[np.argsort(self._costs[front, 0])]
        self._front = self._costs[front, 0], self.mean[front]
        if len(front):
            self._worst = min(self._worst, float(self.mean[front].min()))

    def of_candidates(self, costs: Array, features: Array) -> Array:
        """Gains (n,) of architectures that are not tried; costs (n, 3), features (n, d)."""
        mean, deviation = self._model.predict(features)
        return self._gain(costs, mean, np.sqrt(deviation**2 + self._own))

    def of_waiting(self) -> tuple[NDArray[np.int_], Array]:
        """Positions in ``seen`` of the paused ones, and their gains."""
        here = np.flatnonzero(self._waiting)
        return here, self._gain(self._costs[here], self.mean[here], self.deviation[here])

    def _gain(self, costs: Array, mean: Array, deviation: Array) -> Array:
        scope = self._scope
        reference = self._worst - 1e-6, scope.most * 1.001
        total = expected_gain(costs[:, 0], mean, deviation, self._front, reference)
        total /= max(math.log10(reference[1] / scope.least), 1e-9)
        budgets = [(COSTS.index(kind), limit) for kind, limit in scope.budgets if kind in COSTS]
        for kind, limit in budgets:
            within = self._held_costs[:, kind] <= limit
            best = float(self._held_accs[within].max()) if within.any() else reference[0]
            lift = expected_lift(mean, deviation, best)
            total += (costs[:, kind] <= limit) * lift * BUDGETS / len(budgets)
        return total


def _expected(told: Sequence[Observation], epochs: int) -> tuple[Array, Array]:
    """(accuracies at the end, variances that are due to not having come there)."""
    values, extra = np.array([math.nan if s.acc is None else s.acc for s in told]), np.zeros(len(told))
    unfinished = np.flatnonzero(np.isnan(values)).tolist()
    if unfinished:
        whole = max((len(s.curve) for s in told if s.acc is not None), default=epochs)
        curves = LearningCurves([s.curve for s in told if s.curve], max(whole, epochs))
        values[unfinished], extra[unfinished] = curves.expect([told[i].curve for i in unfinished])
    return values, extra


def expected_gain(
    macs: Array, mean: Array, deviation: Array, front: tuple[Array, Array], reference: tuple[float, float]
) -> Array:
    """Expected improvement of the hypervolume over accuracy and log MACs, of each candidate alone.

    A candidate's MACs are known, so it lifts the front's steps from its MACs on: the sum over steps of their width
    times the expected improvement over their height.

    Args:
        macs, mean, deviation: (n,) of the candidates; accuracies are normal.
        front: MACs and accuracies of the points to improve on, the cheapest first, both rising.
        reference: (accuracy, MACs) of the worst that counts.

    Returns:
        (n,) in percent times decades of MACs.
    """
    worst_acc, worst_macs = reference
    heights = np.concatenate([[worst_acc], front[1]])
    edges = np.log10(np.concatenate([front[0], [worst_macs]]))
    starts = np.concatenate([[-np.inf], edges[:-1]])
    widths = np.maximum(edges[None] - np.maximum(starts[None], np.log10(macs)[:, None]), 0)
    return np.asarray((widths * expected_lift(mean[:, None], deviation[:, None], heights[None])).sum(1))


def expected_lift(mean: Array, deviation: Array, best: Array | float) -> Array:
    """The mean of max(0, accuracy - best) where accuracies are normal (expected improvement)."""
    lift = mean - best
    z = lift / deviation
    density = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    return np.maximum(lift * _normal(z) + deviation * density, 0)


def _normal(z: Array) -> Array:
    """The normal distribution function, to 1e-7 (Abramowitz and Stegun 26.2.17), which numpy has not."""
    t = 1 / (1 + 0.2316419 * np.abs(z))
    tail = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    tail *= t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
    return np.where(z >= 0, 1 - tail, tail)

"""The acquisition function: how much an architecture is expected to improve the front and the winners within budgets.

The cost-aware sampler asks which untried architecture has the largest expected gain, freeze-thaw whether a paused one
has a larger one per epoch. Gains are natural logarithms (Ament et al. 2023): late in a search all are so small that
their differences would be lost to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ...pareto import non_dominated
from ...space.budget import COUNTS
from .foretold import accuracy_model
from .gaussian_process import TrainingData, one_thread
from .learning_curves import LearningCurves

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...space.budget import Budget

    Array = NDArray[np.float64]

BUDGET_WEIGHT = 0.1  # of the winners within budgets, against the front's: more of it starves the rest of the front
ARCHITECTURE_SHARE = 0.5  # of the residual variance: the architecture's own part; the rest is one training's luck
REFERENCE_PERCENTILE = 10  # of the accuracies: from where the gain in hypervolume is measured
MIN_VARIANCE = 1e-6  # percent squared, of a prediction
PRIOR_TRAININGS = 3  # beside which a prior counts fully, and ever less beside more (runs/nas_bench/prior.py)
FAR = 1e3  # standard deviations: from there on the expected improvement is its expansion


@dataclass
class Observation:
    """An architecture whose training was started.

    Attributes:
        costs: float64 (3,), as :data:`.budget.COUNTS` names them.
        features: float64 (d,).
        curve: its epochs so far, ``{"val_acc", "train_loss", ...}``.
        acc: at the end of the training, percent; None where it is not finished.
        waiting: it is paused, or stopped: not on the front that gains are measured against.
    """

    costs: Array
    features: Array
    curve: Sequence[Mapping[str, Any]] = ()
    acc: float | None = None
    waiting: bool = False


@dataclass(frozen=True)
class Objective:
    """What is searched: a range of MACs, the epochs of a whole training, and budgets."""

    min_macs: float
    max_macs: float
    epochs: int
    budgets: Sequence[Budget] = ()

    @classmethod
    def over(cls, macs: Array, epochs: int, budgets: Sequence[Budget] = ()) -> Objective:
        """Over the range of some architectures' MACs."""
        return cls(float(macs.min()), float(macs.max()), epochs, budgets)


class ExpectedGain:
    """Predicted accuracies in percent, and expected gains.

    A gain is the expected increase of the front of the trials that are finished or in training (these by their
    predictions): the mean lift of the front over the range of log MACs, and that of the winners within budgets.

    Args:
        observations: n of them, of which at least one has a curve or an accuracy.
        objective: what is searched.
        groups: the features' columns of each parameter, as :class:`TrainingData` has them.

    Attributes:
        mean, deviation: float64 (n,), the posterior of the observed architectures' true accuracies.
    """

    def __init__(
        self, observations: Sequence[Observation], objective: Objective, groups: Sequence[Sequence[int]] = ()
    ) -> None:
        self._objective = objective
        observed = [i for i, s in enumerate(observations) if s.acc is not None or s.curve]
        values, noise_variance = _final_accuracies([observations[i] for i in observed], objective.epochs)
        features = np.array([s.features for s in observations])
        self._model = accuracy_model(TrainingData(features[observed], values, noise_variance, groups))
        self._own_variance = ARCHITECTURE_SHARE * self._model.noise
        self.mean, deviation = self._model.predict(features)
        variance = deviation**2 + self._own_variance
        # An architecture's own training says more of it than of others like it.
        trust = self._own_variance / (self._model.noise + noise_variance)
        self.mean[observed] += trust * (values - self.mean[observed])
        variance[observed] = deviation[observed] ** 2 / 2 + self._own_variance * (1 - trust)
        self.deviation = np.sqrt(np.maximum(variance, MIN_VARIANCE))
        self._costs = np.array([s.costs for s in observations])
        self._waiting = np.array([s.waiting for s in observations], dtype=bool)
        held = np.flatnonzero(~self._waiting)
        self._held_costs, self._held_accs = self._costs[held], self.mean[held]
        front = held[np.flatnonzero(non_dominated(self.mean[held], self._costs[held, 0]))]
        front = front[np.argsort(self._costs[front, 0])]
        self._front = self._costs[front, 0], self.mean[front]
        worst = min([float(np.percentile(values, REFERENCE_PERCENTILE)), *self.mean[front].tolist()])
        self._reference = worst - 1e-6, objective.max_macs * 1.001

    def of_candidates(self, costs: Array, features: Array, believed: Array | float = 0.0) -> Array:
        """Log gains (n,) of untried architectures; costs (n, 3), features (n, d).

        What the user believes of them, logarithms of weights (n,), is added, less and less with the number of trainings
        (Hvarfner et al. 2022).
        """
        mean, deviation = self._model.predict(features)
        gains = self._log_gain(costs, mean, np.sqrt(deviation**2 + self._own_variance))
        return gains + PRIOR_TRAININGS / len(self._costs) * believed

    def of_waiting(self) -> tuple[NDArray[np.int_], Array]:
        """Positions (m,) of the waiting observations, and their log gains (m,)."""
        here = np.flatnonzero(self._waiting)
        return here, self._log_gain(self._costs[here], self.mean[here], self.deviation[here])

    def _log_gain(self, costs: Array, mean: Array, deviation: Array) -> Array:
        objective, reference = self._objective, self._reference
        decades = max(math.log10(reference[1] / objective.min_macs), 1e-9)
        total = log_expected_gain(costs[:, 0], mean, deviation, self._front, reference) - math.log(decades)
        budgets = [(COUNTS.index(b.kind), b.limit) for b in objective.budgets if b.kind in COUNTS]
        for kind, limit in budgets:
            within = self._held_costs[:, kind] <= limit
            best = float(self._held_accs[within].max()) if within.any() else reference[0]
            lift = log_expected_improvement(mean, deviation, best) + math.log(BUDGET_WEIGHT / len(budgets))
            total = np.where(costs[:, kind] <= limit, np.logaddexp(total, lift), total)
        return total


def _final_accuracies(observed: Sequence[Observation], epochs: int) -> tuple[Array, Array]:
    """Accuracies (n,) at the end of training, predicted where it is not reached, and their variances (n,)."""
    values = np.array([math.nan if s.acc is None else s.acc for s in observed])
    noise_variance = np.zeros(len(observed))
    unfinished = np.flatnonzero(np.isnan(values)).tolist()
    if unfinished:
        whole = max((len(s.curve) for s in observed if s.acc is not None), default=epochs)
        curves = LearningCurves([s.curve for s in observed if s.curve], max(whole, epochs))
        values[unfinished], noise_variance[unfinished] = curves.predict([observed[i].curve for i in unfinished])
    return values, noise_variance


@one_thread()
def log_expected_gain(
    macs: Array, mean: Array, deviation: Array, front: tuple[Array, Array], reference: tuple[float, float]
) -> Array:
    """Log of the expected improvement of the hypervolume over accuracy and log MACs, of each candidate alone.

    A candidate's MACs are known, so it lifts the front's steps from its MACs on: the sum over steps of their width
    times the expected improvement over their height.

    Args:
        macs, mean, deviation: (n,) of the candidates, whose accuracies are normal.
        front: MACs and accuracies, each (m,), of the points to improve on, the cheapest first, both rising.
        reference: (accuracy, MACs) of the worst that counts.

    Returns:
        (n,), the log of percent times decades of MACs; -inf where the MACs are beyond the reference's.
    """
    worst_acc, worst_macs = reference
    heights = np.concatenate([[worst_acc], front[1]])
    edges = np.log10(np.concatenate([front[0], [worst_macs]]))
    starts = np.concatenate([[-np.inf], edges[:-1]])
    widths = np.maximum(edges[None] - np.maximum(starts[None], np.log10(macs)[:, None]), 0)
    logs = log_expected_improvement(mean[:, None], deviation[:, None], heights[None])
    return torch.logsumexp(torch.from_numpy(widths).log() + torch.from_numpy(logs), 1).numpy()


def log_expected_improvement(mean: Array, deviation: Array, best: Array | float) -> Array:
    """Log of the mean of max(0, accuracy - best) where accuracies are normal; arguments broadcast.

    With ``z = (mean - best) / deviation`` it is ``deviation * h(z)``, ``h(z) = density(z) + z * ndtr(z)``. Left of zero
    the terms cancel, so there ``h(z) = density(z) * (1 + z * ndtr(z) / density(z))``, the quotient by erfcx, which
    neither under- nor overflows (Ament et al. 2023); where that cancels too, far left, the first terms of its expansion
    in ``1 / z**2``; and ``h(z) = z + h(-z)``.
    """
    z = torch.from_numpy(np.asarray((mean - best) / deviation))
    distance = z.abs()
    quotient = torch.special.erfcx(distance.clamp(max=FAR) / math.sqrt(2)) * math.sqrt(math.pi / 2)
    near = torch.log1p(-distance.clamp(max=FAR) * quotient)
    far = torch.log1p(-3 / distance.clamp(min=FAR).square()) - 2 * distance.clamp(min=FAR).log()
    left = torch.where(distance < FAR, near, far) - 0.5 * z**2 - 0.5 * math.log(2 * math.pi)
    logs = torch.where(z > 0, torch.log(z.clamp(min=0) + left.exp()), left)
    return np.asarray(logs.numpy() + np.log(deviation))

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
FAR = 1e3  # standard deviations
FANTASIES = 16  # ways in which the trainings under way may end


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

    A gain is the expected increase of the front of the trials that are finished or in training: the mean lift of the
    front over the range of log MACs, and that of the winners within budgets. What is in training may end in one way or
    another, so gains are means over draws of all their ends together, each of which the model is given (fantasies,
    Snoek et al. 2012): near a training under way little is left to be gained, however it ends.

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
        self._features = np.array([s.features for s in observations])
        self._costs = np.array([s.costs for s in observations])
        self._model = accuracy_model(TrainingData(self._features[observed], values, noise_variance, groups))
        self._own_variance = ARCHITECTURE_SHARE * self._model.noise
        # An architecture's own training says more of it than of others like it.
        self._trust, self._values = np.zeros(len(observations)), np.zeros(len(observations))
        self._trust[observed] = self._own_variance / (self._model.noise + noise_variance)
        self._values[observed] = values
        self._seen = np.isin(np.arange(len(observations)), observed)
        mean, deviation = self._model.predict(self._features)
        self.mean = mean + self._trust * (self._values - mean)
        self.deviation = self._of_architectures(deviation, np.arange(len(observations)))
        self._waiting = np.array([s.waiting for s in observations], dtype=bool)
        self._held = np.flatnonzero(~self._waiting)
        self._running = np.array([i for i in self._held.tolist() if observations[i].acc is None], dtype=int)
        worst = float(np.percentile(values, REFERENCE_PERCENTILE))
        if len(self._held):  # the cheapest is on the front
            worst = min(worst, float(self.mean[self._held[np.argmin(self._costs[self._held, 0])]]))
        self._reference = worst - 1e-6, objective.max_macs * 1.001
        self._ends = self._draw_ends()
        held = np.repeat(self.mean[:, None], self._ends.shape[1], 1)
        held[self._running] = self._ends
        self._held_accs = held[self._held]

    def of_candidates(self, costs: Array, features: Array) -> Array:
        """Log gains (n,) of untried architectures; costs (n, 3), features (n, d)."""
        means, deviation = self._predict(features)
        return self._log_gain(costs, means, np.sqrt(deviation**2 + self._own_variance))

    def of_waiting(self) -> tuple[NDArray[np.int_], Array]:
        """Positions (m,) of the waiting observations, and their log gains (m,)."""
        here = np.flatnonzero(self._waiting)
        means, deviation = self._predict(self._features[here])
        means += self._trust[here, None] * (self._values[here, None] - means)
        return here, self._log_gain(self._costs[here], means, self._of_architectures(deviation, here))

    def _of_architectures(self, deviation: Array, here: NDArray[np.int_]) -> Array:
        """Deviations of observed architectures themselves, from those of what features tell of them."""
        share = np.where(self._seen[here], 0.5, 1.0)  # of an architecture's own training its neighbours know less
        variance = share * deviation**2 + self._own_variance * (1 - self._trust[here])
        return np.sqrt(np.maximum(variance, MIN_VARIANCE))

    def _draw_ends(self) -> Array:
        """True accuracies of what is in training, (running, fantasies): evenly spread draws, the same at each call."""
        if not len(self._running):
            return np.zeros((0, 1))
        covariance = self._model.covariance(self._features[self._running])
        own = np.maximum(self._own_variance * (1 - self._trust[self._running]), MIN_VARIANCE)
        factor = np.linalg.cholesky(covariance + np.diag(own))
        uniform = torch.quasirandom.SobolEngine(len(own), scramble=True, seed=0).draw(FANTASIES, dtype=torch.double)
        normal = torch.special.ndtri(uniform.clamp(1e-6, 1 - 1e-6)).numpy()
        return np.asarray(self.mean[self._running, None] + factor @ normal.T)

    def _predict(self, features: Array) -> tuple[Array, Array]:
        """Means (n, fantasies) and deviation (n,)."""
        if not len(self._running):
            mean, deviation = self._model.predict(features)
            return mean[:, None], deviation
        return self._model.predict_after(self._features[self._running], self._ends, features)

    def _log_gain(self, costs: Array, means: Array, deviation: Array) -> Array:
        """The mean over fantasies; costs (n, 3), means (n, fantasies), deviation (n,)."""
        objective, reference = self._objective, self._reference
        decades = max(math.log10(reference[1] / objective.min_macs), 1e-9)
        held_costs = self._costs[self._held]
        front = steps(held_costs[:, 0], self._held_accs.T, reference[0])
        total = log_expected_gain(costs[:, 0], means.T, deviation, front, reference) - math.log(decades)
        budgets = [(COUNTS.index(b.kind), b.limit) for b in objective.budgets if b.kind in COUNTS]
        for kind, limit in budgets:
            best = self._held_accs[held_costs[:, kind] <= limit].max(0, initial=reference[0])
            lift = log_expected_improvement(means.T, deviation, best[:, None]) + math.log(BUDGET_WEIGHT / len(budgets))
            total = np.where(costs[:, kind] <= limit, np.logaddexp(total, lift), total)
        return np.asarray(np.logaddexp.reduce(total, axis=0) - math.log(len(total)))


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


def steps(macs: Array, accs: Array, worst: float) -> tuple[Array, Array]:
    """The front as a staircase, of each of several sets of accuracies: the best at so many MACs or fewer.

    Args:
        macs: (n,).
        accs: (..., n).
        worst: accuracy below which nothing counts.

    Returns:
        MACs (m,) where any of the staircases rises, and what each reaches there, (..., m).
    """
    order = np.argsort(macs, kind="stable")
    top = np.maximum.accumulate(np.maximum(accs[..., order], worst), axis=-1)
    rises = (np.diff(top, axis=-1, prepend=worst) > 0).any(axis=tuple(range(top.ndim - 1)))
    return macs[order[rises]], top[..., rises]


@one_thread()
def log_expected_gain(
    macs: Array, mean: Array, deviation: Array, front: tuple[Array, Array], reference: tuple[float, float]
) -> Array:
    """Log of the expected improvement of the hypervolume over accuracy and log MACs, of each candidate alone.

    A candidate's MACs are known, so it lifts the front's steps from its MACs on: the sum over steps of their width
    times the expected improvement over their height.

    Args:
        macs, deviation: (n,) of the candidates, whose accuracies are normal.
        mean: (..., n), their means.
        front: MACs (m,) and accuracies (..., m) of the points to improve on, the cheapest first, both rising.
        reference: (accuracy, MACs) of the worst that counts.

    Returns:
        (..., n), the log of percent times decades of MACs; -inf where the MACs are beyond the reference's.
    """
    worst_acc, worst_macs = reference
    heights = np.concatenate([np.full((*front[1].shape[:-1], 1), worst_acc), front[1]], -1)
    edges = np.log10(np.concatenate([front[0], [worst_macs]]))
    starts = np.concatenate([[-np.inf], edges[:-1]])
    widths = np.maximum(edges[None] - np.maximum(starts[None], np.log10(macs)[:, None]), 0)
    logs = log_expected_improvement(mean[..., None], deviation[:, None], heights[..., None, :])
    return torch.logsumexp(torch.from_numpy(widths).log() + torch.from_numpy(logs), -1).numpy()


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

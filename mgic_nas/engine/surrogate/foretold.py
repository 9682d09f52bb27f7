"""Accuracies modelled with what an earlier search foretells of them, as far as that proves true.

Two models predict every architecture: one that knows only the trainings of this search, and one of their deviations
from a multiple of what is foretold. Each counts by how well it predicts trainings of this search that it was not given,
so a misleading search loses its say after some trainings, and a good one has it from the first on.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from .gaussian_process import GaussianProcess, TrainingData
from .kernel import Hyperparameters

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

FOLDS = 8
PRIOR_TRUST = 0.5  # in the model with what is foretold
PRIOR_COUNT = 2.0  # trainings that a slope as large as the accuracies' spread counts for


def accuracy_model(data: TrainingData) -> GaussianProcess | ForetoldProcess:
    """Of features with or without two last columns, in none of the groups: what is foretold, and its deviation."""
    modelled = sum(map(len, data.groups)) or data.features.shape[1]
    return GaussianProcess(data) if data.features.shape[1] == modelled else ForetoldProcess(data)


class ForetoldProcess:
    """A mixture of two Gaussian processes, with what :class:`GaussianProcess` has.

    Args:
        data: n observations, whose last two features are what is foretold of each and the deviation of that; the
            others are modelled.

    Attributes:
        noise: variance of a finished training that features do not explain, percent squared.
        slope: percent by which accuracies rise with what is foretold.
        trust: the weight of the model that believes in it, 0 to 1.
    """

    def __init__(self, data: TrainingData) -> None:
        told, unsure, rest = data.features[:, -2], data.features[:, -1], replace(data, features=data.features[:, :-2])
        self.slope = _slope(told, data.values, data.noise_variance)
        offsets = _offsets(rest, self.slope, told, unsure)
        self._alone, self._foretold = GaussianProcess(rest), GaussianProcess(offsets)
        odds = _likelihood(offsets, self._foretold.hyperparameters) - _likelihood(rest, self._alone.hyperparameters)
        odds += math.log(PRIOR_TRUST / (1 - PRIOR_TRUST))
        self.trust = 1 / (1 + math.exp(-min(max(odds, -50.0), 50.0)))
        self.noise = (1 - self.trust) * self._alone.noise + self.trust * self._foretold.noise

    def predict(self, features: Array) -> tuple[Array, Array]:
        """Posterior mean and standard deviation, each (n,) in percent, without the noise of a training.

        Args:
            features: float64 (n, d).
        """
        (mean, deviation), (foretold, unsure) = (m.predict(features[:, :-2]) for m in (self._alone, self._foretold))
        foretold = foretold + self.slope * features[:, -2]
        other_variance = unsure**2 + (self.slope * features[:, -1]) ** 2
        within = (1 - self.trust) * deviation**2 + self.trust * other_variance
        between = self.trust * (1 - self.trust) * (mean - foretold) ** 2
        return (1 - self.trust) * mean + self.trust * foretold, np.sqrt(within + between)


def _offsets(data: TrainingData, slope: float, told: Array, unsure: Array) -> TrainingData:
    noise_variance = data.noise_variance + (slope * unsure) ** 2
    return replace(data, values=data.values - slope * told, noise_variance=noise_variance)


def _slope(told: Array, values: Array, noise_variance: Array) -> float:
    """Of the accuracies on what is foretold: ridge regression."""
    weights = 1 / (1 + noise_variance)
    x, y = told - np.average(told, weights=weights), values - np.average(values, weights=weights)
    return float((weights * x * y).sum() / ((weights * x**2).sum() + PRIOR_COUNT))


def _likelihood(data: TrainingData, hyperparameters: Hyperparameters) -> float:
    """Log of the density of all observations, each predicted from the other folds."""
    n = len(data.values)
    folds = np.arange(n) % min(FOLDS, n)
    total = 0.0
    for fold in range(int(folds.max()) + 1):
        given, asked = folds != fold, folds == fold
        if not given.any():
            return 0.0
        some = replace(
            data,
            features=data.features[given],
            values=data.values[given],
            noise_variance=data.noise_variance[given],
        )
        model = GaussianProcess(some, hyperparameters)
        mean, deviation = model.predict(data.features[asked])
        variance = deviation**2 + model.noise + data.noise_variance[asked]
        total -= 0.5 * float(((data.values[asked] - mean) ** 2 / variance + np.log(variance)).sum())
    return total

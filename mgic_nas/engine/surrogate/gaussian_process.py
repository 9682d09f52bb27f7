"""What a search believes of accuracies: a Gaussian process over features, told how sure each observation is.

Only the accuracy is modelled. What a network costs is known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

MOST_POINTS = 256  # the factorisation is cubic
ENOUGH_POINTS = 100  # to settle length and noise
LENGTHS = (1.0, 2.0, 4.0)  # times the square root of the number of features / 4
NOISES = (0.02, 0.1, 0.4)  # of a whole training, as a part of the variance of the accuracies
JITTER = 1e-8


@dataclass(frozen=True)
class TrainingData:
    """What has been seen.

    Attributes:
        features: (n, d).
        values: (n,) accuracies at the end of the training, or what is expected of an unfinished one.
        extra: (n,) the variance that is due to the training's not being finished; 0 for whole ones.
    """

    features: Array
    values: Array
    extra: Array


class Surrogate:
    """A Gaussian process with a linear and a smooth part; scale, length and noise by marginal likelihood.

    Args:
        seen: at least one observation. Of more than 256 an even selection is used.
        settled: (length, noise) of an earlier one, which then are not looked for again.

    Attributes:
        settled: what was found.
        noise: the variance, in percent squared, of what features do not explain.
    """

    settled: tuple[float, float]

    def __init__(self, seen: TrainingData, settled: tuple[float, float] | None = None) -> None:
        if settled is None and len(seen.values) > ENOUGH_POINTS:
            some = np.linspace(0, len(seen.values) - 1, ENOUGH_POINTS).round().astype(int)
            settled = Surrogate(TrainingData(seen.features[some], seen.values[some], seen.extra[some])).settled
        count = len(seen.values)
        used = np.unique(np.linspace(0, count - 1, min(count, MOST_POINTS)).round().astype(int))
        x, y, extra = seen.features[used], seen.values[used], seen.extra[used]
        self._x = x
        self._mean = float(np.average(y, weights=1 / (1 + extra)))
        variance = float(np.average((y - self._mean) ** 2, weights=1 / (1 + extra)))
        self._scale = math.sqrt(max(variance, 0.25))  # percent; a few alike must not make it certain
        z = (y - self._mean) / self._scale
        squares, linear = _squares(x, x), x @ x.T / x.shape[1]
        grid = [settled] if settled else [(length, noise) for length in LENGTHS for noise in NOISES]
        best = -math.inf
        for length, noise in grid:
            kernel = linear + np.exp(-squares / (2 * length**2 * x.shape[1] / 4))
            kernel[np.diag_indices_from(kernel)] += noise + extra / self._scale**2 + JITTER
            chol = np.linalg.cholesky(kernel)
            half = np.linalg.solve(chol, z)
            # The scale of prior and noise together has its optimum in closed form.
            factor = max(float(half @ half) / len(z), 1e-6)
            likelihood = -0.5 * len(z) * math.log(factor) - float(np.log(np.diag(chol)).sum())
            if likelihood > best:
                best, self.settled = likelihood, (length, noise)
                self._chol, self._half, self._length, self._factor = chol, half, length, factor
        self.noise = self.settled[1] * self._factor * self._scale**2

    def predict(self, features: Array) -> tuple[Array, Array]:
        """Mean and standard deviation, in percent, of what whole trainings of some architectures would truly give."""
        d = features.shape[1]
        cross = features @ self._x.T / d + np.exp(-_squares(features, self._x) / (2 * self._length**2 * d / 4))
        half = np.linalg.inv(self._chol) @ cross.T
        prior = (features**2).sum(1) / d + 1
        variance = np.maximum(prior - (half**2).sum(0), 1e-9) * self._factor
        return self._mean + self._scale * (half.T @ self._half), self._scale * np.sqrt(variance)


def _squares(a: Array, b: Array) -> Array:
    """Squared distances (n, m)."""
    return np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T, 0)

"""A Gaussian process that models accuracies over features, with a known noise variance for each observation.

Only the accuracy is modelled. What a network costs is known.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

MAX_POINTS = 256  # observations that are used; the factorisation is cubic
FIT_POINTS = 100  # observations from which the hyperparameters are fitted
LENGTH_SCALES = (1.0, 2.0, 4.0)  # in units of sqrt(d) / 2 for d features
NOISES = (0.02, 0.1, 0.4)  # variance of a finished training, in units of the variance of the accuracies
JITTER = 1e-8  # on the diagonal, in the same unit
MIN_VARIANCE = 0.25  # percent squared: a floor under the variance of few, similar accuracies
MIN_FACTOR = 1e-6  # of the outputscale
MIN_POSTERIOR = 1e-9  # variance, in units of the outputscale


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread: on matrices as small as these several only wait for each other, beside trainings most."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Hyperparameters(NamedTuple):
    """One of :data:`LENGTH_SCALES` and one of :data:`NOISES`."""

    length_scale: float
    noise: float


@dataclass(frozen=True)
class TrainingData:
    """n observations.

    Attributes:
        features: float64 (n, d).
        values: float64 (n,), accuracies at the end of training, percent; of an unfinished one its prediction.
        noise_variance: float64 (n,), percent squared, of that prediction; 0 for finished trainings.
    """

    features: Array
    values: Array
    noise_variance: Array


class GaussianProcess:
    """Exact GP regression with a linear plus an RBF kernel and a constant mean.

    Length scale and noise maximise the marginal likelihood over a grid; the outputscale has its optimum in closed form.

    Args:
        data: n >= 1 observations, of which at most :data:`MAX_POINTS`, evenly spaced, are used.
        hyperparameters: of an earlier fit, to be used again; None fits them.

    Attributes:
        hyperparameters: those in use.
        noise: variance of a finished training that features do not explain, percent squared.
    """

    hyperparameters: Hyperparameters

    @one_thread()
    def __init__(self, data: TrainingData, hyperparameters: Hyperparameters | None = None) -> None:
        if hyperparameters is None and len(data.values) > FIT_POINTS:
            hyperparameters = GaussianProcess(_evenly(data, FIT_POINTS)).hyperparameters
        data = _evenly(data, MAX_POINTS)
        x, y, noise_variance = data.features, data.values, data.noise_variance
        n, d = x.shape
        weights = 1 / (1 + noise_variance)
        self._x = x
        self._mean = float(np.average(y, weights=weights))
        variance = float(np.average((y - self._mean) ** 2, weights=weights))
        self._scale = math.sqrt(max(variance, MIN_VARIANCE))
        z = (y - self._mean) / self._scale
        squares, linear = _squared_distances(x, x), x @ x.T / d
        grid = [Hyperparameters(length, noise) for length in LENGTH_SCALES for noise in NOISES]
        best = -math.inf
        for candidate in [hyperparameters] if hyperparameters else grid:
            kernel = linear + _rbf(squares, candidate.length_scale, d)
            kernel[np.diag_indices(n)] += candidate.noise + noise_variance / self._scale**2 + JITTER
            cholesky = np.linalg.cholesky(kernel)
            whitened = _solve_lower(cholesky, z[:, None])[:, 0]
            factor = max(float(whitened @ whitened) / n, MIN_FACTOR)
            likelihood = -0.5 * n * math.log(factor) - float(np.log(np.diag(cholesky)).sum())
            if likelihood > best:
                best, self.hyperparameters = likelihood, candidate
                self._cholesky, self._whitened, self._factor = cholesky, whitened, factor
        self.noise = self.hyperparameters.noise * self._factor * self._scale**2

    @one_thread()
    def predict(self, features: Array) -> tuple[Array, Array]:
        """Posterior mean and standard deviation, each (n,) in percent, without the noise of a training.

        Args:
            features: float64 (n, d).
        """
        d = features.shape[1]
        squares = _squared_distances(features, self._x)
        cross = features @ self._x.T / d + _rbf(squares, self.hyperparameters.length_scale, d)
        half = _solve_lower(self._cholesky, cross.T)
        prior = (features**2).sum(1) / d + 1
        variance = np.maximum(prior - (half**2).sum(0), MIN_POSTERIOR) * self._factor
        return self._mean + self._scale * (half.T @ self._whitened), self._scale * np.sqrt(variance)


def _evenly(data: TrainingData, most: int) -> TrainingData:
    """At most so many observations, evenly spaced."""
    n = len(data.values)
    used = np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int))
    return TrainingData(data.features[used], data.values[used], data.noise_variance[used])


def _squared_distances(a: Array, b: Array) -> Array:
    """(n, m) of features (n, d) and (m, d)."""
    return np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T, 0)


def _rbf(squared_distances: Array, length_scale: float, d: int) -> Array:
    return np.exp(-squared_distances / (2 * length_scale**2 * d / 4))


def _solve_lower(cholesky: Array, right: Array) -> Array:
    """``cholesky^-1 @ right``, (n, m); scipy is not a dependency."""
    return torch.linalg.solve_triangular(torch.from_numpy(cholesky), torch.from_numpy(right), upper=False).numpy()

"""A Gaussian process that models accuracies over features, with a known noise variance for each observation.

Only the accuracy is modelled. What a network costs is known.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from .kernel import Groups, Hyperparameters, Kernel
from .marginal_likelihood import fit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

MAX_POINTS = 256  # observations that are used; the factorisation is cubic
FIT_POINTS = 128  # observations from which the hyperparameters are fitted
SPREAD, SPREAD_COUNT = 2.0, 1.0  # prior deviation of the accuracies, percent; observations that it counts for
JITTER = 1e-8  # on the diagonal, in units of the accuracies' variance
MIN_POSTERIOR = 1e-9  # variance, in the same unit


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread: on matrices as small as these several only wait for each other, beside trainings most."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class TrainingData:
    """n observations.

    Attributes:
        features: float64 (n, d).
        values: float64 (n,), accuracies at the end of training, percent; of an unfinished one its prediction.
        noise_variance: float64 (n,), percent squared, of that prediction; 0 for finished trainings.
        groups: the columns of each parameter, which share a length; by default each column is one.
    """

    features: Array
    values: Array
    noise_variance: Array
    groups: Groups = ()


class GaussianProcess:
    """Exact GP regression with a linear plus an RBF kernel and a constant mean.

    The RBF has one length a parameter (the one-hot columns of a choice share theirs), so that a parameter without
    influence does not blur the others. Lengths, the parts' variances and the noise maximise the marginal likelihood
    times a prior. The same observations give the same model.

    Args:
        data: n >= 1 observations, of which at most :data:`MAX_POINTS`, evenly spaced, are used.
        hyperparameters: of an earlier fit, to be used again; None fits them.

    Attributes:
        hyperparameters: those in use.
        noise: variance of a finished training that features do not explain, percent squared.
    """

    hyperparameters: Hyperparameters

    @one_thread()
    @torch.no_grad()
    def __init__(self, data: TrainingData, hyperparameters: Hyperparameters | None = None) -> None:
        groups = data.groups or [[column] for column in range(data.features.shape[1])]
        if hyperparameters is None and len(data.values) > FIT_POINTS:
            hyperparameters = GaussianProcess(_evenly(data, FIT_POINTS)).hyperparameters
        data = _evenly(data, MAX_POINTS)
        points, y, weights = torch.from_numpy(data.features), data.values, 1 / (1 + data.noise_variance)
        self._mean = float(np.average(y, weights=weights))
        squares = float(weights @ (y - self._mean) ** 2) + SPREAD_COUNT * SPREAD**2
        self._scale = math.sqrt(squares / (float(weights.sum()) + SPREAD_COUNT))
        known_noise = torch.from_numpy(data.noise_variance / self._scale**2 + JITTER)
        z = torch.from_numpy((y - self._mean) / self._scale)[:, None]
        self.hyperparameters = hyperparameters or fit(points, z, known_noise, groups)
        self.noise = math.exp(self.hyperparameters.noise) * self._scale**2
        kernel = Kernel(groups, self.hyperparameters)
        noise = math.exp(self.hyperparameters.noise) + known_noise
        cholesky = torch.linalg.cholesky(kernel(points, points) + torch.diag(noise))
        self._posterior = _Posterior(kernel, points, cholesky, torch.linalg.solve_triangular(cholesky, z, upper=False))

    @one_thread()
    @torch.no_grad()
    def predict(self, features: Array) -> tuple[Array, Array]:
        """Posterior mean and standard deviation, each (n,) in percent, without the noise of a training.

        Args:
            features: float64 (n, d).
        """
        means, deviation = self._in_percent(self._posterior, features)
        return means[:, 0], deviation

    @one_thread()
    @torch.no_grad()
    def covariance(self, features: Array) -> Array:
        """Posterior covariance (n, n), percent squared, without the noise of a training, of features (n, d)."""
        return (self._scale**2 * self._posterior.covariance(torch.from_numpy(features))).numpy()

    @one_thread()
    @torch.no_grad()
    def predict_after(self, further: Array, outcomes: Array, features: Array) -> tuple[Array, Array]:
        """What :meth:`predict` would give after further trainings that end in one of several ways.

        Args:
            further: features (q, d) of the trainings.
            outcomes: accuracies (q, m), percent: m ways in which they end.
            features: float64 (n, d).

        Returns:
            means (n, m), and the deviation (n,), which does not depend on how they end.
        """
        z = torch.from_numpy((outcomes - self._mean) / self._scale)
        noise = math.exp(self.hyperparameters.noise) + JITTER
        return self._in_percent(self._posterior.after(torch.from_numpy(further), z, noise), features)

    def _in_percent(self, posterior: _Posterior, features: Array) -> tuple[Array, Array]:
        means, variance = posterior.predict(torch.from_numpy(features))
        return self._mean + self._scale * means.numpy(), self._scale * variance.sqrt().numpy()


@dataclass(frozen=True)
class _Posterior:
    """Of standardised accuracies, for m vectors of values at the same points.

    Attributes:
        kernel: the prior covariance.
        points: (n, d), the observed ones.
        cholesky: (n, n), the factor of their covariance.
        whitened: (n, m), its inverse times the values.
    """

    kernel: Kernel
    points: torch.Tensor
    cholesky: torch.Tensor
    whitened: torch.Tensor

    def predict(self, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Means (k, m) and variances (k,) at points (k, d)."""
        half = self._half(points)
        variance = self.kernel.variance(points) - half.square().sum(0)
        return half.T @ self.whitened, variance.clamp(min=MIN_POSTERIOR)

    def covariance(self, points: torch.Tensor) -> torch.Tensor:
        half = self._half(points)
        return self.kernel(points, points) - half.T @ half

    def after(self, points: torch.Tensor, z: torch.Tensor, noise: float) -> _Posterior:
        """With observations z (q, m) at points (q, d) in addition."""
        half = self._half(points)
        own = self.covariance(points) + noise * torch.eye(len(points), dtype=torch.double)
        corner = torch.linalg.cholesky(own)
        upper = torch.cat([self.cholesky, torch.zeros_like(half)], 1)
        further = torch.linalg.solve_triangular(corner, z - half.T @ self.whitened, upper=False)
        return replace(
            self,
            points=torch.cat([self.points, points]),
            cholesky=torch.cat([upper, torch.cat([half.T, corner], 1)]),
            whitened=torch.cat([self.whitened.expand(-1, z.shape[1]), further]),
        )

    def _half(self, points: torch.Tensor) -> torch.Tensor:
        """(n, k): the inverse of the Cholesky factor times the covariance of the observed points with k others."""
        return torch.linalg.solve_triangular(self.cholesky, self.kernel(self.points, points), upper=False)


def _evenly(data: TrainingData, most: int) -> TrainingData:
    """At most so many observations, evenly spaced."""
    n = len(data.values)
    used = np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int))
    return replace(
        data, features=data.features[used], values=data.values[used], noise_variance=data.noise_variance[used]
    )

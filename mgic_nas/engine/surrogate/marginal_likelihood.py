"""Fits a kernel's hyperparameters: the largest marginal likelihood times prior, by L-BFGS."""

from __future__ import annotations

import contextlib
import math

import torch

from .kernel import Groups, Hyperparameters, squared_distances

ITERATIONS = 30
TOLERANCE = 1e-3  # of the gradient
#: The prior of the hyperparameters' logarithms is normal. Its deviations, and the mean of the noise; a length's mean
#: grows with the number of groups, as distances do, and that of the two parts is 1, the accuracies' variance.
LENGTH_DEVIATION, WEIGHT_DEVIATION, NOISE_DEVIATION = 1.0, 1.5, 1.5
NOISE_MEAN = math.log(0.05)


def fit(points: torch.Tensor, z: torch.Tensor, known_noise: torch.Tensor, groups: Groups) -> Hyperparameters:
    """The same observations give the same hyperparameters.

    Where the line search goes so far that the covariance cannot be factorised, the best until then.

    Args:
        points: float64 (n, d).
        z: float64 (n, 1), standardised accuracies.
        known_noise: float64 (n,), variance of each in addition to the noise that is fitted, positive.
        groups: the columns of each parameter.
    """
    likelihood = _Likelihood(points, z, known_noise, groups)
    means = torch.zeros(len(groups) + 3, dtype=torch.double)
    deviations = torch.full_like(means, LENGTH_DEVIATION)
    means[:-3] = 0.5 * math.log(len(groups) / 2)
    means[-1] = NOISE_MEAN
    deviations[-3:] = torch.tensor([WEIGHT_DEVIATION, WEIGHT_DEVIATION, NOISE_DEVIATION])
    parameters = means.clone()
    best = math.inf, means
    optimiser = torch.optim.LBFGS(
        [parameters], max_iter=ITERATIONS, line_search_fn="strong_wolfe", tolerance_grad=TOLERANCE
    )

    def loss() -> torch.Tensor:
        nonlocal best
        value, gradient = likelihood(parameters)
        departure = (parameters - means) / deviations
        value = 0.5 * departure.square().sum() - value
        parameters.grad = departure / deviations - gradient
        if value.item() < best[0]:
            best = value.item(), parameters.clone()
        return value

    with contextlib.suppress(torch.linalg.LinAlgError):
        optimiser.step(loss)
    return Hyperparameters.of(best[1])


class _Likelihood:
    """The log marginal likelihood but for a constant, and its gradient, of :class:`Hyperparameters` in one tensor.

    In closed form: automatic differentiation of the Cholesky factor takes more than twice as long.
    """

    def __init__(self, points: torch.Tensor, z: torch.Tensor, known_noise: torch.Tensor, groups: Groups) -> None:
        self._z = z
        self._known_noise = torch.diag(known_noise)
        self._identity = torch.eye(len(points), dtype=torch.double)
        self._squares = torch.stack([squared_distances(x, x) for x in (points[:, list(group)] for group in groups)])
        self._products = points @ points.T / len(groups)

    def __call__(self, parameters: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """With the covariance K and a = K^-1 z the derivative by a parameter is half the trace of (a a^T - K^-1) dK."""
        linear, smooth, noise = parameters[-3:].exp()
        weights = torch.exp(-2 * parameters[:-3])
        linear_part = linear * self._products
        smooth_part = smooth * torch.exp(-0.5 * torch.tensordot(weights, self._squares, 1))
        cholesky = torch.linalg.cholesky(linear_part + smooth_part + self._known_noise + noise * self._identity)
        inverse = torch.cholesky_inverse(cholesky)
        a = inverse @ self._z
        value = -0.5 * (self._z * a).sum() - cholesky.diagonal().log().sum()
        outer = a @ a.T - inverse
        by_smooth = outer * smooth_part
        gradient = torch.empty_like(parameters)
        gradient[:-3] = weights * torch.tensordot(self._squares, by_smooth, 2)
        gradient[-3], gradient[-2], gradient[-1] = (outer * linear_part).sum(), by_smooth.sum(), noise * outer.trace()
        return value, 0.5 * gradient

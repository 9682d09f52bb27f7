"""The covariance of accuracies: a linear part plus an RBF with one length for each parameter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

Groups = Sequence[Sequence[int]]  # the columns of each parameter


class Hyperparameters(NamedTuple):
    """Natural logarithms; variances are in units of the accuracies' variance.

    Attributes:
        lengths: (groups,), the distance in each group of features over which accuracies are alike.
        linear, smooth: variances of the two parts.
        noise: variance of a finished training that features do not explain.
    """

    lengths: tuple[float, ...]
    linear: float
    smooth: float
    noise: float

    @classmethod
    def of(cls, parameters: torch.Tensor) -> Hyperparameters:
        """From one tensor (groups + 3,), in the order of the attributes."""
        *lengths, linear, smooth, noise = parameters.tolist()
        return cls(tuple(lengths), linear, smooth, noise)


class Kernel:
    """Linear plus RBF between points of float64 (n, d).

    Args:
        groups: the columns of each parameter (the one-hot columns of a choice are one's), which share a length.
        hyperparameters: with one length a group.
    """

    def __init__(self, groups: Groups, hyperparameters: Hyperparameters) -> None:
        self._columns = [column for group in groups for column in group]
        lengths = [length for group, length in zip(groups, hyperparameters.lengths, strict=True) for _ in group]
        self._scale = torch.exp(-torch.tensor(lengths, dtype=torch.double))
        linear, self._smooth = torch.tensor(hyperparameters[1:3], dtype=torch.double).exp()
        self._linear = linear / len(groups)

    def __call__(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """(n, m) of points (n, d) and (m, d)."""
        distances = squared_distances(a[:, self._columns] * self._scale, b[:, self._columns] * self._scale)
        return self._linear * (a @ b.T) + self._smooth * torch.exp(-0.5 * distances)

    def variance(self, points: torch.Tensor) -> torch.Tensor:
        """The diagonal (n,) of the kernel of points (n, d) with themselves."""
        return self._linear * points.square().sum(1) + self._smooth


def squared_distances(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """(n, m) of points (n, d) and (m, d)."""
    return (a.square().sum(1)[:, None] + b.square().sum(1) - 2 * a @ b.T).clamp(min=0)

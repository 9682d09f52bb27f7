"""What an earlier search found: other budgets, other epochs, less data, or another data set.

Its accuracies are of another scale, and it may mislead, so they are not mixed with those of this search. A model of
them foretells every architecture, with a deviation; what that is worth is learned from the trainings of this search
(:mod:`..surrogate.foretold`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..surrogate.gaussian_process import GaussianProcess, TrainingData

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

LEAST = 4  # architectures of an earlier search from which it is modelled
OWN_SHARE = 0.8  # of what features do not explain of an accuracy: the architecture's own part


class EarlierModel:
    """Predicts architectures of a pool from an earlier search.

    Args:
        features: float64 (n, d), of its architectures as the pool describes them.
        accs: float64 (n,).
        groups: the columns of each parameter.
    """

    def __init__(self, features: Array, accs: Array, groups: Sequence[Sequence[int]]) -> None:
        self._model = GaussianProcess(TrainingData(features, accs, np.zeros(len(accs)), groups))
        self._centre = float(accs.mean())
        self._scale = max(float(accs.std()), 1e-3)
        # Its own training says more of an architecture than others like it do.
        rest = OWN_SHARE * (accs - self._model.predict(features)[0])
        self._own = {row.tobytes(): float(r) for row, r in zip(features, rest)}

    def __call__(self, features: Array) -> Array:
        """What is foretold of architectures (n, d): mean and standard deviation (n, 2).

        In standard deviations of the earlier accuracies, from their mean.
        """
        if not len(features):
            return np.zeros((0, 2))
        mean, deviation = self._model.predict(features)
        keys = [row.tobytes() for row in features]
        mean = mean + [self._own.get(key, 0.0) for key in keys]
        share = np.array([1 - OWN_SHARE if key in self._own else 1.0 for key in keys])
        variance = share * (deviation**2 + OWN_SHARE * self._model.noise)
        return np.stack([mean - self._centre, np.sqrt(variance)], axis=1) / self._scale

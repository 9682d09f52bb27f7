"""What an unfinished learning curve promises, from those that are finished."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

PRIOR = 3  # so many imagined curves stand against the first real ones
GAP = 3.0  # percent that an imagined training gains by each doubling of its epochs
SPREAD = 3.0  # and the standard deviation of that


class Curves:
    """Curves of one search.

    What is still to come after epoch e is taken to be the same for all, up to a spread: both are averages over the
    trials that went on, and an imagined gain while there are few of them.

    Args:
        curves: accuracies after each epoch, percent; at least one epoch each.
        ends: the accuracy of the whole training, or None where it is unfinished.
    """

    def __init__(self, curves: Sequence[Sequence[float]], ends: Sequence[float | None]) -> None:
        whole = [curve for curve, end in zip(curves, ends, strict=True) if end is not None]
        self._epochs = max((len(curve) for curve in [*whole, *curves]), default=1)
        self._steps: list[tuple[float, float]] = []  # from epoch e to e + 1: mean gain, variance
        for epoch in range(1, self._epochs):
            gains = np.array([curve[epoch] - curve[epoch - 1] for curve in curves if len(curve) > epoch])
            prior = GAP * np.log2((epoch + 1) / epoch)
            mean = (gains.sum() + PRIOR * prior) / (len(gains) + PRIOR)
            squares = ((gains - mean) ** 2).sum() + PRIOR * (SPREAD * np.log2((epoch + 1) / epoch)) ** 2
            self._steps.append((float(mean), float(squares / (len(gains) + PRIOR))))
        # Gains of successive epochs compensate each other, so their variances do not add up: the whole way counts.
        self._ways: dict[int, tuple[float, float]] = {}
        for epoch in range(1, self._epochs):
            gains = np.array([curve[-1] - curve[epoch - 1] for curve in whole if len(curve) == self._epochs])
            prior = sum(mean for mean, _ in self._steps[epoch - 1 :])
            variance = sum(v for _, v in self._steps[epoch - 1 :])
            mean = (gains.sum() + PRIOR * prior) / (len(gains) + PRIOR)
            squares = ((gains - mean) ** 2).sum() + PRIOR * variance
            self._ways[epoch] = float(mean), float(squares / (len(gains) + PRIOR))

    def expect(self, curve: Sequence[float]) -> tuple[float, float]:
        """(the accuracy at the end that an unfinished curve makes likely, its variance)."""
        mean, variance = self._ways.get(len(curve), (0.0, 0.0))
        return curve[-1] + mean, variance

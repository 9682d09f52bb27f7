"""What an unfinished training promises, judged by those that are finished.

Accuracies early in a training jump about, training losses do not: the mean loss of an epoch is measured on every batch
of it, before and after each step (Ru et al. 2021 call its sum the training speed, and rank architectures by it). Which
of the two tells more at an epoch is learned from the finished trainings of the search itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SPREAD = 2.0  # percent: how much trainings differ at their end, while fewer than three are there
SLOPE = -0.8  # of the accuracy at the end on the loss so far, both standardised, before anything is known
DOUBT = 0.6  # what the loss leaves open, in spreads, before anything is known
PRIOR = 3.0  # so many imagined trainings say so

Curve = Sequence[Mapping[str, Any]]


class LearningCurves:
    """The trainings of one search, finished and unfinished, epoch by epoch.

    Args:
        curves: the epochs of each training, ``{"val_acc", "train_loss", ...}``.
        epochs: of a whole one.
    """

    def __init__(self, curves: Sequence[Curve], epochs: int) -> None:
        self._epochs = epochs
        self._curves = curves
        self._ends = [float(c[-1]["val_acc"]) for c in curves if len(c) == epochs]
        self._spread = max(float(np.std(self._ends)), 0.1) if len(self._ends) > 2 else SPREAD
        self._fits: dict[int, _Fit] = {}

    def expect(self, curves: Sequence[Curve]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(accuracies at the end (n,), variances of what is not known of them (n,)), each of one epoch or more."""
        ends, variances = np.zeros(len(curves)), np.zeros(len(curves))
        lengths = np.array([len(c) for c in curves], dtype=int)
        for epoch in np.unique(lengths).tolist():
            here = np.flatnonzero(lengths == epoch)
            if epoch >= self._epochs:
                ends[here] = [float(curves[i][-1]["val_acc"]) for i in here.tolist()]
                continue
            if epoch not in self._fits:
                there = [c for c in self._curves if len(c) >= epoch]
                self._fits[epoch] = _Fit(there, epoch, self._epochs, self._spread, self._centre())
            ends[here], variances[here] = self._fits[epoch].expect([curves[i] for i in here.tolist()])
        return ends, variances

    def _centre(self) -> float:
        """Where trainings end; where none has ended, where they are."""
        ends = self._ends or [float(c[-1]["val_acc"]) for c in self._curves if c]
        return float(np.mean(ends)) if ends else 0.0


class _Fit:
    """Bayesian linear regression of the final accuracy on loss and accuracy after one epoch."""

    def __init__(self, curves: Sequence[Curve], epoch: int, epochs: int, spread: float, centre: float) -> None:
        self._epoch = epoch
        signals = np.array([_signals(c, epoch) for c in curves])
        self._mean = signals.mean(0)
        self._scale = np.maximum(signals.std(0), 1e-6)
        whole = [i for i, c in enumerate(curves) if len(c) == epochs]
        x = self._rows(signals[whole])
        y = np.array([float(curves[i][-1]["val_acc"]) for i in whole])
        prior_mean = np.array([centre, SLOPE * spread, 0.0])
        noise = (DOUBT * spread) ** 2
        precision = np.diag(1 / np.array([9.0, 0.25, 0.25]) / spread**2)
        for _ in range(3):  # the noise and the coefficients determine each other
            posterior = precision + x.T @ x / noise
            self._weights = np.linalg.solve(posterior, precision @ prior_mean + x.T @ y / noise)
            left = float(((y - x @ self._weights) ** 2).sum())
            noise = (left + PRIOR * (DOUBT * spread) ** 2) / (len(y) + PRIOR)
        self._covariance = np.linalg.inv(posterior)
        self._noise = noise

    def _rows(self, signals: NDArray[np.float64]) -> NDArray[np.float64]:
        z = (signals.reshape(-1, 2) - self._mean) / self._scale
        return np.column_stack([np.ones(len(z)), np.clip(z, -4, 4)])

    def expect(self, curves: Sequence[Curve]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        rows = self._rows(np.array([_signals(c, self._epoch) for c in curves]))
        return rows @ self._weights, ((rows @ self._covariance) * rows).sum(1) + self._noise


def _signals(curve: Curve, epoch: int) -> tuple[float, float]:
    """(training loss, accuracy) after an epoch; a loss that nobody wrote down is 0 for all."""
    row = curve[epoch - 1]
    loss = row.get("train_loss")
    return (math.log(max(float(loss), 1e-6)) if loss is not None else 0.0), float(row["val_acc"])

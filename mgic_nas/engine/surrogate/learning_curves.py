"""Predictions of the final accuracy of unfinished trainings, from the finished ones of the same search.

Early validation accuracies are noisy, training losses are not: an epoch's mean loss is measured on each of its
batches (Ru et al. 2021 call its sum the training speed, and rank architectures by it). How much weight either has
after a given number of epochs is fitted to the finished trainings.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

PRIOR_SPREAD = 2.0  # percent: standard deviation of final accuracies, while fewer than three are known
PRIOR_SLOPE = -0.8  # prior mean of the coefficient of the loss; loss and final accuracy standardised
PRIOR_COEFFICIENTS = (9.0, 0.25, 0.25)  # prior variances of intercept, loss and accuracy, in squared spreads
KNOWN = 1e-6  # of these, what is taken for known
PRIOR_NOISE = 0.6  # prior residual standard deviation, in spreads
PRIOR_COUNT = 3.0  # observations that the prior noise counts for
CLIP = 4.0  # standard deviations

Curve = Sequence[Mapping[str, Any]]


class LearningCurves:
    """The trainings of one search, finished and unfinished, epoch by epoch.

    Args:
        curves: the epochs of each training, ``{"val_acc", "train_loss", ...}``.
        epochs: of a finished one.
    """

    def __init__(self, curves: Sequence[Curve], epochs: int) -> None:
        self._epochs = epochs
        self._curves = curves
        self._ends = [float(c[-1]["val_acc"]) for c in curves if len(c) == epochs]
        self._spread = max(float(np.std(self._ends)), 0.1) if len(self._ends) > 2 else PRIOR_SPREAD
        self._fits: dict[int, _Fit] = {}

    def predict(self, curves: Sequence[Curve]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Final accuracies (n,) in percent and their variances (n,), 0 for finished trainings.

        Args:
            curves: n of them, each of one epoch or more.
        """
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
            ends[here], variances[here] = self._fits[epoch].predict([curves[i] for i in here.tolist()])
        return ends, variances

    def _centre(self) -> float:
        """Mean final accuracy; while no training is finished, the mean of the last accuracies."""
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
        prior_mean = np.array([centre, PRIOR_SLOPE * spread, 0.0])
        noise = prior_noise = (PRIOR_NOISE * spread) ** 2
        variances = np.array(PRIOR_COEFFICIENTS)
        if not whole:  # what is not known of the level is the same for all, and no noise between them
            variances[0] = KNOWN
        precision = np.diag(1 / variances / spread**2)
        for _ in range(3):  # fixed-point iteration of coefficients and noise
            posterior = precision + x.T @ x / noise
            self._weights = np.linalg.solve(posterior, precision @ prior_mean + x.T @ y / noise)
            squares = float(((y - x @ self._weights) ** 2).sum())
            noise = (squares + PRIOR_COUNT * prior_noise) / (len(y) + PRIOR_COUNT)
        self._covariance = np.linalg.inv(posterior)
        self._noise = noise

    def _rows(self, signals: NDArray[np.float64]) -> NDArray[np.float64]:
        z = (signals.reshape(-1, 2) - self._mean) / self._scale
        return np.column_stack([np.ones(len(z)), np.clip(z, -CLIP, CLIP)])

    def predict(self, curves: Sequence[Curve]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        rows = self._rows(np.array([_signals(c, self._epoch) for c in curves]))
        return rows @ self._weights, ((rows @ self._covariance) * rows).sum(1) + self._noise


def _signals(curve: Curve, epoch: int) -> tuple[float, float]:
    """(log training loss, accuracy) after an epoch; 0 for a task that reports no loss."""
    row = curve[epoch - 1]
    loss = row.get("train_loss")
    return (math.log(max(float(loss), 1e-6)) if loss is not None else 0.0), float(row["val_acc"])

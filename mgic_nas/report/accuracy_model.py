"""How well the search's own surrogate predicts the networks of a run: each from all the others."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..engine.surrogate.gaussian_process import GaussianProcess, TrainingData
from ..engine.surrogate.trial_features import features_of
from .data import Summary
from .ranks import spearman
from .thinning import evenly

MOST = 60  # networks that are left out in turn; each is a fit of its own


class LeftOneOut(NamedTuple):
    """``error`` and ``spread`` in points of accuracy; ``explained`` is the share of the variance, negative for worse
    than the mean; ``rank`` is Spearman's between predicted and true."""

    networks: int
    error: float
    spread: float
    explained: float
    rank: float | None


def left_one_out(summary: Summary) -> LeftOneOut | None:
    """Each network predicted from the others; None where the accuracies do not differ."""
    trials = list(evenly(summary.complete, MOST))
    features, groups = features_of(trials)
    accs = np.array([t.val_acc or 0.0 for t in trials])
    spread = float(np.std(accs))
    if not features.shape[1] or spread == 0:
        return None
    predicted = np.empty(len(trials))
    for left in range(len(trials)):
        others = np.arange(len(trials)) != left
        known = TrainingData(features[others], accs[others], np.zeros(others.sum()), groups)
        predicted[left] = GaussianProcess(known).predict(features[left : left + 1])[0][0]
    error = math.sqrt(float(np.mean((predicted - accs) ** 2)))
    explained = 1 - (error / spread) ** 2
    return LeftOneOut(len(trials), error, spread, explained, spearman(predicted.tolist(), accs.tolist()))

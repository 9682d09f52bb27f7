"""How well the search's own surrogate predicts the networks of a run: each from all the others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..engine.storage.trial import Trial
from ..engine.surrogate.gaussian_process import GaussianProcess, TrainingData
from .data import Summary, value_key
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
    features = _features(summary, trials)
    accs = np.array([t.val_acc or 0.0 for t in trials])
    spread = float(np.std(accs))
    if not features.shape[1] or spread == 0:
        return None
    predicted = np.empty(len(trials))
    for left in range(len(trials)):
        others = np.arange(len(trials)) != left
        known = TrainingData(features[others], accs[others], np.zeros(others.sum()))
        predicted[left] = GaussianProcess(known).predict(features[left : left + 1])[0][0]
    error = math.sqrt(float(np.mean((predicted - accs) ** 2)))
    explained = 1 - (error / spread) ** 2
    return LeftOneOut(len(trials), error, spread, explained, spearman(predicted.tolist(), accs.tolist()))


def _features(summary: Summary, trials: Sequence[Trial]) -> NDArray[np.float64]:
    """(n, d), each column within -1 .. 1: logarithms of the costs, numbers by their order, other values one by one."""
    columns: list[list[float]] = [
        [math.log(max(t.cost(kind), 1.0)) for t in trials]
        for kind in ("macs", "params", "activations")
        if all(t.cost(kind) > 0 for t in trials)
    ]
    for name, values in summary.parameters.items():
        keys = [value_key(v) for v in values]
        at = [keys.index(value_key(t.setting[name])) if name in t.setting else -1 for t in trials]
        if all(kind == "number" for kind, _ in keys):
            columns.append([float(i) for i in at])
        else:
            columns += [[float(i == j) for i in at] for j in range(len(keys))]
    table = np.array(columns).reshape(len(columns), len(trials)).T
    low, high = table.min(0), table.max(0)
    varied = high > low
    return np.asarray(2 * (table[:, varied] - low[varied]) / (high[varied] - low[varied]) - 1, dtype=np.float64)

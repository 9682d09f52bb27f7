"""Bounds on what a search can reach: the epochs that oracle samplers need.

One oracle knows the true accuracies. The others know less, and still more than any search can: the final accuracy of
every training of the replay, or what a model of the features predicts of an architecture from the true accuracies of
all others. The distance between these two and the first is due to the noise of single trainings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..engine.proposals.candidate import SearchProblem
from ..engine.proposals.pool import CandidatePool
from ..engine.surrogate.expected_gain import log_expected_gain
from ..engine.surrogate.gaussian_process import GaussianProcess, TrainingData
from ..pareto import non_dominated
from ..space.budget import Budget
from .replay import Truth, drawn

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

LARGE = 1_000
TRUTH, FORESIGHT, FEATURES = "knows the truth", "foresees every training", "knows what features tell"


def bounds(truth: Truth, shares: Sequence[float], seeds: int) -> dict[str, dict[float, float]]:
    """Name -> share of the hypervolume -> epochs, where seeds matter the median over them.

    All oracles train whole architectures only, the one with the largest expected gain next. In a table of more than
    :data:`LARGE` architectures only the first is asked: the others predict each from all others.
    """
    epochs = truth.table.config.epochs
    if len(truth.macs) > LARGE:
        return {TRUTH: {share: float(epochs * truth.fewest(share)) for share in shares}}
    expected = _by_the_others(truth)
    trainings = np.sum(~np.isnan(truth.final), axis=1)
    noise = truth.noise if math.isfinite(truth.noise) else 0.0
    luck = noise / float(trainings.mean())  # its variance in the mean over an architecture's trainings
    open_ = max(float(np.mean((truth.acc - expected) ** 2)), luck, 1e-6)
    trust = open_ / (open_ - luck + noise)  # the share of true variance in one training's deviation
    foreseen, told = [], []
    for seed in range(seeds):
        ends = truth.final[np.arange(len(expected)), drawn(truth, seed)]
        seen = expected + trust * (ends - expected)
        foreseen.append(_trainings(truth, seen, math.sqrt(open_ * (1 - trust)), seen, shares))
        told.append(_trainings(truth, expected, math.sqrt(open_), seen, shares))
    return {
        TRUTH: {share: float(epochs * truth.fewest(share)) for share in shares},
        FORESIGHT: {share: float(epochs * np.median([f[share] for f in foreseen])) for share in shares},
        FEATURES: {share: float(epochs * np.median([f[share] for f in told])) for share in shares},
    }


def _by_the_others(truth: Truth) -> Array:
    """Leave-one-out predictions (A,) of the true accuracies from the features."""
    config = truth.table.config
    everything = (Budget("macs", float(truth.macs.max())),)
    pool = CandidatePool(SearchProblem(truth.table.space, config.input_size, config.num_classes, everything))
    features = np.array([pool.describe(a.setting)[1] for a in truth.table.architectures])
    zeros = np.zeros(len(features))
    hyperparameters = GaussianProcess(TrainingData(features, truth.acc, zeros, pool.groups)).hyperparameters
    expected = []
    for row in range(len(features)):
        others = np.arange(len(features)) != row
        data = TrainingData(features[others], truth.acc[others], zeros[others], pool.groups)
        model = GaussianProcess(data, hyperparameters)
        expected.append(float(model.predict(features[row : row + 1])[0][0]))
    return np.array(expected)


def _trainings(
    truth: Truth, predicted: Array, deviation: float, seen: Array, shares: Sequence[float]
) -> dict[float, int]:
    """Share -> trainings until it is found.

    Args:
        truth: of the table.
        predicted, deviation: accuracies (A,) before an architecture is trained, and their standard deviation.
        seen: accuracies (A,) after it.
        shares: of the hypervolume.
    """
    chosen: list[int] = []
    found: dict[float, int] = {}
    deviations = np.full(len(predicted), max(deviation, 1e-3))
    while len(found) < len(shares):
        front = np.array(chosen, dtype=int)[np.flatnonzero(non_dominated(seen[chosen], truth.macs[chosen]))]
        front = front[np.argsort(truth.macs[front])]
        left = np.setdiff1d(np.arange(len(predicted)), chosen)
        steps = truth.macs[front], seen[front]
        gains = log_expected_gain(truth.macs[left], predicted[left], deviations[left], steps, truth.reference)
        chosen.append(int(left[np.argmax(gains)]))
        share = truth.hypervolume(chosen) / truth.best
        found.update({s: len(chosen) for s in shares if s not in found and share >= s - 1e-12})
    return found

"""What samplers that are told beforehand what a search has to find out would need: how much there is to gain at all.

One knows the true accuracies. The others know less, and still more than any search can: with which accuracy every
training of the replay will end, or what the features of an architecture say of it once all the others are known. How
far these two are from the first is what luck of the trainings has to do with who is on the true front.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..engine.proposals.candidate import SearchProblem
from ..engine.proposals.pool import CandidatePool
from ..engine.surrogate.expected_gain import expected_gain
from ..engine.surrogate.gaussian_process import Surrogate, TrainingData
from ..pareto import non_dominated
from .replay import Truth, drawn

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

TRUTH, FORESIGHT, FEATURES = "knows the truth", "foresees every training", "knows what features tell"


def bounds(truth: Truth, shares: Sequence[float], seeds: int) -> dict[str, dict[float, float]]:
    """Name -> share of the hypervolume -> epochs, the median over seeds where those matter.

    All train whole architectures only, the one with the largest expected gain next.
    """
    epochs = truth.table.config.epochs
    expected = _by_the_others(truth)
    trainings = np.sum(~np.isnan(truth.final), axis=1)
    noise = truth.noise if math.isfinite(truth.noise) else 0.0
    luck = noise / float(trainings.mean())  # what of it is left in the mean over an architecture's trainings
    open_ = max(float(np.mean((truth.acc - expected) ** 2)), luck, 1e-6)
    trust = open_ / (open_ - luck + noise)  # how much of what one training shows is true
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
    """What the features of each architecture say of it, once the true accuracies of all others are known."""
    config = truth.table.config
    task = SearchProblem(truth.table.space, config.input_size, config.num_classes)
    pool = CandidatePool(task, {"macs": float(truth.macs.max())})
    features = np.array([pool.describe(a.setting)[1] for a in truth.table.architectures])
    zeros = np.zeros(len(features))
    settled = Surrogate(TrainingData(features, truth.acc, zeros)).settled
    expected = []
    for row in range(len(features)):
        others = np.arange(len(features)) != row
        model = Surrogate(TrainingData(features[others], truth.acc[others], zeros[others]), settled)
        expected.append(float(model.predict(features[row : row + 1])[0][0]))
    return np.array(expected)


def _trainings(
    truth: Truth, believed: Array, deviation: float, seen: Array, shares: Sequence[float]
) -> dict[float, int]:
    """Share -> trainings until it is found.

    ``believed`` before an architecture is trained, with its standard deviation; ``seen`` after it.
    """
    chosen: list[int] = []
    found: dict[float, int] = {}
    deviations = np.full(len(believed), max(deviation, 1e-3))
    while len(found) < len(shares):
        front = np.array(chosen, dtype=int)[np.flatnonzero(non_dominated(seen[chosen], truth.macs[chosen]))]
        front = front[np.argsort(truth.macs[front])]
        gains = expected_gain(truth.macs, believed, deviations, (truth.macs[front], seen[front]), truth.reference)
        gains[chosen] = -1.0
        chosen.append(int(np.argmax(gains)))
        share = truth.hypervolume(chosen) / truth.best
        found.update({s: len(chosen) for s in shares if s not in found and share >= s - 1e-12})
    return found

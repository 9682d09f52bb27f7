"""What samplers that are told beforehand what a search has to find out would need: how much there is to gain at all.

One knows the true accuracies. The others know less, and still more than any search can: the accuracy with which every
training of the replay ends, or what the architectures' features tell once every training of the table is known. Where
the last two need many trainings, much of the true front is luck of the trainings that made the table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..engine.filters import Task
from ..engine.pool import CandidatePool
from ..engine.replay import Truth, drawn
from ..engine.surrogate import Observations, Surrogate, expected_gain
from ..pareto import non_dominated

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

TRUTH, FORESIGHT, FEATURES = "knows the truth", "foresees every training", "knows what features tell"


def bounds(truth: Truth, shares: Sequence[float], seeds: int) -> dict[str, dict[float, float]]:
    """Name -> share of the hypervolume -> epochs, the median over seeds where those matter."""
    epochs = truth.table.config.epochs
    features = _features(truth)
    rows, columns = np.nonzero(~np.isnan(truth.final))
    model = Surrogate(Observations(features[rows], truth.final[rows, columns], np.zeros(len(rows))))
    expected = model.predict(features)[0]
    trainings = max(1, truth.table.seeds)
    noise = model.noise  # were it luck alone, the mean over the table's trainings would have a part of it
    told = _trainings(truth, expected, math.sqrt(noise / trainings), shares)
    foreseen = []
    for seed in range(seeds):
        ends = truth.final[np.arange(len(expected)), drawn(truth, seed)]
        believed = expected + (ends - expected) / trainings
        left = noise / trainings * (1 - 1 / trainings)
        foreseen.append(_trainings(truth, believed, math.sqrt(left), shares))
    return {
        TRUTH: {share: float(epochs * truth.fewest(share)) for share in shares},
        FORESIGHT: {share: float(epochs * np.median([f[share] for f in foreseen])) for share in shares},
        FEATURES: {share: float(epochs * told[share]) for share in shares},
    }


def _features(truth: Truth) -> Array:
    config = truth.table.config
    task = Task(truth.table.space, config.input_size, config.num_classes)
    pool = CandidatePool(task, {"macs": float(truth.macs.max())})
    return np.array([pool.describe(a.setting)[1] for a in truth.table.architectures])


def _trainings(truth: Truth, believed: Array, deviation: float, shares: Sequence[float]) -> dict[float, int]:
    """Share -> trainings until it is found, where the next is always the one with the largest expected gain."""
    chosen: list[int] = []
    found: dict[float, int] = {}
    worst = truth.reference[0], truth.reference[1]
    deviations = np.full(len(believed), max(deviation, 1e-6))
    while len(found) < len(shares):
        front = np.array(chosen, dtype=int)[np.flatnonzero(non_dominated(believed[chosen], truth.macs[chosen]))]
        front = front[np.argsort(truth.macs[front])]
        gains = expected_gain(truth.macs, believed, deviations, (truth.macs[front], believed[front]), worst)
        gains[chosen] = -1.0
        chosen.append(int(np.argmax(gains)))
        share = truth.hypervolume(chosen) / truth.best
        found.update({s: len(chosen) for s in shares if s not in found and share >= s - 1e-12})
    return found

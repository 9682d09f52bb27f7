"""What further trainings are expected to buy: by how much the front rises, and the winners within budgets.

The most promising untried architectures are taken to be trained; their accuracies are drawn from the model, and the
front is measured with them and without. What several of them would gain alike is so counted once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from .gaussian_process import GaussianProcess, TrainingData, one_thread

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

DRAWS = 64
FLOOR = 10  # percentile of the accuracies, below which a front counts for nothing


@dataclass(frozen=True)
class Forecast:
    """What some further trainings are expected to add.

    Attributes:
        trainings: how many.
        lift: of the front, points of accuracy, mean over the range of log MACs.
        winners: by how many points the winner within each limit on MACs rises, in their order.
        middle: the MACs that half of the lift is below; None where nothing is left to be gained.
    """

    trainings: int
    lift: float
    winners: tuple[float, ...]
    middle: float | None

    @property
    def most(self) -> float:
        """The larger of the front's lift and the winners' mean one."""
        return max([self.lift, float(np.mean(self.winners)) if self.winners else 0.0])


@dataclass(frozen=True)
class Known:
    """n complete trials: their accuracies in percent and the variance of their luck (n,), MACs (n,), features (n, d)."""

    accs: Array
    luck: Array
    macs: Array
    features: Array


@one_thread()
def forecast(
    known: Known, macs: Array, features: Array, trainings: int, limits: Sequence[float] = (), seed: int = 0
) -> Forecast:
    """What so many further trainings are expected to add.

    Args:
        known: what is trained, one at least.
        macs, features: (m,) and (m, d) of the untried architectures.
        trainings: how many of them would be trained.
        limits: on MACs, of budgets.
        seed: of the draws.
    """
    model = GaussianProcess(TrainingData(known.features, known.accs, known.luck))
    held, _ = model.predict(known.features)
    held = held + model.noise / np.maximum(model.noise + known.luck, 1e-9) * (known.accs - held)
    low, high = (f([f(x) for x in (known.macs, macs) if len(x)]) for f in (min, max))
    if not len(macs) or trainings < 1 or not high > low:
        return Forecast(trainings, 0.0, (0.0,) * len(limits), None)
    edges = np.geomspace(low, high, 201)[1:]  # where the front is looked at
    floor = float(np.percentile(held, FLOOR))
    front = _best_within(known.macs, held, edges, floor)
    mean, deviation = model.predict(features)
    deviation = np.sqrt(deviation**2 + model.noise)
    chosen = _promising(macs, mean, deviation, edges, front, trainings)
    rng = np.random.default_rng(seed)
    draws = mean[chosen, None] + deviation[chosen, None] * rng.standard_normal((len(chosen), DRAWS))
    rises = np.array([np.maximum(_best_within(macs[chosen], d, edges, floor) - front, 0) for d in draws.T]).mean(0)
    before = [_best_within(known.macs, held, np.array([limit]), floor)[0] for limit in limits]
    winners = [
        float(np.mean([max(_best_within(macs[chosen], d, np.array([limit]), floor)[0] - b, 0.0) for d in draws.T]))
        for limit, b in zip(limits, before, strict=True)
    ]
    total = rises.sum()
    middle = float(edges[int(np.searchsorted(rises.cumsum(), total / 2))]) if total > 0 else None
    return Forecast(trainings, float(rises.mean()), tuple(winners), middle)


def _best_within(macs: Array, accs: Array, edges: Array, floor: float) -> Array:
    """(e,), the highest accuracy within each of some ascending limits on MACs; ``floor`` where there is none."""
    order = np.argsort(macs, kind="stable")
    highest = np.concatenate([[floor], np.maximum(np.maximum.accumulate(accs[order]), floor)])
    return highest[np.searchsorted(macs[order], edges, side="right")]


def _promising(macs: Array, mean: Array, deviation: Array, edges: Array, front: Array, count: int) -> NDArray[np.int_]:
    """Positions of the largest expected improvements of the front from their MACs on."""
    z = torch.from_numpy((mean[:, None] - front[None]) / deviation[:, None])
    density = torch.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    gains = torch.from_numpy(deviation)[:, None] * (density + z * torch.special.ndtr(z))
    gains = gains * torch.from_numpy(edges[None] >= macs[:, None])
    return np.argsort(-gains.mean(1).numpy(), kind="stable")[:count]

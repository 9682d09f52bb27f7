"""What a network would score if it were trained again: the posterior of its accuracy given those of all networks.

The highest of many measured accuracies owes a part of its height to luck. A Gaussian process over costs and parameters
(fitted to the run's own trials, whatever sampler proposed them) says what others like it reached, and so how much.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from ..storage.trial import COMPLETE
from .expected_gain import ARCHITECTURE_SHARE
from .gaussian_process import GaussianProcess, TrainingData, one_thread
from .trial_features import features_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..storage.trial import Trial

    Array = NDArray[np.float64]

LEAST = 8  # networks from which a model is fitted
CONTENDERS = 200  # of which the probability to be the best is worked out; beyond them it is 0 to three digits
QUANTILES = 64  # of each one's distribution, over which that probability is a mean
SURE = 16  # networks from which a model may give up the weights of one
KEPT = 1.0  # standard deviations that a network may turn out better than expected, for its weights to be kept
CHUNK = 256  # rows of a comparison of all with all
MIN_VARIANCE = 1e-6  # percent squared


class Expected(NamedTuple):
    """A network's accuracy in percent, and the standard deviation of what is not known about it."""

    acc: float
    sd: float


def expect(trials: Iterable[Trial], val_items: int | None) -> dict[int, Expected]:
    """Number -> what is expected of a complete trial; nothing where no model can be fitted.

    Fewer than :data:`LEAST` are not modelled, nor such as have one accuracy all, or do not differ in any feature.

    Args:
        trials: of a run, in any state.
        val_items: how many inputs each accuracy is the share of right answers on: its luck is the binomial variance.
            None where the score is no such share: half of what features do not explain is taken for luck.
    """
    complete = sorted((t for t in trials if t.state == COMPLETE and t.val_acc is not None), key=lambda t: t.number)
    if len(complete) < LEAST:
        return {}
    accs = np.array([t.val_acc for t in complete], dtype=float)
    features, groups = features_of(complete)
    if not features.shape[1] or not np.ptp(accs) > 0:
        return {}
    known = _binomial(accs, val_items) if val_items else np.zeros(len(accs))
    model = GaussianProcess(TrainingData(features, accs, known, groups))
    mean, deviation = model.predict(features)
    own = np.full(len(accs), model.noise if val_items else ARCHITECTURE_SHARE * model.noise)
    luck = known if val_items else np.full(len(accs), (1 - ARCHITECTURE_SHARE) * model.noise)
    # Of the rest that features leave, its own training tells the architecture's part from luck.
    trust = own / np.maximum(own + luck, MIN_VARIANCE)
    variance = np.maximum((1 - trust) ** 2 * deviation**2 + trust * luck, MIN_VARIANCE)
    mean = mean + trust * (accs - mean)
    return {
        trial.number: Expected(float(m), float(s))
        for trial, m, s in zip(complete, mean, np.sqrt(variance), strict=True)
    }


def _binomial(accs: Array, items: int) -> Array:
    """The variance (n,) of shares of right answers, percent squared; not zero where all or none are right."""
    share = (np.clip(accs, 0, 100) / 100 * items + 1) / (items + 2)
    return np.asarray(1e4 * share * (1 - share) / items, dtype=np.float64)


@one_thread()
def probability_best(expected: Sequence[Expected]) -> list[float]:
    """Of each network, the probability that it is the best of them; errors are taken to be independent."""
    mean, sd = (np.array([getattr(e, name) for e in expected], dtype=float) for name in ("acc", "sd"))
    found = np.zeros(len(mean))
    order = np.argsort(-(mean + 4 * sd), kind="stable")[:CONTENDERS]
    m, s = torch.from_numpy(mean[order]), torch.from_numpy(sd[order])
    quantiles = torch.special.ndtri((torch.arange(QUANTILES, dtype=torch.double) + 0.5) / QUANTILES)
    for position, at in enumerate(order.tolist()):
        values = m[position] + s[position] * quantiles
        below = torch.special.log_ndtr((values[:, None] - m) / s)
        below[:, position] = 0.0
        found[at] = float(below.sum(1).exp().mean())
    total = found.sum()
    return [float(p) for p in (found / total if total > 0 else found)]


def may_win(expected: Mapping[int, Expected], costs: Mapping[int, Sequence[float]]) -> set[int]:
    """The networks that are the best by their expected accuracies within some limits, or may turn out to be.

    That is all of which no other, as cheap in everything, is expected to be better than :data:`KEPT` standard
    deviations above what is expected of them.

    Args:
        expected: by number.
        costs: by number, of each (k,); NaN is taken for the largest.
    """
    numbers = [number for number in expected if number in costs]
    if not numbers:
        return set()
    mean = np.array([expected[n].acc for n in numbers])
    highest = mean + KEPT * np.array([expected[n].sd for n in numbers])
    table = np.nan_to_num(np.array([costs[n] for n in numbers], dtype=float), nan=np.inf, posinf=np.inf)
    found: set[int] = set()
    for start in range(0, len(numbers), CHUNK):
        part = slice(start, start + CHUNK)
        cheaper = (table[None] <= table[part, None]).all(axis=2)
        beaten = (cheaper & (mean[None] > highest[part, None])).any(axis=1)
        found |= {n for n, lost in zip(numbers[part], beaten, strict=True) if not lost}
    return found

"""What further trainings are expected to buy: by how much the front rises, and the winners within budgets.

The front rises with the logarithm of the number of trainings, as records among random draws do: what the second half of
the trainings added, another doubling adds again. What they added is measured on expected accuracies, all given
everything that is known now: the luck of single trainings would make a front rise for ever. A model's own expected
improvements, summed, are 3 to 30 times too large (``python -m mgic_nas.experiments.stopping`` has both).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..storage.trial import COMPLETE
from .expectation import LEAST, expect

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...space.budget import Budget
    from ..storage.trial import Trial

    Array = NDArray[np.float64]

FEWEST = 2 * LEAST  # complete trials from which anything is expected: half of them have to make a front
FLOOR = 10  # percentile of the accuracies, below which a front counts for nothing
PLACES = 200  # MACs at which a front is looked at
MOSTLY = 2 / 3  # share of what is gained


@dataclass(frozen=True)
class Forecast:
    """What some further trainings are expected to add, in points of accuracy.

    Attributes:
        trainings: how many.
        lift: of the front, the mean over the range of log MACs.
        winners: budget label -> of the winner within it.
        below, above: MACs below, above which most of the front's lift is; None where it is not on one side.
    """

    trainings: int
    lift: float
    winners: dict[str, float]
    below: float | None = None
    above: float | None = None

    @property
    def worth(self) -> float:
        """The larger of the front's lift and the mean of the winners'."""
        return max(self.lift, sum(self.winners.values()) / len(self.winners) if self.winners else 0.0)


def forecast(
    trials: Sequence[Trial], budgets: Sequence[Budget], val_items: int | None, trainings: int
) -> Forecast | None:
    """What so many further trainings are expected to add; None where too few trials are complete to say.

    Args:
        trials: of a run, in any state; those that are complete count, in the order of their numbers.
        budgets: of the run.
        val_items: as for :func:`.expectation.expect`.
        trainings: 1 or more.
    """
    complete = sorted((t for t in trials if t.state == COMPLETE and t.val_acc is not None), key=lambda t: t.number)
    if len(complete) < FEWEST:
        return None
    expected = expect(complete, val_items)
    accs = np.array([expected[t.number].acc if expected else t.val_acc for t in complete], dtype=float)
    half = len(complete) // 2
    rate = math.log((len(complete) + trainings) / len(complete)) / math.log(len(complete) / half)
    floor = float(np.percentile(accs, FLOOR))

    def rise(kind: str, limits: Array) -> Array:
        """By how much the best within each limit is better than it was after half of the trainings."""
        costs = np.nan_to_num([t.cost(kind) for t in complete], nan=np.inf)
        return _best_within(costs, accs, limits, floor) - _best_within(costs[:half], accs[:half], limits, floor)

    macs = [t.cost("macs") for t in complete if t.cost("macs") > 0]
    places = np.geomspace(min(macs), max(macs), PLACES) if macs else np.ones(1)
    lifts = rise("macs", places)
    winners = {b.label: rate * float(rise(b.kind, np.array([b.limit]))[0]) for b in budgets}
    return Forecast(trainings, rate * float(lifts.mean()), winners, *_sides(places, lifts))


def _best_within(costs: Array, accs: Array, limits: Array, floor: float) -> Array:
    """(l,), the highest accuracy within each limit, ``floor`` at least."""
    order = np.argsort(costs, kind="stable")
    highest = np.concatenate([[floor], np.maximum(np.maximum.accumulate(accs[order]), floor)])
    return np.asarray(highest[np.searchsorted(costs[order], limits, side="right")], dtype=np.float64)


def _sides(places: Array, lifts: Array) -> tuple[float | None, float | None]:
    """The MACs below, above which most of the lift is, where that is half of the range of log MACs or less."""
    total = lifts.sum()
    if not total > 0:
        return None, None
    shares = lifts.cumsum() / total
    low, high = int(np.searchsorted(shares, MOSTLY)), int(np.searchsorted(shares, 1 - MOSTLY))
    middle = len(places) // 2
    return (float(places[low]), None) if low <= middle else (None, float(places[high]) if high >= middle else None)

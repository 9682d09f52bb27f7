"""Latencies predicted from the times of a network's rows, as in the look-up tables of ProxylessNAS and FBNet.

A network takes about as long as its rows (and what follows them) take one after the other. What is systematic in the
difference (each part was timed in a call of its own, and is in the cache of the processor when it is) is fitted on a
few networks that were measured whole; how good that is, others say that were measured and not fitted on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ...families.rows import RowFamily
from ...models.parts import Part, parts_of, stage_parts, tail_part
from ...models.rows import CACHED_STAGES, Rows, Stage

Config = Mapping[str, Any]
LEAST_SECONDS = 1e-7  # of a prediction: a line through slow networks may be below zero for the fastest


class Measured(NamedTuple):
    """A network that was measured whole."""

    config: Config
    seconds: float


@dataclass(frozen=True)
class Accuracy:
    """How far predictions are from measurements, of networks that were not fitted on.

    Attributes:
        median, ninety: the median and the 90 % quantile of the relative error.
        rank: Spearman's rank correlation; NaN where all of them take the same time.
        fitted, held_out: how many networks were fitted on, and how many others this is of.
    """

    median: float
    ninety: float
    rank: float
    fitted: int
    held_out: int

    def __str__(self) -> str:
        return (
            f"median error {100 * self.median:.1f} %, 90 % within {100 * self.ninety:.1f} %, rank correlation "
            f"{self.rank:.3f} on {self.held_out} networks that were measured, after a fit on {self.fitted} others"
        )


class Network(NamedTuple):
    """What networks are made of: a family's rows at an input size."""

    family: RowFamily
    input_size: tuple[int, int, int]
    num_classes: int

    def rows(self, config: Config) -> Rows:
        return self.family.rows(config, self.input_size[0])

    def parts(self, config: Config) -> tuple[Part, ...]:
        return parts_of(self.rows(config), self.input_size, self.num_classes)


class Predictor:
    """Seconds of networks whose parts were all timed.

    Args:
        network: what they are made of.
        times: part -> seconds.
        fitted: three networks or more, of which overhead and scale are fitted.
        held_out: others, that say how good it is.

    Attributes:
        accuracy: see :class:`Accuracy`.
        fastest: seconds, of all networks that were measured for it.
    """

    def __init__(
        self, network: Network, times: Mapping[Part, float], fitted: Sequence[Measured], held_out: Sequence[Measured]
    ) -> None:
        self._network = network
        self._times = times
        self._stage = lru_cache(maxsize=CACHED_STAGES)(self._stage_time)
        known = np.array([one.seconds for one in fitted])
        rows = np.array([self._features(one.config) for one in fitted])
        # Least squares of the relative errors: budgets are as often on the fast networks as on the slow ones.
        self._weights = np.linalg.lstsq(rows / known[:, None], np.ones(len(known)), rcond=None)[0]
        measured = np.array([one.seconds for one in held_out])
        predicted = np.array([self.seconds(one.config) for one in held_out], dtype=float)
        errors = np.abs(predicted / measured - 1)
        self.accuracy = Accuracy(
            median=float(np.median(errors)),
            ninety=float(np.quantile(errors, 0.9)),
            rank=_rank_correlation(predicted, measured),
            fitted=len(fitted),
            held_out=len(held_out),
        )
        self.fastest = float(min(known.min(), measured.min()))

    def seconds(self, config: Config) -> float | None:
        """Of a network; None where one of its parts was not timed."""
        features = self._features(config)
        return None if features is None else max(LEAST_SECONDS, float(np.dot(self._weights, features)))

    def threshold(self, limit: float) -> float:
        """The prediction above which a network is taken to be over a limit: by more than 90 % of the errors."""
        return limit * (1 + self.accuracy.ninety)

    def _features(self, config: Config) -> tuple[float, float, int] | None:
        """(1, sum of the times, number of parts); None where a part was not timed."""
        rows = self._network.rows(config)
        _, height, width = self._network.input_size
        total, number = 0.0, 1
        for stage in (rows.stem, *rows.stages):
            seconds, parts, height, width = self._stage(stage, height, width)
            total, number = total + seconds, number + parts
        total += self._times.get(tail_part(rows, height, width, self._network.num_classes), np.nan)
        return None if np.isnan(total) else (1.0, total, number)

    def _stage_time(self, stage: Stage, height: int, width: int) -> tuple[float, int, int, int]:
        """(seconds, parts, height and width after it); NaN seconds where a part was not timed."""
        parts, *after = stage_parts(stage, height, width)
        return sum(self._times.get(part, np.nan) for part in parts), len(parts), after[0], after[1]


def _rank_correlation(predicted: Any, measured: Any) -> float:
    import pandas as pd  # of the extra "search", as everything that searches

    table = pd.DataFrame({"predicted": predicted, "measured": measured})
    return float(table.corr(method="spearman").to_numpy()[0, 1])

"""What a space holds, before anything is trained: how large, how costly, and whether the budgets can be met."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..cost import Cost
from .budget import COUNTS, Budget, hard_limits, parse_budgets, within
from .conditions import Scalar, Values
from .feasible import descend, overshoot
from .survey_result import Example, Fit, Spread, Survey

if TYPE_CHECKING:
    from .parameters import InputSize
    from .search_space import SearchSpace

_SAMPLES = 20_000
_MOST_DRAWS = 500_000  # where few settings meet ``where``
_STARTS = 3  # of the descents


def survey(
    space: SearchSpace,
    input_size: Sequence[int],
    num_classes: int,
    budgets: Iterable[str | float | Budget] = (),
    *,
    samples: int = _SAMPLES,
    seed: int = 0,
) -> Survey:
    """Looks at a space: exactly up to a million settings, else by random settings and coordinate descent.

    Args:
        space: what is searched.
        input_size: (C, H, W) of an image; costs mean nothing without it.
        num_classes: of the classifier.
        budgets: as :func:`parse_budget` takes them.
        samples: random settings for a space that is too large to enumerate.
        seed: of these.

    Raises:
        UserError: a budget that is none, or a setting that the model refuses.
    """
    channels, height, width = input_size
    look = _Exact if space.enumerable else _Sampled
    return look(space, (channels, height, width), num_classes, samples, seed).survey(parse_budgets(budgets))


class _Looker:
    """What both ways of looking share."""

    exact: bool
    allowed: int
    distinct: int
    samples = 0

    def __init__(self, space: SearchSpace, size: InputSize, num_classes: int, samples: int, seed: int) -> None:
        self.space = space
        self.size = size
        self.num_classes = num_classes
        self.prepare(samples, random.Random(seed))

    def prepare(self, samples: int, rng: random.Random) -> None:
        raise NotImplementedError

    def spreads(self) -> dict[str, Spread]:
        raise NotImplementedError

    def fit(self, budgets: tuple[Budget, ...]) -> Fit:
        raise NotImplementedError

    def survey(self, budgets: tuple[Budget, ...]) -> Survey:
        limits = hard_limits(budgets)
        largest = tuple(b for b in budgets if b.kind in COUNTS and b.limit == limits[b.kind])
        fits = tuple(Fit((b,), "measured") if b.kind == "latency" else self.fit((b,)) for b in budgets)
        alone = {fit.budgets[0] for fit in fits if fit.verdict == "fits"}
        return Survey(
            space=self.space.source,
            model=self.space.model,
            input_size=self.size,
            num_classes=self.num_classes,
            settings=self.space.size,
            exact=self.exact,
            samples=self.samples,
            allowed=self.allowed,
            distinct=self.distinct,
            costs=self.spreads(),
            budgets=fits,
            together=self.fit(largest) if len(largest) > 1 and alone.issuperset(largest) else None,
        )

    def cost(self, values: Values) -> Cost:
        return self.space._cost(values, self.size, self.num_classes)

    def example(self, values: Values) -> Example:
        setting = dict(zip(self.space.names, values))
        line = self.space.create_model_line(setting, self.num_classes, self.size[0])
        return Example(setting, self.space._arch_id(values), self.cost(values), line)


class _Exact(_Looker):
    exact = True

    def prepare(self, samples: int, rng: random.Random) -> None:
        self.enumeration = self.space._enumeration()
        self.allowed = self.enumeration.allowed
        self.distinct = len(self.enumeration.first)
        self.costs = self.enumeration.costs(self.size, self.num_classes)

    def spreads(self) -> dict[str, Spread]:
        return {kind: _spread(costs) for kind, costs in self.costs.items()}

    def fit(self, budgets: tuple[Budget, ...]) -> Fit:
        excess = np.max([self.costs[b.kind] / b.limit for b in budgets], axis=0)
        fits = int((excess <= 1).sum())
        if fits:
            return Fit(budgets, "fits", fits, fits / self.distinct)
        nearest = self.space._at(int(self.enumeration.first[excess.argmin()]))
        return Fit(budgets, "cannot be met", 0, 0.0, nearest=self.example(nearest))


class _Sampled(_Looker):
    exact = False

    def prepare(self, samples: int, rng: random.Random) -> None:
        self.values: list[tuple[Scalar, ...]] = []
        draws = 0
        while len(self.values) < samples and draws < _MOST_DRAWS:
            values = self.space._at(rng.randrange(self.space.size))
            draws += 1
            if self.space._allows(values):
                self.values.append(values)
        if not self.values:  # the space itself says so, or finds one yet
            self.values.append(self.space._sample(rng))
        self.samples = len(self.values)
        self.allowed = round(self.space.size * self.samples / max(draws, self.samples))
        self.distinct = len({self.space._canonical(values) for values in self.values})
        table = [[getattr(self.cost(values), kind) for kind in COUNTS] for values in self.values]
        self.costs = dict(zip(COUNTS, np.array(table, dtype=np.int64).T))

    def spreads(self) -> dict[str, Spread]:
        spreads = {}
        for kind, costs in self.costs.items():
            low = self.extreme(kind, 1)
            high = self.extreme(kind, -1)
            spreads[kind] = Spread(low, float(np.median(costs)), high)
        return spreads

    def extreme(self, kind: str, sign: int) -> int:
        """The smallest cost (``sign`` 1) or the largest (-1) that descents from the best samples reach."""
        starts = np.argsort(sign * self.costs[kind])[:_STARTS]
        scores = [
            descend(self.space, self.values[i], lambda v: sign * float(getattr(self.cost(v), kind)))[1] for i in starts
        ]
        return int(sign * min(scores))

    def fit(self, budgets: tuple[Budget, ...]) -> Fit:
        limits = {b.kind: b.limit for b in budgets}
        excess = np.max([self.costs[b.kind] / b.limit for b in budgets], axis=0)
        share = float((excess <= 1).mean())
        error = math.sqrt(share * (1 - share) / self.samples)
        if share:
            return Fit(budgets, "fits", None, share, error)
        # From the samples that miss least, until one fits or nothing gets better.
        ends = [
            descend(self.space, self.values[i], lambda v: overshoot(self.cost(v), limits), enough=0.0)
            for i in np.argsort(excess)[:_STARTS]
        ]
        nearest = min(ends, key=lambda end: end[1])[0]
        verdict = "fits" if within(self.cost(nearest), limits) else "none found (sampled)"
        return Fit(budgets, verdict, None, 0.0, None, self.example(nearest))


def _spread(costs: NDArray[np.int64]) -> Spread:
    return Spread(int(costs.min()), float(np.median(costs)), int(costs.max()))

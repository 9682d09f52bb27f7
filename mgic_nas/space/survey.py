"""Statistics of a space before anything is trained: its size, its costs, and whether the budgets can be met."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice

import numpy as np

from ..cost.runtimes.kinds import is_latency
from ..errors import UserError
from .budget import COUNTS, Budget, hard_limits, parse_budgets, within
from .conditions import Values
from .feasible import Counts, FeasibleSet, descend, overshoot
from .search_space import SearchSpace
from .survey_result import Example, Fit, Spread, Survey
from .thresholds import OVERVIEW_SAMPLES, SURVEY_DRAWS, SURVEY_SAMPLES

USUAL_SIDES = (192, 160, 128, 96, 64, 48, 32, 24, 16)  # of input images, in pixels
_STARTS = 3  # of the descents


def survey(
    space: SearchSpace,
    input_size: Sequence[int],
    num_classes: int,
    budgets: Iterable[str | float | Budget] = (),
    *,
    measured: Mapping[str, Mapping[str, float]] | None = None,
    samples: int = SURVEY_SAMPLES,
    seed: int = 0,
) -> Survey:
    """Surveys a space: exactly up to a million settings, else by random settings and coordinate descent.

    Args:
        space: what is searched.
        input_size: (C, H, W) of an image; costs mean nothing without it.
        num_classes: of the classifier.
        budgets: as :func:`parse_budget` takes them.
        measured: kind of latency -> arch_id -> seconds, of those that a csv has measurements of.
        samples: number of random settings, of a space that is too large to enumerate.
        seed: of these.

    Raises:
        UserError: a budget that is none, a setting that the model refuses, or a csv that measures no network of an
            exact space.
    """
    feasible = FeasibleSet(space, input_size, num_classes)
    look = _Exact(space, feasible) if feasible.exact else _Sampled(space, feasible, samples, random.Random(seed))
    for kind, seconds in (measured or {}).items():
        look.measure(kind, seconds)
    return look.survey(parse_budgets(budgets))


def overview(
    space: SearchSpace,
    input_size: Sequence[int],
    num_classes: int,
    budgets: tuple[Budget, ...],
    measured: Mapping[str, Mapping[str, float]] | None = None,
) -> Survey:
    """A survey that takes no more than a second or two: of random settings where enumerating would take longer."""
    feasible = FeasibleSet(space, input_size, num_classes)
    small = feasible.small
    look = _Exact(space, feasible) if small else _Sampled(space, feasible, OVERVIEW_SAMPLES, random.Random(0))
    for kind, seconds in (measured or {}).items():
        look.measure(kind, seconds)
    return look.survey(budgets)


def impossible(space: SearchSpace, input_size: Sequence[int], num_classes: int, budgets: tuple[Budget, ...]) -> str:
    """One line that names the nearest network, where some budget cannot be met or no network for it is found."""
    feasible = FeasibleSet(space, input_size, num_classes)
    # A survey of a million settings takes most of a minute; that something fits usually shows at once.
    if not feasible.small and feasible.surely_meets(budgets):
        return ""
    return next(iter(survey(space, input_size, num_classes, budgets).problems), "")


def largest_side(
    space: SearchSpace, input_size: Sequence[int], num_classes: int, budgets: tuple[Budget, ...]
) -> int | None:
    """The largest usual side of a square image, below the present one, at which every budget can be met."""
    channels, *sides = input_size
    for side in (s for s in USUAL_SIDES if s < max(sides)):
        try:
            found = overview(space, (channels, side, side), num_classes, budgets)
        except UserError:  # too small for the model
            return None
        if not found.problems:
            return side
    return None


class _Looker:
    """What both ways of surveying share.

    Attributes:
        costs: kind -> int64 (n,), of the distinct architectures or of the samples.
        allowed, distinct, samples: as :class:`Survey` has them.
        measured: kind of latency -> float64 (m,), seconds of the networks that a csv has measurements of.
    """

    costs: dict[str, Counts]
    allowed: int
    distinct: int
    samples = 0

    def __init__(self, space: SearchSpace, feasible: FeasibleSet) -> None:
        self.space = space
        self.feasible = feasible
        self.measured: dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]] = {}

    def measure(self, kind: str, seconds: Mapping[str, float]) -> None:
        """A latency as a cost, from arch_id -> seconds."""
        self.measured[kind] = np.array(list(seconds.values()))

    def spreads(self) -> dict[str, Spread]:
        return {kind: Spread(int(c.min()), float(np.median(c)), int(c.max())) for kind, c in self.costs.items()}

    def listed(self, budget: Budget) -> Fit:
        """Of the networks that a csv has measurements of."""
        seconds = self.measured[budget.kind]
        fits = int((seconds <= budget.limit).sum())
        return Fit((budget,), "fits" if fits else "none measured", fits, fits / len(seconds), measured=len(seconds))

    def fit(self, budgets: tuple[Budget, ...]) -> Fit:
        raise NotImplementedError

    def excess(self, budgets: tuple[Budget, ...]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """float64 (n,), each cost over its limit, of the budget that is exceeded most; at most 1 where all fit."""
        return np.max([self.costs[b.kind] / b.limit for b in budgets], axis=0)

    def survey(self, budgets: tuple[Budget, ...]) -> Survey:
        limits = hard_limits(budgets)
        largest = tuple(b for b in budgets if b.kind in COUNTS and b.limit == limits[b.kind])
        fits = tuple(self.one(b) for b in budgets)
        alone = {fit.budgets[0] for fit in fits if fit.verdict == "fits"}
        return Survey(
            space=self.space.source,
            model=self.space.model,
            input_size=self.feasible.input_size,
            num_classes=self.feasible.num_classes,
            settings=self.space.size,
            exact=not self.samples,
            samples=self.samples,
            allowed=self.allowed,
            distinct=self.distinct,
            costs={
                **self.spreads(),
                **{k: Spread(float(s.min()), float(np.median(s)), float(s.max())) for k, s in self.measured.items()},
            },
            measured={kind: len(seconds) for kind, seconds in self.measured.items()},
            budgets=fits,
            together=self.fit(largest) if len(largest) > 1 and alone.issuperset(largest) else None,
        )

    def one(self, budget: Budget) -> Fit:
        if budget.kind in self.measured:
            return self.listed(budget)
        return Fit((budget,), "measured") if is_latency(budget.kind) else self.fit((budget,))

    def example(self, values: Values) -> Example:
        setting = dict(zip(self.space.names, values))
        line = self.space.create_model_line(setting, self.feasible.num_classes, self.feasible.input_size[0])
        return Example(setting, self.space.arch_id_values(values), self.feasible.cost(values), line)


class _Exact(_Looker):
    def __init__(self, space: SearchSpace, feasible: FeasibleSet) -> None:
        super().__init__(space, feasible)
        self.allowed = feasible.candidates.allowed
        self.distinct = len(feasible.candidates)
        self.costs = feasible.candidates.costs

    def measure(self, kind: str, seconds: Mapping[str, float]) -> None:
        candidates = self.feasible.candidates
        ids = [candidates.arch_id(i) for i in range(len(candidates))]
        known = {arch_id: seconds[arch_id] for arch_id in ids if arch_id in seconds}
        if not known:
            raise UserError(f"{kind}: the csv measures none of the {len(ids):,} networks of {self.space.source}.")
        super().measure(kind, known)

    def fit(self, budgets: tuple[Budget, ...]) -> Fit:
        excess = self.excess(budgets)
        fits = int((excess <= 1).sum())
        if fits:
            return Fit(budgets, "fits", fits, fits / self.distinct)
        nearest = self.feasible.candidates[int(excess.argmin())].setting
        return Fit(budgets, "cannot be met", 0, 0.0, nearest=self.example(tuple(nearest.values())))


class _Sampled(_Looker):
    def __init__(self, space: SearchSpace, feasible: FeasibleSet, samples: int, rng: random.Random) -> None:
        super().__init__(space, feasible)
        self.values: list[Values] = []
        draws = 0
        while len(self.values) < samples and draws < SURVEY_DRAWS:
            values = space.values_at(rng.randrange(space.size))
            draws += 1
            if space.allows_values(values):
                self.values.append(values)
        if not self.values:  # raises where none is found, and says so
            self.values.append(space.sample_values(rng))
        self.samples = len(self.values)
        self.allowed = round(space.size * self.samples / max(draws, self.samples))
        self.distinct = len({space.canonical_values(values) for values in self.values})
        costs = [feasible.cost(values) for values in self.values]
        self.costs = {kind: np.array([getattr(cost, kind) for cost in costs], dtype=np.int64) for kind in COUNTS}

    def spreads(self) -> dict[str, Spread]:
        return {
            kind: Spread(self.extreme(kind, 1), float(np.median(costs)), self.extreme(kind, -1))
            for kind, costs in self.costs.items()
        }

    def extreme(self, kind: str, sign: int) -> int:
        """The smallest cost (``sign`` 1) or the largest (-1) that descents from the best samples reach."""
        score = self.costs[kind] * sign
        ends = self.descents(score.argsort(), lambda v: sign * float(getattr(self.feasible.cost(v), kind)))
        return int(sign * min(score for _, score in ends))

    def descents(
        self, order: Iterable[int], score: Callable[[Values], float], enough: float = -math.inf
    ) -> list[tuple[Values, float]]:
        """(end, its score) of the coordinate descents from the first samples of ``order``."""
        return [descend(self.space, self.values[i], score, enough=enough) for i in islice(order, _STARTS)]

    def fit(self, budgets: tuple[Budget, ...]) -> Fit:
        limits = {b.kind: b.limit for b in budgets}
        excess = self.excess(budgets)
        share = float((excess <= 1).mean())
        error = math.sqrt(share * (1 - share) / self.samples)
        if share:
            return Fit(budgets, "fits", None, share, error)
        # From the samples that exceed least, until one fits or nothing improves.
        ends = self.descents(excess.argsort(), lambda v: overshoot(self.feasible.cost(v), limits), enough=0.0)
        nearest = min(ends, key=lambda end: end[1])[0]
        verdict = "fits" if within(self.feasible.cost(nearest), limits) else "none found (sampled)"
        return Fit(budgets, verdict, None, 0.0, None, self.example(nearest))

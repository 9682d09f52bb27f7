"""What a space holds, before anything is trained: how large, how costly, and whether the budgets can be met."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..cost import Cost
from ._budget import COUNTS, Budget, hard_limits, parse_budgets, within
from ._conditions import Scalar, Values
from ._feasible import descend, overshoot

if TYPE_CHECKING:
    from ._space import InputSize, SearchSpace, Setting

_SAMPLES = 20_000
_MOST_DRAWS = 500_000  # where few settings meet ``where``
_STARTS = 3  # of the descents

UNITS = {"macs": "MACs", "params": "params", "activations": "activations"}


@dataclass(frozen=True)
class Spread:
    """Smallest, middle and largest value of one cost."""

    min: float
    median: float
    max: float


@dataclass(frozen=True)
class Example:
    """A network of the space, with the line that builds it."""

    setting: Setting
    arch_id: str
    cost: Cost
    line: str


@dataclass(frozen=True)
class Fit:
    """How much of the space is within some budgets.

    Attributes:
        budgets: all of them have to be met.
        verdict: ``fits``; ``cannot be met`` (every architecture was looked at); ``none found (sampled)``; or
            ``measured`` for a latency, which nothing is known of before a network has run.
        fits: distinct architectures within the budgets; None where the space was sampled.
        share: of the distinct architectures, or the estimated share of the settings where it was sampled.
        error: standard error of an estimated ``share``.
        nearest: the network that comes nearest where none fits, and one that fits where descent alone found any.
    """

    budgets: tuple[Budget, ...]
    verdict: str
    fits: int | None = None
    share: float | None = None
    error: float | None = None
    nearest: Example | None = None

    @property
    def label(self) -> str:
        """The budgets in their canonical writing."""
        return ", ".join(b.label for b in self.budgets)


@dataclass(frozen=True)
class Survey:
    """What :func:`survey` found. ``str()`` of it is for people, :meth:`to_dict` for programs.

    Attributes:
        space: the file or the name of the space.
        model: its model.
        input_size: (C, H, W) that all costs are for.
        num_classes: of the classifier.
        settings: the size of the grid.
        exact: every setting was looked at; else all that follows comes from random ones.
        samples: number of random settings looked at, 0 where ``exact``.
        allowed: settings that meet ``where`` (estimated where sampled).
        distinct: distinct architectures (among the samples where sampled).
        costs: kind -> spread over the distinct architectures, or over the samples with the extremes that
            coordinate descent found.
        budgets: one entry for each budget.
        together: all hard limits at once, where budgets of several kinds were given and each can be met alone.
    """

    space: str
    model: str
    input_size: InputSize
    num_classes: int
    settings: int
    exact: bool
    samples: int
    allowed: int
    distinct: int
    costs: dict[str, Spread]
    budgets: tuple[Fit, ...] = ()
    together: Fit | None = None

    @property
    def problems(self) -> list[str]:
        """One line for each budget that nothing was found for, with the nearest network. Empty: go ahead."""
        fits = [*self.budgets, *([self.together] if self.together else [])]
        return [_problem(self, fit) for fit in fits if fit.verdict not in ("fits", "measured")]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "space": self.space,
            "model": self.model,
            "input_size": list(self.input_size),
            "num_classes": self.num_classes,
            "settings": self.settings,
            "exact": self.exact,
            "samples": self.samples,
            "allowed": self.allowed,
            "distinct": self.distinct,
            "costs": {kind: dict(vars(spread)) for kind, spread in self.costs.items()},
            "budgets": [_fit_dict(fit) for fit in self.budgets],
            "together": _fit_dict(self.together) if self.together else None,
        }

    def __str__(self) -> str:
        from ._text import render

        return render(self)


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


def amount(number: float, digits: int = 4) -> str:
    """A rounded number with its unit: 2.412M."""
    if number > 0:
        number = round(number, digits - 1 - math.floor(math.log10(number)))
    for unit, power in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= power:
            return f"{number / power:.{max(digits, 4)}g}{unit}"
    return f"{number:.{max(digits, 4)}g}"


def size_text(input_size: Sequence[int]) -> str:
    """1x14x14."""
    return "x".join(map(str, input_size))


def cost_text(cost: Cost, kinds: Iterable[str], input_size: Sequence[int]) -> str:
    """The named costs with their units, MACs and activations with the input size that they hold for."""
    kinds = list(kinds)
    text = ", ".join(f"{amount(getattr(cost, kind))} {UNITS[kind]}" for kind in kinds)
    return text if kinds == ["params"] else f"{text} at {size_text(input_size)}"


def _problem(found: Survey, fit: Fit) -> str:
    assert fit.nearest is not None
    cost = cost_text(fit.nearest.cost, (b.kind for b in fit.budgets), found.input_size)
    return f"Budget {fit.label}: {fit.verdict} in {found.space}; the nearest has {cost}: {fit.nearest.line}"


def _fit_dict(fit: Fit) -> dict[str, Any]:
    nearest = fit.nearest
    return {
        "budget": fit.label,
        "limits": {b.kind: b.limit for b in fit.budgets},
        "verdict": fit.verdict,
        "fits": fit.fits,
        "share": fit.share,
        "error": fit.error,
        "nearest": nearest
        and {
            "setting": nearest.setting,
            "arch_id": nearest.arch_id,
            "cost": dict(vars(nearest.cost)),
            "create_model": nearest.line,
        },
    }

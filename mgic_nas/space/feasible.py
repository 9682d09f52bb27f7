"""The feasible architectures of a space: enumerated where it is small, else found by random draws and descents."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, overload, runtime_checkable
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from ..cost import Cost
from ..errors import UserError
from .budget import COUNTS, Budget, hard_limits, within
from .conditions import Scalar, Values
from .parameters import InputSize, Setting
from .thresholds import (
    BUDGET_DRAWS,
    DESCENT_DRAWS,
    DRAWS,
    EAGER_SIZE,
    EXACT_SIZE,
    EXTREME_DRAWS,
    EXTREME_TRIES,
)

Counts = NDArray[np.int64]
_LARGEST = np.iinfo(np.int64).max

_KEPT_KEYS = 100_000  # canonical forms that are held in memory; beyond them they are computed again when needed
_QUICK_DRAWS = 32  # by rejection, before the rest is listed
_DESCENTS = 8
_STEPS = 30  # of the walk after a descent, for each parameter


@runtime_checkable
class Space(Protocol):
    """What is needed of a search space to propose, cost and name its architectures.

    A *setting* maps each flat parameter to its value; ``values`` are those of a setting as a tuple, in the order of
    ``params``: what is asked of a million settings is asked of them.
    """

    model: str
    source: str
    params: dict[str, tuple[Scalar, ...]]
    size: int

    def is_range(self, name: str) -> bool: ...
    def bounds(self, name: str) -> tuple[float, float, float]: ...
    def allows(self, setting: Mapping[str, Scalar]) -> bool: ...
    def arch_id(self, setting: Mapping[str, Scalar]) -> str: ...
    def config(self, setting: Mapping[str, Scalar]) -> dict[str, Any]: ...
    def cost(self, setting: Mapping[str, Scalar], input_size: InputSize, num_classes: int) -> Cost: ...
    def enumerate_values(self) -> Iterator[tuple[int, Values]]: ...
    def values_at(self, number: int) -> Values: ...
    def sample_values(self, rng: random.Random) -> Values: ...
    def allows_values(self, values: Values) -> bool: ...
    def canonical_values(self, values: Values) -> Hashable: ...
    def arch_id_values(self, values: Values) -> str: ...
    def cost_values(self, values: Values, input_size: InputSize, num_classes: int) -> Cost: ...


@dataclass(frozen=True)
class Candidate:
    """One architecture: a setting that gives it, its name, and what it costs."""

    setting: Setting
    arch_id: str
    cost: Cost


class Enumeration:
    """All distinct architectures of a space, by the number of their first setting.

    Attributes:
        allowed: settings that meet ``where``.
        first: int64 (n,), the number of the first setting of each architecture, ascending.
        arch_ids: position in ``first`` -> name, of those that were asked for.
    """

    def __init__(self, space: Space) -> None:
        self.allowed = 0
        self.first = np.array(self._find_first(space), dtype=np.int64)
        self.arch_ids: dict[int, str] = {}
        self._costs: dict[tuple[InputSize, int], dict[str, Counts]] = {}

    def _find_first(self, space: Space) -> list[int]:
        # A million canonical forms would fill a gigabyte. So only their hashes are kept for all; where a hash comes
        # again, the forms themselves are compared, so that the answer stays exact.
        canonical, at = space.canonical_values, space.values_at
        by_hash: dict[int, list[int]] = {}
        keys: dict[int, Hashable] = {}
        first = []
        for number, values in space.enumerate_values():
            self.allowed += 1
            key = canonical(values)
            same_hash = by_hash.setdefault(hash(key), [])
            for earlier in same_hash:
                if (keys[earlier] if earlier in keys else canonical(at(earlier))) == key:
                    break
            else:
                same_hash.append(number)
                first.append(number)
                if len(keys) < _KEPT_KEYS:
                    keys[number] = key
        return first

    def costs(self, space: Space, input_size: InputSize, num_classes: int) -> dict[str, Counts]:
        """Kind -> int64 (n,), the cost of each architecture; float64 where some are no whole numbers, or too large."""
        key = (input_size, num_classes)
        if key not in self._costs:
            table: NDArray[Any] = np.empty((len(COUNTS), len(self.first)), dtype=np.int64)
            for i, number in enumerate(self.first.tolist()):
                cost = space.cost_values(space.values_at(number), input_size, num_classes)
                counts = cost.macs, cost.params, cost.activations
                if table.dtype == np.int64 and not all(isinstance(n, int) and n <= _LARGEST for n in counts):
                    table = table.astype(np.float64)
                table[:, i] = counts
            self._costs[key] = dict(zip(COUNTS, table))
        return self._costs[key]


# Shared by all sets of equal spaces. An Enumeration holds no reference to its space, so that both can be freed.
_ENUMERATIONS: WeakKeyDictionary[Space, Enumeration] = WeakKeyDictionary()


class FeasibleSet:
    """The distinct architectures of a space whose counted costs are within limits.

    Whether they are enumerated or sampled is decided here alone, by the sizes in :mod:`.thresholds`.

    Args:
        space: what is searched.
        input_size: (C, H, W) of an image.
        num_classes: of the classifier.
        limits: kind -> largest count that fits, as from ``hard_limits``; a limit on latency is ignored.
        excess: of the values of a setting, where a latency is predicted: by which factor (as its logarithm) it exceeds
            its limit. What is above 0 is no part of the set.
    """

    def __init__(
        self,
        space: Space,
        input_size: Sequence[int],
        num_classes: int,
        limits: Mapping[str, float] | None = None,
        excess: Callable[[Values], float] | None = None,
    ) -> None:
        channels, height, width = input_size
        self.space = space
        self.input_size: InputSize = (channels, height, width)
        self.num_classes = num_classes
        self.limits = {kind: limit for kind, limit in (limits or {}).items() if kind in COUNTS}
        self._excess = excess
        self._refused = False  # some setting, by the model: nothing can be enumerated
        self._left: Candidates | None = None  # what is drawn from, once a draw has enumerated

    @property
    def small(self) -> bool:
        """Whether enumerating takes no more than a second or two."""
        return self.space.size <= EAGER_SIZE

    @property
    def predicts(self) -> bool:
        """Whether a latency is predicted."""
        return self._excess is not None

    @property
    def exact(self) -> bool:
        """Whether answers are facts about the whole set, not only about what sampling has found."""
        return self.space.size <= EXACT_SIZE and not self._refused

    @cached_property
    def candidates(self) -> Candidates:
        """All of them, each by its first setting, in the order of ``space.settings()``.

        Raises:
            UserError: the space is too large to enumerate, or the model refuses one of its settings.
        """
        space = self.space
        if space.size > EXACT_SIZE:
            raise UserError(f"{space.source} has {space.size:,} settings; up to {EXACT_SIZE:,} are enumerated.")
        enumeration = _ENUMERATIONS.get(space)
        if enumeration is None:
            enumeration = _ENUMERATIONS[space] = Enumeration(space)
        return Candidates(self, enumeration)

    def sample(self, rng: random.Random, exclude: Set[str] = frozenset()) -> Candidate | None:
        """One random setting: None where it does not fit, is refused by the model, or its arch_id is excluded."""
        values = self.space.sample_values(rng)
        try:
            return self.candidate(values, exclude)
        except UserError:
            return None

    def draw(self, rng: random.Random, exclude: Set[str] = frozenset(), tries: int | None = None) -> Candidate | None:
        """A random one whose arch_id is not in ``exclude``; None where none is left (:attr:`exact`) or was found.

        In a small space it is uniform over architectures. In a larger one it is the first of ``tries`` random settings
        that fits, so that an architecture of several settings is likelier; after that up to a million settings are
        enumerated, and draws are uniform from then on, while larger spaces are searched by coordinate descent.
        """
        large = self.space.size > EXACT_SIZE
        try:
            if self._left is None:
                for _ in range(0 if self.small else tries or (DESCENT_DRAWS if large else DRAWS)):
                    if found := self.sample(rng, exclude):
                        return found
                if large:
                    return self._descend(rng, exclude)
                if self._refused:
                    return None
                self._left = self.candidates
            return self._left.draw(rng, exclude)
        except UserError:  # the model refuses a combination that ``where`` lets through
            self._refused = True
            return None

    def known_empty(self, exclude: Set[str]) -> bool:
        """Whether it is known without a search that all are in ``exclude``."""
        return self._left is not None and len(exclude) >= len(self._left) and not self._left.untried(exclude)

    def cheapest(self, exclude: Set[str] = frozenset(), kind: str = "activations") -> Candidate | None:
        """The cheapest that is not in ``exclude``, by one kind of cost; any, while draws have not enumerated."""
        if self._left is None:
            return self.draw(random.Random(len(exclude)), exclude)
        order = self._left.costs[kind].argsort(kind="stable").tolist()
        return next((self._left[i] for i in order if self._left.arch_id(i) not in exclude), None)

    def costliest(self, kind: str = "activations") -> Candidate | None:
        """The costliest by one kind of cost; in a space that is not small, of many random ones. None: none fits."""
        if self.small:
            try:
                costs = self.candidates.costs[kind]
                return self.candidates[int(costs.argmax())] if len(costs) else None
            except UserError:
                return None
        rng = random.Random(0)
        drawn = (self.draw(rng, tries=EXTREME_TRIES) for _ in range(EXTREME_DRAWS))
        return max(filter(None, drawn), key=lambda c: int(getattr(c.cost, kind)), default=None)

    def surely_meets(self, budgets: Iterable[Budget]) -> bool:
        """Whether a few random settings show that each budget can be met, within the largest ones of all kinds."""
        budgets, rng = tuple(budgets), random.Random(0)
        limits = hard_limits(budgets)
        costs = [self.cost(self.space.sample_values(rng)) for _ in range(BUDGET_DRAWS)]
        feasible = [cost for cost in costs if within(cost, limits)]
        return all(any(budget.fits(cost) for cost in feasible) for budget in budgets)

    def cost(self, values: Values) -> Cost:
        return self.space.cost_values(values, self.input_size, self.num_classes)

    def excess(self, values: Values) -> float:
        """The logarithm of the factor by which a setting is predicted to exceed a latency; -inf without predictions."""
        return -math.inf if self._excess is None else self._excess(values)

    def candidate(self, values: Values, exclude: Set[str] = frozenset()) -> Candidate | None:
        """The architecture of a setting's values; None where it does not fit or its arch_id is excluded."""
        cost = self.cost(values)
        if not within(cost, self.limits) or self.excess(values) > 0:
            return None
        arch_id = self.space.arch_id_values(values)
        return None if arch_id in exclude else Candidate(dict(zip(self.space.params, values)), arch_id, cost)

    def _overshoot(self, values: Values) -> float:
        return max(overshoot(self.cost(values), self.limits), self.excess(values))

    def _descend(self, rng: random.Random, exclude: Set[str]) -> Candidate | None:
        """Coordinate descents until the limits are met, each followed by a random walk within them.

        For sets that are a tiny share of their space. The walk is there because all descents end in the same few
        corners.
        """
        space, grids = self.space, tuple(self.space.params.values())
        for _ in range(_DESCENTS):
            start = space.sample_values(rng)
            values, excess = descend(space, start, self._overshoot, enough=0.0, rng=rng)
            if excess > 0:
                continue
            last = self.candidate(values, exclude)
            for _ in range(_STEPS * len(values)):
                column = rng.randrange(len(values))
                moved = (*values[:column], rng.choice(grids[column]), *values[column + 1 :])
                if space.allows_values(moved) and self._overshoot(moved) <= 0:
                    values = moved
                    last = self.candidate(values, exclude) or last
            if last:
                return last
        return None


class Candidates(Sequence[Candidate]):
    """Distinct architectures, made to :class:`Candidate` on access.

    Attributes:
        allowed: settings of the whole space that meet ``where``.
        costs: kind -> int64 (n,), in the same order; ``macs``, ``params`` and ``activations`` are these arrays.
    """

    def __init__(self, feasible: FeasibleSet, enumeration: Enumeration) -> None:
        self._feasible = feasible
        self._enumeration = enumeration
        self.allowed = enumeration.allowed
        costs = enumeration.costs(feasible.space, feasible.input_size, feasible.num_classes)
        fits = np.ones(len(enumeration.first), dtype=bool)
        for kind, limit in feasible.limits.items():
            fits &= costs[kind] <= limit
        if feasible.predicts:
            for i in np.flatnonzero(fits).tolist():
                fits[i] = feasible.excess(feasible.space.values_at(int(enumeration.first[i]))) <= 0
        self._positions = np.flatnonzero(fits)
        self.costs = {kind: costs[kind][self._positions] for kind in COUNTS}
        self.macs, self.params, self.activations = self.costs.values()

    def __len__(self) -> int:
        return len(self._positions)

    @overload
    def __getitem__(self, index: int) -> Candidate: ...
    @overload
    def __getitem__(self, index: slice) -> list[Candidate]: ...
    def __getitem__(self, index: int | slice) -> Candidate | list[Candidate]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        space = self._feasible.space
        values = space.values_at(int(self._enumeration.first[self._positions[index]]))
        return Candidate(dict(zip(space.params, values)), self.arch_id(index), self._feasible.cost(values))

    def arch_id(self, index: int) -> str:
        """The name of one of them, without making the rest of the Candidate."""
        position, known = int(self._positions[index]), self._enumeration.arch_ids
        if position not in known:
            space = self._feasible.space
            known[position] = space.arch_id_values(space.values_at(int(self._enumeration.first[position])))
        return known[position]

    def draw(self, rng: random.Random, exclude: Set[str] = frozenset()) -> Candidate | None:
        """One of them at random whose ``arch_id`` is not in ``exclude``; None exactly where none is left."""
        if not len(self):
            return None
        for _ in range(_QUICK_DRAWS):
            index = rng.randrange(len(self))
            if self.arch_id(index) not in exclude:
                return self[index]
        left = self.untried(exclude)
        return self[rng.choice(left)] if left else None

    def untried(self, exclude: Set[str]) -> list[int]:
        """The indices of those whose ``arch_id`` is not in ``exclude``."""
        return [i for i in range(len(self)) if self.arch_id(i) not in exclude]


def descend(
    space: Space,
    start: Values,
    score: Callable[[Values], float],
    *,
    enough: float = -math.inf,
    rng: random.Random | None = None,
) -> tuple[Values, float]:
    """Coordinate descent over the grid, within ``where``: the best setting found and its score.

    Args:
        space: whose grid it is.
        start: values of an allowed setting.
        score: what is minimised.
        enough: stop at the first setting whose score is no larger.
        rng: shuffles the order of the parameters.
    """
    grids = tuple(space.params.values())
    best = tuple(start)
    best_score = score(best)
    columns = list(range(len(best)))
    improved = True
    while improved and best_score > enough:
        improved = False
        if rng is not None:
            rng.shuffle(columns)
        for column in columns:
            here = best
            for value in grids[column]:
                values = (*here[:column], value, *here[column + 1 :])
                if value == here[column] or not space.allows_values(values):
                    continue
                new = score(values)
                if new < best_score:
                    best, best_score, improved = values, new, True
                    if best_score <= enough:
                        return best, best_score
    return best, best_score


def overshoot(cost: Cost, limits: Mapping[str, float]) -> float:
    """By which factor (as its logarithm) a cost exceeds the worst of its limits; at most 0 where it fits."""
    ratios = [getattr(cost, kind) / limit for kind, limit in limits.items() if kind in COUNTS]
    return math.log(max(ratios)) if ratios and max(ratios) > 0 else -math.inf

"""The distinct architectures of a space and those of them that fit: what is left to train."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from ..cost import Cost
from .budget import COUNTS, within
from .conditions import Scalar, Values

if TYPE_CHECKING:
    from .parameters import InputSize, Setting
    from .search_space import SearchSpace

Counts = NDArray[np.int64]

_KEPT_KEYS = 100_000  # canonical forms that are held in memory; beyond them they are computed again when needed
_QUICK_DRAWS = 32
_DESCENTS = 8
_STEPS = 30  # of the walk after a descent, for each parameter


@dataclass(frozen=True)
class Candidate:
    """One architecture: a setting that gives it, its name, and what it costs."""

    setting: Setting
    arch_id: str
    cost: Cost


class Enumeration:
    """All distinct architectures of an enumerable space, by the number of their first setting.

    Attributes:
        allowed: settings that meet ``where``.
        first: the number of the first setting of each architecture, ascending.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.allowed = 0
        self.first = np.array(self._find_first(), dtype=np.int64)
        self._ids: dict[int, str] = {}
        self._costs: dict[tuple[InputSize, int], dict[str, Counts]] = {}
        self._candidates: dict[Any, Candidates] = {}

    def _find_first(self) -> list[int]:
        # A million canonical forms would fill a gigabyte. So only their hashes are kept for all; where a hash comes
        # again, the forms themselves are compared, so that the answer stays exact.
        canonical, at = self.space._canonical, self.space._at
        by_hash: dict[int, list[int]] = {}
        keys: dict[int, Any] = {}
        first = []
        for number, values in self.space._enumerate():
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

    def costs(self, input_size: InputSize, num_classes: int) -> dict[str, Counts]:
        """Kind -> the cost of each architecture, in the order of ``first``."""
        key = (input_size, num_classes)
        if key not in self._costs:
            table = np.empty((len(COUNTS), len(self.first)), dtype=np.int64)
            for i, number in enumerate(self.first.tolist()):
                cost = self.space._cost(self.space._at(number), input_size, num_classes)
                table[:, i] = cost.macs, cost.params, cost.activations
            self._costs[key] = dict(zip(COUNTS, table))
        return self._costs[key]

    def candidates(self, input_size: InputSize, num_classes: int, limits: Mapping[str, float]) -> Candidates:
        """The architectures within ``limits``."""
        counted = frozenset((kind, limit) for kind, limit in limits.items() if kind in COUNTS)
        key = (input_size, num_classes, counted)
        if key not in self._candidates:
            costs = self.costs(input_size, num_classes)
            fits = np.ones(len(self.first), dtype=bool)
            for kind, limit in counted:
                fits &= costs[kind] <= limit
            self._candidates[key] = Candidates(self, input_size, num_classes, np.flatnonzero(fits))
        return self._candidates[key]

    def arch_id(self, position: int) -> str:
        """The name of the architecture at a position of ``first``."""
        if position not in self._ids:
            self._ids[position] = self.space._arch_id(self.space._at(int(self.first[position])))
        return self._ids[position]


class Candidates(Sequence[Candidate]):
    """Distinct architectures, made to :class:`Candidate` on access.

    Attributes:
        macs, params, activations: arrays of the costs, in the same order.
    """

    def __init__(
        self, enumeration: Enumeration, input_size: InputSize, num_classes: int, positions: NDArray[np.int64]
    ) -> None:
        self._enumeration = enumeration
        self._positions = positions
        self._input_size = input_size
        self._num_classes = num_classes
        costs = enumeration.costs(input_size, num_classes)
        self.macs, self.params, self.activations = (costs[kind][positions] for kind in COUNTS)

    def __len__(self) -> int:
        return len(self._positions)

    @overload
    def __getitem__(self, index: int) -> Candidate: ...
    @overload
    def __getitem__(self, index: slice) -> list[Candidate]: ...
    def __getitem__(self, index: int | slice) -> Candidate | list[Candidate]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        position = int(self._positions[index])
        space = self._enumeration.space
        values = space._at(int(self._enumeration.first[position]))
        cost = space._cost(values, self._input_size, self._num_classes)
        return Candidate(dict(zip(space.names, values)), self._enumeration.arch_id(position), cost)

    def arch_id(self, index: int) -> str:
        """The name of one of them, without making the rest of the Candidate."""
        return self._enumeration.arch_id(int(self._positions[index]))

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
    space: SearchSpace,
    start: Values,
    score: Callable[[Values], float],
    *,
    enough: float = -math.inf,
    rng: random.Random | None = None,
) -> tuple[tuple[Scalar, ...], float]:
    """Coordinate descent over the grid, within ``where``: the best setting found and its score.

    Args:
        start: values of an allowed setting.
        score: what is made small.
        enough: stop at the first setting whose score is no larger.
        rng: shuffles the order of the parameters.
    """
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
            for value in space._grids[column]:
                values = (*here[:column], value, *here[column + 1 :])
                if value == here[column] or not space._allows(values):
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


def draw_from_large(
    space: SearchSpace,
    rng: random.Random,
    input_size: InputSize,
    num_classes: int,
    limits: Mapping[str, float],
    exclude: Set[str],
    tries: int,
) -> Candidate | None:
    """A random architecture of a space too large to enumerate; see :meth:`SearchSpace.draw_feasible`."""

    def candidate(values: Values) -> Candidate | None:
        cost = space._cost(values, input_size, num_classes)
        if not within(cost, limits):
            return None
        arch_id = space._arch_id(values)
        return None if arch_id in exclude else Candidate(dict(zip(space.names, values)), arch_id, cost)

    for _ in range(tries):
        found = candidate(space._sample(rng))
        if found:
            return found
    # The share that fits is tiny: go down to where it begins, and from there walk at random within it, because all
    # descents end in the same few corners.
    for _ in range(_DESCENTS):
        values, excess = descend(
            space,
            space._sample(rng),
            lambda v: overshoot(space._cost(v, input_size, num_classes), limits),
            enough=0.0,
            rng=rng,
        )
        if excess > 0:
            continue
        last = candidate(values)
        for _ in range(_STEPS * len(values)):
            column = rng.randrange(len(values))
            moved = (*values[:column], rng.choice(space._grids[column]), *values[column + 1 :])
            if space._allows(moved) and within(space._cost(moved, input_size, num_classes), limits):
                values = moved
                last = candidate(values) or last
        if last:
            return last
    return None

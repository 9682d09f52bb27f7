"""The architectures that our own samplers choose from, as arrays: their costs, and the features of a surrogate.

Costs are known before anything is trained, so only what fits the budgets is ever looked at.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from ...cost.rows_cost import Cost
from ...errors import UserError, did_you_mean
from ...space.budget import COUNTS
from ...space.feasible import Candidate, Space
from ...space.listed import ListedSpace
from ...space.parameters import Setting, unwrapped
from ...space.prior import log_weights
from .candidate import SearchProblem
from .earlier import LEAST, EarlierModel
from .params import distributions, to_setting

if TYPE_CHECKING:
    import optuna

HELD = 4_096  # architectures of a space that is not small, drawn at random; what was taken is replaced
REFRESHED = 16  # new ones at each proposal
TRIES = 4  # random settings for each


class CandidatePool:
    """The feasible part of a small space, or of a larger one a random part that is renewed at each proposal.

    Args:
        problem: the space, and the limits within which its architectures are feasible.
        seed: of the random part.

    Attributes:
        distributions: the space as Optuna's distributions.
        arch_ids: of the n architectures held.
        settings: theirs.
        costs: float64 (n, 3): MACs, parameters, activations, as :data:`COUNTS` names them.
        features: float64 (n, d), each column within about -1 .. 1: the logarithms of the costs, and the parameters.
            After an earlier search two more: what it foretells, and its deviation.
        groups: the columns of each cost and of each parameter; what is foretold is in none.
        foretold: whether there are those last columns.
        whole: whether these are all feasible ones.
    """

    def __init__(self, problem: SearchProblem, seed: int = 0) -> None:
        self._problem = problem
        self._feasible = problem.feasible
        self._rng = random.Random(seed)
        self.distributions = distributions(problem.space)
        self._encoders = [_encoder(name, values, problem.space) for name, values in problem.space.params.items()]
        self.groups = _groups([1] * len(COUNTS) + [width for width, _, _ in self._encoders])
        self._log_weights = log_weights(problem.prior, problem.space.params)
        self._known: dict[tuple[Any, ...], str] = {}
        self.settings: list[Setting] = []
        self.arch_ids: list[str] = []
        self._logs: list[tuple[float, ...]] = []  # of the costs
        self._held: set[str] = set()
        self.whole = self._feasible.small
        if self.whole:
            try:
                for candidate in self._feasible.candidates:
                    self._add(candidate)
            except UserError:  # the model refuses some setting, so the space cannot be enumerated
                self.whole = False
        if not self.whole:
            self._top_up(HELD, frozenset())
        logs = np.array(self._logs or [(0.0,) * len(COUNTS)])
        # The scale of this first look stays, so that features keep their values.
        self._centre, self._spread = logs.mean(0), np.maximum(np.ptp(logs, axis=0) / 2, 1e-9)
        self._foretell: EarlierModel | None = None
        self.foretold = False
        self._foretell = self._learnt(problem)
        self.foretold = self._foretell is not None
        self.costs: NDArray[np.float64] = np.zeros((0, len(COUNTS)))
        self.features = self._encode([], [])
        self._extend()

    def _add(self, candidate: Candidate) -> None:
        self.settings.append(candidate.setting)
        self.arch_ids.append(candidate.arch_id)
        self._logs.append(_logs(candidate.cost))
        self._held.add(candidate.arch_id)

    def _top_up(self, count: int, tried: Set[str]) -> None:
        """Adds ``count`` feasible architectures that are neither held nor tried, if random settings give them soon."""
        for _ in range(TRIES * count):
            if count <= 0:
                return
            candidate = self._feasible.sample(self._rng)
            if candidate and candidate.arch_id not in self._held and candidate.arch_id not in tried:
                self._add(candidate)
                count -= 1

    def _extend(self) -> None:
        """Appends to the arrays what was added since the last call."""
        done = len(self.costs)
        logs = np.array(self._logs[done:], dtype=float).reshape(-1, len(COUNTS))
        self.costs = np.concatenate([self.costs, np.exp(logs)])
        self.features = np.concatenate([self.features, self._encode(self.settings[done:], self._logs[done:])])

    def _encode(self, settings: Sequence[Setting], logs: Sequence[tuple[float, ...]]) -> NDArray[np.float64]:
        if not len(settings):
            return np.zeros((0, len(COUNTS) + sum(width for width, _, _ in self._encoders) + 2 * self.foretold))
        columns = [(np.array(logs) - self._centre) / self._spread]
        columns += [np.array([encode[s[name]] for s in settings]) for _, name, encode in self._encoders]
        features = np.concatenate(columns, axis=1)
        return features if self._foretell is None else np.hstack([features, self._foretell(features)])

    def _learnt(self, problem: SearchProblem) -> EarlierModel | None:
        """The model of an earlier search; None where there is none, or too little to be modelled."""
        earlier = problem.earlier
        if earlier is None or len(earlier.accs) < LEAST:
            return None
        features = np.array([self.describe(setting)[1] for setting in earlier.settings])
        return EarlierModel(features, np.array(earlier.accs), self.groups)

    def believed(self, positions: Sequence[int] | NDArray[np.int_]) -> NDArray[np.float64]:
        """(n,): log of how much likelier the user's prior makes architectures held than the mean of the space."""
        of = self._log_weights.items()
        return np.array([sum(logs[self.settings[i][name]] for name, logs in of) for i in positions], dtype=float)

    def arch_id(self, setting: Setting) -> str:
        """Of any setting of the space."""
        key = tuple(setting.values())
        if key not in self._known:
            self._known[key] = self._problem.space.arch_id(setting)
        return self._known[key]

    @property
    def macs(self) -> NDArray[np.float64]:
        """float64 (n,)."""
        return self.costs[:, 0]

    def describe(self, setting: Setting) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(costs (3,), features (d,)) of any setting of the space."""
        problem = self._problem
        logs = _logs(problem.space.cost(setting, problem.input_size, problem.num_classes))
        return np.exp(logs), self._encode([setting], [logs])[0]

    def holds(self, setting: Setting) -> bool:
        """Whether a setting is one of the space."""
        return self._problem.space.allows(setting)

    def setting(self, params: Mapping[str, Any]) -> Setting:
        """Optuna's parameters as a setting of the space."""
        return to_setting(self._problem.space, params)

    def untried(self, tried: Set[str]) -> NDArray[np.int_]:
        """Positions of the architectures held that are not in ``tried``; a part of a large space is renewed first."""
        if too_slow := self._problem.too_slow:
            tried = tried | too_slow
        if not self.whole:
            self._top_up(REFRESHED, tried)
            self._extend()
            drop = len(self.settings) - 2 * HELD
            if drop > 0:  # the oldest go
                self._held.difference_update(self.arch_ids[:drop])
                del self.settings[:drop], self.arch_ids[:drop], self._logs[:drop]
                self.costs, self.features = self.costs[drop:], self.features[drop:]
        return np.array([i for i, arch_id in enumerate(self.arch_ids) if arch_id not in tried], dtype=int)

    @classmethod
    def from_arrays(
        cls, settings: Any, costs: Any, distributions: Mapping[str, BaseDistribution] | None = None, seed: int = 0
    ) -> CandidatePool:
        """A pool of settings whose costs are known, for a study without any network of this package.

        Args:
            settings: a list of n dicts with the same keys, or a dict of n values each (a DataFrame too).
            costs: n numbers from 1 up, the MACs or whatever takes their place in the second objective; or a dict of
                ``macs`` and, where they are known, ``params`` and ``activations``.
            distributions: by parameter, Optuna's, as the objective suggests it; by default categorical.
            seed: of the part that is held of more than 50,000 settings.

        Raises:
            UserError: lengths that differ, a setting twice, a value that is none, a cost below 1, or a distribution
                that lacks a value.
        """
        space = ListedSpace.from_arrays(settings, costs)
        pool = cls(SearchProblem(space, (1, 1, 1), 1), seed)
        if not isinstance(distributions or {}, Mapping):
            raise UserError("distributions must be a dict by parameter, such as {'depth': IntDistribution(1, 3)}.")
        for name, distribution in (distributions or {}).items():
            if name not in space.params:
                raise UserError(f"distributions: no parameter {name!r}.{did_you_mean(str(name), space.params)}")
            if not isinstance(distribution, BaseDistribution):
                raise UserError(f"distributions: {name} must be one of Optuna's distributions, not {distribution!r}.")
            for value in space.params[name]:
                if not _contains(distribution, value):
                    raise UserError(f"distributions: {distribution!r} of {name} does not hold {value!r}.")
            pool.distributions[name] = distribution
        return pool

    def suggest(self, trial: optuna.Trial) -> Setting:
        """What a trial's sampler proposes for every parameter of the pool, for an objective function."""
        return self.setting({name: _suggested(trial, name, d) for name, d in self.distributions.items()})

    def macs_of(self, setting: Setting) -> float:
        """The MACs of any setting of the space, or what stands in their place. UserError where it is none."""
        known = self._problem
        try:
            setting = {name: unwrapped(value) for name, value in setting.items()}
            return known.space.cost(setting, known.input_size, known.num_classes).macs
        except (AttributeError, TypeError):  # no dict, or a list among its values
            example = self.settings[0] if self.settings else {}
            raise UserError(f"macs_of takes a setting, a dict such as {example}, not {setting!r}.") from None


def _contains(distribution: BaseDistribution, value: Any) -> bool:
    try:
        return distribution._contains(distribution.to_internal_repr(value))
    except (TypeError, ValueError):
        return False


def _suggested(trial: optuna.Trial, name: str, distribution: BaseDistribution) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(name, distribution.choices)
    if isinstance(distribution, IntDistribution):
        low, high = distribution.low, distribution.high
        return trial.suggest_int(name, low, high, step=distribution.step, log=distribution.log)
    assert isinstance(distribution, FloatDistribution)
    return trial.suggest_float(name, distribution.low, distribution.high, step=distribution.step, log=distribution.log)


def _groups(widths: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """The columns of things that are so many columns wide, one beside the other."""
    ends = list(itertools.accumulate(widths))
    return tuple(tuple(range(end - width, end)) for width, end in zip(widths, ends))


def _logs(cost: Cost) -> tuple[float, ...]:
    return tuple(math.log(max(1, getattr(cost, kind))) for kind in COUNTS)


def _encoder(name: str, values: Sequence[Any], space: Space) -> tuple[int, str, dict[Any, list[float]]]:
    """(width, parameter, value -> columns): numbers by their rank, from -1 to 1; others one column a value."""
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    if space.is_range(name) or numbers:
        ranks = {value: rank for rank, value in enumerate(sorted(values))}
        top = max(1, len(values) - 1)
        return 1, name, {value: [2 * rank / top - 1] for value, rank in ranks.items()}
    return len(values), name, {value: [float(value is other) for other in values] for value in values}


PoolMaker = Callable[[], "CandidatePool | None"]

"""What is searched, and a setting of the space as filters and samplers see it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ...space.budget import Budget, hard_limits
from ...space.conditions import Values
from ...space.designs import fitted
from ...space.feasible import FeasibleSet, Space
from ...space.parameters import Setting
from ...space.prior import Prior, read_prior
from ...space.search_space import SearchSpace

if TYPE_CHECKING:
    from ...cost import Cost
    from ..storage.config import RunConfig
    from ..storage.latencies import Latencies
    from ..storage.predictor import Predictor
    from ..storage.starting import Earlier


@dataclass(frozen=True)
class SearchProblem:
    """What is searched: fixed for as long as a search is open.

    Attributes:
        space: the architectures.
        input_size: (C, H, W) of the images that they are costed for.
        num_classes: of the classifier.
        budgets: upper limits on costs; the largest of each kind is a constraint on everything that is trained.
        epochs: of a whole training.
        latencies: measure them, one for each kind of latency that a budget is on, the quick ones first.
        predictors: kind -> what predicts it, of those kinds that a space has too many networks to measure all of.
        earlier: what an earlier search found, from which this one starts.
        enqueued: settings that are trained first, in this order, where they fit.
        prior: what the user believes beforehand of the values of parameters.
    """

    space: Space
    input_size: tuple[int, int, int]
    num_classes: int
    budgets: tuple[Budget, ...] = ()
    epochs: int = 1
    latencies: tuple[Latencies, ...] = ()
    predictors: Mapping[str, Predictor] = field(default_factory=dict)
    earlier: Earlier | None = None
    enqueued: tuple[Setting, ...] = ()
    prior: Prior = field(default_factory=dict)

    @classmethod
    def of_run(cls, config: RunConfig, space: Space | None = None) -> SearchProblem:
        """What a run's configuration says; ``space`` in place of its own."""
        space = space or SearchSpace.from_recorded(config.space, source=config.space_source or "run.yaml")
        found = cls(space, config.input_size, config.num_classes, config.parsed_budgets(), config.epochs)
        if not isinstance(space, SearchSpace):
            return found
        return replace(
            found,
            enqueued=tuple(fitted(space, one, "run.yaml, enqueue") for one in config.enqueue),
            prior=read_prior(space, config.prior, "run.yaml, prior"),
        )

    @cached_property
    def limits(self) -> dict[str, float]:
        """kind -> the largest budget of that kind."""
        return hard_limits(self.budgets)

    @cached_property
    def feasible(self) -> FeasibleSet:
        """What is within the limits that are counted, and not predicted to be over one that is measured."""
        excess = self._predicted_excess if self.predictors else None
        return FeasibleSet(self.space, self.input_size, self.num_classes, self.limits, excess)

    def _predicted_excess(self, values: Values) -> float:
        candidate = LazyCandidate(dict(zip(self.space.params, values)), self)
        return max((math.log1p(over) for _, over in candidate.over_predictions()), default=-math.inf)

    @property
    def too_slow(self) -> Set[str]:
        """The arch_ids that are over a limit on latency, or of which a csv has none."""
        return frozenset().union(*(known for one in self.latencies for known in (one.too_slow, one.lacking)))


class LazyCandidate:
    """A setting of the space, whose properties are computed on first access and kept."""

    def __init__(self, setting: Setting, problem: SearchProblem) -> None:
        self.setting = setting
        self._problem = problem

    @cached_property
    def allowed(self) -> bool:
        """Whether the conditions of the space hold."""
        return self._problem.space.allows(self.setting)

    @cached_property
    def arch_id(self) -> str:
        return self._problem.space.arch_id(self.setting)

    @cached_property
    def cost(self) -> Cost:
        """UserError where the model cannot be built so."""
        return self._problem.space.cost(self.setting, self._problem.input_size, self._problem.num_classes)

    @cached_property
    def config(self) -> dict[str, Any]:
        """Its keyword arguments for ``timm.create_model``."""
        return self._problem.space.config(self.setting)

    def over_predictions(self) -> Iterator[tuple[str, float]]:
        """By how much it is predicted to be over each limit on latency, relative to what is taken to be over it.

        What was measured is not predicted any more.
        """
        for kind, predictor in self._problem.predictors.items():
            seconds = predictor.seconds(self.config)
            if seconds is not None:
                over = seconds / predictor.threshold(self._problem.limits[kind]) - 1
                if over <= 0 or not self._measured(kind):
                    yield kind, over

    def _measured(self, kind: str) -> bool:
        return any(one.kind == kind and one.known(self.arch_id) is not None for one in self._problem.latencies)

    def over_latencies(self, measure: bool = True) -> Iterator[tuple[Latencies, float | None]]:
        """By how much it is over each limit on latency, relative to it; None where it has no latency.

        Measured now, one after the other, unless it is known already; without ``measure`` only what is known.
        """
        for one in self._problem.latencies:
            if measure or one.known(self.arch_id):
                seconds = one.seconds(self.arch_id, self.config)
                yield one, None if seconds is None else seconds / one.limit - 1

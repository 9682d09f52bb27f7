"""What is searched, and a setting of the space as filters and samplers see it."""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ...space.budget import Budget, hard_limits
from ...space.feasible import FeasibleSet, Space
from ...space.parameters import Setting
from ...space.search_space import SearchSpace

if TYPE_CHECKING:
    from ...cost import Cost
    from ..storage.config import RunConfig
    from ..storage.latencies import Latencies


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
    """

    space: Space
    input_size: tuple[int, int, int]
    num_classes: int
    budgets: tuple[Budget, ...] = ()
    epochs: int = 1
    latencies: tuple[Latencies, ...] = ()

    @classmethod
    def of_run(cls, config: RunConfig, space: Space | None = None) -> SearchProblem:
        """What a run's configuration says; ``space`` in place of its own."""
        space = space or SearchSpace.from_recorded(config.space, source=config.space_source or "run.yaml")
        return cls(space, config.input_size, config.num_classes, config.parsed_budgets(), config.epochs)

    @cached_property
    def limits(self) -> dict[str, float]:
        """kind -> the largest budget of that kind."""
        return hard_limits(self.budgets)

    @cached_property
    def feasible(self) -> FeasibleSet:
        """What is within the limits that are counted."""
        return FeasibleSet(self.space, self.input_size, self.num_classes, self.limits)

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

    def over_latencies(self, measure: bool = True) -> Iterator[tuple[Latencies, float | None]]:
        """By how much it is over each limit on latency, relative to it; None where it has no latency.

        Measured now, one after the other, unless it is known already; without ``measure`` only what is known.
        """
        for one in self._problem.latencies:
            if measure or one.known(self.arch_id):
                seconds = one.seconds(self.arch_id, self.config)
                yield one, None if seconds is None else seconds / one.limit - 1

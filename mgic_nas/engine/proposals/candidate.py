"""A setting of the space as filters and samplers see it; what is asked of it is computed once."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ...space.parameters import Setting

if TYPE_CHECKING:
    from ...cost import Cost
    from ...space import SearchSpace
    from ..storage.latencies import Latencies


LATENCY = "latency"  # the kind of limit that is measured, not counted


@dataclass(frozen=True)
class SearchProblem:
    """Where candidates come from and what they are costed for: a space, (C, H, W) images and their classes.

    ``latencies`` measures them, where a budget is on latency.
    """

    space: SearchSpace
    input_size: tuple[int, int, int]
    num_classes: int
    latencies: Latencies | None = None

    @property
    def too_slow(self) -> Set[str]:
        """The arch_ids that were measured and are over the limit on latency."""
        return frozenset() if self.latencies is None else self.latencies.too_slow


class LazyCandidate:
    """A setting of the space. What is asked of it is worked out once, and only when it is asked."""

    def __init__(self, setting: Setting, task: SearchProblem) -> None:
        self.setting = setting
        self._task = task

    @cached_property
    def allowed(self) -> bool:
        """Whether the conditions of the space hold."""
        return self._task.space.allows(self.setting)

    @cached_property
    def arch_id(self) -> str:
        return self._task.space.arch_id(self.setting)

    @cached_property
    def cost(self) -> Cost:
        """UserError where the model cannot be built so."""
        return self._task.space.cost(self.setting, self._task.input_size, self._task.num_classes)

    @cached_property
    def config(self) -> dict[str, Any]:
        """Its keyword arguments for ``timm.create_model``."""
        return self._task.space.config(self.setting)

    def over_latency(self, measure: bool = True) -> float | None:
        """By how much it is over the limit on latency, relative to it; None where there is none.

        Measured now unless it is known already; without ``measure`` None where it is not known.
        """
        latencies = self._task.latencies
        if latencies is None or not (measure or latencies.known(self.arch_id)):
            return None
        return latencies.seconds(self.arch_id, self.config) / latencies.limit - 1

"""What may be trained at all. Filters stand around a sampler, which knows of none of them."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import UserError
from .sampler import Setting

if TYPE_CHECKING:
    from ..cost import Cost
    from ..space import SearchSpace
    from .latencies import Latencies

LATENCY = "latency"  # the kind of limit that is measured, not counted


@dataclass(frozen=True)
class Task:
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


class Candidate:
    """A setting of the space. What is asked of it is worked out once, and only when it is asked."""

    def __init__(self, setting: Setting, task: Task) -> None:
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


@dataclass(frozen=True)
class Rejection:
    """Why a candidate is not trained.

    ``violation`` is what samplers are told: above zero for what lies outside the feasible part of the space (the
    larger, the farther), None for what is inside it.
    """

    reason: str
    violation: float | None


class Filter(Protocol):
    """One rule; None where the candidate passes."""

    def __call__(self, candidate: Candidate) -> Rejection | None: ...


class Where:
    """The conditions of the space, and what its model refuses to be built with."""

    def __call__(self, candidate: Candidate) -> Rejection | None:
        if not candidate.allowed:
            return Rejection("where", 1.0)
        try:
            candidate.cost  # noqa: B018 - an impossible combination of values is found by costing it
        except UserError:
            return Rejection("impossible", 1.0)
        return None


class Budgets:
    """The hard limits that are counted, kind -> largest cost. One on latency is :class:`FastEnough`'s."""

    def __init__(self, limits: Mapping[str, float]) -> None:
        self._limits = {kind: limit for kind, limit in limits.items() if kind != LATENCY}

    def __call__(self, candidate: Candidate) -> Rejection | None:
        violation = self._counted(candidate)
        return Rejection("over budget", violation) if violation > 0 else None

    def violation(self, candidate: Candidate) -> float:
        """By how much the candidate is over the limit that it exceeds most, relative to it; negative within all.

        The limit on latency counts where the candidate was measured.
        """
        measured = candidate.over_latency(measure=False)
        return max(self._counted(candidate), -1.0 if measured is None else measured)

    def _counted(self, candidate: Candidate) -> float:
        return max((getattr(candidate.cost, kind) / limit - 1 for kind, limit in self._limits.items()), default=-1.0)


class FastEnough:
    """The limit on latency, if there is one. To ask means to measure: the last of the filters."""

    def __call__(self, candidate: Candidate) -> Rejection | None:
        violation = candidate.over_latency() or 0.0
        return Rejection("too slow", violation) if violation > 0 else None


class Untried:
    """No architecture twice. ``tried`` is read afresh each time, so its owner may add to it."""

    def __init__(self, tried: Container[str]) -> None:
        self._tried = tried

    def __call__(self, candidate: Candidate) -> Rejection | None:
        return Rejection("duplicate", None) if candidate.arch_id in self._tried else None


class Chain:
    """Filters one after the other: the first rejection counts."""

    def __init__(self, filters: Sequence[Filter]) -> None:
        self._filters = tuple(filters)

    def __call__(self, candidate: Candidate) -> Rejection | None:
        for rule in self._filters:
            if rejection := rule(candidate):
                return rejection
        return None

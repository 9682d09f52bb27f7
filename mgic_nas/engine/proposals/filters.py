"""Filters around a sampler, which knows of none of them: a candidate that one rejects is not trained."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ...errors import UserError
from ...space.budget import COUNTS, Budget, hard_limits
from .candidate import LazyCandidate


@dataclass(frozen=True)
class Rejection:
    """Why a candidate is not trained.

    ``violation`` is the constraint value that samplers see: above zero outside the feasible part of the space (the
    larger, the farther), None inside it.
    """

    reason: str
    violation: float | None


class Filter(Protocol):
    """One rule; None where the candidate passes."""

    def __call__(self, candidate: LazyCandidate) -> Rejection | None: ...


class Where:
    """The conditions of the space, and what its model refuses to be built with."""

    def __call__(self, candidate: LazyCandidate) -> Rejection | None:
        if not candidate.allowed:
            return Rejection("where", 1.0)
        try:
            candidate.cost  # noqa: B018 - an impossible combination of values is found by costing it
        except UserError:
            return Rejection("impossible", 1.0)
        return None


class Budgets:
    """The largest budget of each counted kind. One on latency is ignored: it is :class:`FastEnough`'s."""

    def __init__(self, budgets: Iterable[Budget]) -> None:
        self._limits = hard_limits(budget for budget in budgets if budget.kind in COUNTS)

    def __call__(self, candidate: LazyCandidate) -> Rejection | None:
        violation = self._counted(candidate)
        return Rejection("over budget", violation) if violation > 0 else None

    def violation(self, candidate: LazyCandidate) -> float:
        """By how much the candidate is over the limit that it exceeds most, relative to it; negative within all.

        A limit on latency counts where the candidate was measured.
        """
        measured = [over for _, over in candidate.over_latencies(measure=False) if over is not None]
        return max(self._counted(candidate), *measured, -1.0)

    def _counted(self, candidate: LazyCandidate) -> float:
        return max((getattr(candidate.cost, kind) / limit - 1 for kind, limit in self._limits.items()), default=-1.0)


class FastByPrediction:
    """The limits on latency, where it is predicted: what is surely over one need not be measured."""

    def __call__(self, candidate: LazyCandidate) -> Rejection | None:
        over = max((over for _, over in candidate.over_predictions()), default=-1.0)
        return Rejection("predicted too slow", over) if over > 0 else None


class FastEnough:
    """The limits on latency, if there are any. It measures the candidate, so it is the last of the filters."""

    def __call__(self, candidate: LazyCandidate) -> Rejection | None:
        for latencies, over in candidate.over_latencies():
            if over is None:
                return Rejection(latencies.why_lacking, 1.0)
            if over > 0:  # the slower ways to measure are left out
                return Rejection("too slow", over)
        return None


class Untried:
    """No architecture twice. ``tried`` is read afresh each time, so its owner may add to it."""

    def __init__(self, tried: Container[str]) -> None:
        self._tried = tried

    def __call__(self, candidate: LazyCandidate) -> Rejection | None:
        return Rejection("duplicate", None) if candidate.arch_id in self._tried else None


class Chain:
    """Filters one after the other: the first rejection counts."""

    def __init__(self, filters: Sequence[Filter]) -> None:
        self._filters = tuple(filters)

    def __call__(self, candidate: LazyCandidate) -> Rejection | None:
        for rule in self._filters:
            if rejection := rule(candidate):
                return rejection
        return None

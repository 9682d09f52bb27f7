"""Schedulers by name; the option is named after the rungs at which they pause trials."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..._registry import Registry

if TYPE_CHECKING:
    from ..proposals.candidate import SearchProblem
    from ..proposals.pool import PoolMaker
    from .base import Scheduler

DEFAULT_SCHEDULER = "none"

#: name -> factory ``(pool, problem)``; ``pool()`` makes the feasible architectures, for those that need them.
SCHEDULERS: Registry[Callable[[PoolMaker, SearchProblem], Scheduler]] = Registry(
    "rungs",
    {
        "none": "mgic_nas.engine.schedulers.base:make",
        "halving": "mgic_nas.engine.schedulers.halving:make",
        "thaw": "mgic_nas.engine.schedulers.freeze_thaw:make",
    },
)


def make_scheduler(name: str, pool: PoolMaker, problem: SearchProblem) -> Scheduler:
    """Early stopping by name; UserError for an unknown one.

    Args:
        name: one of :data:`SCHEDULERS`.
        pool: makes the architectures that might be started instead; called only where they matter.
        problem: what is searched.
    """
    return SCHEDULERS.load(name)(pool, problem)

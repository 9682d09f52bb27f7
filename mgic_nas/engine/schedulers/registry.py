"""Schedulers by name; the option is named after the rungs at which they pause trials."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..._registry import Registry

if TYPE_CHECKING:
    from ..proposals.pool import PoolMaker
    from ..samplers.registry import Search
    from .base import Scheduler

DEFAULT_SCHEDULER = "none"

#: name -> factory ``(pool, search)``; ``pool()`` makes the feasible architectures, for those that need them.
SCHEDULERS: Registry[Callable[[PoolMaker, Search], Scheduler]] = Registry(
    "rungs",
    {
        "none": "mgic_nas.engine.schedulers.base:make",
        "halving": "mgic_nas.engine.schedulers.halving:make",
        "thaw": "mgic_nas.engine.schedulers.freeze_thaw:make",
    },
)
check_scheduler = SCHEDULERS.check


def make_scheduler(name: str, pool: PoolMaker, search: Search) -> Scheduler:
    """Early stopping by name; UserError for an unknown one.

    Args:
        name: one of :data:`SCHEDULERS`.
        pool: makes the architectures that might be started instead; called only where they matter.
        search: epochs and budgets.
    """
    return SCHEDULERS.load(name)(pool, search)

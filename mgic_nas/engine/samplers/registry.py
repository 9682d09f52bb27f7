"""Samplers by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..._registry import Registry

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from ..proposals.pool import PoolMaker


@dataclass(frozen=True)
class Search:
    """What a sampler or a scheduler is for: the epochs of a whole training, and the budgets as (kind, limit)."""

    epochs: int = 1
    budgets: tuple[tuple[str, float], ...] = ()


DEFAULT_SAMPLER = "cost"

#: name -> factory ``(seed, pool, search)``; ``pool()`` makes the feasible architectures, for those that need them.
SAMPLERS: Registry[Callable[[int, PoolMaker, Search], BaseSampler]] = Registry(
    "sampler",
    {
        "cost": "mgic_nas.engine.samplers.cost_aware:make",
        "stratified": "mgic_nas.engine.samplers.stratified:make",
        "random": "mgic_nas.engine.samplers.optuna_samplers:random",
        "nsga2": "mgic_nas.engine.samplers.optuna_samplers:nsga2",
        "tpe": "mgic_nas.engine.samplers.optuna_samplers:tpe",
        "tpe-univariate": "mgic_nas.engine.samplers.optuna_samplers:tpe_univariate",
    },
)
check_sampler = SAMPLERS.check


def make_sampler(name: str, seed: int, pool: PoolMaker = lambda: None, search: Search | None = None) -> BaseSampler:
    """An Optuna sampler by name; UserError for an unknown one.

    Args:
        name: one of :data:`SAMPLERS`.
        seed: of everything random.
        pool: makes the architectures that ours choose from; called only for those that need it.
        search: what it is for, as far as a sampler can use that.
    """
    return SAMPLERS.load(name)(seed, pool, search or Search())

"""Samplers by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..._registry import Registry

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from ..proposals.candidate import SearchProblem
    from ..proposals.pool import PoolMaker

DEFAULT_SAMPLER = "cost"

#: name -> factory ``(seed, pool, problem)``; ``pool()`` makes the feasible architectures, for those that need them.
SAMPLERS: Registry[Callable[[int, PoolMaker, SearchProblem | None], BaseSampler]] = Registry(
    "sampler",
    {
        "cost": "mgic_nas.engine.samplers.cost_aware:make",
        "stratified": "mgic_nas.engine.samplers.stratified:make",
        "random": "mgic_nas.engine.samplers.optuna_samplers:random",
        "nsga2": "mgic_nas.engine.samplers.optuna_samplers:nsga2",
        "tpe": "mgic_nas.engine.samplers.optuna_samplers:tpe",
        "tpe-univariate": "mgic_nas.engine.samplers.optuna_samplers:tpe_univariate",
        "gp": "mgic_nas.engine.samplers.optuna_samplers:gp",
    },
)


def make_sampler(
    name: str, seed: int, pool: PoolMaker = lambda: None, problem: SearchProblem | None = None
) -> BaseSampler:
    """An Optuna sampler by name; UserError for an unknown one.

    Args:
        name: one of :data:`SAMPLERS`.
        seed: of everything random.
        pool: makes the architectures that ours choose from; called only for those that need it.
        problem: what is searched, for samplers that make use of its epochs and budgets.
    """
    return SAMPLERS.load(name)(seed, pool, problem)

"""Samplers by name, and the search space in Optuna's words.

Optuna's samplers know nothing of budgets, conditions or duplicates: :mod:`.filters` stands around them. Ours choose
from a :class:`.pool.CandidatePool`, which holds only what passes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import UserError, did_you_mean
from ..proposals.pool import PoolMaker

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


@dataclass(frozen=True)
class Search:
    """What a search tells a sampler: the epochs of a whole training, and its budgets as (kind, limit)."""

    epochs: int = 1
    budgets: tuple[tuple[str, float], ...] = ()


DEFAULT_SAMPLER = "cost"
# NSGA-II's first generation is random; Optuna's 50 would be all of a search that trains 24 networks.
POPULATION = 16


def _cost(seed: int, pool: PoolMaker, search: Search) -> BaseSampler:
    from .cost_aware import CostAwareSampler

    return CostAwareSampler(pool(), seed=seed, epochs=search.epochs, budgets=search.budgets)


def _stratified(seed: int, pool: PoolMaker, search: Search) -> BaseSampler:
    from .stratified import StratifiedSampler

    return StratifiedSampler(pool(), seed=seed)


def _random(seed: int, pool: PoolMaker, search: Search) -> BaseSampler:
    from optuna.samplers import RandomSampler

    return RandomSampler(seed=seed)


def _nsga2(seed: int, pool: PoolMaker, search: Search) -> BaseSampler:
    from optuna.samplers import NSGAIISampler

    return NSGAIISampler(population_size=POPULATION, seed=seed)


def _tpe(seed: int, pool: PoolMaker, search: Search) -> BaseSampler:
    from optuna.samplers import TPESampler

    # Univariate TPE proposes the same few settings by the hundred in a discrete space. The constant liar keeps
    # trials that run side by side apart.
    return TPESampler(multivariate=True, constant_liar=True, seed=seed)


def _tpe_univariate(seed: int, pool: PoolMaker, search: Search) -> BaseSampler:
    from optuna.samplers import TPESampler

    return TPESampler(constant_liar=True, seed=seed)


_SAMPLERS: dict[str, Callable[[int, PoolMaker, Search], BaseSampler]] = {
    "cost": _cost,
    "stratified": _stratified,
    "random": _random,
    "nsga2": _nsga2,
    "tpe": _tpe,
    "tpe-univariate": _tpe_univariate,
}
SAMPLERS = tuple(_SAMPLERS)


def check_sampler(name: str) -> str:
    """``name`` where there is such a sampler, else a UserError that names those there are."""
    if name not in _SAMPLERS:
        hint = did_you_mean(str(name), SAMPLERS) or f" Known: {', '.join(sorted(SAMPLERS))}."
        raise UserError(f"Unknown sampler {name!r}.{hint}")
    return name


def make_sampler(name: str, seed: int, pool: PoolMaker = lambda: None, search: Search | None = None) -> BaseSampler:
    """An Optuna sampler by name; UserError for an unknown one.

    Args:
        name: one of :data:`SAMPLERS`.
        seed: of everything random.
        pool: makes what ours choose from; called only for those that need it.
        search: what it is for, as far as a sampler can use that.
    """
    import optuna

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        return _SAMPLERS[check_sampler(name)](seed, pool, search or Search())

"""Optuna's samplers with the settings that suit a search of few trials in a discrete space.

They know nothing of budgets, conditions or duplicates: :mod:`..proposals.filters` stands around them.
"""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler

from ...errors import UserError

if TYPE_CHECKING:
    from ..proposals.candidate import SearchProblem
    from ..proposals.pool import PoolMaker

# NSGA-II's first generation is random; Optuna's 50 would be all of a search that trains 24 networks.
POPULATION = 16


def random(seed: int, pool: PoolMaker, problem: SearchProblem | None) -> BaseSampler:
    return RandomSampler(seed=seed)


def nsga2(seed: int, pool: PoolMaker, problem: SearchProblem | None) -> BaseSampler:
    return NSGAIISampler(population_size=POPULATION, seed=seed)


def tpe(seed: int, pool: PoolMaker, problem: SearchProblem | None) -> BaseSampler:
    # Univariate TPE proposes the same few settings by the hundred in a discrete space.
    return _tpe(seed, multivariate=True)


def tpe_univariate(seed: int, pool: PoolMaker, problem: SearchProblem | None) -> BaseSampler:
    return _tpe(seed, multivariate=False)


def gp(seed: int, pool: PoolMaker, problem: SearchProblem | None) -> BaseSampler:
    """Optuna's own Gaussian process: a second or more a proposal after some dozen trials."""
    if find_spec("scipy") is None:
        raise UserError("the sampler 'gp' is Optuna's, which needs scipy: pip install scipy.")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=ExperimentalWarning)
        return GPSampler(seed=seed)


def _tpe(seed: int, multivariate: bool) -> TPESampler:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=ExperimentalWarning)
        # The constant liar keeps trials that run side by side apart.
        return TPESampler(multivariate=multivariate, constant_liar=True, seed=seed)

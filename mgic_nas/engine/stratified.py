"""Random search that does not leave a part of the costs to chance: one stratum of MACs after the other."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.samplers import BaseSampler, RandomSampler

from .study import JOB, REJECTED

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

    from .pool import CandidatePool
    from .sampler import Setting

STRATA = 16


class StratifiedSampler(BaseSampler):
    """Uniform draws from the untried architectures of each stratum of log MACs in turn, in a shuffled order.

    Without a pool, or where a parameter's distribution is not the pool's, as Optuna's RandomSampler.

    Args:
        pool: the architectures to choose from.
        seed: of everything random.
    """

    def __init__(self, pool: CandidatePool | None = None, seed: int | None = None) -> None:
        self._pool = pool
        self._random = RandomSampler(seed=seed)
        self._rng = random.Random(seed)
        self._chosen: dict[int, Setting] = {}
        self._turns: list[int] = []

    def reseed_rng(self) -> None:
        self._random.reseed_rng()
        self._rng = random.Random()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {name: self.sample_independent(study, trial, name, d) for name, d in search_space.items()}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        if self._pool is not None and self._pool.distributions.get(param_name) == param_distribution:
            setting = self._chosen.get(trial.number)
            if setting is None:
                setting = self._draw(study)
                self._chosen = {trial.number: setting}
            if setting:
                return setting[param_name]
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def _draw(self, study: Study) -> Setting:
        pool = self._pool
        assert pool is not None
        tried = set()
        for trial in study._storage.get_all_trials(study._study_id, deepcopy=False):
            job = trial.user_attrs.get(JOB)
            if job is not None:
                tried.add(job["arch_id"])
            elif trial.state.is_finished() and REJECTED not in trial.user_attrs and trial.params:
                tried.add(pool.arch_id(pool.setting(trial.params)))
        positions = pool.untried(tried)
        if not len(positions):
            return {}
        logs = np.log(pool.macs)
        place = (logs - logs.min()) / max(float(np.ptp(logs)), 1e-9)
        strata = np.minimum((place * STRATA).astype(int), STRATA - 1)[positions]
        while True:  # a stratum that is used up loses its turn
            if not self._turns:
                self._turns = self._rng.sample(range(STRATA), STRATA)
            inside = positions[strata == self._turns.pop()]
            if len(inside):
                return pool.settings[int(self._rng.choice(list(inside)))]

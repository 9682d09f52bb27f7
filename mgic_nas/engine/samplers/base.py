"""What our samplers have in common: they choose whole architectures, and Optuna asks for one parameter at a time."""

from __future__ import annotations

import random
import threading
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from optuna.samplers import BaseSampler, RandomSampler

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial, TrialState

    from ...space.parameters import Setting
    from ..proposals.pool import CandidatePool


class PoolSampler(BaseSampler):
    """A sampler whose trials are candidates of a pool. A subclass says which: :meth:`propose`.

    Parameters whose distribution is not the pool's are drawn at random, and so is everything where there is no pool
    or nothing untried in it.

    Args:
        pool: the architectures to choose from.
        seed: of everything random.
    """

    def __init__(self, pool: CandidatePool | None = None, seed: int | None = None) -> None:
        self._pool = pool
        self._random = RandomSampler(seed=seed)
        self._rng = random.Random(seed)
        self._chosen: dict[int, Setting] = {}  # trial number -> what it is to be
        self._lock = threading.Lock()

    @abstractmethod
    def propose(self, study: Study) -> Setting:
        """The next setting; an empty one where the pool has nothing untried. Called only where there is a pool."""

    def reseed_rng(self) -> None:
        self._random.reseed_rng()
        self._rng = random.Random()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        # Nothing is promised before it is seen that the study's parameters are the pool's.
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {name: self.sample_independent(study, trial, name, d) for name, d in search_space.items()}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        if self._pool is not None and self._pool.distributions.get(param_name) == param_distribution:
            with self._lock:
                if trial.number not in self._chosen:
                    self._chosen[trial.number] = self.propose(study)
                setting = self._chosen[trial.number]
            if setting:
                return setting[param_name]
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        self._chosen.pop(trial.number, None)

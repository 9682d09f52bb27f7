"""The base of samplers that choose whole architectures from a pool of feasible ones."""

from __future__ import annotations

import random
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from optuna.samplers import BaseSampler, RandomSampler

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

    from ...space.parameters import Setting
    from ..proposals.pool import CandidatePool


class PoolSampler(BaseSampler):
    """A sampler whose trials are candidates of a pool; a subclass implements :meth:`propose`.

    Other parameters than the pool's are drawn at random, and so is everything where there is no pool or nothing
    untried in it.

    Args:
        pool: the architectures to choose from.
        seed: of everything random.
    """

    def __init__(self, pool: CandidatePool | None = None, seed: int | None = None) -> None:
        self._pool = pool
        self._random = RandomSampler(seed=seed)
        self._rng = random.Random(seed)
        self._forget()

    def _forget(self) -> None:
        """Whatever is known of a study."""
        self._looked = 0  # trials of the study that were looked at
        self._unfinished: list[int] = []  # of them, when they were

    def _changed(self, study: Study) -> list[FrozenTrial]:
        """The trials that are new since the last call, or were not finished then, by number.

        A long search costs no more for a proposal than a short one.
        """
        trials = study.get_trials(deepcopy=False)  # a trial's number is its position
        if len(trials) < self._looked:  # another study
            self._forget()
        numbers = [*self._unfinished, *range(self._looked, len(trials))]
        self._looked = len(trials)
        self._unfinished = [number for number in numbers if not trials[number].state.is_finished()]
        return [trials[number] for number in numbers]

    @abstractmethod
    def propose(self, study: Study, pool: CandidatePool) -> Setting:
        """The next setting; an empty one where the pool has nothing untried."""

    def reseed_rng(self) -> None:
        self._random.reseed_rng()
        self._rng = random.Random()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {} if self._pool is None else self._pool.distributions

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if self._pool is not None and search_space == self._pool.distributions:
            return self.propose(study, self._pool)
        return {name: self.sample_independent(study, trial, name, d) for name, d in search_space.items()}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._random.sample_independent(study, trial, param_name, param_distribution)

"""The base of samplers that choose whole architectures from a pool of feasible ones."""

from __future__ import annotations

import contextlib
import random
from abc import abstractmethod
from collections.abc import Set
from typing import TYPE_CHECKING, Any

import optuna
from optuna.samplers import BaseSampler, RandomSampler

from ...errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial, TrialState

    from ...space.parameters import Setting
    from ..proposals.pool import CandidatePool


_log = optuna.logging.get_logger(__name__)


class PoolSampler(BaseSampler):
    """A sampler whose trials are candidates of a pool; a subclass implements :meth:`propose`.

    Parameters that are not the pool's are drawn at random, as Optuna's own samplers draw what they do not model; a
    warning says so once for each. Where nothing untried is left, ``study.optimize`` ends; a proposal that is asked for
    all the same is random.

    Args:
        pool: the architectures to choose from.
        seed: of everything random.

    Raises:
        UserError: there is no pool.
    """

    def __init__(self, pool: CandidatePool | None = None, seed: int | None = None) -> None:
        if pool is None:
            raise UserError(
                f"{type(self).__name__} chooses from a pool: pass CandidatePool.from_arrays(settings, costs), with "
                "what every setting costs."
            )
        self._pool = pool
        self._random = RandomSampler(seed=seed)
        self._rng = random.Random(seed)
        self._warned: set[str] = set()  # names of others' parameters
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

    def tried(self, study: Study, pool: CandidatePool) -> Set[str]:
        """The arch_ids that are not proposed again; ``study.optimize`` ends once these are the whole pool."""
        return frozenset()

    def reseed_rng(self) -> None:
        self._random.reseed_rng()
        self._rng = random.Random()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._pool.distributions

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if search_space == self._pool.distributions:
            return self.propose(study, self._pool)
        return {name: self.sample_independent(study, trial, name, d) for name, d in search_space.items()}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        own = self._pool.distributions.get(param_name)
        if own != param_distribution and param_name not in self._warned:
            self._warned.add(param_name)
            known = f"the pool has {own}" if own else f"the pool has {', '.join(self._pool.distributions)}"
            _log.warning(f"{param_name} is drawn at random: {known}, and asked for is {param_distribution}.")
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Ends ``study.optimize`` once a whole pool was tried."""
        pool = self._pool
        if not pool.whole or trial.number + 1 < len(pool.settings):
            return
        tried = {*self.tried(study, pool)}
        if self.is_of(trial, pool):
            tried.add(pool.arch_id(pool.setting(trial.params)))
        if not len(pool.untried(tried)):
            with contextlib.suppress(RuntimeError):  # whoever asks and tells decides by himself
                study.stop()

    @staticmethod
    def is_of(trial: FrozenTrial, pool: CandidatePool) -> bool:
        """Whether a trial has the pool's parameters, perhaps beside others."""
        return all(trial.distributions.get(name) == d for name, d in pool.distributions.items())

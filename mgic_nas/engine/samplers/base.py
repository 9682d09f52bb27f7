"""The base of samplers that choose whole architectures from a pool of feasible ones."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from abc import abstractmethod
from collections.abc import Mapping, Set
from datetime import datetime
from typing import TYPE_CHECKING, Any

import optuna
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import TrialState

from ...errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

    from ...space.parameters import Setting
    from ..proposals.pool import CandidatePool


_log = optuna.logging.get_logger(__name__)

PROPOSED = "mgic_nas:proposed"  # system attribute of a trial: the setting, from before its parameters are suggested
TURNS = 8  # proposals for a trial, where other processes take them at the same moment
YIELDS = 0.2  # seconds in which another process takes back what two have


class PoolSampler(BaseSampler):
    """A sampler whose trials are candidates of a pool; a subclass implements :meth:`propose`.

    Parameters that are not the pool's are drawn at random, as Optuna's own samplers draw what they do not model; a
    warning says so once for each. Where nothing untried is left, ``study.optimize`` ends; a proposal that is asked for
    all the same is one of the pool again.

    What is proposed is reserved at once, so that neither the threads of ``n_jobs`` nor processes that share a storage
    train anything twice. An objective need not suggest every parameter: the others are those that were proposed. Trials
    of other settings than the pool's, and trials of other samplers whose parameters leave open which setting it was,
    are left out; a warning says so once.

    Args:
        pool: the architectures to choose from.
        seed: of everything random.
        alone: no other process asks the study, so nothing is written into it.

    Raises:
        UserError: there is no pool.
    """

    def __init__(self, pool: CandidatePool | None = None, seed: int | None = None, alone: bool = False) -> None:
        from ..proposals.pool import CandidatePool

        if not isinstance(pool, CandidatePool):
            raise UserError(
                f"{type(self).__name__} chooses from a pool: pass CandidatePool.from_arrays(settings, costs), with "
                f"what every setting costs{'' if pool is None else f', not a {type(pool).__name__}'}."
            )
        self._pool = pool
        self._alone = alone
        self._random = RandomSampler(seed=seed)
        self._rng = random.Random(seed)
        self._warned: set[str] = set()  # names of others' parameters, and other reasons
        self._lock = threading.RLock()  # the threads of a study share a sampler
        self._asked = datetime.now()  # when the latest proposal was asked for
        self._forget()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.RLock()

    def _forget(self) -> None:
        """Whatever is known of a study."""
        self._looked = 0  # trials of the study that were looked at
        self._unfinished: list[int] = []  # of them, when they were
        self._proposed: dict[int, Setting] = {}  # by trial number

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
        if search_space != self._pool.distributions:
            return {name: self.sample_independent(study, trial, name, d) for name, d in search_space.items()}
        with self._lock:
            for _ in range(TURNS):
                self._asked = datetime.now()
                setting = self.propose(study, self._pool)
                if not setting and self._pool.whole and self._pool.settings:
                    if not self._alone:  # whoever is alone takes it for the end, and trains nothing again
                        self._warn("again", "everything in the pool was tried: a setting is proposed again.")
                    return self._rng.choice(self._pool.settings)
                if not setting or self._reserve(study, trial, setting):
                    break
        return setting

    def _reserve(self, study: Study, trial: FrozenTrial, setting: Setting) -> bool:
        """Whether a trial may have a setting: not where another process gave it away at the same moment."""
        self._proposed[trial.number] = setting
        if self._alone:
            return True
        study._storage.set_trial_system_attr(trial._trial_id, PROPOSED, dict(setting))
        others = self._rivals(study, trial.number, setting)
        if others and min(others) > trial.number:
            time.sleep(YIELDS)  # the later one gives way if it has seen this one
            others = self._rivals(study, trial.number, setting)
        return not others

    def _rivals(self, study: Study, number: int, setting: Setting) -> list[int]:
        """The other trials that have a setting and were not over when it was proposed."""
        arch_id = self._pool.arch_id(setting)
        found = []
        for trial in study.get_trials(deepcopy=False):
            over = trial.datetime_complete is not None and trial.datetime_complete < self._asked
            if trial.number != number and not over and (other := self.setting_of(trial, self._pool)):
                found += [trial.number] if self._pool.arch_id(other) == arch_id else []
        return found

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        own = self._pool.distributions.get(param_name)
        if own != param_distribution:
            known = f"the pool has {own}" if own else f"the pool has {', '.join(self._pool.distributions)}"
            self._warn(param_name, f"{param_name} is drawn at random: {known}, and asked for is {param_distribution}.")
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Ends ``study.optimize`` once a whole pool was tried."""
        pool = self._pool
        if not pool.whole or trial.number + 1 < len(pool.settings):
            return
        with self._lock:
            tried = {*self.tried(study, pool)}
            if setting := self.setting_of(trial, pool):
                tried.add(pool.arch_id(setting))
        if not len(pool.untried(tried)):
            with contextlib.suppress(RuntimeError):  # whoever asks and tells decides by himself
                study.stop()

    def setting_of(self, trial: FrozenTrial, pool: CandidatePool) -> Setting | None:
        """The setting of the pool that a trial trains; None where it is none, or where that cannot be told."""
        known = {name: d for name, d in pool.distributions.items() if name in trial.distributions}
        if any(trial.distributions[name] != d for name, d in known.items()):
            return None
        given = {name: trial.params[name] for name in known}
        if len(known) == len(pool.distributions):
            setting = pool.setting(given)
            if pool.holds(setting):
                return setting
            self._warn("outside", f"trial {trial.number} is none of the pool's settings, and is left out: {setting}.")
            return None
        finished = trial.state.is_finished()
        proposed = self._proposed.get(trial.number) or trial.system_attrs.get(PROPOSED)
        if proposed is not None and proposed.keys() != pool.distributions.keys():  # of another pool
            proposed = None
        if proposed is not None and (given or not finished) and _agree(proposed, given):
            setting = pool.setting(proposed)
            return setting if pool.holds(setting) else None
        if not given or not finished:
            return None
        found = [setting for setting in pool.settings if _agree(setting, given)]
        if len(found) == 1:
            return found[0]
        left_out = ", ".join(name for name in pool.distributions if name not in given)
        self._warn(
            "open",
            f"trial {trial.number} is left out: which setting of the pool it was cannot be told without {left_out}. "
            "pool.suggest(trial) suggests every parameter.",
        )
        return None

    def _warn(self, what: str, text: str) -> None:
        """Once for each of ``what``."""
        if what not in self._warned:
            self._warned.add(what)
            _log.warning(text)


def _agree(setting: Setting, given: Mapping[str, Any]) -> bool:
    return all(setting[name] == value for name, value in given.items())

"""Random search with equal coverage of the costs: one stratum of MACs after the other."""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING

import numpy as np

from ..storage.study import REJECTED
from ..storage.trial import JOB
from .base import PROPOSED, PoolSampler

if TYPE_CHECKING:
    from optuna import Study

    from ...space.parameters import Setting
    from ..proposals.candidate import SearchProblem
    from ..proposals.pool import CandidatePool, PoolMaker

STRATA = 16


class StratifiedSampler(PoolSampler):
    """Uniform draws from the untried architectures of each stratum of log MACs in turn, in a shuffled order.

    Args:
        pool, seed, alone: as those of :class:`PoolSampler`.
    """

    def __init__(self, pool: CandidatePool | None = None, seed: int | None = None, alone: bool = False) -> None:
        super().__init__(pool, seed, alone)
        self._turns: list[int] = []

    def _forget(self) -> None:
        super()._forget()
        self._tried: set[str] = set()  # arch_ids
        self._running: dict[int, str] = {}  # those of trainings that run beside it, by trial number

    def tried(self, study: Study, pool: CandidatePool) -> Set[str]:
        for trial in self._changed(study):
            self._running.pop(trial.number, None)
            if (job := trial.user_attrs.get(JOB)) is not None:
                self._tried.add(job["arch_id"])
            elif REJECTED not in trial.user_attrs and (setting := self.setting_of(trial, pool)):
                if trial.state.is_finished():
                    self._tried.add(pool.arch_id(setting))
                elif trial.number in self._proposed or PROPOSED in trial.system_attrs:
                    self._running[trial.number] = pool.arch_id(setting)
        return self._tried.union(self._running.values()) if self._running else self._tried

    def propose(self, study: Study, pool: CandidatePool) -> Setting:
        positions = pool.untried(self.tried(study, pool))
        if not len(positions):
            return {}
        logs = np.log(pool.macs)
        place = (logs - logs.min()) / max(float(np.ptp(logs)), 1e-9)
        strata = np.minimum((place * STRATA).astype(int), STRATA - 1)[positions]
        while True:  # a stratum without untried architectures loses its turn
            if not self._turns:
                self._turns = self._rng.sample(range(STRATA), STRATA)
            inside = positions[strata == self._turns.pop()]
            if len(inside):
                return pool.settings[int(self._rng.choice(list(inside)))]


def make(seed: int, pool: PoolMaker, problem: SearchProblem | None) -> StratifiedSampler:
    """The entry of the registry."""
    return StratifiedSampler(pool(), seed, alone=True)

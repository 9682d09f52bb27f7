"""The cost-aware sampler: what an architecture costs is known, so only its accuracy is modelled.

Candidates are the feasible architectures that are not tried yet. A Gaussian process over their costs and parameters,
fitted to the accuracies so far (unfinished learning curves included), says what each would reach; the one with the
largest expected gain is next: of hypervolume over accuracy and log MACs, and of the winner within each budget. An
:class:`optuna.samplers.BaseSampler`: it works in any study.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from optuna.study import StudyDirection
from optuna.trial import TrialState

from ..storage.study import JOB, REJECTED, RESULT
from ..surrogate.expected_gain import ExpectedGain, Objective, Observation
from .base import PoolSampler

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from optuna import Study
    from optuna.trial import FrozenTrial

    from ...space.parameters import Setting
    from ..proposals.pool import CandidatePool

STARTUP = 8  # candidates before the model is asked
LOOKED_AT = 2_048  # candidates a proposal chooses from


@dataclass
class _Trial:
    """What a trial of the study is, and what it says; ``open`` until it is told."""

    arch_id: str
    seen: Observation
    open: bool = True


class CostAwareSampler(PoolSampler):
    """Expected hypervolume improvement over accuracy and log MACs, where MACs are known beforehand.

    Objective 0 of the study is the accuracy; what others there are does not matter.

    Args:
        pool, seed: as those of :class:`PoolSampler`.
        epochs: of a whole training, as long as none has ended.
        budgets: (kind, limit); each is to have its best found.
        startup: so many first trials are spread over the MACs instead, the cheapest first.
    """

    def __init__(
        self,
        pool: CandidatePool | None = None,
        seed: int | None = None,
        startup: int = STARTUP,
        epochs: int = 1,
        budgets: Sequence[tuple[str, float]] = (),
    ) -> None:
        super().__init__(pool, seed)
        self._budgets = tuple(budgets)
        self._epochs = epochs
        self._startup = startup
        self._known: dict[int, _Trial] = {}  # by trial number
        self._settled: tuple[int, tuple[float, float] | None] = (0, None)  # up to how many trials, which

    def propose(self, study: Study) -> Setting:
        """The next setting; an empty one where the pool has nothing untried."""
        pool = self._pool
        assert pool is not None
        trials = self._read(study)
        positions = pool.untried({t.arch_id for t in trials})
        if not len(positions):
            return {}
        if len(trials) < self._startup:
            return pool.settings[self._stratum(positions, len(trials))]
        seen = [t.seen for t in trials]
        if not any(s.curve or s.acc is not None for s in seen):
            return pool.settings[int(self._rng.choice(list(positions)))]
        if len(positions) > LOOKED_AT:
            positions = np.array(sorted(self._rng.sample(list(positions), LOOKED_AT)))
        # How smooth and how noisy accuracies are does not change from one trial to the next.
        if len(seen) > self._settled[0]:
            self._settled = int(1.15 * len(seen)), None
        beliefs = ExpectedGain(seen, self._scope(), self._settled[1])
        self._settled = self._settled[0], beliefs.settled
        gains = beliefs.of_candidates(pool.costs[positions], pool.features[positions])
        return pool.settings[int(positions[int(np.argmax(gains))])]

    def _scope(self) -> Objective:
        pool = self._pool
        assert pool is not None
        return Objective(float(pool.macs.min()), float(pool.macs.max()), self._epochs, self._budgets)

    def _stratum(self, positions: NDArray[np.int_], number: int) -> int:
        """The untried candidate whose MACs are nearest to those of this start, which are evenly spread."""
        pool = self._pool
        assert pool is not None
        logs = np.log(pool.macs)
        target = logs.min() + (number + 0.5) / self._startup * np.ptp(logs)
        near = positions[np.argsort(np.abs(logs[positions] - target))]
        return int(self._rng.choice(list(near[: max(1, len(near) // (2 * self._startup))])))

    def _read(self, study: Study) -> list[_Trial]:
        """What the study knows: every trial with the pool's parameters that was not rejected."""
        sign = 1.0 if study.directions[0] == StudyDirection.MAXIMIZE else -1.0
        found = []
        for trial in study._storage.get_all_trials(study._study_id, deepcopy=False):
            known = self._known.get(trial.number) or self._see(trial)
            if known is None:
                continue
            if known.open:  # else it does not change any more
                known.open = not trial.state.is_finished()
                job, result = trial.user_attrs.get(JOB) or {}, trial.user_attrs.get(RESULT) or {}
                known.seen.curve = tuple(result.get("curve") or job.get("curve") or ())
                # A stopped or failed one adds nothing to a front; a paused one may.
                known.seen.waiting = bool(job.get("paused")) or not known.open
                if trial.state == TrialState.COMPLETE and trial.values and math.isfinite(trial.values[0]):
                    known.seen.acc, known.seen.waiting = sign * trial.values[0], False
            found.append(known)
        return found

    def _see(self, trial: FrozenTrial) -> _Trial | None:
        pool = self._pool
        assert pool is not None
        if REJECTED in trial.user_attrs or trial.distributions.keys() != pool.distributions.keys():
            return None
        if any(trial.distributions[name] != d for name, d in pool.distributions.items()):
            return None
        setting = pool.setting(trial.params)
        self._known[trial.number] = known = _Trial(pool.arch_id(setting), Observation(*pool.describe(setting)))
        return known

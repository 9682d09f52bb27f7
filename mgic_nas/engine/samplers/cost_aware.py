"""The cost-aware sampler: what an architecture costs is known, so only its accuracy is modelled.

Candidates are the untried feasible architectures. A Gaussian process over their costs and parameters, fitted to the
accuracies observed so far (learning curves of unfinished trials included), predicts their accuracies; the one with the
largest expected gain is proposed: of hypervolume over accuracy and log MACs, and of the winner within each budget. An
:class:`optuna.samplers.BaseSampler`: it works in any study.
"""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from optuna.study import StudyDirection
from optuna.trial import TrialState

from ...space.budget import parse_budgets
from ..storage.study import REJECTED
from ..storage.trial import JOB, RESULT
from ..surrogate.expected_gain import ExpectedGain, Objective, Observation
from ..surrogate.selection import informative
from .base import PoolSampler

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from optuna import Study
    from optuna.trial import FrozenTrial

    from ...space.budget import Budget
    from ...space.parameters import Setting
    from ..proposals.candidate import SearchProblem
    from ..proposals.pool import CandidatePool, PoolMaker

STARTUP = 8  # trials before the model is used
MAX_CANDIDATES = 2_048  # that a proposal is chosen from


@dataclass
class _Known:
    """A trial of the study."""

    arch_id: str
    observation: Observation


class CostAwareSampler(PoolSampler):
    """Expected hypervolume improvement over accuracy and log MACs, where MACs are known beforehand.

    Objective 0 of the study is the accuracy; further objectives are ignored.

    Args:
        pool, seed, alone: as those of :class:`PoolSampler`.
        startup: so many first trials are spread over the MACs instead, the cheapest first, and so many again as long
            as nothing is known of any.
        epochs: of a whole training, as long as none is finished.
        budgets: the gain of the winner within each counts too; texts such as ``"5M"`` or :class:`Budget`.
    """

    def __init__(
        self,
        pool: CandidatePool | None = None,
        seed: int | None = None,
        startup: int = STARTUP,
        epochs: int = 1,
        budgets: Sequence[Budget | str] = (),
        alone: bool = False,
    ) -> None:
        super().__init__(pool, seed, alone)
        self._budgets = parse_budgets(budgets)
        self._epochs = epochs
        self._startup = max(1, startup)

    def _forget(self) -> None:
        super()._forget()
        self._known: dict[int, _Known] = {}  # by trial number
        self._tried: set[str] = set()  # their arch_ids

    def propose(self, study: Study, pool: CandidatePool) -> Setting:
        known = self._read(study, pool)
        positions = pool.untried(self._tried)
        if not len(positions):
            return {}
        observations = informative([k.observation for k in known])
        if len(known) < self._startup or not any(o.curve or o.acc is not None for o in observations):
            return pool.settings[self._stratum(pool, positions, len(known) % self._startup)]
        if len(positions) > MAX_CANDIDATES:
            positions = np.array(sorted(self._rng.sample(list(positions), MAX_CANDIDATES)))
        gain = ExpectedGain(observations, Objective.over(pool.macs, self._epochs, self._budgets), pool.groups)
        gains = gain.of_candidates(pool.costs[positions], pool.features[positions], pool.believed(positions))
        return pool.settings[int(positions[int(np.argmax(gains))])]

    def tried(self, study: Study, pool: CandidatePool) -> Set[str]:
        self._read(study, pool)
        return self._tried

    def _stratum(self, pool: CandidatePool, positions: NDArray[np.int_], number: int) -> int:
        """One of the untried candidates nearest to this startup trial's MACs, which are evenly spaced by their log."""
        logs = np.log(pool.macs)
        target = logs.min() + (number + 0.5) / self._startup * np.ptp(logs)
        near = positions[np.argsort(np.abs(logs[positions] - target))]
        near = near[: max(1, len(near) // (2 * self._startup))]
        believed = pool.believed(near)
        if pool.foretold:  # the best of them by an earlier search
            return int(near[np.argmax(pool.features[near, -2] + believed)])
        if believed.any():
            return int(self._rng.choices(list(near), weights=np.exp(believed).tolist())[0])
        return int(self._rng.choice(list(near)))

    def _read(self, study: Study, pool: CandidatePool) -> list[_Known]:
        """Every trial of the pool's settings that was not rejected, by number."""
        sign = 1.0 if study.directions[0] == StudyDirection.MAXIMIZE else -1.0
        for trial in self._changed(study):
            setting = None if REJECTED in trial.user_attrs else self.setting_of(trial, pool)
            if setting is None:
                self._drop(trial.number)
            else:
                _observe(trial, self._add(trial.number, setting, pool).observation, sign)
        return [self._known[number] for number in sorted(self._known)]

    def _add(self, number: int, setting: Setting, pool: CandidatePool) -> _Known:
        arch_id = pool.arch_id(setting)
        known = self._known.get(number)
        if known is None or known.arch_id != arch_id:  # or the objective trained another than was proposed
            self._drop(number)
            self._known[number] = known = _Known(arch_id, Observation(*pool.describe(setting)))
            self._tried.add(arch_id)
        return known

    def _drop(self, number: int) -> None:
        if self._known.pop(number, None):
            self._tried = {known.arch_id for known in self._known.values()}


def _observe(trial: FrozenTrial, seen: Observation, sign: float) -> None:
    """Puts a trial's curve and state into its observation. ``sign``: -1 where the objective is minimised."""
    job, result = trial.user_attrs.get(JOB) or {}, trial.user_attrs.get(RESULT) or {}
    seen.curve = tuple(result.get("curve") or job.get("curve") or ())
    # A stopped or failed one adds nothing to a front; a paused one may.
    seen.waiting = bool(job.get("paused")) or trial.state.is_finished()
    if trial.state == TrialState.COMPLETE and trial.values and math.isfinite(trial.values[0]):
        seen.acc, seen.waiting = sign * trial.values[0], False


def make(seed: int, pool: PoolMaker, problem: SearchProblem | None) -> CostAwareSampler:
    """The entry of the registry."""
    if problem is None:
        return CostAwareSampler(pool(), seed, alone=True)
    return CostAwareSampler(pool(), seed, epochs=problem.epochs, budgets=problem.budgets, alone=True)

"""The cost-aware sampler: what an architecture costs is known, so only its accuracy is modelled.

Candidates are the feasible architectures that are not tried yet. A Gaussian process over their costs and parameters,
fitted to the accuracies so far (unfinished learning curves included), says what each would reach; the one with the
largest expected gain is next: of hypervolume over accuracy and log MACs, and of the winner within each budget. An
:class:`optuna.samplers.BaseSampler`: it works in any study.
"""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import StudyDirection
from optuna.trial import TrialState

from ..pareto import non_dominated
from .learning import Curves
from .pool import COSTS
from .study import JOB, REJECTED, RESULT
from .surrogate import Observations, Surrogate, expected_gain, expected_lift

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

    from .pool import CandidatePool
    from .sampler import Setting

    Array = NDArray[np.float64]

STARTUP = 8  # candidates before the model is asked
BUDGETS = 0.5  # the weight of the winners within budgets, against the front's
LOOKED_AT = 2_048  # candidates a proposal chooses from


@dataclass
class _Seen:
    """What one trial of the study says. ``acc`` is None while it is unfinished."""

    arch_id: str
    costs: Array
    features: Array
    curve: tuple[dict[str, Any], ...] = ()
    acc: float | None = None  # of a whole training
    running: bool = True


class CostAwareSampler(BaseSampler):
    """Expected hypervolume improvement over accuracy and log MACs, where MACs are known beforehand.

    Objective 0 of the study is the accuracy; what others there are does not matter. Parameters whose distribution is
    not the pool's are drawn at random, and so is everything where there is no pool.

    Args:
        pool: the architectures to choose from.
        seed: of everything random.
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
        self._pool = pool
        self._budgets = [(COSTS.index(kind), limit) for kind, limit in budgets if kind in COSTS]
        self._epochs = epochs
        self._random = RandomSampler(seed=seed)
        self._rng = random.Random(seed)
        self._startup = startup
        self._chosen: dict[int, Setting] = {}  # trial number -> what it is to be
        self._known: dict[int, _Seen] = {}  # by trial number
        self._settled: tuple[int, tuple[float, float] | None] = (0, None)  # up to how many trials, which
        self._lock = threading.Lock()

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

    def propose(self, study: Study) -> Setting:
        """The next setting; an empty one where the pool has nothing untried."""
        pool = self._pool
        assert pool is not None
        seen = self._read(study)
        positions = pool.untried({s.arch_id for s in seen})
        if not len(positions):
            return {}
        if len(seen) < self._startup:
            return pool.settings[self._stratum(positions, len(seen))]
        if len(positions) > LOOKED_AT:
            positions = np.array(sorted(self._rng.sample(list(positions), LOOKED_AT)))
        gains = self._gains(seen, positions)
        return pool.settings[int(positions[int(np.argmax(gains))])]

    def _stratum(self, positions: NDArray[np.int_], number: int) -> int:
        """The untried candidate whose MACs are nearest to those of this start, which are evenly spread."""
        pool = self._pool
        assert pool is not None
        logs = np.log(pool.macs)
        target = logs.min() + (number + 0.5) / self._startup * np.ptp(logs)
        near = positions[np.argsort(np.abs(logs[positions] - target))]
        return int(self._rng.choice(list(near[: max(1, len(near) // (2 * self._startup))])))

    def _gains(self, seen: Sequence[_Seen], positions: NDArray[np.int_]) -> Array:
        pool = self._pool
        assert pool is not None
        epochs = max((len(s.curve) for s in seen if s.acc is not None), default=self._epochs)
        curves = Curves([s.curve for s in seen if s.curve], epochs)
        told = [s for s in seen if s.acc is not None or s.curve]
        if not told:
            return np.array([self._rng.random() for _ in positions])
        known, extra = np.array([math.nan if s.acc is None else s.acc for s in told]), np.zeros(len(told))
        unfinished = np.flatnonzero(np.isnan(known))
        known[unfinished], extra[unfinished] = curves.expect([told[i].curve for i in unfinished.tolist()])
        # How smooth and how noisy accuracies are does not change from one trial to the next.
        if len(told) > self._settled[0]:
            self._settled = int(1.15 * len(told)), None
        model = Surrogate(Observations(np.array([s.features for s in told]), known, extra), self._settled[1])
        self._settled = self._settled[0], model.settled
        # What is not finished counts as if it had come out as expected: side by side, trials keep apart.
        accs = np.array([math.nan if s.acc is None else s.acc for s in seen])
        unfinished = np.flatnonzero(np.isnan(accs))
        if len(unfinished):
            accs[unfinished] = model.predict(np.array([seen[i].features for i in unfinished.tolist()]))[0]
        costs = np.array([s.costs for s in seen])
        mean, deviation = model.predict(pool.features[positions])
        return self._gain(pool.costs[positions], mean, deviation, costs, accs)

    def _gain(self, candidates: Array, mean: Array, deviation: Array, costs: Array, accs: Array) -> Array:
        """What each candidate is expected to add to what there is; costs are (n, 3)."""
        pool = self._pool
        assert pool is not None
        macs = costs[:, 0]
        front = np.flatnonzero(non_dominated(accs, macs))
        front = front[np.argsort(macs[front])]
        most = float(pool.macs.max()) * 1.001
        worst = float(min(np.percentile(accs, 10), accs[front].min())) - 1e-6
        total = expected_gain(candidates[:, 0], mean, deviation, (macs[front], accs[front]), (worst, most))
        # A front lifted by one percent over its whole length counts as much as every budget's winner by one.
        total /= max(math.log10(most / pool.macs.min()), 1e-9)
        for kind, limit in self._budgets:
            fits, within = candidates[:, kind] <= limit, costs[:, kind] <= limit
            best = float(accs[within].max()) if within.any() else worst
            total += fits * expected_lift(mean, deviation, best) * BUDGETS / len(self._budgets)
        return total

    def _read(self, study: Study) -> list[_Seen]:
        """What the study knows: every trial with the pool's parameters that was not rejected."""
        sign = 1.0 if study.directions[0] == StudyDirection.MAXIMIZE else -1.0
        found = []
        for trial in study._storage.get_all_trials(study._study_id, deepcopy=False):
            seen = self._known.get(trial.number)
            if seen is None:
                seen = self._see(trial)
                if seen is None:
                    continue
            if seen.running:  # else it does not change any more
                seen.running = not trial.state.is_finished()
                job, result = trial.user_attrs.get(JOB) or {}, trial.user_attrs.get(RESULT) or {}
                seen.curve = tuple(result.get("curve") or job.get("curve") or ())
                if trial.state == TrialState.COMPLETE and trial.values and math.isfinite(trial.values[0]):
                    seen.acc = sign * trial.values[0]
            found.append(seen)
        return found

    def _see(self, trial: FrozenTrial) -> _Seen | None:
        pool = self._pool
        assert pool is not None
        if REJECTED in trial.user_attrs or trial.distributions.keys() != pool.distributions.keys():
            return None
        if any(trial.distributions[name] != d for name, d in pool.distributions.items()):
            return None
        setting = pool.setting(trial.params)
        seen = self._known[trial.number] = _Seen(pool.arch_id(setting), *pool.describe(setting), running=True)
        return seen

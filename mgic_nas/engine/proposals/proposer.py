"""Proposals that pass every filter: a sampler's, or uniform draws where its proposals are rejected."""

from __future__ import annotations

import random
from collections.abc import Callable, Set
from dataclasses import dataclass

from ...space.parameters import Setting
from ...space.thresholds import DRAWS
from ..storage.latencies import Latencies
from ..storage.study import StudyStore
from .candidate import LazyCandidate, SearchProblem
from .filters import Budgets, Chain, FastByPrediction, FastEnough, Untried, Where
from .params import distributions, to_setting

# Rejections in a row before the next candidate is drawn uniformly: uncapped, TPE proposes duplicates for ever.
REJECTIONS_IN_A_ROW = 20
MEASURED = 100  # candidates in a row that exceed the limit on latency, before a draw gives up

SAMPLER, UNIFORM, ENQUEUED = "sampler", "uniform", "enqueued"


@dataclass(frozen=True)
class Proposal:
    """A candidate that passed every filter, and the study's RUNNING trial that stands for it."""

    number: int
    candidate: LazyCandidate
    drawn: str  # SAMPLER, UNIFORM or ENQUEUED


class Proposer:
    """Asks the study's sampler until a proposal passes, and reports the others to the study as rejected.

    Args:
        store: the study, with its sampler.
        problem: what is searched.
        tried: the arch_ids of everything that was ever started; its owner adds to it.
        seed: of the uniform draws.
        rejected: called with the reason of each rejection.
        doubtful: nothing was left when the run was last open, so draw before the sampler is asked.
    """

    def __init__(
        self,
        store: StudyStore,
        problem: SearchProblem,
        tried: Set[str],
        seed: int,
        rejected: Callable[[str], None],
        doubtful: bool = False,
    ) -> None:
        self._store = store
        self._problem = problem
        self._tried = tried
        self._seed = seed
        self._rejected = rejected
        self._doubtful = doubtful
        self._gave_up = False  # on finding one that is fast enough
        self._budgets = Budgets(problem.budgets)
        self._fast = FastEnough()
        self._known_unfit = Chain((Where(), self._budgets))
        self._filter = Chain((Where(), self._budgets, Untried(tried), FastByPrediction(), self._fast))
        self._distributions = distributions(problem.space)
        self._enqueued = list(problem.enqueued)

    def enqueued(self) -> Proposal | None:
        """The next of the designs that are trained first; those that do not fit, or were tried, are passed over."""
        while self._enqueued:
            candidate = LazyCandidate(self._enqueued.pop(0), self._problem)
            if self._known_unfit(candidate) or candidate.arch_id in self._out:
                continue
            if proposal := self._ask(candidate.setting, ENQUEUED):
                return proposal
        return None

    def propose(self) -> Proposal | None:
        """The next candidate to train; None where no untried feasible architecture is left (or found)."""
        if self._problem.feasible.known_empty(self._out) or (self._doubtful and self._draw() is None):
            return None
        self._doubtful = False
        for _ in range(REJECTIONS_IN_A_ROW):
            if proposal := self._ask(None, SAMPLER):
                return proposal
        candidate = self._draw()
        return None if candidate is None else self._ask(candidate.setting, UNIFORM)

    @property
    def exhausted(self) -> str:
        """Why :meth:`propose` returned None, as text."""
        text = "no untried architecture is left within the budgets"
        problem = self._problem
        if self._gave_up or not problem.feasible.exact:
            text = f"no untried architecture within the budgets was found in {DRAWS:,} draws"
        for latencies in problem.latencies:
            text += latencies.slow_ones(problem.space.model, problem.num_classes)
        for kind, predictor in problem.predictors.items():
            text += (
                f"; what is predicted to be over {kind}={problem.limits[kind] * 1e3:.4g}ms was left out (the fastest "
                f"of {predictor.accuracy.fitted + predictor.accuracy.held_out} networks that were measured for that "
                f"takes {predictor.fastest * 1e3:.4g} ms)"
            )
        return text

    @property
    def _out(self) -> Set[str]:
        """The arch_ids that must not be drawn: tried, or measured and too slow."""
        too_slow = self._problem.too_slow
        return self._tried | too_slow if too_slow else self._tried

    def _draw(self) -> LazyCandidate | None:
        rng = random.Random(f"{self._seed}/{len(self._tried)}")
        feasible = self._problem.feasible
        if not feasible.small and (listed := next((one for one in self._problem.latencies if one.settings), None)):
            return self._listed(listed, rng)
        for turn in range(MEASURED):
            # Where random draws give slow ones only, the smallest that are left are likelier to be fast.
            found = feasible.cheapest(self._out) if turn % 2 else feasible.draw(rng, self._out)
            if found is None:
                return None
            candidate = LazyCandidate(found.setting, self._problem)
            if self._fast(candidate) is None:
                return candidate
        self._gave_up = True
        return None

    def _listed(self, latencies: Latencies, rng: random.Random) -> LazyCandidate | None:
        """Of a large space that a csv has measurements of: one of those, which random settings would hardly meet."""
        out = self._out
        left = [setting for arch_id, setting in latencies.settings.items() if arch_id not in out]
        rng.shuffle(left)
        for setting in left:
            if self._filter(candidate := LazyCandidate(setting, self._problem)) is None:
                return candidate
        return None

    def _ask(self, fixed: Setting | None, drawn: str) -> Proposal | None:
        if fixed is None:
            trial = self._store.ask(self._distributions)
        else:
            trial = self._store.ask_fixed(fixed, self._distributions)
        candidate = LazyCandidate(to_setting(self._problem.space, trial.params), self._problem)
        if rejection := self._filter(candidate):
            violation = rejection.violation
            self._store.reject(
                trial, rejection.reason, self._budgets.violation(candidate) if violation is None else violation
            )
            self._rejected(rejection.reason)
            return None
        self._store.constrain(trial, self._budgets.violation(candidate))
        return Proposal(trial.number, candidate, drawn)

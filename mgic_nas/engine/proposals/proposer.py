"""Proposals that may be trained: a sampler, the filters around it, and what happens when it finds nothing."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import UserError
from ...space.parameters import Setting
from ..storage.study import VIOLATION
from .candidate import LATENCY, LazyCandidate, SearchProblem
from .filters import Budgets, Chain, FastEnough, Filter, Untried, Where
from .params import distributions, to_setting

if TYPE_CHECKING:
    from ...space import Candidates
    from ..storage.study import StudyStore

# So many rejections in a row and the next candidate is drawn uniformly. Uncapped, TPE proposes duplicates for ever.
REJECTIONS_IN_A_ROW = 20
ENUMERATED_AT_ONCE = 50_000  # settings: a few seconds, once
DRAWS = 2_000  # random settings, before a larger space is enumerated
MEASURED = 100  # candidates in a row that are too slow, before a draw gives up

SAMPLER, UNIFORM = "sampler", "uniform"


@dataclass(frozen=True)
class Proposal:
    """A candidate that passed every filter, and the study's RUNNING trial that stands for it."""

    number: int
    candidate: LazyCandidate
    drawn: str  # SAMPLER or UNIFORM


class Pool:
    """What is left to train: uniform draws from the feasible untried part of a space."""

    def __init__(self, task: SearchProblem, limits: Mapping[str, float], passes: Filter) -> None:
        self._task = task
        counted = {kind: limit for kind, limit in limits.items() if kind != LATENCY}
        self._where = (task.input_size, task.num_classes, counted)
        self._passes = passes
        self._feasible: Candidates | None = None  # once they have been enumerated
        self.exact = task.space.enumerable  # whether "nothing is left" is a fact, not the outcome of sampling

    def known_empty(self, tried: Set[str]) -> bool:
        """Whether it can be told at once that nothing is left."""
        feasible = self._feasible
        return feasible is not None and len(tried) >= len(feasible) and not feasible.untried(tried)

    def draw(self, tried: Set[str], rng: random.Random) -> LazyCandidate | None:
        """A feasible untried candidate; None where there is none (or none was found, where not :attr:`exact`).

        Uniform over architectures. In a space that takes long to enumerate, uniform over settings while that finds
        one: an architecture that several settings lead to is then likelier.
        """
        space = self._task.space
        try:
            if self._feasible is None and space.size > ENUMERATED_AT_ONCE:
                for _ in range(DRAWS):
                    candidate = LazyCandidate(space.sample(rng), self._task)
                    if self._passes(candidate) is None:
                        return candidate
            if self.exact and self._feasible is None:
                self._feasible = space.distinct(*self._where)
            found = space.draw_feasible(rng, *self._where, exclude=tried)
        except UserError:
            # Somewhere the model refuses a combination that ``where`` lets through, so nothing can be enumerated.
            self.exact = False
            return None
        return None if found is None else LazyCandidate(found.setting, self._task)

    def smallest(self, out: Set[str]) -> LazyCandidate | None:
        """The one with the fewest activations that is not in ``out``; in a space that is not enumerated, any."""
        feasible = self._feasible
        if feasible is None:
            return self.draw(out, random.Random(len(out)))
        order = feasible.activations.argsort(kind="stable").tolist()
        left = next((index for index in order if feasible.arch_id(index) not in out), None)
        return None if left is None else LazyCandidate(feasible[left].setting, self._task)


class Proposer:
    """Asks the study's sampler until a proposal passes, and tells the study of those that do not.

    Args:
        store: the study, with its sampler.
        task: the space, and what its candidates are costed for.
        limits: kind -> largest cost.
        tried: the arch_ids of everything that was ever started; its owner adds to it.
        seed: of the uniform draws.
        rejected: called with the reason of each rejection.
        doubtful: nothing was left when the run was last open, so look before the sampler is asked.
    """

    def __init__(
        self,
        store: StudyStore,
        task: SearchProblem,
        limits: Mapping[str, float],
        tried: Set[str],
        seed: int,
        rejected: Callable[[str], None],
        doubtful: bool = False,
    ) -> None:
        self._store = store
        self._task = task
        self._tried = tried
        self._seed = seed
        self._rejected = rejected
        self._doubtful = doubtful
        self._budgets = Budgets(limits)
        counted = Chain((Where(), self._budgets, Untried(tried)))
        self._fast = FastEnough()
        self._filter = Chain((counted, self._fast))
        self._pool = Pool(task, limits, counted)
        self._distributions = distributions(task.space)

    def propose(self) -> Proposal | None:
        """The next candidate to train; None where no untried feasible architecture is left (or found)."""
        if self._pool.known_empty(self._out) or (self._doubtful and self._draw() is None):
            return None
        self._doubtful = False
        for _ in range(REJECTIONS_IN_A_ROW):
            if proposal := self._ask(None):
                return proposal
        candidate = self._draw()
        return None if candidate is None else self._ask(candidate.setting)

    @property
    def exhausted(self) -> str:
        """Why :meth:`propose` has given None, for a person."""
        text = "no untried architecture is left within the budgets"
        if not self._pool.exact:
            text = f"no untried architecture within the budgets was found in {DRAWS:,} draws"
        task = self._task
        return text + (task.latencies.slow_ones(task.space.model, task.num_classes) if task.latencies else "")

    @property
    def _out(self) -> Set[str]:
        """The arch_ids that are not to be drawn: tried, or measured and too slow."""
        return self._tried | self._task.too_slow

    def _draw(self) -> LazyCandidate | None:
        rng = random.Random(f"{self._seed}/{len(self._tried)}")
        for turn in range(MEASURED):
            # Where chance finds only slow ones, the smallest that are left are likelier to be fast.
            candidate = self._pool.smallest(self._out) if turn % 2 else self._pool.draw(self._out, rng)
            if candidate is None or self._fast(candidate) is None:
                return candidate
        self._pool.exact = False
        return None

    def _ask(self, fixed: Setting | None) -> Proposal | None:
        if fixed is None:
            trial = self._store.ask(self._distributions)
        else:
            trial = self._store.ask_fixed(fixed, self._distributions)
        candidate = LazyCandidate(to_setting(self._task.space, trial.params), self._task)
        if rejection := self._filter(candidate):
            violation = rejection.violation
            self._store.reject(
                trial, rejection.reason, self._budgets.violation(candidate) if violation is None else violation
            )
            self._rejected(rejection.reason)
            return None
        trial.set_constraint(VIOLATION, self._budgets.violation(candidate))
        return Proposal(trial.number, candidate, SAMPLER if fixed is None else UNIFORM)

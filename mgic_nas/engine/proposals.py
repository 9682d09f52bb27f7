"""Proposals that may be trained: a sampler, the filters around it, and what happens when it finds nothing."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import UserError
from .filters import Budgets, Candidate, Chain, Filter, Task, Untried, Where
from .sampler import Setting, distributions, to_setting
from .study import VIOLATION

if TYPE_CHECKING:
    from ..space import Candidates
    from .study import StudyStore

# So many rejections in a row and the next candidate is drawn uniformly. Uncapped, TPE proposes duplicates for ever.
REJECTIONS_IN_A_ROW = 20
ENUMERATED_AT_ONCE = 50_000  # settings: a few seconds, once
DRAWS = 2_000  # random settings, before a larger space is enumerated

SAMPLER, UNIFORM = "sampler", "uniform"


@dataclass(frozen=True)
class Proposal:
    """A candidate that passed every filter, and the study's RUNNING trial that stands for it."""

    number: int
    candidate: Candidate
    drawn: str  # SAMPLER or UNIFORM


class Pool:
    """What is left to train: uniform draws from the feasible untried part of a space."""

    def __init__(self, task: Task, limits: Mapping[str, float], passes: Filter) -> None:
        self._task = task
        self._where = (task.input_size, task.num_classes, dict(limits))
        self._passes = passes
        self._feasible: Candidates | None = None  # once they have been enumerated
        self.exact = task.space.enumerable  # whether "nothing is left" is a fact, not the outcome of sampling

    def known_empty(self, tried: Set[str]) -> bool:
        """Whether it can be told at once that nothing is left."""
        feasible = self._feasible
        return feasible is not None and len(tried) >= len(feasible) and not feasible.untried(tried)

    def draw(self, tried: Set[str], rng: random.Random) -> Candidate | None:
        """A feasible untried candidate; None where there is none (or none was found, where not :attr:`exact`).

        Uniform over architectures. In a space that takes long to enumerate, uniform over settings while that finds
        one: an architecture that several settings lead to is then likelier.
        """
        space = self._task.space
        try:
            if self._feasible is None and space.size > ENUMERATED_AT_ONCE:
                for _ in range(DRAWS):
                    candidate = Candidate(space.sample(rng), self._task)
                    if self._passes(candidate) is None:
                        return candidate
            if self.exact and self._feasible is None:
                self._feasible = space.distinct(*self._where)
            found = space.draw_feasible(rng, *self._where, exclude=tried)
        except UserError:
            # Somewhere the model refuses a combination that ``where`` lets through, so nothing can be enumerated.
            self.exact = False
            return None
        return None if found is None else Candidate(found.setting, self._task)


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
        task: Task,
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
        self._filter = Chain((Where(), self._budgets, Untried(tried)))
        self._pool = Pool(task, limits, self._filter)
        self._distributions = distributions(task.space)

    def propose(self) -> Proposal | None:
        """The next candidate to train; None where no untried feasible architecture is left (or found)."""
        if self._pool.known_empty(self._tried) or (self._doubtful and self._draw() is None):
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
        if self._pool.exact:
            return "no untried architecture is left within the budgets"
        return f"no untried architecture within the budgets was found in {DRAWS:,} draws"

    def _draw(self) -> Candidate | None:
        return self._pool.draw(self._tried, random.Random(f"{self._seed}/{len(self._tried)}"))

    def _ask(self, fixed: Setting | None) -> Proposal | None:
        if fixed is None:
            trial = self._store.ask(self._distributions)
        else:
            trial = self._store.ask_fixed(fixed, self._distributions)
        candidate = Candidate(to_setting(self._task.space, trial.params), self._task)
        if rejection := self._filter(candidate):
            violation = rejection.violation
            self._store.reject(
                trial, rejection.reason, self._budgets.violation(candidate) if violation is None else violation
            )
            self._rejected(rejection.reason)
            return None
        trial.set_constraint(VIOLATION, self._budgets.violation(candidate))
        return Proposal(trial.number, candidate, SAMPLER if fixed is None else UNIFORM)

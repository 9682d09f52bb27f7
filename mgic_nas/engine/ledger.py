"""The state of a run in memory: its trials, counts kept up to date, and the observer. Nothing is scanned."""

from __future__ import annotations

import contextlib
import math
import time
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .events import Counts, Event, Observer
from .proposals.proposer import UNIFORM
from .storage.record import write_trials_csv
from .storage.trial import COMPLETE, COSTS, FAILED, PAUSED, RUNNING, STOPPED, Trial

if TYPE_CHECKING:
    from ..space import Budget
    from .storage.latencies import Latencies

CSV_EVERY = 5.0  # seconds between two trials.csv, at least
CSV_SHARE = 0.05  # of the time, at most: the longer the table, the less often it is written


class Ledger:
    """The one owner of the trials: their current :class:`Trial` by number, and what follows from them.

    Args:
        folder: of the run, for trials.csv; None where there is none.
        wanted: how many trials are to be started.
        budgets: the best accuracy is kept for each.
        observer: called with every event, until it raises.
        latencies: measure, one for each kind of latency that a budget is on.

    Attributes:
        trials: by number.
        live: the numbers of the trials whose worker has not ended as far as this driver knows.
        tried: the arch_ids of all trials.
        wanted: how many trials are to be started.
        outlook: what another hour is expected to buy, in words.
    """

    def __init__(
        self,
        folder: Path | None,
        wanted: int,
        budgets: Sequence[Budget],
        observer: Observer | None,
        latencies: Sequence[Latencies] = (),
    ) -> None:
        self.trials: dict[int, Trial] = {}
        self.live: set[int] = set()
        self.tried: set[str] = set()
        self._paused: dict[int, None] = {}  # in the order in which they paused
        self._folder = folder
        self.wanted = wanted
        self.outlook = ""
        self._budgets = budgets
        self._observer = observer
        self._latencies = latencies
        self._states: Counter[str] = Counter()
        self._rejected: Counter[str] = Counter()
        self._uniform = 0
        self._best: dict[str, float | None] = {budget.label: None for budget in budgets}
        self._csv_due = -math.inf

    def add(self, trial: Trial) -> Trial:
        """An architecture whose training was started, now or by an earlier driver."""
        if trial.state not in (STOPPED, FAILED):
            # Known already, unless it was trained before there was a budget on latency, or on another machine.
            known = {one.kind: one.seconds(trial.arch_id, trial.config) for one in self._latencies}
            trial = replace(trial, latencies={kind: seconds for kind, seconds in known.items() if seconds is not None})
        self.trials[trial.number] = trial
        self.tried.add(trial.arch_id)
        self._uniform += trial.drawn == UNIFORM
        self._count(trial)
        return trial

    def update(self, trial: Trial) -> Trial:
        """Replaces a trial by its new state."""
        before, self.trials[trial.number] = self.trials[trial.number], trial
        if trial.state == before.state:
            return trial
        self._states[before.state] -= 1
        self._paused.pop(trial.number, None)
        if trial.state != RUNNING:
            self.live.discard(trial.number)
        self._count(trial)
        return trial

    def remove(self, trial: Trial) -> None:
        """A failed trial whose place another takes."""
        del self.trials[trial.number]
        self._states[trial.state] -= 1
        self._uniform -= trial.drawn == UNIFORM

    @property
    def succeeded(self) -> bool:
        """Whether any training of the run came to its end, or to a rung: the machine can train."""
        return any(self._states[state] for state in (COMPLETE, STOPPED, PAUSED))

    @property
    def complete(self) -> int:
        """How many trials were trained to their end."""
        return self._states[COMPLETE]

    @property
    def paused(self) -> list[Trial]:
        """The trials that wait at a rung, in the order in which they paused."""
        return [self.trials[number] for number in self._paused]

    def rejected(self, reason: str) -> None:
        """Counts a proposal that is not trained."""
        self._rejected[reason] += 1

    def current(self, number: int, attempt: int) -> Trial | None:
        """The trial of an attempt, if that is its latest and has not ended."""
        trial = self.trials.get(number)
        return trial if trial and number in self.live and trial.attempt == attempt else None

    @property
    def started(self) -> int:
        return len(self.trials)

    def counts(self, queued: int) -> Counts:
        """The counts of the run, of which ``queued`` trials wait for a retry."""
        return Counts(
            trials=self.wanted,
            started=self.started,
            complete=self._states[COMPLETE],
            stopped=self._states[STOPPED],
            failed=self._states[FAILED],
            paused=self._states[PAUSED],
            running=len(self.live),
            queued=queued,
            uniform=self._uniform,
            rejected=dict(self._rejected),
            best=dict(self._best),
            outlook=self.outlook,
        )

    def write_csv(self) -> None:
        """Writes trials.csv, at most every :data:`CSV_EVERY` seconds and in :data:`CSV_SHARE` of the time."""
        began = time.monotonic()
        if self._folder is not None and began >= self._csv_due:
            with contextlib.suppress(OSError):  # it follows from the study, and is tried again; the end's must succeed
                write_trials_csv(self._folder, self.trials.values(), [one.kind for one in self._latencies])
            ended = time.monotonic()
            self._csv_due = ended + max(CSV_EVERY, (ended - began) / CSV_SHARE)

    def notify(
        self,
        kind: str,
        queued: int,
        trial: Trial | None = None,
        result: Mapping[str, Any] | None = None,
        text: str = "",
    ) -> None:
        """Calls the observer with an event."""
        if self._observer is None:
            return
        about: dict[str, Any] = {}
        if trial is not None:
            cost = {kind: getattr(trial, kind) for kind in COSTS}
            about = {"number": trial.number, "attempt": trial.attempt, "cost": cost}
        try:
            self._observer(Event(kind, self.counts(queued), result=result or {}, text=text, **about))
        except Exception as error:
            # A display that breaks (a closed pipe) must not end a search of many hours.
            self._observer = None
            warnings.warn(f"the observer of the search failed and is not called any more: {error!r}", stacklevel=2)

    def _count(self, trial: Trial) -> None:
        self._states[trial.state] += 1
        if trial.state == PAUSED:
            self._paused[trial.number] = None
        elif trial.state == COMPLETE:
            for budget in self._budgets:
                if trial.cost(budget.kind) <= budget.limit:
                    best = self._best[budget.label]
                    self._best[budget.label] = max(trial.val_acc or 0.0, -math.inf if best is None else best)

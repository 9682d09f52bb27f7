"""The books of a run in memory: who has been started, how it stands, who is told. Counters, no scans."""

from __future__ import annotations

import math
import time
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .events import Counts, Event, Observer
from .proposals.proposer import UNIFORM
from .storage.record import write_trials_csv
from .storage.trial import COMPLETE, FAILED, PAUSED, RUNNING, STOPPED, Trial
from .storage.winner import winner

if TYPE_CHECKING:
    from ..space import Budget
    from .storage.latencies import Latencies

FAILING_ALIKE = 6  # so many trials that fail alike before one succeeds, and no further one is started
CSV_EVERY = 5.0  # seconds between two trials.csv


class Ledger:
    """Entries by number, and what follows from them.

    Args:
        folder: of the run, for trials.csv; None where there is none.
        trials: how many are to be started.
        budgets: the best is kept for each.
        observer: is told every event; one that raises is told no more.
        latencies: measures, where a budget is on latency.
    """

    def __init__(
        self,
        folder: Path | None,
        trials: int,
        budgets: Sequence[Budget],
        observer: Observer | None,
        latencies: Latencies | None = None,
    ) -> None:
        self.entries: dict[int, Trial] = {}
        self.live: set[int] = set()  # handed out by this driver, and not heard the last of
        self.paused: dict[int, Trial] = {}  # at a rung
        self.tried: set[str] = set()  # arch_ids
        self._folder = folder
        self._trials = trials
        self._budgets = budgets
        self._observer = observer
        self._latencies = latencies
        self._states: Counter[str] = Counter()
        self._rejected: Counter[str] = Counter()
        self._uniform = 0
        self._best: dict[str, Trial | None] = {budget.label: None for budget in budgets}
        self._csv_written = -math.inf
        self._succeeded = False  # since the run was opened
        self._errors: list[str] = []  # likewise

    def add(self, entry: Trial) -> None:
        """An architecture whose training was started, now or by an earlier driver."""
        self.entries[entry.number] = entry
        self.tried.add(entry.arch_id)
        if self._latencies is not None and entry.state not in (STOPPED, FAILED):
            # Known already, unless it was trained before there was a budget on latency, or on another machine.
            entry.latency = self._latencies.seconds(entry.arch_id, entry.job["config"])
        self._uniform += entry.job["drawn"] == UNIFORM
        self._enter(entry)

    def move(self, entry: Trial, state: str) -> None:
        """A trial changes its state."""
        self._states[entry.state] -= 1
        self.paused.pop(entry.number, None)
        if state != RUNNING:
            self.live.discard(entry.number)
        entry.state = state
        self._enter(entry)
        self._succeeded = self._succeeded or state == COMPLETE
        if state == FAILED:
            self._errors.append(str(entry.result.get("error")))

    @property
    def failing_alike(self) -> str:
        """Why the fault is not the networks' (data that are gone, a full disk), so that the rest is left for later."""
        if self._succeeded or len(self._errors) < FAILING_ALIKE or len(set(self._errors)) > 1:
            return ""
        return f"{len(self._errors)} trials failed alike and none succeeded: {self._errors[0]}"

    def rejected(self, reason: str) -> None:
        """A proposal was not trained."""
        self._rejected[reason] += 1

    def current(self, number: int, attempt: int) -> Trial | None:
        """The trial that an attempt belongs to, while somebody waits for just this attempt."""
        entry = self.entries.get(number)
        return entry if entry and number in self.live and entry.attempt == attempt else None

    @property
    def started(self) -> int:
        return len(self.entries)

    def counts(self, queued: int) -> Counts:
        """How the run stands; ``queued`` trials are to be handed out again."""
        return Counts(
            trials=self._trials,
            started=self.started,
            complete=self._states[COMPLETE],
            stopped=self._states[STOPPED],
            failed=self._states[FAILED],
            paused=self._states[PAUSED],
            running=len(self.live),
            queued=queued,
            uniform=self._uniform,
            rejected=dict(self._rejected),
            best={label: trial and trial.val_acc for label, trial in self._best.items()},
        )

    def write_csv(self) -> None:
        """trials.csv, unless it was written a moment ago."""
        if self._folder is not None and time.monotonic() - self._csv_written >= CSV_EVERY:
            write_trials_csv(self._folder, self.entries.values(), timed=self._latencies is not None)
            self._csv_written = time.monotonic()

    def tell(
        self,
        kind: str,
        queued: int,
        entry: Trial | None = None,
        result: Mapping[str, Any] | None = None,
        text: str = "",
    ) -> None:
        """Tells the observer."""
        if self._observer is None:
            return
        about: dict[str, Any] = {}
        if entry is not None:
            about = {"number": entry.number, "attempt": entry.attempt, "cost": entry.job["cost"]}
        try:
            self._observer(Event(kind, self.counts(queued), result=result or {}, text=text, **about))
        except Exception as error:
            # A display that breaks (a closed pipe) must not end a search of many hours.
            self._observer = None
            warnings.warn(f"the observer of the search failed and is told nothing more: {error!r}", stacklevel=2)

    def _enter(self, entry: Trial) -> None:
        self._states[entry.state] += 1
        if entry.state == PAUSED:
            self.paused[entry.number] = entry
        elif entry.state == COMPLETE:
            for budget in self._budgets:
                best = self._best[budget.label]
                self._best[budget.label] = winner([entry] if best is None else [best, entry], [budget])

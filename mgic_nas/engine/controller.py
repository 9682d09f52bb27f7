"""One run on disk: who is trained next, what came of it, and what is left after a crash.

An executor asks ``next`` for jobs and tells what became of them; it decides nothing. At whatever instant the driver
is killed, a new Controller on the same folder goes on: every architecture is counted once, none is lost. The life of
a trial::

    proposed (study: RUNNING) -> job saved -> handed out -> trained by a worker, which writes result.json
        -> result saved -> told to the study (COMPLETE, PRUNED or FAIL) -> weights that are no longer needed deleted

Each arrow is a point at which a driver may die, and ``recover`` knows what to do at each.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import MachineFault
from ..families.names import recorded_config
from ..space.budget import COUNTS, latency_kinds
from ..train.job import Job, attempt_folder, read_result
from . import events
from .doubts import AGAIN, CONDEMNED, HELD, Doubts
from .events import Counts, Observer
from .faults import Fault
from .jobs import JobSource
from .ledger import Ledger
from .proposals.candidate import SearchProblem
from .proposals.params import distributions
from .proposals.pool import CandidatePool
from .proposals.proposer import Proposal, Proposer
from .samplers.registry import make_sampler
from .schedulers.registry import make_scheduler
from .stopping import Stopping, outlook
from .storage.config import RUN_YAML, RunConfig
from .storage.folder import claim_folder, lock_folder, update_config
from .storage.measuring import of_run
from .storage.record import write_trials_csv
from .storage.starting import keep_known
from .storage.study import REJECTED, StudyStore
from .storage.trial import (
    COMPLETE,
    COSTS,
    FAILED,
    JOB,
    RESULT,
    RUNNING,
    STOPPED,
    Trial,
    check_result,
    finite,
    plain,
    trial_seed,
)
from .storage.weights import Weights
from .surrogate.choice import val_items
from .surrogate.expectation import SURE, expect, may_win

if TYPE_CHECKING:
    from .schedulers.base import Scheduler

LOOK_AGAIN = 1.05  # times the complete trials, until what another hour would buy is worked out again
NOWHERE = Path(os.devnull)  # a folder in which nothing can be
VISIBLE_WITHIN = 2.0  # seconds that a shared file system may take to show a result that another node wrote
SEED_STRIDE = 1_000_003  # between the seeds of two runs' samplers

ReadResult = Callable[[Path, int, int], dict[str, Any] | None]


class Controller(JobSource):
    """The one writer of a run.

    Opening it makes the run's folder, or continues the run in it: the configuration is compared with run.yaml, the
    study is read once, and what a killed driver left behind is put in order.

    Args:
        folder: of the run; None for one that leaves nothing on disk, which only a replay wants.
        config: of the run. UserError where the folder holds another one, or another driver is at work in it.
        observer: called with every :class:`Event`.
        problem: what is searched, in place of what ``config`` describes.
        scheduler: early stopping, in place of what ``config.rungs`` names.
        read_result: ``(trials folder, number, attempt) -> result or None``; by default the worker's result.json.
        retry_failed: train again what is booked as failed. The new trial takes the old one's place.

    Attributes:
        notes: what the user should know about how the run was opened, a line each.
    """

    def __init__(
        self,
        folder: str | Path | None,
        config: RunConfig,
        observer: Observer | None = None,
        *,
        problem: SearchProblem | None = None,
        scheduler: Scheduler | None = None,
        read_result: ReadResult = read_result,
        retry_failed: bool = False,
    ) -> None:
        problem = problem or SearchProblem.of_run(config)
        self.folder = None if folder is None else Path(folder)
        self._read_result = read_result
        self._queue: deque[int] = deque()  # trials whose job has to be started again
        self._orphans: dict[int, Mapping[str, Any]] = {}  # started by an earlier driver -> the result, if saved
        self._exhausted = ""
        self._looked_ahead = 0  # complete trials
        self.notes: list[str] = []
        self._doubts = Doubts()
        self._lock = None if self.folder is None else lock_folder(self.folder, config)
        try:
            self.config = config if self.folder is None else claim_folder(self.folder, config)
            self.trials_folder = NOWHERE if self.folder is None else self.config.trials_folder(self.folder)
            kinds = (*COUNTS, *latency_kinds(problem.budgets))
            contenders = functools.partial(_contenders, kinds, val_items(self.config))
            self._weights = Weights(
                self.trials_folder, self.config.keep, kinds, None if self.folder is None else contenders
            )
            latencies = of_run(self.folder, self.config, problem.feasible)
            earlier = keep_known(self.folder, problem.earlier, problem.space)
            self.problem = problem = replace(problem, latencies=latencies, earlier=earlier)
            # Of our own samplers and schedulers; not made where Optuna's sample.
            pool = functools.cache(lambda: CandidatePool(problem, self.config.seed))
            self._scheduler = scheduler or make_scheduler(self.config.rungs, pool, problem)
            self._ledger = Ledger(self.folder, self.config.trials, problem.budgets, observer, latencies)
            self._store = StudyStore(self.folder, self.config.name)
            known = self._load()
            self._stopping = Stopping(self.config, self._ledger.trials.values())
            if self._stopping.ended_before(self._store.ended):
                self._exhausted = self._store.ended
            if self.folder is not None:
                update_config(self.folder, self.config)
            self._keep_started()
            if retry_failed:
                known += self._retry_failed()
            # One that began again with the same seed would propose the same again.
            seed = (self.config.seed * SEED_STRIDE + known) % 2**32
            self._store.set_sampler(make_sampler(self.config.sampler, seed, pool, problem))
            self._proposer = Proposer(
                self._store,
                problem,
                self._ledger.tried,
                self.config.seed,
                self._rejected,
                doubtful=bool(self._store.ended),
            )
            self._notify(events.OPENED)
            self.recover()
        except BaseException:
            self._release()
            raise

    # ---- what an executor calls ----

    def next(self) -> Job | None:
        """The job to start now; None where there is none at this moment (see :attr:`done`)."""
        if self._doubts.halt is not None:
            return None
        while self._queue:
            trial = self._ledger.trials[self._queue.popleft()]
            if not self._collect(trial):
                return self._start_job(trial)
        if promotion := self._promotion():
            number, last_epoch = promotion
            trial = self._ledger.trials[number]
            return self._start_job(replace(trial, first_epoch=trial.last_epoch, last_epoch=last_epoch))
        if not self._may_start:
            return self._last_resort()
        enough = self._stopping.reason(self._ledger.trials)
        proposal = None if enough else self._proposer.enqueued() or self._proposer.propose()
        if proposal is None:
            self._exhausted = self._store.ended = enough or self._proposer.exhausted
            self._notify(events.EXHAUSTED, text=self._exhausted)
            return self._last_resort()
        self._store.ended = ""
        return self._start_job(self._new_trial(proposal))

    def report(self, job: Job, result: Mapping[str, Any]) -> bool:
        """An epoch of a job is over. False: the worker is to stop, and the job needs no further call."""
        trial = self._ledger.current(job.number, job.attempt)
        if trial is None or self._collect(trial, latest=False):
            return False
        trial = self._ledger.update(replace(trial, curve=(*trial.curve, dict(result))))
        val_acc = result.get("val_acc")
        if not finite(val_acc):
            self._finish(trial, FAILED, {"error": f"val_acc is {val_acc} after epoch {result.get('epoch')}"})
            return False
        if result["epoch"] < self.config.epochs and not self._scheduler.decide(trial, dict(result)):
            self._finish(trial, STOPPED, {"val_acc": val_acc})
            return False
        self._notify(events.EPOCH, trial, result)
        return True

    def finish(self, job: Job) -> None:
        """A worker has done a job: its result.json is read, and the trial is complete, or pauses at its rung."""
        trial = self._ledger.current(job.number, job.attempt)
        if trial is None:
            return
        waited_until = time.monotonic() + VISIBLE_WITHIN
        while not self._collect(trial):
            if time.monotonic() > waited_until:
                path = attempt_folder(self.trials_folder, job.number, job.attempt)
                self.fail(job, f"the training ended, but there is no result.json in {path}", died=True)
                return
            time.sleep(0.1)

    def fail(self, job: Job, error: Fault | str, died: bool = False) -> None:
        """A job has failed. Only what the network did itself is booked on it; see :mod:`.doubts`.

        Args:
            job: which one.
            error: why.
            died: its worker is gone, for which the job may not be to blame: it is started again, at most
                :data:`~mgic_nas.engine.doubts.MAX_RETRIES` times, and then once more alone if others were trained
                beside it.
        """
        trial = self._ledger.current(job.number, job.attempt)
        # A worker may die between writing its result and saying so.
        if trial is None or self._collect(trial):
            return
        fault = Fault.of_text(error, died) if isinstance(error, str) else error
        verdict = self._doubts.judge(trial, fault, self._ledger.succeeded)
        if verdict.what == CONDEMNED:
            self._finish(trial, FAILED, {"error": verdict.text})
            return
        trial = self._ledger.update(verdict.trial)
        self._ledger.live.discard(trial.number)
        if verdict.what == AGAIN:
            self._queue.append(trial.number)
        self._notify(events.HELD if verdict.what == HELD else events.RETRIED, trial, text=verdict.text)

    def _succeeded(self) -> None:
        """A training came to its end, so the machine works: suspects try again, or have failed."""
        failed, again = self._doubts.succeeded()
        for number, fault in failed.items():
            self._finish(self._ledger.trials[number], FAILED, {"error": fault.text})
        self._queue.extend(again)

    def _last_resort(self) -> Job | None:
        """A job once there is nothing else to do: of a trial that is to be tried alone, or of a suspect."""
        number = None if self._ledger.live else self._doubts.last_resort()
        return None if number is None else self._start_job(self._ledger.trials[number])

    @property
    def done(self) -> bool:
        """Whether the run is over: nothing is being trained, and ``next`` has no further job."""
        return not self._ledger.live and not self.wanted

    @property
    def wanted(self) -> int:
        """How many jobs ``next`` would give at most, were it called again and again now."""
        if self._doubts.halt is not None:
            return 0
        new = self.config.trials - self._ledger.started if self._may_start else 0
        wanted = len(self._queue) + new + (self._promotion() is not None)
        return wanted or int(not self._ledger.live and bool(self._doubts.waiting))

    # ---- what the user asks ----

    @property
    def ended(self) -> str:
        """Why no further architecture is proposed; empty where there may be more."""
        return self._store.ended

    @property
    def gave_up(self) -> Fault | None:
        """Why the search ends although there may be more to train: a fault that is not the networks'."""
        return self._doubts.halt

    @property
    def trials(self) -> tuple[Trial, ...]:
        """Those that were started, as they are now."""
        return tuple(self._ledger.trials.values())

    @property
    def counts(self) -> Counts:
        """How the run stands."""
        return self._ledger.counts(self._queued)

    @property
    def _queued(self) -> int:
        return len(self._queue) + self._doubts.waiting

    def close(self) -> None:
        """Writes trials.csv, deletes weights that are not kept, and unlocks the run; also after an interruption.

        MachineFault where the run's folder was renamed or unmounted meanwhile.
        """
        try:
            if self.folder is not None and not (self.folder / RUN_YAML).exists():
                raise MachineFault(
                    f"{self.folder} is no longer there (renamed, or a disk that is gone): what was done is kept in it, "
                    "and the same command goes on with it, back at its place or with its new one in --out"
                )
            self._weights.sweep(self._ledger.trials.values())
            self._store.over = self.done
            if self.folder is not None:
                write_trials_csv(self.folder)  # from the study: whatever was interrupted, it knows
        finally:
            with contextlib.suppress(Exception):  # nothing is left to be written; what was, is in the log
                self._store.close()
            self._release()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Controller:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- opening ----

    def _load(self) -> int:
        """Reads the study, the only time that it is scanned; returns how many trials it has."""
        found = self._store.trials()
        read = [(frozen, Trial.from_frozen(frozen)) for frozen in found]
        superseded = {trial.supersedes for _, trial in read if trial is not None}
        for frozen, trial in read:
            if trial is not None:
                if trial.number in superseded:
                    continue
                trial = self._ledger.add(trial)
                if trial.state == RUNNING:
                    self._orphans[trial.number] = frozen.user_attrs.get(RESULT) or {}
                if trial.curve:
                    self._remember(trial)
            elif frozen.state.name in ("RUNNING", "WAITING"):
                self._store.drop(frozen.number, "never handed out")
            elif frozen.state.name == "PRUNED":
                self._ledger.rejected(frozen.user_attrs.get(REJECTED, "unknown"))
        self._weights.sweep(self._ledger.trials.values())
        return len(found)

    def _keep_started(self) -> None:
        """A number of trials below what was started already changes nothing."""
        started, wanted = self._ledger.started, self.config.trials
        if started > wanted and self.folder is not None:
            self.notes.append(f"{started} trials were started already, so --trials {wanted} changes nothing")
            self.config = replace(self.config, trials=started)
            self.config.save(self.folder)
            self._ledger.wanted = started

    def _retry_failed(self) -> int:
        """A new trial in the place of each that failed; returns how many."""
        failed = [trial for trial in self._ledger.trials.values() if trial.state == FAILED]
        for old in failed:
            number = self._store.ask_fixed(old.setting, distributions(self.problem.space)).number
            new = Trial(
                number,
                old.arch_id,
                old.setting,
                old.config,
                **{kind: getattr(old, kind) for kind in COSTS},
                seed=old.seed,
                drawn=old.drawn,
                started=time.time(),
                supersedes=old.number,
            )
            new = replace(new, last_epoch=min(self._scheduler.first(new), self.config.epochs))
            shutil.rmtree(new.attempts_folder(self.trials_folder), ignore_errors=True)
            self._store.write(number, JOB, new.job())  # from here on the old one is not counted any more
            self._ledger.remove(old)
            self._ledger.add(new)
            self._queue.append(number)
        self.notes.append(f"{len(failed)} failed trials are trained again" if failed else "no trial has failed")
        return len(failed)

    def recover(self) -> None:
        """Puts in order what an earlier driver left: counts the results that its workers wrote, requeues the rest.

        Opening the run does this; to call it again changes nothing.
        """
        orphans, self._orphans = self._orphans, {}
        for number, result in orphans.items():
            trial = self._ledger.trials[number]
            if result:  # the driver ended between saving the result and setting the study's state
                self._finish(trial, result["state"], result)
            elif not self._collect(trial):
                self._queue.append(number)

    # ---- one step of a trial's life each ----

    @property
    def _may_start(self) -> bool:
        return self._ledger.started < self.config.trials and not self._exhausted

    def _promotion(self) -> tuple[int, int] | None:
        """(number, last_epoch) of the paused trial that continues, if one should."""
        paused = self._ledger.paused
        return self._scheduler.promote(paused, ending=not self._may_start) if paused else None

    def _new_trial(self, proposal: Proposal) -> Trial:
        """A new trial. It counts as started once its job is saved."""
        candidate = proposal.candidate
        # A cost function may say nothing but what stands for the MACs.
        costs: dict[str, Any] = {kind: int(getattr(candidate.cost, kind)) or None for kind in COSTS}
        trial = Trial(
            proposal.number,
            candidate.arch_id,
            candidate.setting,
            candidate.config,
            **costs,
            # By architecture, not by order: whoever proposes it, and when, it is trained the same.
            seed=trial_seed(self.config.seed, candidate.arch_id),
            drawn=proposal.drawn,
            started=time.time(),
        )
        trial = replace(trial, last_epoch=min(self._scheduler.first(trial), self.config.epochs))
        # Left by a run whose study was lost to a power cut: a result in there would be taken for this trial's.
        shutil.rmtree(trial.attempts_folder(self.trials_folder), ignore_errors=True)
        return self._ledger.add(trial)

    def _start_job(self, trial: Trial) -> Job:
        """The next attempt of a trial, saved before anybody trains it."""
        self._store.over = False
        checkpoint = None if trial.checkpoint is None else self.trials_folder / trial.checkpoint
        if checkpoint is not None and self.folder is not None and not checkpoint.exists():
            # Deleted, or not copied with the run: the trial is trained again from its beginning.
            trial, checkpoint = replace(trial, first_epoch=0, checkpoint=None), None
        trial = replace(
            trial,
            state=RUNNING,
            attempt=trial.attempt + 1,
            curve=trial.curve[: trial.first_epoch],
            epochs=None,
            seconds=None,
        )
        self._store.write(trial.number, JOB, trial.job())
        self._remember(self._ledger.update(trial))
        self._doubts.started(trial.number, self._ledger.live)
        self._ledger.live.add(trial.number)
        self._notify(events.HANDED_OUT, trial)
        return Job(
            number=trial.number,
            attempt=trial.attempt,
            config=recorded_config(self.config.model, trial.config),
            first_epoch=trial.first_epoch,
            last_epoch=trial.last_epoch,
            checkpoint=None if checkpoint is None else str(checkpoint),
            seed=trial.seed or 0,
        )

    def _collect(self, trial: Trial, latest: bool = True) -> bool:
        """Takes the first complete result among a trial's attempts, if there is one: the trial finishes, or pauses.

        Attempts before the latest belong to workers of a killed driver, or to dead ones; they may finish at any time.
        ``latest``: the latest attempt may have finished too.
        """
        for attempt in range(1, trial.attempt + latest):
            try:
                result = self._read_result(self.trials_folder, trial.number, attempt)
                if result is not None:
                    check_result(result)
            except (OSError, TypeError, ValueError):  # unreadable: as good as none, and no reason not to open the run
                continue
            epochs = result.get("epochs") if isinstance(result, dict) else None
            if result is None or not isinstance(epochs, int) or epochs < trial.last_epoch:
                continue
            result = {**result, "attempt": attempt}
            trial = replace(trial, curve=tuple(result.get("curve") or trial.curve))
            if not finite(val_acc := result.get("val_acc")):
                self._finish(trial, FAILED, {**result, "val_acc": None, "error": f"val_acc is {val_acc}"})
            elif epochs >= self.config.epochs:
                self._finish(trial, COMPLETE, result)
            else:
                self._pause(trial, result)
            return True
        return False

    def _pause(self, trial: Trial, result: Mapping[str, Any]) -> None:
        """A trial has reached its rung, with a checkpoint."""
        checkpoint = attempt_folder("", trial.number, result["attempt"]) / "checkpoint.pt"
        trial = replace(trial.pause(), checkpoint=str(checkpoint))
        self._store.write(trial.number, JOB, trial.job())
        self._remember(self._ledger.update(trial))
        self._notify(events.PAUSED, trial, result)
        self._succeeded()

    def _finish(self, trial: Trial, state: str, result: Mapping[str, Any]) -> None:
        """A trial is over: its result is saved, then its state set, and only then is anything deleted."""
        result = plain(
            {
                "attempt": trial.attempt,
                "epochs": len(trial.curve),
                "seconds": sum(epoch.get("seconds") or 0.0 for epoch in trial.curve),
                **result,
                "curve": trial.curve,
                "state": state,
            }
        )
        trial = replace(trial.with_result(result, state), ended=time.time())
        self._store.write(trial.number, RESULT, result)
        self._store.finish(trial)
        self._remember(self._ledger.update(trial))
        self._weights.finished(trial)
        self._look_ahead()
        self._ledger.write_csv()
        kind = {COMPLETE: events.FINISHED, STOPPED: events.STOPPED, FAILED: events.FAILED}[state]
        self._notify(kind, trial, result, text=trial.error)
        if state != FAILED:
            self._succeeded()

    def _look_ahead(self) -> None:
        """Brings up to date what another hour is expected to buy, the less often the longer the search is."""
        complete = self._ledger.complete
        if self.folder is not None and complete >= LOOK_AGAIN * self._looked_ahead:
            self._looked_ahead = complete
            self._ledger.outlook = str(outlook([*self._ledger.trials.values()], self.config) or "")

    def _remember(self, trial: Trial) -> None:
        """Gives the scheduler a trial as it is now, without the epochs in which it diverged."""
        curve = itertools.takewhile(lambda epoch: finite(epoch.get("val_acc")), trial.curve)
        self._scheduler.remember(replace(trial, curve=tuple(curve)))

    def _rejected(self, reason: str) -> None:
        self._ledger.rejected(reason)
        self._notify(events.REJECTED, text=reason)

    def _notify(
        self, kind: str, trial: Trial | None = None, result: Mapping[str, Any] | None = None, text: str = ""
    ) -> None:
        self._ledger.notify(kind, self._queued, trial, result, text)


def _contenders(kinds: Sequence[str], items: int | None, complete: Sequence[Trial]) -> Set[int]:
    """The complete trials that may win by what is expected of them; all of too few to say."""
    if len(complete) < SURE:
        return {trial.number for trial in complete}
    return may_win(expect(complete, items), {t.number: [t.cost(kind) for kind in kinds] for t in complete})

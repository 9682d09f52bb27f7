"""One run on disk: who is trained next, what came of it, and what is left after a crash.

An executor asks ``next`` for jobs and tells what became of them; it decides nothing. At whatever instant the driver
is killed, a new Controller on the same folder goes on: every architecture is counted once, none is lost. The life of
a trial::

    proposed (study: RUNNING) -> job saved -> handed out -> trained by a worker, which writes result.json
        -> result saved -> told to the study (COMPLETE, PRUNED or FAIL) -> weights that are no longer needed deleted

Each arrow is a point at which a driver may die, and ``recover`` knows what to do at each.
"""

from __future__ import annotations

import functools
import itertools
import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..train.job import Job, attempt_folder, read_result
from . import events
from .events import Counts, Observer
from .jobs import JobSource
from .ledger import Ledger
from .proposals.candidate import SearchProblem
from .proposals.pool import CandidatePool
from .proposals.proposer import Proposal, Proposer
from .samplers.registry import make_sampler
from .schedulers.registry import make_scheduler
from .storage.config import RunConfig
from .storage.folder import claim_folder, lock_folder
from .storage.latencies import of_run
from .storage.record import write_trials_csv
from .storage.study import REJECTED, StudyStore
from .storage.trial import COMPLETE, COSTS, FAILED, JOB, RESULT, RUNNING, STOPPED, Trial, finite, plain, trial_seed
from .storage.weights import Weights

if TYPE_CHECKING:
    from .schedulers.base import Scheduler

MAX_RETRIES = 2  # of a trial whose worker died
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
    ) -> None:
        problem = problem or SearchProblem.of_run(config)
        self.folder = None if folder is None else Path(folder)
        self._read_result = read_result
        self._queue: deque[int] = deque()  # trials whose job has to be started again
        self._orphans: dict[int, Mapping[str, Any]] = {}  # started by an earlier driver -> the result, if saved
        self._exhausted = ""
        self._lock = None if self.folder is None else lock_folder(self.folder, config)
        try:
            self.config = config if self.folder is None else claim_folder(self.folder, config)
            self.trials_folder = NOWHERE if self.folder is None else self.config.trials_folder(self.folder)
            self._weights = Weights(self.trials_folder, self.config.keep)
            latencies = of_run(self.folder, self.config)
            self.problem = problem = replace(problem, latencies=latencies)
            # Of our own samplers and schedulers; not made where Optuna's sample.
            pool = functools.cache(lambda: CandidatePool(problem, self.config.seed))
            self._scheduler = scheduler or make_scheduler(self.config.rungs, pool, problem)
            self._ledger = Ledger(self.folder, self.config.trials, problem.budgets, observer, latencies)
            self._store = StudyStore(self.folder, self.config.name)
            known = self._load()
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
        while self._queue:
            trial = self._ledger.trials[self._queue.popleft()]
            if not self._collect(trial):
                return self._start_job(trial)
        if promotion := self._promotion():
            number, last_epoch = promotion
            trial = self._ledger.trials[number]
            return self._start_job(replace(trial, first_epoch=trial.last_epoch, last_epoch=last_epoch))
        if not self._may_start:
            return None
        proposal = None if self._ledger.failing_alike else self._proposer.propose()
        if proposal is None:
            self._store.ended = "" if self._ledger.failing_alike else self._proposer.exhausted
            self._exhausted = self._ledger.failing_alike or self._store.ended
            self._notify(events.EXHAUSTED, text=self._exhausted)
            return None
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
                self._finish(trial, FAILED, {"error": f"the training ended, but there is no result.json in {path}"})
                return
            time.sleep(0.1)

    def fail(self, job: Job, error: str, died: bool = False) -> None:
        """A job has failed.

        Args:
            job: which one.
            error: why, one line.
            died: its worker is gone, for which the job may not be to blame: it is started again, at most
                :data:`MAX_RETRIES` times. An exception of the training itself is final.
        """
        trial = self._ledger.current(job.number, job.attempt)
        # A worker may die between writing its result and saying so.
        if trial is None or self._collect(trial):
            return
        if died and trial.retries < MAX_RETRIES:
            trial = self._ledger.update(replace(trial, retries=trial.retries + 1))
            self._ledger.live.discard(trial.number)
            self._queue.append(trial.number)
            self._notify(events.RETRIED, trial, text=error)
            return
        if died:
            error = f"{error} (in each of {trial.retries + 1} attempts)"
        self._finish(trial, FAILED, {"error": error})

    @property
    def done(self) -> bool:
        """Whether the run is over: nothing is being trained, and ``next`` has no further job."""
        return not self._ledger.live and not self.wanted

    @property
    def wanted(self) -> int:
        """How many jobs ``next`` would give at most, were it called again and again now."""
        new = self.config.trials - self._ledger.started if self._may_start else 0
        return len(self._queue) + new + (self._promotion() is not None)

    # ---- what the user asks ----

    @property
    def ended(self) -> str:
        """Why no further architecture is proposed; empty where there may be more."""
        return self._store.ended

    @property
    def gave_up(self) -> str:
        """Why no more trials are started although there may be some: something is wrong that is not the networks'."""
        return self._ledger.failing_alike if self._exhausted else ""

    @property
    def counts(self) -> Counts:
        """How the run stands."""
        return self._ledger.counts(len(self._queue))

    def close(self) -> None:
        """Writes trials.csv, deletes weights that are not kept, and unlocks the run; also after an interruption."""
        try:
            self._weights.sweep(self._ledger.trials.values())
            self._store.over = self.done
            if self.folder is not None:
                write_trials_csv(self.folder)  # from the study: whatever was interrupted, it knows
        finally:
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
        for frozen in found:
            trial = Trial.from_frozen(frozen)
            if trial is not None:
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
        costs: dict[str, Any] = {kind: int(getattr(candidate.cost, kind)) for kind in COSTS}
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
        self._ledger.live.add(trial.number)
        self._notify(events.HANDED_OUT, trial)
        return Job(
            number=trial.number,
            attempt=trial.attempt,
            config=dict(trial.config),
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
            except (OSError, ValueError):  # unreadable: as good as none, and no reason not to open the run
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
        self._ledger.write_csv()
        kind = {COMPLETE: events.FINISHED, STOPPED: events.STOPPED, FAILED: events.FAILED}[state]
        self._notify(kind, trial, result, text=trial.error)

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
        self._ledger.notify(kind, len(self._queue), trial, result, text)

"""One run on disk: who is trained next, what came of it, and what is left after a crash.

An executor asks ``next`` for jobs and tells what became of them; it decides nothing. At whatever instant the driver
is killed, a new Controller on the same folder goes on: every architecture is counted once, none is lost. The life of
a trial::

    proposed (study: RUNNING) -> job saved -> handed out -> trained by a worker, which writes result.json
        -> result saved -> told to the study (COMPLETE, PRUNED or FAIL) -> weights that are no longer needed deleted

Each arrow is a point at which a driver may die, and ``recover`` knows what to do at each.
"""

from __future__ import annotations

import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import events
from .events import Counts, Observer
from .ledger import Ledger
from .proposals.candidate import SearchProblem
from .proposals.pool import CandidatePool
from .proposals.proposer import Proposal, Proposer
from .samplers.registry import Search, make_sampler
from .schedulers.base import Scheduler
from .schedulers.registry import make_scheduler
from .storage.config import RunConfig
from .storage.folder import claim_folder, lock_folder
from .storage.latencies import of_run
from .storage.record import COSTS, write_trials_csv
from .storage.study import JOB, REJECTED, RESULT, StudyStore
from .storage.trial import COMPLETE, FAILED, PAUSED, RUNNING, STOPPED, Trial, finite, plain, trial_seed
from .storage.weights import Weights

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from ..space import SearchSpace
    from ..train import Job
    from .storage.latencies import Latencies

MAX_RETRIES = 2  # a job whose worker died is handed out again so often, then it has failed
NOWHERE = Path(os.devnull)  # a folder in which nothing can be
VISIBLE_WITHIN = 2.0  # seconds that a shared file system may take to show a result that another node wrote

ReadResult = Callable[[Path, int, int], dict[str, Any] | None]


class Controller:
    """The one writer of a run.

    Opening it makes the run's folder, or goes on with the run in it: the configuration is compared with run.yaml,
    the study is read once, and what a killed driver left behind is put in order.

    Args:
        folder: of the run; None for one that leaves nothing on disk, which only a replay wants.
        config: of the run. UserError where the folder holds another one, or another driver is at work in it.
        observer: is told every :class:`Event`.
        space: in place of the one that ``config.space`` describes.
        scheduler: early stopping, in place of what ``config.rungs`` names.
        read_result: ``(trials folder, number, attempt) -> result or None``; by default the worker's result.json.
    """

    def __init__(
        self,
        folder: str | Path | None,
        config: RunConfig,
        observer: Observer | None = None,
        *,
        space: SearchSpace | None = None,
        scheduler: Scheduler | None = None,
        read_result: ReadResult | None = None,
    ) -> None:
        if space is None:
            from ..space import SearchSpace

            space = SearchSpace.from_dict(config.space, source=config.space_source or "run.yaml")
        if read_result is None:
            from ..train import read_result as read_result_json

            read_result = read_result_json
        self.folder = None if folder is None else Path(folder)
        self._read_result: ReadResult = read_result
        self._queue: deque[Trial] = deque()  # to be handed out again
        self._orphans: list[Trial] = []  # handed out by an earlier driver
        self._exhausted = ""
        self._lock = None if self.folder is None else lock_folder(self.folder, config)
        try:
            self.config = config if self.folder is None else claim_folder(self.folder, config)
            self.trials_folder = NOWHERE if self.folder is None else self.config.trials_folder(self.folder)
            self._weights = Weights(self.trials_folder, self.config.keep)
            latencies = of_run(self.folder, self.config)
            self._parts = Parts(self.config, space, latencies)
            self._scheduler = scheduler or self._parts.scheduler()
            budgets = self.config.parsed_budgets()
            self._ledger = Ledger(self.folder, self.config.trials, budgets, observer, latencies)
            self._store = StudyStore(self.folder, self.config.name)
            self._proposer = self._make_proposer(self._load())
            self._tell(events.OPENED)
            self.recover()
        except BaseException:
            self._release()
            raise

    # ---- what an executor calls ----

    def next(self) -> Job | None:
        """The job to start now; None where there is none at this moment (see :attr:`done`)."""
        while self._queue:
            entry = self._queue.popleft()
            if not self._adopt(entry, including=entry.attempt):
                return self._hand_out(entry)
        if promoted := self._promoted():
            return self._hand_out(promoted)
        if not self._may_start:
            return None
        proposal = None if self._ledger.failing_alike else self._proposer.propose()
        if proposal is None:
            self._store.ended = "" if self._ledger.failing_alike else self._proposer.exhausted
            self._exhausted = self._ledger.failing_alike or self._store.ended
            self._tell(events.EXHAUSTED, text=self._exhausted)
            return None
        self._store.ended = ""
        return self._hand_out(self._start(proposal))

    def report(self, job: Job, result: Mapping[str, Any]) -> bool:
        """An epoch of a job is over. False: its worker is to stop, and nothing more is to be said of the job."""
        entry = self._ledger.current(job.number, job.attempt)
        if entry is None or self._adopt(entry):
            return False
        entry.curve.append(dict(result))
        val_acc = result.get("val_acc")
        if not finite(val_acc):
            self._settle(entry, FAILED, {"error": f"val_acc is {val_acc} after epoch {result.get('epoch')}"})
            return False
        if result["epoch"] < self.config.epochs and not self._scheduler.decide(entry, dict(result)):
            self._settle(entry, STOPPED, {"val_acc": val_acc})
            return False
        self._tell(events.EPOCH, entry, result)
        return True

    def finish(self, job: Job) -> None:
        """A worker has done a job: its result.json is read, and the trial is complete, or pauses at its rung."""
        entry = self._ledger.current(job.number, job.attempt)
        if entry is None:
            return
        waited_until = time.monotonic() + VISIBLE_WITHIN
        while not self._adopt(entry, including=entry.attempt):
            if time.monotonic() > waited_until:
                path = entry.attempts_folder(self.trials_folder) / f"attempt-{entry.attempt}"
                self._settle(entry, FAILED, {"error": f"the training ended, but there is no result.json in {path}"})
                return
            time.sleep(0.1)

    def fail(self, job: Job, error: str, died: bool = False) -> None:
        """A job came to nothing.

        Args:
            job: which one.
            error: why, one line.
            died: its worker is gone, and the job may not be to blame: it is handed out again, at most twice. What
                training itself raised is final.
        """
        entry = self._ledger.current(job.number, job.attempt)
        # A worker may die between writing its result and saying so.
        if entry is None or self._adopt(entry, including=entry.attempt):
            return
        if died and entry.job["deaths"] < MAX_RETRIES:
            entry.job["deaths"] += 1
            self._ledger.live.discard(entry.number)
            self._queue.append(entry)
            self._tell(events.RETRIED, entry, text=error)
            return
        if died:
            error = f"{error} (in each of {entry.job['deaths'] + 1} attempts)"
        self._settle(entry, FAILED, {"error": error})

    @property
    def done(self) -> bool:
        """Whether the run is over: nothing is being trained, and nothing is left to be handed out."""
        return not self._ledger.live and not self.wanted

    @property
    def wanted(self) -> int:
        """How many jobs ``next`` would hand out at most, were it asked now."""
        new = self.config.trials - self._ledger.started if self._may_start else 0
        return len(self._queue) + new + (self._promotion() is not None)

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
        """Writes trials.csv, tidies up and lets go of the run. Safe at any time, also after an interruption."""
        try:
            self._weights.sweep(self._ledger.entries.values())
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

    def _load(self) -> int:
        """Reads the study, the only time that it is scanned; returns how many trials it has."""
        from optuna.trial import TrialState

        trials = self._store.trials()
        for trial in trials:
            entry = Trial.from_trial(trial)
            if entry is not None:
                self._ledger.add(entry)
                if entry.state == RUNNING:
                    self._orphans.append(entry)
                if entry.curve:
                    self._scheduler.remember(entry)
            elif trial.state in (TrialState.RUNNING, TrialState.WAITING):
                self._store.drop(trial.number, "never handed out")
            elif trial.state == TrialState.PRUNED:
                self._ledger.rejected(trial.user_attrs.get(REJECTED, "unknown"))
        self._weights.sweep(self._ledger.entries.values())
        return len(trials)

    def _make_proposer(self, trials: int) -> Proposer:
        self._store.set_sampler(self._parts.sampler(trials))

        def rejected(reason: str) -> None:
            self._ledger.rejected(reason)
            self._tell(events.REJECTED, text=reason)

        return Proposer(
            self._store,
            self._parts.task,
            self.config.limits(),
            self._ledger.tried,
            self.config.seed,
            rejected,
            doubtful=bool(self._store.ended),
        )

    def recover(self) -> None:
        """Puts in order what an earlier driver left: counts the results that its workers wrote, requeues the rest.

        Opening the run does this; to call it again changes nothing.
        """
        orphans, self._orphans = self._orphans, []
        for entry in orphans:
            if entry.result:  # the driver ended between saving what came of the trial and telling the study
                self._settle(entry, entry.result["state"], entry.result)
            elif not self._adopt(entry, including=entry.attempt):
                self._queue.append(entry)

    # ---- one step of a trial's life each ----

    @property
    def _may_start(self) -> bool:
        return self._ledger.started < self.config.trials and not self._exhausted

    def _promotion(self) -> tuple[int, int] | None:
        paused = self._ledger.paused
        return self._scheduler.promote(list(paused.values()), ending=not self._may_start) if paused else None

    def _promoted(self) -> Trial | None:
        """A paused trial that goes on from its checkpoint, if one should."""
        promotion = self._promotion()
        if promotion is None:
            return None
        number, last_epoch = promotion
        entry = self._ledger.entries[number]
        entry.job.update(first_epoch=entry.job["last_epoch"], last_epoch=last_epoch, paused=False)
        self._ledger.move(entry, RUNNING)
        return entry

    def _start(self, proposal: Proposal) -> Trial:
        """A new trial. It counts as started once its job is saved, which handing it out does first."""
        candidate = proposal.candidate
        job = {
            "arch_id": candidate.arch_id,
            "setting": candidate.setting,
            "config": candidate.config,
            "cost": {kind: int(getattr(candidate.cost, kind)) for kind in COSTS},
            # By architecture, not by order: whoever proposes it, and when, it is trained the same.
            "seed": trial_seed(self.config.seed, candidate.arch_id),
            "attempt": 0,
            "deaths": 0,
            "first_epoch": 0,
            "checkpoint": None,
            "paused": False,
            "drawn": proposal.drawn,
        }
        entry = Trial(proposal.number, job, started=time.time())
        job["last_epoch"] = min(self._scheduler.first(entry), self.config.epochs)
        # Left by a run whose study was lost to a power cut: a result in there would be taken for this trial's.
        shutil.rmtree(entry.attempts_folder(self.trials_folder), ignore_errors=True)
        self._ledger.add(entry)
        return entry

    def _hand_out(self, entry: Trial) -> Job:
        from ..train import Job

        self._store.over = False
        job = entry.job
        job["attempt"] += 1
        del entry.curve[job["first_epoch"] :]
        self._store.write(entry.number, JOB, plain(job))
        self._ledger.live.add(entry.number)
        self._tell(events.HANDED_OUT, entry)
        return Job(
            number=entry.number,
            attempt=job["attempt"],
            config=dict(job["config"]),
            first_epoch=job["first_epoch"],
            last_epoch=job["last_epoch"],
            checkpoint=job["checkpoint"],
            seed=job["seed"],
        )

    def _adopt(self, entry: Trial, including: int = 0) -> bool:
        """Takes the first complete result of a trial's attempts, if there is one, and closes the trial with it.

        Attempts before the latest belong to workers of a killed driver, or to dead ones; they may finish at any time.
        ``including``: the latest attempt, where it may have finished too.
        """
        for attempt in range(1, max(entry.attempt, including + 1)):
            result = self._result(entry, attempt)
            if result is not None and result["epochs"] >= entry.job["last_epoch"]:
                self._accept(entry, {**result, "attempt": attempt})
                return True
        return False

    def _result(self, entry: Trial, attempt: int) -> dict[str, Any] | None:
        try:
            result = self._read_result(self.trials_folder, entry.number, attempt)
        except (OSError, ValueError):  # unreadable: as good as none, and no reason not to open the run
            return None
        return result if isinstance(result, dict) and isinstance(result.get("epochs"), int) else None

    def _accept(self, entry: Trial, result: dict[str, Any]) -> None:
        entry.curve = list(result.get("curve") or entry.curve)
        self._scheduler.remember(entry)  # an orphan's epochs were not reported to this driver
        if not finite(result.get("val_acc")):
            self._settle(entry, FAILED, {**result, "val_acc": None, "error": f"val_acc is {result.get('val_acc')}"})
        elif result["epochs"] >= self.config.epochs:
            self._settle(entry, COMPLETE, result)
        else:
            self._pause(entry, result)

    def _pause(self, entry: Trial, result: dict[str, Any]) -> None:
        """A trial has reached its rung, with a checkpoint."""
        from ..train import attempt_folder

        folder = attempt_folder(self.trials_folder, entry.number, result["attempt"])
        # The curve so far goes with the job: rungs and sampler need it, also after a restart.
        entry.job.update(paused=True, checkpoint=str(folder / "checkpoint.pt"), curve=entry.curve)
        self._store.write(entry.number, JOB, plain(entry.job))
        self._ledger.move(entry, PAUSED)
        self._tell(events.PAUSED, entry, result)

    def _settle(self, entry: Trial, state: str, result: Mapping[str, Any]) -> None:
        """A trial is over: what came of it is saved, then told, and only then is anything deleted."""
        entry.result = plain(
            {
                "attempt": entry.attempt,
                "epochs": len(entry.curve),
                "seconds": sum(epoch.get("seconds") or 0.0 for epoch in entry.curve),
                **result,
                "curve": entry.curve,
                "state": state,
            }
        )
        self._store.write(entry.number, RESULT, entry.result)
        if state == COMPLETE:
            self._store.complete(entry.number, entry.result["val_acc"], entry.cost("macs"))
        elif state == STOPPED:
            self._store.stop(entry.number)
        else:
            self._store.fail(entry.number)
        entry.ended = time.time()
        self._ledger.move(entry, state)
        self._weights.finished(entry)
        self._ledger.write_csv()
        kind = {COMPLETE: events.FINISHED, STOPPED: events.STOPPED, FAILED: events.FAILED}[state]
        self._tell(kind, entry, entry.result, text=entry.result.get("error") or "")

    def _tell(
        self, kind: str, entry: Trial | None = None, result: Mapping[str, Any] | None = None, text: str = ""
    ) -> None:
        self._ledger.tell(kind, len(self._queue), entry, result, text)


class Parts:
    """The parts of one run that decide.

    Args:
        config: of the run.
        space: what is searched.
        latencies: measures and remembers; None where no budget asks.
    """

    def __init__(self, config: RunConfig, space: SearchSpace, latencies: Latencies | None) -> None:
        self._config = config
        self._budgets = tuple((budget.kind, budget.limit) for budget in config.parsed_budgets())
        self.task = SearchProblem(space, config.input_size, config.num_classes, latencies)

    @cached_property
    def pool(self) -> CandidatePool:
        """What our own sampler and rungs choose from; not made where Optuna's do."""
        return CandidatePool(self.task, self._config.limits(), self._config.seed)

    def scheduler(self) -> Scheduler:
        """Early stopping."""
        return make_scheduler(self._config.rungs, self._config.epochs, lambda: self.pool, self._budgets)

    def sampler(self, trials: int) -> BaseSampler:
        """The sampler of a study that has so many trials.

        One that began again with the same seed would propose the same again.
        """
        seed = (self._config.seed * 1_000_003 + trials) % 2**32
        return make_sampler(self._config.sampler, seed, lambda: self.pool, Search(self._config.epochs, self._budgets))

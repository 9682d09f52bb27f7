"""Trials as Ray Tune trials, on this machine or on a cluster that is already there.

Tune does as little as possible: a Searcher that asks the controller for jobs, a scheduler that returns the controller's
answer, actors that are used again. Its own state of a run is deleted at the end; a resumed run starts another Tuner.

Ray listens on all network interfaces, whatever address it is given; by default it demands a token.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import pickle
import shutil
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...errors import INSTALL, UserError
from ...train.job import Job, Setup
from ..faults import Fault, describe
from ..jobs import JobSource
from .messages import DONE, EPOCH, FAILED, POISONED, REFUSED, Message, load_work, messages
from .registry import check_address
from .slots import Slots, plan, this_machine

try:
    import ray
    from ray import tune
    from ray.tune.schedulers import FIFOScheduler, TrialScheduler
    from ray.tune.search import Searcher
except ImportError as error:
    raise UserError(f"Ray Tune cannot be used ({error}): {INSTALL}; or use --executor local.") from None

LONGEST_TMPDIR = 36  # characters: the sockets' names in there have some 70, and Linux allows 107 in all

# Ray reads its settings from the environment.
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing leaves the machine
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # verbose=0 silences only the old one
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # a trial without GPUs sees none
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # it would turn Ctrl-C into a normal end
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",  # nobody restores them
}


def execute(
    controller: JobSource,
    setup: Setup,
    concurrent: int | None = None,
    gpus_per_trial: str | float = "auto",
    work: str = "mgic_nas.train:work",
    address: str | None = None,
) -> None:
    """Trains the jobs of a source until it is done.

    Args:
        controller: which jobs are trained; a Controller, or a table's Recording.
        setup: of every job. ``setup.folder`` must be the same folder on all nodes.
        concurrent: how many at a time; None: as many as there are cores (up to 8) or GPUs.
        gpus_per_trial: a number, 0 for none, or ``auto``.
        work: ``module:function``, a generator ``work(job, setup)`` of epoch results; importable on all nodes.
        address: of a running cluster (``ray start``); None: a Ray of its own on this machine, ended afterwards.

    Raises:
        UserError: there is no cluster at ``address``, or a module that was registered in this process is missing in an
            actor's.
        RuntimeError: Ray Tune ended before the controller was done.
    """
    scratch = Path(setup.folder).parent / ".tune"
    with _quiet_environment(), _cluster(address, concurrent, gpus_per_trial) as slots:
        bridge = _Bridge(controller, replace(setup, threads=slots.threads, device=_device(setup, slots)), work)
        try:
            if not controller.done:
                _tune(bridge, slots, scratch)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        if bridge.error is not None:
            raise bridge.error
        if not controller.done:
            raise RuntimeError("Ray Tune ended before the search was done; the same command goes on with it")


def _tune(bridge: _Bridge, slots: Slots, scratch: Path) -> None:
    shutil.rmtree(scratch, ignore_errors=True)  # left by a driver that was killed
    resources = {"cpu": slots.threads, "gpu": slots.gpus}
    tuner = tune.Tuner(
        tune.with_resources(Trainer, resources),
        tune_config=tune.TuneConfig(
            search_alg=_Searcher(bridge),
            scheduler=_Scheduler(bridge),
            num_samples=-1,  # the searcher says when it is over
            max_concurrent_trials=slots.concurrent,
            reuse_actors=True,  # a new one imports torch again
            trial_name_creator=lambda trial: trial.trial_id,
            trial_dirname_creator=lambda trial: trial.trial_id,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(scratch),
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=0),  # retries are the controller's
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),  # and so are checkpoints
        ),
    )
    tuner.fit()


class Trainer(tune.Trainable):
    """One trial in a Ray actor: each step is a message of the work."""

    _messages: Generator[Message] | None = None
    _poisoned = False

    def setup(self, config: dict[str, Any]) -> None:
        # Everything that may go wrong is left to the first step, whose errors come back as text.
        self._messages = _messages(config)

    def step(self) -> dict[str, Any]:
        assert self._messages is not None
        kind, content = next(self._messages)
        self._poisoned = self._poisoned or kind == POISONED
        # As one string: Tune flattens dicts and copies lists about.
        return {"kind": kind, "content": json.dumps(content, default=float), "done": kind != EPOCH}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        if self._poisoned:
            os._exit(1)  # the job goes to a new process; this one can train nothing any more
        self.cleanup()
        self.setup(new_config)
        return True

    def cleanup(self) -> None:
        if self._messages is not None:
            self._messages.close()
            self._messages = None


def _messages(config: dict[str, Any]) -> Generator[Message]:
    """:func:`.messages.messages`, started only when the first is asked for."""
    job, setup = Job.from_dict(json.loads(config["job"])), Setup.from_dict(json.loads(config["setup"]))
    try:
        work = load_work(config["work"])
    except Exception as error:
        yield FAILED, Fault.of(error).to_dict()
        return
    yield from messages(work, job, setup)


class _Bridge:
    """What searcher and scheduler share: the controller, the jobs by Tune's trial ids, and the first error.

    Tune logs an exception of theirs, or fails a trial for it, and goes on. So none gets out: the first one is kept,
    ends the run, and is raised by :func:`execute`.
    """

    def __init__(self, controller: JobSource, setup: Setup, work: str) -> None:
        self.controller = controller
        self.error: Exception | None = None
        self._jobs: dict[str, Job] = {}
        self._reasons: dict[str, str] = {}
        self._constant = {"setup": json.dumps(setup.to_dict()), "work": work}

    def guarded(self, call: Callable[[], Any], otherwise: Any) -> Any:
        """``call()``, or ``otherwise`` once there was an error."""
        if self.error is None:
            try:
                return call()
            except Exception as error:
                self.error = error
        return otherwise

    def ask(self, trial_id: str) -> Any:
        if self.controller.done:
            return Searcher.FINISHED
        job = self.controller.next()
        if job is None:
            return Searcher.FINISHED if self.controller.done else None
        self._jobs[trial_id] = job
        return {"job": json.dumps(job.to_dict()), **self._constant}

    def go_on(self, trial_id: str, result: dict[str, Any]) -> bool:
        return self.controller.report(self._jobs[trial_id], json.loads(result["content"]))

    def dead(self, trial_id: str, why: str) -> None:
        self._reasons[trial_id] = why

    def over(self, trial_id: str, result: dict[str, Any] | None, died: bool) -> None:
        job = self._jobs.pop(trial_id)
        why = self._reasons.pop(trial_id, "worker died")
        if died or result is None:
            self.controller.fail(job, why, died=True)
        elif result["kind"] == DONE:
            self.controller.finish(job)
        elif result["kind"] == REFUSED:
            raise UserError(json.loads(result["content"]))
        elif result["kind"] != EPOCH:  # an epoch: the controller has stopped it, and knows
            self.controller.fail(job, Fault(**json.loads(result["content"])))


class _Searcher(Searcher):
    """Gets jobs from the controller and reports how they ended."""

    def __init__(self, bridge: _Bridge) -> None:
        super().__init__()
        self._bridge = bridge

    def suggest(self, trial_id: str) -> Any:
        return self._bridge.guarded(lambda: self._bridge.ask(trial_id), Searcher.FINISHED)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self._bridge.guarded(lambda: self._bridge.over(trial_id, result, error), None)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the study is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: a run goes on with a new Tuner."""

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "_bridge"}


class _Scheduler(FIFOScheduler):
    """Reports epochs to the controller; where it returns False, Tune stops the trial."""

    def __init__(self, bridge: _Bridge) -> None:
        super().__init__()
        self._bridge = bridge

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        go_on = self._bridge.guarded(lambda: self._bridge.go_on(trial.trial_id, result), False)
        return str(TrialScheduler.CONTINUE if go_on else TrialScheduler.STOP)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        self._bridge.guarded(lambda: self._bridge.dead(trial.trial_id, _why_dead(trial)), None)

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "_bridge"}


def _why_dead(trial: Any) -> str:
    """Why a trial's actor is gone, in a line."""
    error: Any = None
    with contextlib.suppress(Exception):  # Tune keeps it in a file, which may be gone as well
        error = pickle.loads(Path(trial.pickled_error_file).read_bytes())
    if isinstance(error, ray.exceptions.RayTaskError):
        return f"worker failed: {describe(error.cause or error)}"
    if isinstance(error, ray.exceptions.OutOfMemoryError) or "low on memory" in str(error):
        return "worker killed by Ray, the machine was running out of memory"
    return "worker died, perhaps killed or out of memory"


def _device(setup: Setup, slots: Slots) -> str:
    return str(setup.device) if slots.gpus else "cpu"


@contextlib.contextmanager
def _cluster(address: str | None, concurrent: int | None, gpus_per_trial: str | float) -> Iterator[Slots]:
    """A connected Ray, and what its machines hold; ended afterwards if it was started here."""
    ours = not ray.is_initialized()
    if ours and address is None:
        slots = plan(concurrent, gpus_per_trial, this_machine())
        needed = slots.concurrent * slots.threads
        with _short_folder() as temporary:
            _init(
                address="local",
                num_cpus=max(needed, *(c for c, _ in this_machine())),
                include_dashboard=False,
                **({"_temp_dir": temporary} if temporary else {}),
            )
            try:
                yield slots
            finally:
                ray.shutdown()
        return
    elif ours and address is not None:
        check_address(address)
        _init(address=address)
    try:
        if not (ours and address is None):
            slots = plan(concurrent, gpus_per_trial, _nodes())
        yield slots
    finally:
        if ours:
            ray.shutdown()


@contextlib.contextmanager
def _short_folder() -> Iterator[str | None]:
    """A folder for Ray's sockets where TMPDIR's is too long for their names; None where it is not.

    UserError where there is no short one that can be written.
    """
    usual = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"
    if len(os.path.abspath(usual)) <= LONGEST_TMPDIR:
        yield None
        return
    for place in ("/tmp", "/var/tmp", "/dev/shm"):
        with contextlib.suppress(OSError):
            folder = tempfile.mkdtemp(prefix="ray-", dir=place)
            break
    else:
        raise UserError(
            f"{usual} is too long for Ray's sockets: set RAY_TMPDIR to a short folder, or --executor local."
        )
    print(f"{usual} is too long for Ray's sockets, so they are in {folder}", file=sys.stderr)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _init(**arguments: Any) -> None:
    try:
        with _own_sigterm():
            ray.init(log_to_driver=False, logging_level=logging.ERROR, **arguments)
    except (ConnectionError, ValueError, RuntimeError) as error:
        if arguments["address"] == "local":
            raise
        raise UserError(f"no Ray cluster at {arguments['address']!r}: {' '.join(str(error).split())[:300]}") from None


@contextlib.contextmanager
def _own_sigterm() -> Iterator[None]:
    """Ray's handler of SIGTERM would end the process at once; the search has one that ends it well."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError, TypeError):  # only the main thread has any
            signal.signal(signal.SIGTERM, handler)


def _nodes() -> list[tuple[int, int]]:
    resources = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [(int(r.get("CPU", 0)), int(r.get("GPU", 0))) for r in resources]


class _WithoutRaylet(io.TextIOBase):
    """A stdout without Ray's pages on each dead worker: stdout is for results, and the controller tells of the dead."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._dropped = False

    def write(self, text: str) -> int:
        if "(raylet" in text:
            self._dropped = True
        elif self._dropped and text == "\n":  # print() writes the line's end by itself
            self._dropped = False
        else:
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def _quiet_environment() -> Iterator[None]:
    """Ray's settings while it runs, and neither its log lines nor its signal handlers afterwards."""
    # What this process can import its workers can, however it came to be importable.
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
    before = {name: os.environ.get(name) for name in (*_ENVIRONMENT, "PYTHONPATH")}
    os.environ.update({name: value for name, value in _ENVIRONMENT.items() if before[name] is None})
    os.environ["PYTHONPATH"] = path
    logger = logging.getLogger("ray")
    level, tune_level = logger.level, logging.getLogger("ray.tune").level
    handlers = {}
    with contextlib.suppress(ValueError):  # only the main thread has any
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(_WithoutRaylet(sys.stdout)):
            warnings.filterwarnings("ignore", module="ray")
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
        logger.setLevel(level)
        logging.getLogger("ray.tune").setLevel(tune_level)
        for number, handler in handlers.items():
            with contextlib.suppress(ValueError, TypeError):
                signal.signal(number, handler)

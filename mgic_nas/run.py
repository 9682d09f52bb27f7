"""``search()`` makes a run or resumes it, ``load_run()`` opens one."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import engine, report
from ._portable import refuse_while_importing
from ._signals import terminable
from .engine.events import Observer
from .engine.executors.registry import executor
from .engine.faults import EVERYWHERE, GOES_ON, machine_faults
from .engine.proposals.candidate import SearchProblem
from .engine.storage.config import RunConfig
from .engine.storage.measuring import place_of
from .engine.storage.row_latencies import write_row_latencies
from .engine.storage.trial import FINISHED, Trial
from .errors import Interrupted, MachineFault, UserError
from .own_training import WORK, OwnTraining
from .planning import Plan, make_plan
from .preparation import Given, prepare, setup_of
from .progress import Progress, Refreshed, say
from .results import Run, Winner
from .space.budget import latency_kinds
from .tasks import metric_of
from .tensorboard import TensorBoard, installed
from .train.loop import cached_data

if TYPE_CHECKING:
    from .space import SearchSpace
    from .train import Recipe

WAIT_SECONDS = 60.0  # between two tries of a search that waits

__all__ = ["Run", "Winner", "load_run", "search"]


def search(
    space: SearchSpace | str | Path,
    data: str | None = None,
    budgets: Iterable[str | float] | str | float | None = None,
    trials: int | str | None = None,
    epochs: int | None = None,
    out: str | Path | None = None,
    executor: str | None = None,
    sampler: str | None = None,
    rungs: str | None = None,
    concurrent: int | None = None,
    gpus_per_trial: str | float = "auto",
    seed: int = 0,
    keep: str = "front",
    address: str | None = None,
    storage: str | Path | None = None,
    recipe: str | Mapping[str, object] | Recipe | None = None,
    progress: bool = True,
    retry_failed: bool = False,
    wait: bool = False,
    latencies: Iterable[str | Path] | str | Path | None = None,
    observers: Iterable[Observer] = (),
    train: Callable[..., Any] | None = None,
    start_from: str | Path | None = None,
    enqueue: Iterable[str | Path | Mapping[str, Any]] | str | Path | Mapping[str, Any] = (),
    winner: str | None = None,
    hours: float | None = None,
    worth: float | None = None,
    prior: Iterable[str] | str | Mapping[str, Any] = (),
) -> Run:
    """Searches a space for the most accurate networks within budgets, and builds the report.

    The same call again resumes the run in ``out``, whatever ended it; more ``trials`` extend it. Only trials,
    budgets, latencies, executor, concurrent, gpus_per_trial, winner, hours, worth, prior
    and address may differ then.

    Args:
        space: what is searched: a :class:`SearchSpace`, a YAML file, or a shipped name such as ``"quickstart"``.
        data: what is learned, as :func:`mgic_nas.tasks.load_data` takes it: ``"fashion"``, a folder, ...
        budgets: ``5e6`` or ``"5M"`` (MACs), ``"params=1M"``, ``"activations=2M"``, ``"latency=5ms"``. The largest of
            each kind is the hard limit of everything that is trained; smaller ones have their own winner. A latency is
            measured here, before anything is trained: one image at a time, on one CPU thread or on the GPU, in torch.
            ``"latency-onnxruntime-b8-t2=5ms"`` is the fused network's, of a whole batch of 8 on 2 threads, in a
            runtime: ``torch``, ``compile``, ``onnxruntime`` or ``openvino``. Where to measure all networks of a space
            would take more than ten minutes, it is predicted first from the times of their rows, and the error of that
            is said; what may be fast enough is still measured before it is trained.
        trials: how many architectures are trained in all; by default 16, or all that fit where there are fewer.
            ``"auto"``: until the next eight are expected to add less than ``worth``.
        epochs: of training each; by default as many as give 240 updates of the weights, 3 at least.
        out: the run's folder; by default ``runs/<space>-<data>``.
        executor: ``"ray"`` or ``"local"``; by default ray where it is installed.
        sampler: ``"cost"`` (models the accuracy, knows the costs), ``"tpe"``, ``"nsga2"``, ``"random"`` or
            ``"stratified"`` (random, spread evenly over the MACs).
        rungs: early stopping, from checkpoints: ``"thaw"`` pauses every training after each eighth of its epochs and
            goes on with whatever is expected to gain most for an epoch; ``"halving"`` pauses at a half, a quarter,
            ... and goes on with the most promising half for their MACs; ``"none"`` trains all to the end.
        concurrent: how many are trained at a time; by default a probe of a few seconds finds out how many train the
            most images a second within the memory (on GPUs: on each).
        gpus_per_trial: a share of a GPU, 0 for none, or ``"auto"``.
        seed: of proposals and trainings.
        keep: whose weights are kept: ``"front"``, so that every budget has its winner, or ``"all"``.
        winner: by which accuracy winners are chosen: ``"measured"``, or ``"expected"``: what another training would
            reach, by a model of all trials; the default where a score is a share of right answers.
        hours: of training, after which no further one starts; with ``trials`` left out as with ``"auto"`` before that.
        worth: points of accuracy that the next eight trainings must be expected to add to the front (its mean over the
            range of log MACs) or to the winners (their mean), or the search ends; by default 0.1 with ``"auto"``.
        address: of a Ray cluster to use.
        storage: a folder that all nodes share, for what workers write.
        recipe: how each is trained: a name, a mapping with changes to one, or a :class:`Recipe`.
        progress: show progress on stderr.
        retry_failed: train again what is booked as failed in the run; no further trial is counted for it.
        wait: where the machine lacks something (space, data), try again every minute instead of ending.
        latencies: csvs of what was measured on other devices, with a column ``latency_ms`` and ``arch_id`` or every
            parameter of the space; ``jetson.csv`` makes budgets ``"latency-jetson=5ms"``. What it lacks is not
            trained.
        observers: functions that are called in this process with every :class:`mgic_nas.engine.events.Event` (a trial
            begins, an epoch is done, a trial is finished): for MLflow, Weights & Biases and the like. One that raises
            is not called any more.
        train: a function that trains in place of this package, ``train(setting, epochs, report)``: it calls
            ``report(accuracy, epoch)`` after each epoch 1, 2, ... (or never), and returns the accuracy in percent. By
            name it may take ``checkpoint``, the path of a file for its state, which is there again where a paused
            training goes on, and ``seed``. It runs in worker processes, which import it by its module. A space with
            ``cost=`` needs it, and no data; with a space of networks it gets their arguments, and data only says
            their input size. Weights, and what needs them, are then the function's own.
        start_from: the folder of an earlier run of networks of this space, whatever its budgets, epochs or data. What
            it found is copied into the new run, whose model learns from its own trainings how much that is worth.
        enqueue: known designs, which are trained first where they fit the budgets: ``{"s_g": 8, "width_mult": 0.5}``,
            the same as text (``"s_g=8,width_mult=0.5"``), a YAML or csv of such, the folder of a run, for its winners,
            or a list of any of these.
        prior: values that you believe in, for the sampler ``cost``: ``{"s_g": 8}`` makes ``s_g=8`` four times as likely
            as each other value, ``{"s_g": {8: 3, 16: 2}}`` three times and twice; as texts ``["s_g=8:3"]``. It counts
            less the more is trained, so that a wrong one costs some trainings and no more.

    Raises:
        UserError: wrong input, before anything is made on disk; another run or another search in ``out``.
        MachineFault: the machine lacks something, or nothing can be trained on it; the same call goes on.
        RuntimeError: every training failed.
        KeyboardInterrupt: everything done so far is recorded, and the same call resumes it.
    """
    refuse_while_importing("mgic_nas.search")
    told = _callable(observers)
    given = Given(
        space,
        data,
        budgets,
        trials,
        epochs,
        out,
        executor,
        sampler,
        rungs,
        concurrent,
        gpus_per_trial,
        seed,
        keep,
        address,
        storage,
        recipe,
        latencies,
        train,
        start_from,
        enqueue,
        winner,
        hours,
        worth,
        prior,
    )
    with terminable():
        folder, config, problem, _, own = prepare(given)
        with _interruptions(folder):
            run, waits = None, _Waits(wait)
            while run is None:
                with waits, machine_faults(folder):
                    with (
                        _watched(folder, config, progress, told) as observer,
                        engine.Controller(
                            folder, config, observer, problem=problem, retry_failed=retry_failed
                        ) as source,
                    ):
                        retry_failed = False  # it is done
                        _train(source, folder, problem, progress, own)
                    run = _reported(folder)
            run.refuse_no_result()
            for line in run.warnings():
                say(f"{folder}: warning: {line}")
            return run


def plan(
    space: SearchSpace | str | Path,
    data: str | None = None,
    budgets: Iterable[str | float] | str | float | None = None,
    **options: Any,
) -> Plan:
    """What :func:`search` with the same arguments is about to do, and what that will take. Writes nothing on disk."""
    folder, config, problem, trials, own = prepare(Given(space, data, budgets, **options), keep=False)
    left = max(0, config.trials - sum(trial.state in FINISHED for trial in trials))
    with _in_memory():
        return make_plan(folder, config, problem, setup_of(config, folder, own), trials, left, say, keep=False)


def load_run(folder: str | Path) -> Run:
    """The run in a folder: finished, interrupted, or while it is being made. UserError where there is none."""
    if not isinstance(folder, str | os.PathLike):
        raise UserError(f"a run is named by its folder's path, not by {folder!r}.")
    return Run(Path(folder), RunConfig.load(folder))


def _callable(observers: Iterable[Observer]) -> tuple[Observer, ...]:
    found = tuple(observers) if isinstance(observers, Iterable) else (observers,)
    for observer in found:
        if not callable(observer):
            raise UserError(f"observers must be functions that take an event, not {observer!r}.")
    return found


def _train(
    source: engine.Controller, folder: Path, problem: SearchProblem, show: bool, own: OwnTraining | None
) -> None:
    """Trains what the controller hands out; MachineFault where it gives up."""
    config = source.config
    for kind in latency_kinds(config.parsed_budgets()):
        which = "each candidate that is not predicted to be over it" if kind in problem.predictors else "each candidate"
        say(f"{kind}: {place_of(config, kind)}; {which} once, before it is trained")
    for note in source.notes:
        say(f"{folder}: {note}")
    setup = setup_of(config, folder, own)
    where: dict[str, Any] = {"address": config.address} if config.executor == "ray" else {}
    if own is not None:
        where["work"] = WORK
    concurrent = config.concurrent
    if source.wanted and (show or concurrent is None):
        with _in_memory():
            planned = make_plan(folder, config, problem, setup, source.trials, source.wanted, say)
        concurrent = planned.packing.concurrent if planned.packing else concurrent
        if show:
            say(str(planned))
    executor(config.executor)(source, setup, concurrent, config.gpus_per_trial, **where)
    if fault := source.gave_up:
        code = 2 if fault.mendable else 1
        raise MachineFault(f"{folder}: {fault.plain}; {GOES_ON}", code, passing=fault.where != EVERYWHERE)


def _reported(folder: Path) -> Run:
    """The run, with its report built."""
    run = load_run(folder)
    run.refuse_nothing_trained()
    with contextlib.suppress(OSError):  # of the report alone, and what is trained is recorded
        write_row_latencies(folder, run.config, _won(run))
    report.build(folder, echo=say)
    return run


@contextlib.contextmanager
def _watched(folder: Path, config: RunConfig, show: bool, observers: Iterable[Observer]) -> Iterator[Refreshed]:
    """Who is told of what happens: the report, the progress on stderr where it is shown, and what a user adds."""
    with contextlib.ExitStack() as closing:
        told = list(observers)
        if installed():
            told.insert(0, closing.enter_context(contextlib.closing(TensorBoard(folder))))
        if show:
            may_end = config.worth is not None or config.hours is not None
            metric = metric_of(config.data["spec"])
            progress = Progress(config.epochs, config.input_size, metric=metric, may_end=may_end)
            told.insert(0, closing.enter_context(contextlib.closing(progress)))
        yield Refreshed(folder, *told)


class _Waits:
    """Entered for each attempt at a search: where the machine lacks something that may come back, it waits.

    Args:
        wait: whether it does so; otherwise the fault ends the search.
    """

    def __init__(self, wait: bool) -> None:
        self._wait = wait
        self._said = ""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not (self._wait and isinstance(error, MachineFault) and error.passing):
            return False
        if self._said != (said := str(error)):
            self._said = said
            say(f"{said}; waiting: tried again every {WAIT_SECONDS:.0f} s")
        time.sleep(WAIT_SECONDS)
        return True


@contextlib.contextmanager
def _interruptions(folder: Path) -> Iterator[None]:
    """An interruption says where the report is, which is brought up to date first."""
    try:
        yield
    except KeyboardInterrupt as error:
        ended = error if isinstance(error, Interrupted) else Interrupted()
        with contextlib.suppress(Exception):  # nothing to report yet, or the disk is full
            ended = Interrupted(f"{ended}; the report so far is {report.build(folder)}", ended.code)
        raise ended from None


def _won(run: Run) -> Iterator[Trial]:
    """The trials of its winners, which are chosen when they are asked for."""
    yield from (winner.trial for winner in run.winners().values() if winner is not None)


@contextlib.contextmanager
def _in_memory() -> Iterator[None]:
    """Afterwards the data is no longer in this process's memory: only workers train on it."""
    try:
        yield
    finally:
        cached_data.cache_clear()

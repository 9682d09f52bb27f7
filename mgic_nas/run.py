"""``search()`` makes a run or resumes it, ``load_run()`` opens one."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import engine, report
from ._signals import terminable
from .engine.executors.registry import executor
from .engine.faults import EVERYWHERE, of_driver
from .engine.proposals.candidate import SearchProblem
from .engine.storage.config import RunConfig
from .engine.storage.measuring import place_of
from .engine.storage.trial import FINISHED
from .errors import Interrupted, MachineFault, UserError
from .planning import Plan, make_plan
from .preparation import Given, Prepared, prepare, setup_of
from .progress import Progress, Refreshed, say
from .results import Run, Winner
from .space.budget import latency_kinds
from .tasks import metric_of
from .train.loop import cached_data

if TYPE_CHECKING:
    from .space import SearchSpace
    from .train import Recipe

WAIT_SECONDS = 60.0  # between two tries of a search that waits
GOES_ON = "nothing is lost, and the same command goes on once that is mended"

__all__ = ["Run", "Winner", "load_run", "search"]


def search(
    space: SearchSpace | str | Path,
    data: str,
    budgets: Iterable[str | float] | str | float,
    trials: int | None = None,
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
) -> Run:
    """Searches a space for the most accurate networks within budgets, and builds the report.

    The same call again resumes the run in ``out``, whatever ended it; more ``trials`` extend it. Only trials,
    budgets, latencies, executor, concurrent, gpus_per_trial and address may differ then.

    Args:
        space: what is searched: a :class:`SearchSpace`, a YAML file, or a shipped name such as ``"quickstart"``.
        data: what is learned, as :func:`mgic_nas.tasks.load_data` takes it: ``"fashion"``, a folder, ...
        budgets: ``5e6`` or ``"5M"`` (MACs), ``"params=1M"``, ``"activations=2M"``, ``"latency=5ms"``. The largest of
            each kind is the hard limit of everything that is trained; smaller ones have their own winner. A latency is
            measured here, before anything is trained: one image at a time, on one CPU thread or on the GPU, in torch.
            ``"latency-onnxruntime-b8-t2=5ms"`` is the fused network's, of a whole batch of 8 on 2 threads, in a
            runtime: ``torch``, ``compile``, ``onnxruntime`` or ``openvino``.
        trials: how many architectures are trained in all; by default 16, or all that fit where there are fewer.
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
        address: of a Ray cluster to use.
        storage: a folder that all nodes share, for what workers write.
        recipe: how each is trained: a name, a mapping with changes to one, or a :class:`Recipe`.
        progress: show progress on stderr.
        retry_failed: train again what is booked as failed in the run; no further trial is counted for it.
        wait: where the machine lacks something (space, data), try again every minute instead of ending.
        latencies: csvs of what was measured on other devices, with a column ``latency_ms`` and ``arch_id`` or every
            parameter of the space; ``jetson.csv`` makes budgets ``"latency-jetson=5ms"``. What it lacks is not
            trained.

    Raises:
        UserError: wrong input, before anything is made on disk; another run or another search in ``out``.
        MachineFault: the machine lacks something, or nothing can be trained on it; the same call goes on.
        RuntimeError: every training failed.
        KeyboardInterrupt: everything done so far is recorded, and the same call resumes it.
    """
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
    )
    with terminable():
        prepared = prepare(given)
        try:
            return _search(prepared, progress, retry_failed, wait)
        except KeyboardInterrupt as error:
            raise _interrupted(prepared.folder, error) from None


def plan(
    space: SearchSpace | str | Path, data: str, budgets: Iterable[str | float] | str | float, **options: Any
) -> Plan:
    """What :func:`search` with the same arguments is about to do, and what that will take. Writes nothing on disk."""
    folder, config, problem, old = prepare(Given(space, data, budgets, **options), keep=False)
    left = config.trials
    if old is not None:
        left -= sum(trial.state in FINISHED for trial in engine.read_record(folder).entries)
    with _in_memory():
        return make_plan(folder, config, problem, setup_of(config, folder), max(0, left), say, keep=False)


def _search(prepared: Prepared, progress: bool, retry_failed: bool, wait: bool) -> Run:
    folder, config, problem, _ = prepared
    said = ""
    while True:
        try:
            with _machine_faults(folder):
                _execute(folder, config, problem, progress, retry_failed)
                run = load_run(folder)
                run.refuse_nothing_trained()
                report.build(folder, echo=say)
            break
        except MachineFault as fault:
            if not (wait and fault.passing):
                raise
            if said != (said := str(fault)):
                say(f"{fault}; waiting: tried again every {WAIT_SECONDS:.0f} s")
            retry_failed = False  # it is done
            time.sleep(WAIT_SECONDS)
    run.refuse_no_result()
    for line in run.warnings():
        say(f"{folder}: warning: {line}")
    return run


def _interrupted(folder: Path, error: KeyboardInterrupt) -> Interrupted:
    """The interruption, with where the report is, which is brought up to date first."""
    ended = error if isinstance(error, Interrupted) else Interrupted()
    with contextlib.suppress(Exception):  # nothing to report yet, or the disk is full
        return Interrupted(f"{ended}; the report so far is {report.build(folder)}", ended.code)
    return ended


def load_run(folder: str | Path) -> Run:
    """The run in a folder: finished, interrupted, or while it is being made. UserError where there is none."""
    if not isinstance(folder, str | os.PathLike):
        raise UserError(f"a run is named by its folder's path, not by {folder!r}.")
    return Run(Path(folder), RunConfig.load(folder))


@contextlib.contextmanager
def _machine_faults(folder: Path) -> Iterator[None]:
    """What the machine does to the driver (a full disk, a locked study) as a MachineFault of one line."""
    try:
        yield
    except MachineFault:
        raise
    except Exception as error:
        if what := of_driver(error):
            raise MachineFault(f"{folder}: {what}; {GOES_ON}") from error
        raise


def _execute(folder: Path, config: RunConfig, problem: SearchProblem, show: bool, retry_failed: bool = False) -> None:
    """The search itself; whatever ends it, the run is closed well."""
    execute = executor(config.executor)
    for kind in latency_kinds(config.parsed_budgets()):
        say(f"{kind}: {place_of(config, kind)}; each candidate once, before it is trained")
    metric = metric_of(config.data["spec"])
    watching = Progress(config.epochs, config.input_size, metric=metric) if show else None
    observer = Refreshed(folder, watching)
    with engine.Controller(folder, config, observer, problem=problem, retry_failed=retry_failed) as controller:
        for note in controller.notes:
            say(f"{folder}: {note}")
        setup = setup_of(config, folder)
        where = {"address": config.address} if config.executor == "ray" else {}
        concurrent = config.concurrent
        if controller.wanted and (show or concurrent is None):
            with _in_memory():
                planned = make_plan(folder, config, problem, setup, controller.wanted, say)
            concurrent = planned.packing.concurrent if planned.packing else concurrent
            if show:
                say(str(planned))
        try:
            execute(controller, setup, concurrent, config.gpus_per_trial, **where)
        finally:
            if watching is not None:
                watching.close()
        if fault := controller.gave_up:
            code = 2 if fault.mendable else 1
            raise MachineFault(f"{folder}: {fault.plain}; {GOES_ON}", code, passing=fault.where != EVERYWHERE)


@contextlib.contextmanager
def _in_memory() -> Iterator[None]:
    """Afterwards the data is no longer in this process's memory: only workers train on it."""
    try:
        yield
    finally:
        cached_data.cache_clear()

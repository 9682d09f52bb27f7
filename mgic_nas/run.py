"""``search()`` makes a run or resumes it, ``load_run()`` opens one."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from . import engine, report, train
from .engine.executors.packing import packing
from .engine.executors.registry import check_address, choose, executor
from .engine.executors.slots import parse_gpus_per_trial
from .engine.faults import EVERYWHERE, of_driver
from .engine.proposals.candidate import SearchProblem
from .engine.samplers.registry import DEFAULT_SAMPLER, SAMPLERS
from .engine.schedulers.registry import DEFAULT_SCHEDULER, SCHEDULERS
from .engine.storage.config import RunConfig, at_least_one, continued, find_run, now, version_warning, versions
from .engine.storage.latencies import place_of
from .errors import MachineFault, UserError
from .progress import Progress
from .results import Run, Winner
from .space import SearchSpace, parse_budgets
from .space.survey import refuse_impossible
from .tasks import load_data, metric_of, resolve_spec

if TYPE_CHECKING:
    from .train import Recipe

WAIT_SECONDS = 60.0  # between two tries of a search that waits
GOES_ON = "nothing is lost, and the same command goes on once that is mended"

__all__ = ["Run", "Winner", "load_run", "search"]


def search(
    space: SearchSpace | str | Path,
    data: str,
    budgets: Iterable[str | float] | str | float,
    trials: int,
    epochs: int = 3,
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
) -> Run:
    """Searches a space for the most accurate networks within budgets, and builds the report.

    The same call again resumes the run in ``out``, whatever ended it; more ``trials`` extend it. Only trials,
    budgets, executor, concurrent, gpus_per_trial and address may differ then.

    Args:
        space: what is searched: a :class:`SearchSpace`, a YAML file, or a shipped name such as ``"quickstart"``.
        data: what is learned, as :func:`mgic_nas.tasks.load_data` takes it: ``"fashion"``, a folder, ...
        budgets: ``5e6`` or ``"5M"`` (MACs), ``"params=1M"``, ``"activations=2M"``, ``"latency=5ms"``. The largest of
            each kind is the hard limit of everything that is trained; smaller ones have their own winner. A latency is
            measured here, before anything is trained: one image at a time, on one CPU thread or on the GPU.
        trials: how many architectures are trained in all.
        epochs: of training each.
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

    Raises:
        UserError: wrong input, before anything is made on disk; another run or another search in ``out``.
        MachineFault: the machine lacks something, or nothing can be trained on it; the same call goes on.
        RuntimeError: every training failed.
        KeyboardInterrupt: everything done so far is recorded, and the same call resumes it.
    """
    # Cheap checks first: a typing error should not wait for torch, which the facades import when they are asked.
    at_least_one("trials", trials)
    at_least_one("epochs", epochs)
    if concurrent is not None:
        at_least_one("concurrent", concurrent)
    SAMPLERS.check(sampler or DEFAULT_SAMPLER)
    SCHEDULERS.check(rungs or DEFAULT_SCHEDULER)
    share = parse_gpus_per_trial(gpus_per_trial)
    if address is not None and executor == "local":
        raise UserError("an address is of a Ray cluster: use it with --executor ray.")
    name = choose("ray" if address is not None and executor is None else executor, _say)
    if address is not None:
        check_address(address)
    limits = parse_budgets([budgets] if isinstance(budgets, str | int | float) else budgets)
    if not limits:
        raise UserError("name at least one budget, such as --budget 5M (MACs) or --budget params=1M.")

    space = space if isinstance(space, SearchSpace) else SearchSpace.from_yaml(space)
    info = load_data(data).info
    for note in info.notes:  # what was left out, converted or found twice must not pass in silence
        _say(f"{info.name}: {note}")
    folder = Path(out) if out is not None else Path("runs") / _slug(f"{Path(space.source).stem}-{info.name}")
    old = find_run(folder)
    # What was not named is what the run was made with, also where a later version has other defaults.
    if recipe is None:
        recipe = old.recipe if old is not None else "quick"
    if sampler is None:
        sampler = old.sampler if old is not None else DEFAULT_SAMPLER
    if rungs is None:
        rungs = old.rungs if old is not None else DEFAULT_SCHEDULER
    config = RunConfig(
        name=folder.absolute().name,
        space=space.to_dict(),
        space_source=_source(space),
        data={"spec": resolve_spec(data), **dataclasses.asdict(info)},
        budgets=[b.label for b in limits],
        trials=trials,
        epochs=epochs,
        recipe=train.get_recipe(recipe).to_dict(),
        sampler=sampler,
        rungs=rungs,
        seed=seed,
        keep=keep,
        executor=name,
        concurrent=concurrent,
        gpus_per_trial=share,
        address=address,
        storage=None if storage is None else str(Path(storage).absolute()),
        versions=versions(),
        created=now(),
    )
    if old is not None:
        config = continued(old, config, folder)
        if warning := version_warning(old):
            _say(f"{folder}: {warning}")
    else:
        config.refuse_occupied_storage()
    problem = SearchProblem(space, info.input_size, info.num_classes, limits, epochs)
    if old is None or old.budgets != config.budgets:
        refuse_impossible(space, info.input_size, info.num_classes, limits)
    said = ""
    while True:
        try:
            with _machine_faults(folder):
                _execute(folder, config, problem, progress, retry_failed)
                run = load_run(folder)
                run.refuse_nothing_trained()
                report.build(folder, echo=_say)
            break
        except MachineFault as fault:
            if not (wait and fault.passing):
                raise
            if said != (said := str(fault)):
                _say(f"{fault}; waiting: tried again every {WAIT_SECONDS:.0f} s")
            retry_failed = False  # it is done
            time.sleep(WAIT_SECONDS)
    run.refuse_no_result()
    return run


def load_run(folder: str | Path) -> Run:
    """The run in a folder: finished, interrupted, or while it is being made. UserError where there is none."""
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
    if "latency" in problem.limits:
        _say(f"latency: {place_of(config)}; each candidate once, before it is trained")
    metric = metric_of(config.data["spec"])
    watching = Progress(config.epochs, config.input_size, metric=metric) if show else None
    with engine.Controller(folder, config, watching, problem=problem, retry_failed=retry_failed) as controller:
        for note in controller.notes:
            _say(f"{folder}: {note}")
        setup = train.Setup(
            model=config.model,
            data=config.data["spec"],
            epochs=config.epochs,
            recipe=train.get_recipe(config.recipe),
            folder=str(controller.trials_folder),
            fingerprint=config.data["fingerprint"],
        )
        where = {"address": config.address} if config.executor == "ray" else {}
        try:
            concurrent = packing(folder, config, problem, setup, controller.wanted, _say) or config.concurrent
            execute(controller, setup, concurrent, config.gpus_per_trial, **where)
        finally:
            if watching is not None:
                watching.close()
        if fault := controller.gave_up:
            code = 2 if fault.mendable else 1
            raise MachineFault(f"{folder}: {fault.plain}; {GOES_ON}", code, passing=fault.where != EVERYWHERE)


def _source(space: SearchSpace) -> str:
    """Where a space can be read again: its file or shipped name; empty for one made in Python."""
    source = space.source
    return source if source.endswith("(shipped)") or Path(source).is_file() else ""


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text.replace(" (shipped)", "")).strip("-") or "run"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)

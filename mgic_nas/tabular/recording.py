"""Makes a recorded table: trains every architecture within the budgets with several seeds, and records each epoch.

The executors of a search do the training; in place of the Controller they get a :class:`Recording`, another source of
jobs. Killed at any moment it loses what was being trained, no more, and the same command resumes it. More seeds or a
larger budget extend a table.
"""

from __future__ import annotations

import dataclasses
import os
import random
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Set
from pathlib import Path
from typing import Any

from .._files import csv_text
from .._machine import cpu_model
from .._text import plural
from ..cost.runtimes.kinds import is_latency
from ..engine.batch import Batch
from ..engine.executors.registry import choose
from ..engine.executors.registry import executor as find_executor
from ..engine.executors.slots import parse_gpus_per_trial
from ..engine.storage.config import at_least_one, now, versions
from ..engine.storage.folder import LOCK, Lock, refuse_links, refuse_links_in
from ..engine.storage.trial import COSTS, trial_seed
from ..errors import UserError
from ..space.budget import hard_limits, parse_budgets
from ..space.feasible import FeasibleSet
from ..space.search_space import SearchSpace
from ..tasks.registry import load_data, resolve_spec
from ..train.job import Job, Setup, read_result
from ..train.making import check_recipe
from ..train.recipes import Recipe, get_recipe, resumed_recipe
from .table import (
    COLUMNS,
    CURVES_CSV,
    TABLE_YAML,
    Architecture,
    TableConfig,
    read_curves,
    recorded_ids,
    write_architectures,
)
from .table import write_curves as rewrite_curves

TRIALS = "trials"  # the workers' folder, deleted when the recording is closed


class Recording(Batch):
    """The jobs of one table: what is still to be trained, and where its epochs are written.

    Args:
        folder: of the table; made where there is none. Locked until :meth:`close`.
        config: of the table; UserError where the folder holds another one, or one with architectures that are beyond
            these budgets.
        seeds: how many trainings of each architecture.
        say: called with one line a training.
    """

    def __init__(
        self, folder: str | Path, config: TableConfig, seeds: int, say: Callable[[str], object] | None = None
    ) -> None:
        self.folder = Path(folder).absolute()
        space = SearchSpace.from_recorded(config.space, source="table.yaml")
        limits = hard_limits(parse_budgets(config.budgets))
        candidates = FeasibleSet(space, config.input_size, config.num_classes, limits).candidates
        if not len(candidates):
            raise UserError("no architecture of this space is within the budgets: profile it, and raise them.")
        rows = [
            Architecture(c.arch_id, dict(c.setting), {kind: int(getattr(c.cost, kind)) for kind in COSTS})
            for c in candidates
        ]
        rows.sort(key=lambda a: (a.cost["macs"], a.arch_id))
        self.config = config
        self._lock = _claim(self.folder, config, {a.arch_id for a in rows})
        try:
            write_architectures(self.folder, rows)
            self._configs = {a.arch_id: space.config(a.setting) for a in rows}
            done = read_curves(self.folder, config.epochs)
            # A torn line at the end would spoil the next one.
            rewrite_curves(self.folder, (row for group in done.values() for row in group))
            order = [a.arch_id for a in rows]
            random.Random(0).shuffle(order)  # so that the time left can be extrapolated
            self._pair = dict(enumerate((arch_id, seed) for seed in range(seeds) for arch_id in order))
        except BaseException:
            self._lock.release()
            raise
        todo = [number for number, pair in self._pair.items() if pair not in done]
        super().__init__(todo, say or (lambda line: print(line, file=sys.stderr, flush=True)))
        self.total, self.complete = len(self._pair), len(self._pair) - len(todo)
        self._began, self._before = time.monotonic(), self.complete

    def _job(self, number: int) -> Job | None:
        """The next training that is not in the table."""
        arch_id, seed = self._pair[number]
        # Left by an earlier driver; a killed worker of it may still be writing there.
        attempt = 1 + sum(1 for _ in (self.trials_folder / str(number)).glob("attempt-*"))
        return Job(number, attempt, self._configs[arch_id], 0, self.config.epochs, seed=trial_seed(seed, arch_id))

    def _finished(self, job: Job) -> bool:
        """Writes the training's epochs into the table."""
        result = read_result(self.trials_folder, job.number, job.attempt)
        if result is None:
            return False
        arch_id, seed = self._pair[job.number]
        shared = {"arch_id": arch_id, "seed": seed, "device": result["device"]}
        memory = round(result["peak_memory_mb"], 1)
        rows = [{**shared, **_rounded(row), "peak_memory_mb": memory} for row in result["curve"]]
        with open(self.folder / CURVES_CSV, "a", newline="") as stream:
            stream.write(csv_text(COLUMNS, rows, heading=False))
        shutil.rmtree(self.trials_folder / str(job.number), ignore_errors=True)
        self.complete += 1
        self._progress(arch_id, seed, result)
        return True

    def _name(self, number: int) -> str:
        return "{}, seed {}".format(*self._pair[number])

    @property
    def trials_folder(self) -> Path:
        """Where workers write."""
        return self.folder / TRIALS

    def close(self) -> None:
        """Deletes the workers' folder, and unlocks the table; the lock's file stays, see :meth:`.Lock.release`."""
        shutil.rmtree(self.trials_folder, ignore_errors=True)
        self._lock.release()

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _progress(self, arch_id: str, seed: int, result: Mapping[str, Any]) -> None:
        each = (time.monotonic() - self._began) / (self.complete - self._before)
        left = each * (self.total - self.complete)
        self._say(
            f"[{self.complete}/{self.total}] {arch_id}, seed {seed}: {result['val_acc']:.2f} % in "
            f"{result['seconds']:.0f} s, about {left / 60:.0f} min left"
        )


def record(
    space: SearchSpace | str | Path,
    data: str,
    budgets: Iterable[str | float],
    epochs: int,
    seeds: int,
    out: str | Path,
    recipe: str | Mapping[str, object] | Recipe | None = None,
    executor: str = "local",
    concurrent: int | None = None,
    gpus_per_trial: str | float = "auto",
) -> None:
    """Makes, resumes or extends a recorded table; arguments as those of :func:`mgic_nas.search`.

    Raises:
        UserError: wrong input, or another table in ``out``.
        MachineFault: the machine lacks something; the same call goes on.
        TrainingFailed: some trainings failed; the others are in the table.
    """
    for name, number in (("seeds", seeds), ("epochs", epochs), ("concurrent", 1 if concurrent is None else concurrent)):
        at_least_one(name, number)
    share = parse_gpus_per_trial(gpus_per_trial)
    space = space if isinstance(space, SearchSpace) else SearchSpace.from_yaml(space)
    old = TableConfig.load(out) if os.path.exists(os.path.join(out, TABLE_YAML)) else None  # also of an impossible name
    recipe = get_recipe(recipe or "quick") if old is None else resumed_recipe(recipe or "quick", old.recipe)
    loaded = load_data(data)
    check_recipe(recipe, loaded)
    info = loaded.info
    for note in info.notes:
        print(f"{info.name}: {note}", file=sys.stderr, flush=True)
    parsed = parse_budgets(budgets)
    if any(is_latency(budget.kind) for budget in parsed):
        raise UserError("a table has no latencies: limit it by MACs, params or activations.")
    space = space.started_as(None if old is None else old.space)
    config = TableConfig(
        space=space.to_dict(),
        data={"spec": data, **_listed(dataclasses.asdict(info))},
        budgets=[budget.label for budget in parsed],
        epochs=epochs,
        recipe=recipe.to_dict(),
        machine=f"{cpu_model()}, {os.cpu_count()} cores",
        versions=versions(),
        created=now(),
    )
    execute = find_executor(choose(executor, lambda line: None))
    with Recording(out, config, seeds) as recording:
        setup = Setup(
            model=space.model,
            data=resolve_spec(data),
            epochs=epochs,
            recipe=recipe,
            folder=str(recording.trials_folder),
            fingerprint=info.fingerprint,
        )
        execute(recording, setup, concurrent, share)
        recording.refuse_faults()


def _claim(folder: Path, config: TableConfig, arch_ids: Set[str]) -> Lock:
    """The folder, made, locked, and with this table's table.yaml in it.

    UserError where it holds another table, or one with architectures that are not among these.
    """
    try:
        if folder.is_dir() and not (folder / TABLE_YAML).exists():
            others = [p.name for p in folder.iterdir() if p.name != LOCK]
            if others:
                raise UserError(f"{folder} is no table and not empty ({sorted(others)[0]}, ...): name another folder.")
        folder.mkdir(parents=True, exist_ok=True)
    except UserError:
        raise
    except (OSError, ValueError) as error:
        raise UserError(f"{folder} cannot be made: {getattr(error, 'strerror', None) or error}.") from None
    refuse_links(folder, [LOCK])
    refuse_links_in(folder / TRIALS, levels=2)
    lock = Lock(folder)
    try:
        if (folder / TABLE_YAML).exists():
            old = TableConfig.load(folder)
            old.refuse_other(config, folder)
            _refuse_smaller(folder, old, config, arch_ids)
        config.save(folder)
    except BaseException:
        lock.release()
        raise
    return lock


def _refuse_smaller(folder: Path, old: TableConfig, new: TableConfig, arch_ids: Set[str]) -> None:
    """UserError where the new budgets leave out an architecture that the table has."""
    held = recorded_ids(folder)
    if left_out := len(held - arch_ids):
        raise UserError(
            f"{folder} has {plural(len(held), 'architecture')}, of which {left_out} would be left out by the budgets "
            f"{', '.join(new.budgets)}: give those that it has ({', '.join(old.budgets)}) or larger ones and none of "
            "another kind, or name another folder. Only seeds and budgets may grow."
        )


def _rounded(row: Mapping[str, Any]) -> dict[str, Any]:
    """Six significant digits: the rest is far below the noise of a training."""
    return {key: float(f"{value:.6g}") if isinstance(value, float) else value for key, value in row.items()}


def _listed(values: dict[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}

"""A search of very many trials whose training takes no time: what the search itself costs, trial by trial."""

import contextlib
import ctypes
import gc
import hashlib
import json
import math
import random
import resource
import sqlite3
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optuna.distributions import distribution_to_json

from mgic_nas import report
from mgic_nas.engine.controller import Controller
from mgic_nas.engine.proposals.candidate import SearchProblem
from mgic_nas.engine.proposals.params import distributions
from mgic_nas.engine.storage.config import RunConfig
from mgic_nas.engine.storage.study import REJECTED, STUDY_DB
from mgic_nas.engine.storage.trial import COMPLETE, COSTS, JOB, RESULT, Trial
from mgic_nas.space import SearchSpace
from mgic_nas.space.budget import within

SIZE, CLASSES = (3, 224, 224), 10
#: MGIC-MobileNetV3 with a width and a depth of its own in each of six stages: 2e12 settings, 17 parameters.
SPACE = {
    "model": "mgic_mobilenetv3_large_100",
    "params": {
        "s_g": {"choices": [4, 8, 16, 32]},
        "s_c": {"choices": [8, 16, 32, 64]},
        "width_mult": {"low": 0.5, "high": 1.5, "step": 0.1, "per_stage": 6},
        "depths": {"low": 1, "high": 4, "per_stage": 6},
        "exp_mult": {"low": 0.5, "high": 1.5, "step": 0.25},
        "block": {"choices": ["inverted_residual", "basic"]},
        "act_layer": {"choices": ["hard_swish", "relu"]},
    },
    "where": ["s_c >= s_g"],
}
DATA = {"spec": "fake", "fingerprint": "f1", "num_classes": CLASSES, "input_size": list(SIZE), "sizes": {"val": 10_000}}
#: The tables of Optuna's file that a trial is in.
COLUMNS = {
    "trials": "trial_id, number, study_id, state, datetime_start, datetime_complete",
    "trial_params": "trial_id, param_name, param_value, distribution_json",
    "trial_values": "trial_id, objective, value, value_type",
    "trial_user_attributes": "trial_id, key, value_json",
    "trial_system_attributes": "trial_id, key, value_json",
}


def config(space: Mapping[str, Any], budgets: list[str], trials: int, sampler: str) -> RunConfig:
    return RunConfig("scale", dict(space), DATA, budgets, trials, 1, {}, sampler)


def budgets(space: SearchSpace, shares: tuple[float, ...] = (0.3, 0.6, 0.9)) -> list[str]:
    """Limits on MACs that these shares of random settings meet."""
    rng = random.Random(0)
    macs = sorted(space.cost(space.sample(rng), SIZE, CLASSES).macs for _ in range(500))
    return [f"{macs[int(share * len(macs))] / 1e6:.0f}M" for share in shares]


def accuracy(arch: Mapping[str, Any], macs: int) -> float:
    """More MACs, more accuracy; and something of the architecture's own, up to five points."""
    own = int.from_bytes(hashlib.sha256(json.dumps(arch, sort_keys=True).encode()).digest()[:4]) / 2**32
    return 40 + 6 * math.log10(macs / 1e6) + 5 * own


@dataclass
class Measured:
    """CPU seconds of ``next`` and of ``report`` plus ``finish``, a trial each."""

    ask: list[float] = field(default_factory=list)
    tell: list[float] = field(default_factory=list)

    @property
    def median_ms(self) -> tuple[float, float]:
        """Of ask and of tell, in CPU milliseconds."""
        return 1e3 * statistics.median(self.ask), 1e3 * statistics.median(self.tell)


def epoch_of(acc: float) -> dict[str, float]:
    return {"epoch": 1, "val_acc": acc, "train_loss": 4 - acc / 30, "val_loss": 1.0, "lr": 0.1, "seconds": 1.0}


def result_of(number: int, attempt: int, seed: int, acc: float) -> dict[str, Any]:
    """What a worker writes."""
    result = {"number": number, "attempt": attempt, "seed": seed, "epochs": 1, "val_acc": acc, "val_loss": 1.0}
    return result | {"seconds": 1.0, "peak_memory_mb": 100.0, "device": "cpu", "curve": [epoch_of(acc)]}


def drive(controller: Controller, trials: int, measured: Measured) -> None:
    """``trials`` more, one after the other. A worker's files are written off the clock."""
    for _ in range(trials):
        begin = time.process_time()
        job = controller.next()
        measured.ask.append(time.process_time() - begin)
        assert job is not None
        acc = accuracy(job.config, controller._ledger.trials[job.number].macs)
        folder = controller.trials_folder / str(job.number) / f"attempt-{job.attempt}"
        folder.mkdir(parents=True)
        (folder / "weights.safetensors").touch()
        (folder / "result.json").write_text(json.dumps(result_of(job.number, job.attempt, job.seed, acc)))
        begin = time.process_time()
        controller.report(job, epoch_of(acc))
        controller.finish(job)
        measured.tell.append(time.process_time() - begin)


def written(folder: Path, made: RunConfig, trials: int) -> None:
    """The run that so many trials would have left, of random networks; a few proposals were over the budgets.

    Their rows are written straight into the study, which takes seconds; asked for one by one they would take an hour.
    """
    Controller(folder, made).close()
    problem = SearchProblem.of_run(made)
    space, limits, rng = problem.space, problem.limits, random.Random(0)
    spaced = distributions(space)
    as_json = {name: distribution_to_json(distribution) for name, distribution in spaced.items()}
    tables: dict[str, list[tuple[Any, ...]]] = {name: [] for name in COLUMNS}
    tried: set[str] = set()
    number = 0
    while len(tried) < trials:
        setting = space.sample(rng)
        cost, arch_id = space.cost(setting, SIZE, CLASSES), space.arch_id(setting)
        fits = within(cost, limits)
        if (not fits and number % 4) or arch_id in tried:
            continue
        key = number + 1
        tables["trials"].append((key, number, 1, "COMPLETE" if fits else "PRUNED", *["2026-01-01 00:00:00.000000"] * 2))
        for name, value in setting.items():
            internal = spaced[name].to_internal_repr(value)
            tables["trial_params"].append((key, name, internal, as_json[name]))
        over = max(getattr(cost, kind) / limit - 1 for kind, limit in limits.items())
        tables["trial_system_attributes"].append((key, "constraints:violation", json.dumps(over)))
        attributes: dict[str, Any] = {REJECTED: "over budget"}
        if fits:
            tried.add(arch_id)
            config = space.config(setting)
            acc = accuracy(config, cost.macs)
            counted = {kind: int(getattr(cost, kind)) for kind in COSTS}
            trial = Trial(number, arch_id, setting, config, **counted, seed=1, drawn="sampler", attempt=1, last_epoch=1)
            attributes = {JOB: trial.job(), RESULT: {**result_of(number, 1, 1, acc), "state": COMPLETE}}
            for objective, value in enumerate((acc, cost.macs)):
                tables["trial_values"].append((key, objective, value, "FINITE"))
        for name, value in attributes.items():
            tables["trial_user_attributes"].append((key, name, json.dumps(value)))
        number += 1
    with contextlib.closing(sqlite3.connect(folder / STUDY_DB)) as database, database:
        for name, rows in tables.items():
            places = ", ".join("?" * len(rows[0]))
            database.executemany(f"INSERT INTO {name} ({COLUMNS[name]}) VALUES ({places})", rows)


def resident_mb() -> float:
    """Of this process now, without what was freed and is kept for later."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # of glibc alone
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def opened(folder: Path, made: RunConfig) -> tuple[float, float]:
    """CPU seconds and MiB that it takes to open a run and to go on with it; to be called in a process of its own."""
    begin, before = time.process_time(), resident_mb()
    with Controller(folder, made) as controller:
        seconds = time.process_time() - begin
        drive(controller, 10, Measured())
        return seconds, resident_mb() - before


def lived(folder: Path, made: RunConfig, trials: int) -> float:
    """MiB by which a driver grows while it hands out so many trials; to be called in a process of its own."""
    with Controller(folder, made) as controller:
        drive(controller, 300, Measured())  # until libraries are loaded and pool and caches at their largest
        before = resident_mb()
        drive(controller, trials, Measured())
        return resident_mb() - before


def in_turns(folders: tuple[Path, Path], made: RunConfig, trials: int) -> tuple[Measured, Measured]:
    """So many more trials of a short and of a long run.

    In turns, because on a shared machine only what is measured side by side can be compared.
    """
    found = Measured(), Measured()
    with Controller(folders[0], made) as short, Controller(folders[1], made) as long:
        for _ in range(trials):
            drive(short, 1, found[0])
            drive(long, 1, found[1])
    return found


def reported(folder: Path) -> tuple[float, int]:
    """CPU seconds and bytes of a run's report."""
    begin = time.process_time()
    path = report.build(folder)
    return time.process_time() - begin, path.stat().st_size

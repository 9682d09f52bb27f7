"""A search of very many trials whose training takes no time: what the search itself costs, trial by trial."""

import gc
import hashlib
import json
import math
import random
import resource
import shutil
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mgic_nas.engine.controller import Controller
from mgic_nas.engine.storage.config import RunConfig
from mgic_nas.space import SearchSpace

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

    def median_ms(self, until: int, over: int = 100) -> tuple[float, float]:
        """Of ask and of tell, over the last trials before a number of them."""
        found = (statistics.median(times[until - over : until]) for times in (self.ask, self.tell))
        ask, tell = (1e3 * seconds for seconds in found)
        return ask, tell


def drive(controller: Controller, trials: int, measured: Measured, results: dict[int, Any] | None = None) -> None:
    """``trials`` more, one after the other. A worker's files are written, or ``results`` filled, off the clock."""
    for _ in range(trials):
        begin = time.process_time()
        job = controller.next()
        measured.ask.append(time.process_time() - begin)
        assert job is not None
        acc = accuracy(job.config, controller._ledger.trials[job.number].macs)
        epoch = {"epoch": 1, "val_acc": acc, "train_loss": 4 - acc / 30, "val_loss": 1.0, "lr": 0.1, "seconds": 1.0}
        result = {"number": job.number, "attempt": job.attempt, "seed": job.seed, "epochs": 1, "val_acc": acc}
        result |= {"val_loss": 1.0, "seconds": 1.0, "peak_memory_mb": 100.0, "device": "cpu", "curve": [epoch]}
        if results is None:
            folder = controller.trials_folder / str(job.number) / f"attempt-{job.attempt}"
            folder.mkdir(parents=True)
            (folder / "weights.safetensors").touch()
            (folder / "result.json").write_text(json.dumps(result))
        else:
            results[job.number] = result
        begin = time.process_time()
        controller.report(job, epoch)
        controller.finish(job)
        measured.tell.append(time.process_time() - begin)


def resident_mb() -> float:
    """Of this process now."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


@dataclass
class Whole:
    """What a whole run costs: see the benchmark's table. ``before``, ``after``: ms of ask and of tell."""

    before: tuple[float, float]
    after: tuple[float, float]
    grown: float
    opened: float
    built: float
    sizes: dict[str, int]


def whole(folder: Path, sampler: str, few: int, many: int, over: int = 100) -> Whole:
    """A run of ``many`` trials, and a copy of it that has only its first ``few``.

    At the end both go on for ``over`` trials in turns: on a shared machine only what is measured side by side can be
    compared.
    """
    from mgic_nas import report

    made = config(SPACE, budgets(SearchSpace.from_dict(SPACE)), few, sampler)
    longer, early = replace(made, trials=many), folder.with_name("early")
    with Controller(folder, made) as controller:
        drive(controller, few, Measured())
    shutil.copytree(folder, early)
    with Controller(folder, longer) as controller:
        drive(controller, 10, Measured())  # whatever is only made once
        begin = resident_mb()
        drive(controller, many - few - 10, Measured())
        grown = resident_mb() - begin
    before, after = Measured(), Measured()
    with (
        Controller(early, replace(made, trials=few + over)) as short,
        Controller(folder, replace(made, trials=many + over)) as long,
    ):
        for _ in range(over):
            drive(short, 1, before)
            drive(long, 1, after)
    begin = time.process_time()
    Controller(folder, longer).close()
    opened = time.process_time() - begin
    begin = time.process_time()
    report.build(folder)
    built = time.process_time() - begin
    sizes = {p.name: p.stat().st_size for p in folder.iterdir() if p.is_file()}
    return Whole(before.median_ms(over, over), after.median_ms(over, over), grown, opened, built, sizes)

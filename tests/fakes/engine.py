"""A tiny search space and a training that takes no time: whole searches whose outcome is known.

Workers import this module too, so it imports nothing heavy.
"""

import itertools
import os
import random
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mgic_nas._files import read_json, write_json
from mgic_nas._registry import Registry
from mgic_nas.engine.storage.config import RunConfig

EPOCHS = 3

Values = tuple[Any, ...]

#: A kind of which trainings may need an addition from outside the package; see :func:`work`.
TOYS: Registry[Any] = Registry("toy", {}, home="fakes.engine:TOYS")
TOY_MODULE = "from fakes.engine import TOYS\nclass Toy: pass\nTOYS.register('toy', Toy)\n"

DATA = {"spec": "fake", "fingerprint": "f1", "num_classes": 10, "input_size": [1, 8, 8]}


def make_config(**changes: Any) -> RunConfig:
    values: dict[str, Any] = {
        "name": "demo",
        "space": {"model": "fake", "params": {}},
        "data": DATA,
        "budgets": ["10k", "20k"],
        "trials": 6,
        "epochs": EPOCHS,
        "recipe": {},
        "sampler": "random",
    }
    return RunConfig(**{**values, **changes})


@dataclass(frozen=True)
class Cost:
    macs: int
    macs_without_transfers: int
    params: int
    activations: int


class FakeSpace:
    """``a`` in 1..8 (a range), ``b`` in 4 choices, ``alias`` in 2 that make no difference: 32 architectures.

    A network costs ``a * b`` kMACs; ``where`` wants ``a + b != 9``. It implements ``mgic_nas.space.Space``.
    """

    model = "fake"
    source = "fake space"

    def __init__(self, a: int = 8, bs: tuple[int, ...] = (1, 2, 4, 8), aliases: int = 2) -> None:
        self.params: dict[str, tuple[Any, ...]] = {"a": tuple(range(1, a + 1)), "b": bs, "alias": tuple(range(aliases))}
        self.size = a * len(bs) * aliases

    def is_range(self, name: str) -> bool:
        return name == "a"

    def bounds(self, name: str) -> tuple[float, float, float]:
        return 1, self.params["a"][-1], 1

    def allows(self, setting: Mapping[str, Any]) -> bool:
        return self.allows_values(tuple(setting.values()))

    def arch_id(self, setting: Mapping[str, Any]) -> str:
        return self.arch_id_values(tuple(setting.values()))

    def config(self, setting: Mapping[str, Any]) -> dict[str, Any]:
        return {"a": setting["a"], "b": setting["b"]}

    def cost(self, setting: Mapping[str, Any], input_size: Any, num_classes: int) -> Cost:
        return self.cost_values(tuple(setting.values()), input_size, num_classes)

    def enumerate_values(self) -> Iterator[tuple[int, Values]]:
        numbered = enumerate(itertools.product(*self.params.values()))
        return ((number, values) for number, values in numbered if self.allows_values(values))

    def values_at(self, number: int) -> Values:
        return next(itertools.islice(itertools.product(*self.params.values()), number, None))

    def sample_values(self, rng: random.Random) -> Values:
        allowed = filter(self.allows_values, itertools.product(*self.params.values()))
        return rng.choice(list(allowed))

    def allows_values(self, values: Values) -> bool:
        return values[0] + values[1] != 9

    def canonical_values(self, values: Values) -> Values:
        return tuple(values[:2])

    def arch_id_values(self, values: Values) -> str:
        return f"a{values[0]}b{values[1]}"

    def cost_values(self, values: Values, input_size: Any, num_classes: int) -> Cost:
        macs = 1000 * values[0] * values[1]
        return Cost(macs, macs - 100, values[0], values[1])


def feasible(space: FakeSpace, macs: float) -> set[str]:
    """The architectures that a budget leaves."""
    allowed = (values for _, values in FakeSpace.enumerate_values(space))
    return {space.arch_id_values(v) for v in allowed if space.cost_values(v, None, 10).macs <= macs}


def accuracy(config: Mapping[str, Any]) -> float:
    """More channels, more accuracy: the fake truth."""
    return 50 + 5 * config["a"] ** 0.5 + 2 * config["b"] ** 0.5


def attempt_folder(folder: str | Path, number: int, attempt: int) -> Path:
    return Path(folder) / str(number) / f"attempt-{attempt}"


def read_result(folder: str | Path, number: int, attempt: int) -> dict[str, Any] | None:
    return read_json(attempt_folder(folder, number, attempt) / "result.json")


def write_result(folder: str | Path, number: int, attempt: int, val_acc: float, epochs: int = EPOCHS) -> None:
    """What a worker leaves at the end."""
    path = attempt_folder(folder, number, attempt)
    path.mkdir(parents=True, exist_ok=True)
    (path / "weights.safetensors").write_text("weights")
    (path / "checkpoint.pt").write_text("checkpoint")  # deleted once the trial is complete
    curve = [{"epoch": e + 1, "val_acc": val_acc - (epochs - 1 - e), "seconds": 0.5} for e in range(epochs)]
    result = {"number": number, "attempt": attempt, "seed": 1, "epochs": epochs, "val_acc": val_acc, "val_loss": 0.1}
    write_json(path / "result.json", {**result, "seconds": 0.5 * epochs, "peak_memory_mb": 10.0, "curve": curve})


def work(job: Any, setup: Any) -> Iterator[dict[str, Any]]:
    """Trains nothing. ``mishaps.json`` beside the run may name who is slow, raises, turns NaN or is killed.

    ``kill``/``raise``/``nan``/``memory``/``poison``: arch_ids; ``kill_first``: only in its first attempt; ``seconds``:
    of an epoch; ``toy``: its name in :data:`TOYS`, which the training needs.
    """
    mishaps = read_json(Path(setup.folder).parent.parent / "mishaps.json") or {}
    if "toy" in mishaps:
        TOYS.load(mishaps["toy"])
    arch = f"a{job.config['a']}b{job.config['b']}"
    path = attempt_folder(setup.folder, job.number, job.attempt)
    path.mkdir(parents=True, exist_ok=True)
    for epoch in range(job.first_epoch + 1, job.last_epoch + 1):
        with open(path / "epochs.csv", "a") as stream:
            stream.write(f"{epoch},{os.getpid()}\n")
        time.sleep(mishaps.get("seconds", 0))
        if epoch == 2:
            if arch in mishaps.get("kill", ()) or (arch in mishaps.get("kill_first", ()) and job.attempt == 1):
                os.kill(os.getpid(), signal.SIGKILL)
            if arch in mishaps.get("raise", ()):
                raise ValueError("no such\nlayer")
            if arch in mishaps.get("memory", ()):
                raise MemoryError("cannot allocate 1 TB")
            if arch in mishaps.get("poison", ()):
                raise RuntimeError("CUDA error: an illegal memory access was encountered")
        val_acc = accuracy(job.config) - (EPOCHS - epoch)
        if epoch == 2 and arch in mishaps.get("nan", ()):
            val_acc = float("nan")
        if epoch == job.last_epoch:
            write_result(setup.folder, job.number, job.attempt, accuracy(job.config), job.last_epoch)
        yield {"epoch": epoch, "val_acc": val_acc, "train_loss": 1.0 / epoch, "seconds": 0.01}


def pids(folder: str | Path) -> set[int]:
    """The processes that trained something in a run."""
    found = set()
    for path in Path(folder).glob("trials/*/attempt-*/epochs.csv"):
        found |= {int(line.split(",")[1]) for line in path.read_text().split() if line.count(",") == 1}
    return found

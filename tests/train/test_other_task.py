"""A further task is one module and one line; training must need no change for it."""

import sys
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from mgic_nas.tasks import Data, DataInfo, load_data, resolve_spec
from mgic_nas.tasks.metrics import EXPLAINED
from mgic_nas.tasks.registry import TASKS, TaskKind
from mgic_nas.train import loop, train


class Sine:
    """y = sin(x), the smallest thing that is no classification."""

    name = "sine"
    metric = "variance explained"

    def __init__(self, count: int) -> None:
        self.labels = np.zeros(count, dtype=np.int64)
        self.x = torch.linspace(-3, 3, count)[:, None]

    def __len__(self) -> int:
        return len(self.x)

    def steps(self, batch_size: int) -> int:
        return 10

    def batches(self, batch_size: int, *, augment: Any = None, **_: Any) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        yield from [(self.x, self.x.sin())] * (self.steps(batch_size) if augment else 1)

    def loss(self, output: torch.Tensor, target: torch.Tensor, smoothing: float = 0.0) -> torch.Tensor:
        return torch.nn.functional.mse_loss(output, target)

    def evaluate(self, net: torch.nn.Module, split: Any, **_: Any) -> dict[str, float]:
        with torch.no_grad():
            error = float(self.loss(net(split.x), split.x.sin()))
        return {"val_acc": 100 * (1 - error / float(split.x.sin().var())), "val_loss": error}


def load(spec: str, seed: int) -> Data:
    task = Sine(int(spec))
    info = DataInfo("sine", 1, (1, 1, 1), (0.0,), (1.0,), (), "", 1.0, spec, {"train": 9, "val": 9, "test": 0})
    split: Any = task
    return Data(spec=f"sine:{spec}", info=info, task=task, train=split, val=split, load_test=lambda: None)


def test_a_regression_task_trains_without_a_change_elsewhere(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("sine_task")
    module.load, module.resolve = load, str.strip  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sine_task", module)
    monkeypatch.setitem(TASKS._entries, "sine", TaskKind(EXPLAINED, "sine_task"))
    net = torch.nn.Sequential(torch.nn.Linear(1, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
    monkeypatch.setattr(loop, "build_network", lambda *_: net)
    assert resolve_spec("sine: 64") == "sine:64"
    assert load_data("sine:64").test is None
    rows = list(train(bench.job(last_epoch=9), bench.setup(data="sine:64", epochs=9)))
    assert rows[-1]["val_acc"] > rows[0]["val_acc"]

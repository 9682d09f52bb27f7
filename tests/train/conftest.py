"""A network of three convolutions in place of a family, so that a training takes a second."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from mgic_nas.train import Job, Setup, get_recipe, loop


def tiny(model: str, config: dict[str, Any], num_classes: int, in_chans: int) -> torch.nn.Module:
    width = config.get("width", 8)

    def block(inputs: int, outputs: int) -> list[torch.nn.Module]:
        conv = torch.nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        return [conv, torch.nn.BatchNorm2d(outputs), torch.nn.ReLU(), torch.nn.MaxPool2d(2)]

    layers = block(in_chans, width) + block(width, 2 * width) + block(2 * width, 2 * width)
    head = [torch.nn.Flatten(), torch.nn.Dropout(config.get("drop", 0.0)), torch.nn.Linear(2 * width, num_classes)]
    return torch.nn.Sequential(*layers, *head)


@dataclasses.dataclass
class Bench:
    """Makes jobs and their setup with what a test does not care about filled in."""

    folder: Path

    def setup(self, **changes: Any) -> Setup:
        values = {"model": "tiny", "data": "fashion?train=320&val=200", "epochs": 3, "recipe": get_recipe("quick")}
        return Setup(**values | {"folder": str(self.folder / "trials"), "threads": 1} | changes)

    def job(self, **changes: Any) -> Job:
        values = {"number": 0, "attempt": 0, "config": {"drop": 0.2}, "first_epoch": 0, "last_epoch": 3, "seed": 1}
        return Job(**values | changes)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(loop, "build_network", tiny)
    threads = torch.get_num_threads()
    yield Bench(tmp_path)
    torch.set_num_threads(threads)

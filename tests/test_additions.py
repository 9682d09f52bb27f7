"""A sampler, a block and a data source from outside the package: one module, and one line each that registers them.

The search trains in worker processes, where the registrations have to be made again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import mgic_nas

ADDITIONS = '''
import optuna

from mgic_nas.engine.samplers.registry import SAMPLERS
from mgic_nas.models.blocks import BLOCKS, BasicBlock
from mgic_nas.tasks import embedded
from mgic_nas.tasks.images.parts import ArrayPart
from mgic_nas.tasks.images.sources import SOURCES, SourceKind


class LastChoice(optuna.samplers.RandomSampler):
    """Proposes the last value of every parameter."""

    def sample_independent(self, study, trial, name, distribution):
        choices = getattr(distribution, "choices", None)
        return choices[-1] if choices else distribution.high


def last_choice(seed, pool, problem):
    return LastChoice(seed)


class OwnBlock(BasicBlock):
    """ResNet's, under another name."""


class Negative:
    """Fashion's images with black and white exchanged."""

    name = "negative"
    classes = embedded.CLASSES
    default_val = 0.2
    mixed_sizes = False

    def __init__(self, spec):
        pass

    def part(self, role):
        if role != "train":
            return None
        images, labels = embedded.load_fashion(role)
        return ArrayPart("negative", 255 - images, labels)

    def test_count(self):
        return 0


KIND = SourceKind(lambda spec: spec.source == "negative", "additions:Negative", is_path=False)

SAMPLERS.register("last-choice", "additions:last_choice")
BLOCKS.register("own", "additions:OwnBlock")
SOURCES.register("negative", "additions:KIND")
'''
SEARCH = """
import json

import additions, mgic_nas

if __name__ == "__main__":
    space = {
        "model": "mgic_resnet20",
        "kwargs": {"depths": 1, "width_mult": 0.5},
        "params": {"s_g": {"choices": [4, 8]}, "block": {"choices": ["basic", "own"]}},
    }
    run = mgic_nas.search(
        mgic_nas.SearchSpace.from_dict(space),
        data="negative?train=200&val=100",
        budgets="100M",
        trials=1,
        epochs=1,
        out="run",
        executor="local",
        concurrent=1,
        sampler="last-choice",
    )
    winner = run.best()
    blocks = sorted({type(m).__module__ for m in winner.create_model().modules() if "Block" in type(m).__name__})
    print(json.dumps({"row": winner.row, "blocks": blocks, "data": run.config.data, "sampler": run.config.sampler}))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a search with all three says of its winner."""
    folder = tmp_path_factory.mktemp("outside")
    (folder / "additions.py").write_text(ADDITIONS)
    (folder / "search.py").write_text(SEARCH)
    environment = {**os.environ, "PYTHONPATH": str(Path(mgic_nas.__file__).parents[1])}
    command = [sys.executable, "search.py"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in folder.iterdir()} <= {"additions.py", "search.py", "run", "__pycache__"}
    for path in (folder / "run").glob("*.yaml"):
        assert "additions" not in path.read_text(), "a run names no code"
    return json.loads(done.stdout.splitlines()[-1])


def test_a_sampler(found: dict[str, Any]) -> None:
    assert found["sampler"] == "last-choice"
    assert found["row"]["p.s_g"] == 8


def test_a_block(found: dict[str, Any]) -> None:
    assert found["row"]["p.block"] == "own"
    assert "additions" in found["blocks"]


def test_a_data_source(found: dict[str, Any]) -> None:
    assert found["data"]["name"] == "negative"
    assert found["data"]["spec"] == "negative?train=200&val=100"
    assert 0 <= found["row"]["val_acc"] <= 100

"""Trainings a CPU-hour: the recipe "quick" as it is, against the same one as it was at commit 8d0d048.

Results differ in rounding alone. Each of the two has a process of its own, since how glibc gives memory back is a
property of a process; they train the same networks in turns.
"""

import dataclasses
import multiprocessing
import random
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest
from fakes.bench import alternating, show

from mgic_nas.space import SearchSpace
from mgic_nas.train import Job, Setup, get_recipe, train

pytestmark = [pytest.mark.slow, pytest.mark.benchmark]

DATA = "fashion?train=1500&val=375"
NETWORKS = 5
MOBILE = SearchSpace.from_dict(
    {
        "model": "mgic_mobilenetv3_small_100",
        "params": {
            "s_g": {"choices": [8, 16, 32]},
            "s_c": {"choices": [16, 32]},
            "width_mult": {"choices": [0.5, 0.75, 1.0]},
        },
    }
)


def as_it_was() -> None:
    """In a process: memory goes back to the system as glibc has it."""
    from mgic_nas.train import loop

    loop.keep_freed = lambda: None  # type: ignore[assignment]


def trained(model: str, config: dict[str, Any], changes: dict[str, Any]) -> float:
    """CPU seconds of one epoch, validation included."""
    recipe = dataclasses.replace(get_recipe("quick"), **changes)
    setup = Setup(model, DATA, 3, recipe, "", device="cpu", threads=1)
    begin = time.process_time()
    list(train(Job(0, 0, config, 0, 1, seed=1), setup))
    return time.process_time() - begin


def race(before: ProcessPoolExecutor, now: ProcessPoolExecutor, model: str, config: dict[str, Any]) -> dict[str, float]:
    """Median CPU seconds of each, in turns."""
    old = {"channels_last": False, "fused": False}
    contestants = {
        "before": lambda _: before.submit(trained, model, config, old).result(),
        "now": lambda _: now.submit(trained, model, config, {}).result(),
    }
    return alternating(contestants, rounds=3)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("name", "space", "least"),
    [("quickstart", SearchSpace.from_yaml("quickstart"), 1.4), ("mgic_mobilenetv3_small", MOBILE, 1.6)],
    ids=["quickstart", "mobile"],
)
def test_trainings_a_cpu_hour(name: str, space: SearchSpace, least: float, capsys: pytest.CaptureFixture[str]) -> None:
    """More than at 8d0d048, by the same number whatever the machine's speed is."""
    rng = random.Random(0)
    configs = [space.config(space.sample(rng)) for _ in range(NETWORKS)]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn, as_it_was) as before, ProcessPoolExecutor(1, spawn) as now:
        seconds = {"before": 0.0, "now": 0.0}
        for config in configs:
            for key, value in race(before, now, space.model, config).items():
                seconds[key] += value
    ratio = seconds["before"] / seconds["now"]
    cells = [f"{3600 * NETWORKS / seconds[key]:,.0f}" for key in ("before", "now")]
    heading = ["space", "trainings of one epoch a CPU-hour at 8d0d048", "now", "ratio"]
    show(capsys, f"Trainings on {DATA}, one thread", heading, [[name, *cells, f"{ratio:.2f}x"]])
    assert ratio > least

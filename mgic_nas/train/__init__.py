"""One candidate: a generator of epoch results, recipes, checkpoints.

from mgic_nas.train import Job, Setup, train, work
setup = Setup("mgic_resnet20", data="fashion", epochs=3, recipe=get_recipe("quick"), folder="/runs/demo/trials")
job = Job(number=0, attempt=0, config={"depths": 1, "s_g": 4, "s_c": 8}, first_epoch=0, last_epoch=3, seed=1)
for row in train(job, setup): ...      # nothing is written
for row in work(job, setup): ...       # the same, recorded under folder/0/attempt-0/
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mgic_nas.train.job import Job, Setup
    from mgic_nas.train.loop import build_network, train
    from mgic_nas.train.recipes import RECIPES, Recipe, get_recipe
    from mgic_nas.train.worker import attempt_folder, read_result, work

_API = {
    "Job": "job",
    "Setup": "job",
    "Recipe": "recipes",
    "RECIPES": "recipes",
    "get_recipe": "recipes",
    "build_network": "loop",
    "train": "loop",
    "attempt_folder": "worker",
    "read_result": "worker",
    "work": "worker",
}

__all__ = [
    "RECIPES",
    "Job",
    "Recipe",
    "Setup",
    "attempt_folder",
    "build_network",
    "get_recipe",
    "read_result",
    "train",
    "work",
]


def __getattr__(name: str) -> Any:
    if name not in _API:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_API[name]}"), name)

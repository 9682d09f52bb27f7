"""One candidate: a generator of epoch results, recipes, checkpoints.

from mgic_nas.train import Job, Setup, train, work
setup = Setup("mgic_resnet20", data="fashion", epochs=3, recipe=get_recipe("quick"), folder="/runs/demo/trials")
job = Job(number=0, attempt=0, config={"depths": 1, "s_g": 4, "s_c": 8}, first_epoch=0, last_epoch=3, seed=1)
for row in train(job, setup): ...      # nothing is written
for row in work(job, setup): ...       # the same, recorded under folder/0/attempt-0/
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_exports

if TYPE_CHECKING:
    from .job import Job, Setup, attempt_folder, read_result
    from .loop import build_network, train
    from .recipes import RECIPES, Recipe, get_recipe
    from .worker import work

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

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "Job": ".job",
        "RECIPES": ".recipes",
        "Recipe": ".recipes",
        "Setup": ".job",
        "attempt_folder": ".job",
        "build_network": ".loop",
        "get_recipe": ".recipes",
        "read_result": ".job",
        "train": ".loop",
        "work": ".worker",
    },
)

"""Whether residual branches should begin at zero or at one, by the depth of the ResNet: a part of :mod:`.starts`."""

from __future__ import annotations

import itertools
import json
import statistics
import time
from pathlib import Path

from .._text import fixed
from ..train.job import Job, Setup
from ..train.loop import train
from ..train.recipes import get_recipe
from ._record import Table, say

RECIPE = "quick"
EPOCHS = 5
SEEDS = 2
MODEL = "mgic_resnet20"
DEPTHS = (1, 2, 3, 9)  # blocks in each of three stages: 3 are ResNet-20, 9 are ResNet-56
LARGE = "32x32"  # images of this size for ResNet-20 alone; those of two blocks are in the main comparison
KEY = ("depths", "data", "zero_init_last", "seed")
COLUMNS = (*KEY, "val_acc", "curve", "seconds")
#: R, P and N begin as in every network now.
START = {"transfer_init": "aggregation", "zero_init_correction": True, "group_fan": True}


def data_specs(cifar10: str) -> dict[str, str]:
    """Name -> spec: smaller images than those of the other comparisons, for the deeper networks; and the same."""
    return {
        "Fashion at 14x14": "fashion?train=5000&val=1000",
        "CIFAR-10 at 16x16": f"{cifar10}?size=16&train=5000&val=2000",
        "Fashion at 32x32": "fashion?size=32",
        "CIFAR-10 at 32x32": f"{cifar10}?train=10000&val=2000",
    }


def measure(path: Path, specs: dict[str, str], threads: int) -> Table:
    """Makes the trainings that the table lacks."""
    table = Table(path, COLUMNS, KEY, {"recipe": RECIPE, "epochs": EPOCHS})
    for seed, depths, name, zero in itertools.product(range(SEEDS), DEPTHS, specs, (True, False)):
        key = {"depths": depths, "data": name, "zero_init_last": zero, "seed": seed}
        if (name.endswith(LARGE) and depths != 3) or not table.claim(**key):
            continue
        setup = Setup(MODEL, specs[name], EPOCHS, get_recipe(RECIPE), "", "cpu", threads)
        begin = time.process_time()
        curve = [
            row["val_acc"]
            for row in train(
                Job(0, 1, {**START, "depths": depths, "zero_init_last": zero}, 0, EPOCHS, seed=seed), setup
            )
        ]
        seconds = time.process_time() - begin
        shown = json.dumps([round(acc, 2) for acc in curve])
        table.append({**key, "val_acc": f"{curve[-1]:.2f}", "curve": shown, "seconds": f"{seconds:.1f}"})
        what = f"{depths} blocks a stage, {name}, last BatchNorm from {1 - zero}, seed {seed}"
        say(f"{what}: {curve[-1]:.2f} % in {seconds:.0f} s")
    return table


def page(table: Table, specs: dict[str, str]) -> list[str]:
    """Lines of README.md."""
    if not table.rows:
        return []
    lines = [
        "",
        "## By depth: the last BatchNorm of a residual branch",
        "",
        f"`{MODEL}` with the aggregation start and N from 0, recipe `{RECIPE}`, {EPOCHS} epochs of 5,000 images "
        "(CIFAR-10 at 32x32: 10,000); top-1 %, mean over seeds (how many): from 0, from 1.",
        "",
        f"| blocks a stage | {' | '.join(specs)} |",
        f"|---|{'---|' * len(specs)}",
    ]
    for depths in DEPTHS:
        cells = []
        for name in specs:
            means = []
            for zero in ("True", "False"):
                found = [
                    float(row["val_acc"])
                    for row in table.rows
                    if (row["depths"], row["data"], row["zero_init_last"]) == (str(depths), name, zero)
                ]
                means.append(f"{fixed(statistics.fmean(found), 2)} ({len(found)})" if found else "–")
            cells.append(", ".join(means))
        lines.append(f"| {depths} | {' | '.join(cells)} |")
    return lines

"""A recorded table that nobody trained: accuracies from a formula with noise, so that its truth is known."""

import math
import random
from pathlib import Path

from mgic_nas.space import FeasibleSet, SearchSpace
from mgic_nas.tabular.table import COSTS, Architecture, TableConfig, write_architectures, write_curves

EPOCHS = 4
SPACE = {
    "model": "mgic_resnet20",
    "kwargs": {"depths": 1},
    "params": {
        "s_g": {"choices": [4, 8, 16]},
        "s_c": {"choices": [8, 16]},
        "width_mult": {"low": 0.25, "high": 1.0, "step": 0.25},
        "block": {"choices": ["basic", "bottleneck"]},
    },
    "where": ["s_c >= s_g"],
}


def make_table(folder: Path, seeds: int = 2, noise: float = 0.2) -> Path:
    """About thirty architectures whose accuracy grows with MACs and parameters."""
    folder.mkdir(parents=True)
    space = SearchSpace.from_dict(SPACE)
    found = FeasibleSet(space, (1, 14, 14), 10).candidates
    rows = [Architecture(c.arch_id, dict(c.setting), {k: int(getattr(c.cost, k)) for k in COSTS}) for c in found]
    rows.sort(key=lambda a: (a.cost["macs"], a.arch_id))
    config = TableConfig(
        space=space.to_dict(),
        data={"spec": "fake", "fingerprint": "f", "input_size": [1, 14, 14], "num_classes": 10},
        budgets=["3M"],
        epochs=EPOCHS,
        recipe={"name": "fake"},
        machine="none",
    )
    config.save(folder)
    write_architectures(folder, rows)
    curves = []
    for a in rows:
        for seed in range(seeds):
            rng = random.Random(f"{a.arch_id}/{seed}")
            end = 40 + 4 * math.log(a.cost["macs"]) - 1.5 * (a.setting["s_g"] == 16) + rng.gauss(0, noise)
            for epoch in range(1, EPOCHS + 1):
                acc = end - 3 * (EPOCHS - epoch) + (rng.gauss(0, 2) if epoch < EPOCHS else 0)
                curves.append(
                    {
                        "arch_id": a.arch_id,
                        "seed": seed,
                        "epoch": epoch,
                        "train_loss": 3 - end / 50 - epoch / 10 + rng.gauss(0, 0.01),
                        "val_acc": acc,
                        "val_loss": 1.0,
                        "lr": 0.1,
                        "seconds": 2.0,
                        "cpu_seconds": 1.0 + a.cost["macs"] / 1e6,
                        "peak_memory_mb": 100.0,
                        "device": "cpu",
                    }
                )
    write_curves(folder, curves)
    return folder

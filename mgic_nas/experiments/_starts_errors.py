"""Starts of R, P and N where the score is an error: Table 1's transfers alone, and Figure 4's functions."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from ..models.coarse import CoarseRepresentation
from ..models.implicit import NETWORKS
from ..models.mgic import TRANSFER_INITS
from ..tasks import load_data
from ..tasks._random import seeded
from ..tasks.base import mix
from . import coarse, implicit
from ._coarse_view import CHANNELS, COARSEST, PAPER
from ._record import Table, say

COLUMNS = ("problem", "transfer_init", "zero_init_correction", "seed", "mse", "seconds")
KEY = COLUMNS[:4]
SEEDS = 3
WAVES = "functions:waves?val=20000&y=0..0.6283"
STEPS, BATCH, RATE = 1_500, 512, 0.01  # of runs/implicit
TRAIN_IMAGES, IMAGES = 10_000, 1_000  # of runs/coarse

Fit = Callable[[dict[str, Any], int], float]  # (arguments of a start, seed) -> MSE


def measure(path: Path, cifar10: str, layer: Path) -> Table:
    """What the table at ``path`` lacks is trained.

    Args:
        path: of a csv.
        cifar10: images as :func:`mgic_nas.tasks.load_data` takes them.
        layer: folder of ``mgic_nas.experiments.coarse``, whose first layer's maps are reconstructed.
    """
    table = Table(path, COLUMNS, KEY, {"steps": STEPS})
    torch.set_num_threads(1)
    for problem, starts, fit in _problems(cifar10, layer):
        for seed, start in itertools.product(range(SEEDS), starts):
            key = {"problem": problem, "zero_init_correction": "", **start, "seed": seed}
            if table.find(**key) is None:
                begin = time.process_time()
                mse = fit(start, seed)
                seconds = time.process_time() - begin
                table.append({**key, "mse": f"{mse:.4g}", "seconds": f"{seconds:.1f}"})
                say(f"{problem}, {start}, seed {seed}: MSE {mse:.4g}")
    return table


def _problems(cifar10: str, layer: Path) -> Iterator[tuple[str, list[dict[str, Any]], Fit]]:
    """(name, starts, what trains one)."""
    maps = _Maps(cifar10, layer)
    for s_g in PAPER:
        yield f"Table 1, s_g = {s_g}", [{"transfer_init": t} for t in TRANSFER_INITS], maps.fit(s_g)
    both = [
        {"transfer_init": t, "zero_init_correction": zero}
        for t, zero in itertools.product(TRANSFER_INITS, (False, True))
    ]
    waves = load_data(WAVES)
    for c_max in (32, 64):

        def fit(start: dict[str, Any], seed: int, c_max: int = c_max) -> float:
            with seeded(mix(seed, "weights")):
                net = NETWORKS["implicit_mgic_mobilenetv3"](c_max, **start)
            return implicit.fit(net, waves, steps=STEPS, batch_size=BATCH, lr=RATE, fixed_norms=0.0, seed=seed)[0]

        yield f"Figure 4, c_max = {c_max}", both, fit


class _Maps:
    """The maps of a first layer, read when they are first needed."""

    def __init__(self, cifar10: str, layer: Path) -> None:
        self._cifar10, self._layer = cifar10, layer
        self._second: torch.Tensor | None = None
        self._maps = torch.empty(0)

    def fit(self, s_g: int) -> Fit:
        """Trains R and P of one s_g by Adam."""

        def fit(start: dict[str, Any], seed: int) -> float:
            if self._second is None:
                data = load_data(self._cifar10)
                net = coarse.small_cnn(data.info.num_classes, data.info.in_chans)[0]
                net.load_state_dict(coarse.load_file(self._layer / "first_layer.safetensors"))
                net.eval()
                self._maps = torch.cat(list(coarse.maps_of(net, data.val, IMAGES)))
                self._second = coarse.moments(coarse.maps_of(net, data.train, TRAIN_IMAGES))
            with seeded(mix(seed, "weights")):
                transfers = CoarseRepresentation(CHANNELS, s_g, COARSEST, **start)
            coarse.fit_adam(transfers, self._second)
            return coarse.error(transfers, self._maps)

        return fit


def page(table: Table) -> list[str]:
    """Lines of README.md."""
    found: dict[str, dict[str, list[float]]] = {}
    for row in table.rows:
        norm = {"": "", "True": ", N from 0", "False": ", N from 1"}[row["zero_init_correction"]]
        found.setdefault(row["problem"], {}).setdefault(row["transfer_init"] + norm, []).append(float(row["mse"]))
    if not found:
        return []
    lines = ["", "## Errors: Table 1's transfers alone, Figure 4's functions", ""]
    lines += [
        "MSE, mean over seeds. Table 1: R and P alone reconstruct 64 maps from 8, 1,000 steps of Adam, like "
        "runs/coarse. "
        f"Figure 4: MGIC-MobileNetV3 learns eq. 4.1 in {STEPS:,} steps of {BATCH} samples, fewer than in "
        "runs/implicit, and with BatchNorm as usual to the end.",
        "",
        "| problem | start | MSE, mean (min to max) |",
        "|---|---|---|",
    ]
    for problem, starts in found.items():
        for start, errors in starts.items():
            spread = f"{statistics.fmean(errors):.4g} ({min(errors):.4g} to {max(errors):.4g})"
            lines.append(f"| {problem} | {start} | {spread} |")
    return lines

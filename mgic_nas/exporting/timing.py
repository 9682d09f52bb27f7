"""How long a form of a network takes, as a server would see it."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

import torch

from ..cost.latency import median_seconds
from ..cost.runtimes import Prepared

ROUNDS = 3  # blocks of each form, in turns, since a shared machine drifts
SECONDS = 0.3  # of a block at most, where that leaves enough repeats


def latencies(ready: Mapping[str, Prepared], size: tuple[int, ...]) -> dict[str, float]:
    """Median seconds of one inference of one input.

    Each form runs many times in a row, so that its weights are in the processor's caches as they are in use; one
    inference of each in turns would time a small network while it fetches them.
    """
    inputs = torch.randn(1, *size, generator=torch.Generator().manual_seed(0))
    found: dict[str, list[float]] = {name: [] for name in ready}
    for _ in range(ROUNDS):
        for name, prepared in ready.items():
            with prepared.active():
                found[name].append(median_seconds(prepared.bind(inputs), prepared.clock, seconds=SECONDS))
    return {name: statistics.median(times) for name, times in found.items()}

"""A few training steps of a network, to see how fast it trains and what memory it takes. Nothing is written."""

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Iterator
from typing import Any

import torch

from ..tasks import Split
from ._memory import process_peak
from .job import Job, Setup
from .loop import Training

_kept: list[Training] = []  # the network of this process: the next probe goes on with it


def probe(job: Job, setup: Setup) -> Iterator[dict[str, Any]]:
    """A job for a worker as :func:`mgic_nas.train.work` is, which trains for some seconds and reports once.

    ``job.config`` is ``{"config": of the model, "threads": ..., "seconds": ...}``; 0 seconds are one step.

    Yields:
        ``{"epoch": 1, "images", "seconds", "host_mb", "gpu_mb", "gpu_used_mb", "gpu_total_mb"}``: images trained on in
        so many seconds; this process's resident memory at most; of a GPU (0 on the CPU) what torch holds there at
        most, what is in use there by anybody, CUDA contexts included, and what it has.
    """
    asked = job.config
    if not _kept:
        _kept.append(Training(dataclasses.replace(job, config=asked["config"]), setup))
    training = _kept[0]
    torch.set_num_threads(asked["threads"])
    split = _Limited(training.data.train, asked["seconds"])
    training.data = copy.copy(training.data)
    training.data.train = split  # type: ignore[assignment]
    begin = time.perf_counter()
    training._train_epoch(0)  # ends with the loss on the CPU, so with everything done
    seconds = time.perf_counter() - begin
    training.data.train = split.whole
    yield {"epoch": 1, "images": split.images, "seconds": seconds, **memory(training.device)}


class _Limited:
    """The batches of a training split until the time is over; at least one."""

    def __init__(self, whole: Split, seconds: float) -> None:
        self.images = 0
        self.whole = whole
        self._seconds = seconds

    def batches(self, *args: Any, **kwargs: Any) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        until = time.perf_counter() + self._seconds
        while True:
            for x, y in self.whole.batches(*args, **kwargs):
                self.images += len(x)
                yield x, y
                if time.perf_counter() >= until:
                    return


def memory(device: torch.device, cuda: Any = None) -> dict[str, float]:
    """``host_mb`` and ``gpu_...`` of :func:`probe`. ``cuda`` stands for ``torch.cuda`` in tests."""
    held = free = total = 0.0
    if device.type == "cuda":
        cuda = cuda or torch.cuda
        free, total = cuda.mem_get_info(device)
        held = cuda.max_memory_reserved(device)
    gpu = {"gpu_mb": held, "gpu_used_mb": total - free, "gpu_total_mb": total}
    return {"host_mb": process_peak(), **{name: value / 2**20 for name, value in gpu.items()}}

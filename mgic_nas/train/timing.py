"""What training a network takes on this machine's CPU, from one batch of it in this process."""

import copy
import dataclasses
import time
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from ..tasks._random import seeded
from .job import Job, Setup
from .loop import Training

FEW = 8  # images of the first, cautious measurement
LONG = 0.5  # seconds: a batch that takes longer is not trained whole, but extrapolated from a few images
REPEATS = 3  # of a step, of which the shortest counts: others may be at work on the machine
FETCHED = 4  # batches that are fetched to see what reading takes
FORWARD_SHARE = 0.28  # of a training step's work that validating an image is: 0.23 to 0.31 over seven networks on a CPU


def passes(epochs: int, sizes: Mapping[str, Any]) -> float:
    """How many images a training of so many epochs trains on, or takes as much time as; ``sizes`` as of DataInfo."""
    return epochs * (int(sizes["train"]) + FORWARD_SHARE * int(sizes["val"]))


def image_seconds(setup: Setup, config: dict[str, Any], threads: int) -> float:
    """Seconds of training for one image, reading it included, with so many CPU threads.

    Args:
        setup: of the run. Its data are read once in a process, and stay in memory; nothing is written.
        config: keyword arguments of the model.
        threads: of this measurement; torch has its own number again afterwards.

    Raises:
        Exception: whatever training the network would raise.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with seeded(0):  # the caller's random numbers are what they would be without this
            whole = setup.recipe.batch_size
            seconds = _measured(setup, config, min(FEW, whole))
            return seconds if seconds * whole > LONG else _measured(setup, config, whole)
    finally:
        torch.set_num_threads(before)


def _measured(setup: Setup, config: dict[str, Any], size: int) -> float:
    recipe = dataclasses.replace(setup.recipe, batch_size=size)
    training = Training(Job(0, 1, config, 0, 1), dataclasses.replace(setup, recipe=recipe, device="cpu", threads=None))
    batches = training.data.train.batches(size, augment=recipe.augment)
    first = next(batches)
    begin = time.perf_counter()
    fetched = [len(x) for _, (x, _) in zip(range(FETCHED), batches)]
    reading = (time.perf_counter() - begin) / sum(fetched) if fetched else 0.0
    batches.close()  # type: ignore[attr-defined]  # a generator: its loader's processes end
    training.data = copy.copy(training.data)
    training.data.train = _Repeated(first)  # type: ignore[assignment]
    training._train_epoch(0)  # libraries choose their kernels in it
    steps: list[float] = []
    while len(steps) < REPEATS and sum(steps) < LONG:
        begin = time.perf_counter()
        training._train_epoch(0)
        steps.append(time.perf_counter() - begin)
    return min(steps) / len(first[0]) + reading


class _Repeated:
    """A training split of one batch."""

    def __init__(self, batch: tuple[torch.Tensor, torch.Tensor]) -> None:
        self._batch = batch

    def batches(self, *args: Any, **kwargs: Any) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        yield self._batch

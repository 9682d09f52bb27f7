"""Time on this machine: of several networks at once, in turns, or of one network against a limit."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import nn

from .._machine import cpu_model

WARM_UP = 3  # passes that are not counted: libraries choose and build their kernels in them
REPEATS = 21
LEAST_REPEATS = 5


def latency(
    models: Mapping[str, nn.Module], input_size: tuple[int, ...], repeats: int = REPEATS, batch_size: int = 1
) -> dict[str, float]:
    """Median seconds of one inference of each network, measured in alternation, on the device of its parameters.

    In alternation because a shared machine drifts, and ratios do not.

    Args:
        models: networks on one device, by name; they are put in eval mode.
        input_size: of one input, without the batch.
        repeats: rounds, after :data:`WARM_UP` others that are not counted.
        batch_size: inputs at a time.
    """
    device = next(next(iter(models.values())).parameters()).device
    x = torch.randn(batch_size, *input_size, device=device)
    times: dict[str, list[float]] = {name: [] for name in models}
    for net in models.values():
        net.eval()
    with torch.inference_mode():
        for _ in range(WARM_UP + repeats):
            for name, net in models.items():
                begin = time.perf_counter()
                net(x)
                if device.type == "cuda":
                    torch.cuda.synchronize(device)
                times[name].append(time.perf_counter() - begin)
    return {name: statistics.median(seconds[WARM_UP:]) for name, seconds in times.items()}


def image_latency(
    net: nn.Module,
    input_size: tuple[int, ...],
    *,
    threads: int = 1,
    repeats: int = REPEATS,
    seconds: float = 1.0,
) -> float:
    """Median seconds of one inference of a single image (batch 1) in eval mode, on the device of its parameters.

    On one CPU thread it is the thread's own time on a core, which trainings beside it do not lengthen by taking turns
    with it; otherwise it is the wall clock's.

    Args:
        net: any network.
        input_size: (C, H, W) of the image.
        threads: torch's threads meanwhile.
        repeats: passes of which the median is taken, after :data:`WARM_UP` others; fewer (at least
            :data:`LEAST_REPEATS`) where they take longer than ``seconds``.
        seconds: see ``repeats``.
    """
    device = next(net.parameters()).device
    x = torch.zeros(1, *input_size, device=device).normal_(generator=torch.Generator(device).manual_seed(0))
    clock: Callable[[], float] = time.perf_counter
    if device.type == "cpu" and threads == 1:
        clock = time.thread_time

    def run() -> None:
        net(x)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    training = net.training
    net.eval()
    try:
        with torch.inference_mode(), _threads(threads):
            return median_seconds(run, clock, repeats=repeats, seconds=seconds)
    finally:
        net.train(training)


def median_seconds(
    run: Callable[[], object], clock: Callable[[], float], *, repeats: int = REPEATS, seconds: float = 1.0
) -> float:
    """Median of a clock's seconds for one call, after :data:`WARM_UP` calls that are not counted.

    Args:
        run: what is timed.
        clock: seconds, of the thread, the process or the wall.
        repeats: calls of which the median is taken; fewer (at least :data:`LEAST_REPEATS`) where all of them take
            longer than ``seconds`` of the wall clock.
        seconds: see ``repeats``.
    """
    times: list[float] = []
    until = time.perf_counter() + seconds
    for i in range(WARM_UP + repeats):
        begin = clock()
        run()
        times.append(clock() - begin)
        if i + 1 >= WARM_UP + LEAST_REPEATS and time.perf_counter() > until:
            break
    return statistics.median(times[WARM_UP:])


def timed_on(device: str) -> str:
    """What a latency on a device ("cpu", "cuda") is of, for people and as a key: the processor's or the GPU's name."""
    return torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else cpu_model()


@contextlib.contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)

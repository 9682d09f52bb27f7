"""torch itself: op by op, and compiled."""

from __future__ import annotations

import contextlib
import logging
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import nn

from ...errors import UserError
from .registry import Prepared, Runtime


def _eager(net: nn.Module, input_size: tuple[int, ...], batch: int, threads: int) -> Prepared:
    return of_torch(net, next(net.parameters()).device, threads)


def _compiled(net: nn.Module, input_size: tuple[int, ...], batch: int, threads: int) -> Prepared:
    """Inductor with frozen weights, for one shape; compiled here, which takes some tens of seconds."""
    device = next(net.parameters()).device
    # torch compiles a network class anew for each instance, gives up after a few and then runs it op by op.
    torch.compiler.reset()
    program = torch.compile(net, fullgraph=True, dynamic=False, options={"freezing": True})
    prepared = of_torch(program, device, threads)
    try:
        with prepared.active(), _quiet():
            prepared.bind(torch.zeros(batch, *input_size))()
    except Exception as error:  # of dynamo, of inductor or of the C++ compiler: each has its own
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"torch.compile cannot compile {type(net).__name__} here (it needs a C++ compiler such as g++): {reason}"
        ) from error
    return prepared


eager = Runtime(("torch",), _eager, gpu=True)
compiled = Runtime(("torch",), _compiled, gpu=True)


def of_torch(net: Callable[[torch.Tensor], torch.Tensor], device: torch.device, threads: int) -> Prepared:
    """A network, or a program made of one, whose tensors are on a device."""

    def bind(inputs: torch.Tensor) -> Callable[[], object]:
        inputs = inputs.to(device)
        if device.type != "cuda":
            return partial(net, inputs)

        def run() -> None:
            net(inputs)
            torch.cuda.synchronize(device)

        return run

    def outputs(inputs: torch.Tensor) -> torch.Tensor:
        return net(inputs.to(device)).detach().cpu().clone()

    clock = time.thread_time if device.type == "cpu" and threads == 1 else time.perf_counter
    return Prepared(bind, outputs, partial(_active, threads), clock)


@contextlib.contextmanager
def _active(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.no_grad():  # frozen weights are not for inference_mode
            yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    logger = logging.getLogger("torch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)

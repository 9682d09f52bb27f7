"""A network as a function that can be timed: in torch, onnxruntime or OpenVINO, one thread, float32."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from ..cost.runtimes import RUNTIMES, prepare
from ..errors import UserError
from ..models.fusing import fuse

WARM_UP = 2  # rounds that are not counted
LEAST_ROUNDS, MOST_ROUNDS = 5, 101
Work = Callable[[], Any]


def missing(runtime: str) -> bool:
    """Whether a runtime is not installed."""
    try:
        RUNTIMES.load(runtime).refuse_missing()
    except UserError:
        return True
    return False


def version(runtime: str) -> str:
    """Of an installed runtime."""
    return RUNTIMES.load(runtime).version().partition(",")[0].partition(" ")[2]


def inference(net: nn.Module, x: torch.Tensor, runtime: str) -> Work:
    """One forward pass of ``net``, its BatchNorms folded, in eval mode: in "torch", "onnxruntime" or "openvino"."""
    prepared = prepare(runtime, fuse(net.eval()), tuple(x.shape[1:]), batch=len(x))
    with prepared.active():
        run = prepared.bind(x)

    def work() -> object:
        with prepared.active():
            return run()

    return work


def training(net: nn.Module, x: torch.Tensor) -> Work:
    """Forward and backward pass in torch, gradients of the input included; no optimiser's step."""
    net.train()
    x = x.clone().requires_grad_()

    def step() -> None:
        net(x).mean().backward()
        net.zero_grad(set_to_none=True)
        x.grad = None

    return step


def alternate(works: Mapping[str, Work], seconds: float) -> dict[str, list[float]]:
    """CPU seconds (all threads of the process) of each, round by round, for ``seconds`` or :data:`LEAST_ROUNDS`."""
    times: dict[str, list[float]] = {name: [] for name in works}
    until = time.process_time() + seconds
    for done in range(WARM_UP + MOST_ROUNDS):
        if done >= WARM_UP + LEAST_ROUNDS and time.process_time() > until:
            break
        for name, work in works.items():
            begin = time.process_time()
            work()
            times[name].append(time.process_time() - begin)
    return {name: taken[WARM_UP:] for name, taken in times.items()}


def ratio(times: list[float], plain: list[float]) -> float:
    """The median over rounds of one's time divided by the other's of the same round."""
    return statistics.median(a / b for a, b in zip(times, plain))

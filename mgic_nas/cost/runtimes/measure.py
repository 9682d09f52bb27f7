"""Time in a runtime, on this machine."""

from __future__ import annotations

import torch
from torch import nn

from ...models.fusing import fuse
from ..latency import REPEATS, median_seconds
from .registry import RUNTIMES, Prepared


def prepare(runtime: str, net: nn.Module, input_size: tuple[int, ...], *, batch: int = 1, threads: int = 1) -> Prepared:
    """A network made ready to be run and timed.

    Args:
        runtime: one of :data:`RUNTIMES`.
        net: in the form that ships, see :func:`mgic_nas.fuse`; it is put in eval mode.
        input_size: of one input, without the batch: (C, H, W) for images.
        batch: inputs at a time.
        threads: on a CPU.

    Raises:
        UserError: an unknown runtime, a package that is missing, or a network that the runtime cannot run.
    """
    return RUNTIMES.load(runtime).prepare(net.eval(), input_size, batch, threads)


def runtime_latency(
    runtime: str,
    net: nn.Module,
    input_size: tuple[int, ...],
    *,
    batch: int = 1,
    threads: int = 1,
    repeats: int = REPEATS,
    seconds: float = 1.0,
) -> float:
    """Median seconds of one inference of a whole batch.

    On one CPU thread it is the time on a core, which trainings beside it do not lengthen by taking turns with it;
    otherwise it is the wall clock's. The arguments are :func:`prepare`'s and :func:`median_seconds`'s.
    """
    prepared = prepare(runtime, net, input_size, batch=batch, threads=threads)
    inputs = torch.randn(batch, *input_size, generator=torch.Generator().manual_seed(0))
    with prepared.active():
        return median_seconds(prepared.bind(inputs), prepared.clock, repeats=repeats, seconds=seconds)


def shipped_latency(
    runtime: str, net: nn.Module, input_size: tuple[int, ...], *, batch: int = 1, threads: int = 1
) -> float:
    """:func:`runtime_latency` of a network in the form that ships: fused (:func:`mgic_nas.fuse`)."""
    return runtime_latency(runtime, fuse(net), input_size, batch=batch, threads=threads)

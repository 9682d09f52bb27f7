"""The inference form of a network, for any runtime or chosen for one by measuring."""

from __future__ import annotations

import copy
import statistics
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from ..errors import UserError
from ..models.fusing import fuse as fold
from ..models.merging import fold_corrections, merge_groups
from .latency import LEAST_REPEATS, WARM_UP
from .runtimes import RUNTIMES, prepare

WIDTHS = (8, 16, 32)  # of which the channels of a merged group are a multiple
ROUNDS = 21  # of measurements in turns
GAIN = 0.97  # a form is taken for another that takes less than this part of its time

Change = Callable[[nn.Module], int]


def fuse(
    model: nn.Module,
    target: str | None = None,
    *,
    input_size: tuple[int, int, int] | None = None,
    batch: int = 1,
    threads: int = 1,
) -> nn.Module:
    """A copy of ``model`` in eval mode with every BatchNorm folded into the conv before it, P's included.

    Works on every network of this package and on timm's, converted ones too: wherever a BatchNorm follows a
    convolution directly. Outputs agree to float32 rounding; what is left can still be exported, but not trained in
    any useful way.

    With a target, other forms of the network are measured there too, on this machine, and the fastest is returned:
    weights in channels-last order (in ``torch``), narrow groups of its convs merged
    (:func:`mgic_nas.models.merging.merge_groups`), and the coarse grid corrections as linear maps in a row
    (:func:`mgic_nas.models.merging.fold_corrections`). That takes seconds to a minute. Outputs agree to rounding, a
    relative 1e-6.

    Args:
        model: any network.
        target: the runtime that will run it, one of ``torch``, ``compile``, ``onnxruntime`` and ``openvino``; None
            measures nothing and gives the form that holds everywhere.
        input_size: (C, H, W) of an image, with a target; by default the network's own.
        batch: images at a time, with a target.
        threads: of the CPU, with a target.

    Raises:
        UserError: an unknown target, one that is not installed or cannot run the network, or no input size.
    """
    fused = fold(model)
    if target is None:
        return fused
    RUNTIMES.check(target)
    size = input_size or _input_size(model)
    chosen = fused
    for step in _steps(target):
        forms = {"as it is": chosen} | _changed(chosen, step)
        if len(forms) > 1:
            chosen = _fastest(target, forms, size, batch, threads)
    return chosen


def _steps(target: str) -> list[dict[str, Change]]:
    """What is tried one after the other, each on the best so far. Other runtimes lay out weights as they like."""
    layout: list[dict[str, Change]] = [{"channels last": _channels_last}] if target == "torch" else []
    return [
        *layout,
        {f"3x3 to {width}": partial(merge_groups, width=width, spatial=True) for width in WIDTHS},
        {"corrections folded": fold_corrections},
        {f"1x1 to {width}": partial(merge_groups, width=width, spatial=False) for width in WIDTHS},
    ]


def _channels_last(net: nn.Module) -> int:
    """Lays weights out so; a convolution then gives its output so as well, whatever its input is."""
    net.to(memory_format=torch.channels_last)
    return 1


def _changed(net: nn.Module, step: Mapping[str, Change]) -> dict[str, nn.Module]:
    """The forms that a step gives, where they differ from each other."""
    found: dict[str, nn.Module] = {}
    seen = {_structure(net)}
    for name, change in step.items():
        form = copy.deepcopy(net)
        if change(form) and _structure(form) not in seen:
            seen.add(_structure(form))
            found[name] = form
    return found


def _structure(net: nn.Module) -> tuple[object, ...]:
    """What two forms of one network differ in."""
    return str(net), *(parameter.stride() for parameter in net.parameters())


def _fastest(
    target: str, forms: Mapping[str, nn.Module], size: tuple[int, int, int], batch: int, threads: int
) -> nn.Module:
    """The form of the least median time, in turns; the first, unless another is clearly faster."""
    times = times_in_turns({name: (target, net) for name, net in forms.items()}, size, batch, threads)
    first = next(iter(forms))
    best = min(times, key=lambda name: times[name])
    return forms[best if times[best] < GAIN * times[first] else first]


def times_in_turns(
    contestants: Mapping[str, tuple[str, nn.Module]],
    size: tuple[int, ...],
    batch: int = 1,
    threads: int = 1,
    rounds: int = ROUNDS,
    seconds: float = 1.0,
) -> dict[str, float]:
    """Median seconds of one inference of each, in turns: a shared machine drifts, and ratios do not.

    Args:
        contestants: name -> (runtime, network in eval mode and in the form that ships).
        size: of one input.
        batch: inputs at a time.
        threads: on a CPU.
        rounds: of which the median is taken, after :data:`WARM_UP` others; fewer (at least :data:`LEAST_REPEATS`)
            where one of the contestants takes longer than ``seconds`` for all of them.
        seconds: see ``rounds``.
    """
    inputs = torch.randn(batch, *size, generator=torch.Generator().manual_seed(0))
    ready = {
        name: prepare(runtime, net, size, batch=batch, threads=threads) for name, (runtime, net) in contestants.items()
    }
    runs: dict[str, Any] = {}
    for name, prepared in ready.items():
        with prepared.active():
            runs[name] = prepared.bind(inputs)
    found: dict[str, list[float]] = {name: [] for name in ready}
    for _ in range(WARM_UP + rounds):
        for name, prepared in ready.items():
            with prepared.active():
                begin = prepared.clock()
                runs[name]()
                found[name].append(prepared.clock() - begin)
        if len(found[name]) >= WARM_UP + LEAST_REPEATS and max(map(sum, found.values())) > seconds:
            break
    return {name: statistics.median(times[WARM_UP:]) for name, times in found.items()}


def _input_size(model: nn.Module) -> tuple[int, int, int]:
    config: Any = getattr(model, "pretrained_cfg", None) or {}
    size = config.get("input_size") if hasattr(config, "get") else getattr(config, "input_size", None)
    if not size:
        raise UserError("fuse for a target needs the input_size (C, H, W): this network does not say its own.")
    channels, height, width = size
    return channels, height, width

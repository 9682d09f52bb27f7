"""Time on this machine. Always of several networks at once, in turns: a shared machine drifts, ratios do not."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping

import torch
from torch import nn


def latency(
    models: Mapping[str, nn.Module], input_size: tuple[int, ...], repeats: int = 21, batch_size: int = 1
) -> dict[str, float]:
    """Median seconds of one inference of each network, measured in alternation, on the device of its parameters.

    Args:
        models: networks on one device, by name; they are put in eval mode.
        input_size: of one input, without the batch.
        repeats: rounds; two more warm up.
        batch_size: inputs at a time.
    """
    device = next(next(iter(models.values())).parameters()).device
    x = torch.randn(batch_size, *input_size, device=device)
    times: dict[str, list[float]] = {name: [] for name in models}
    for net in models.values():
        net.eval()
    with torch.inference_mode():
        for _ in range(repeats + 2):
            for name, net in models.items():
                begin = time.perf_counter()
                net(x)
                if device.type == "cuda":
                    torch.cuda.synchronize(device)
                times[name].append(time.perf_counter() - begin)
    return {name: statistics.median(seconds[2:]) for name, seconds in times.items()}

"""Inference of MGIC networks against the plain ones that they stand for, in three runtimes, on one thread.

All are fused; ``fuse(net, target=...)`` is beside ``fuse(net)``. Median CPU time in turns, in one run.
"""

from typing import Any

import pytest
import timm
import torch
from fakes.bench import show
from torch import nn

import mgic_nas
from mgic_nas.cost.fused import times_in_turns

pytestmark = [pytest.mark.slow, pytest.mark.benchmark]

R56, PLAIN_R56 = ("mgic_resnet56", {"s_g": 8, "s_c": 16}), ("mgic_resnet56", {"levels": "none"})
R56_PLAIN_STAGE = ("mgic_resnet56", {"s_g": 8, "s_c": 16, "min_levels": 0})
V3, V3_16 = ("mgic_mobilenetv3_large_100", {}), ("mgic_mobilenetv3_large_100", {"s_g": 16})
PLAIN_V3 = ("mobilenetv3_large_100", {})
R50, PLAIN_R50 = ("mgic_resnet50", {"s_g": 32}), ("resnet50", {})
Network = tuple[str, dict[str, Any]]

#: The plain network, what is compared with it, side of the images, images at a time, runtimes.
GROUPS: list[tuple[Network, list[Network], int, int, tuple[str, ...]]] = [
    (PLAIN_R56, [R56, R56_PLAIN_STAGE], 32, 32, ("torch", "onnxruntime", "openvino")),
    (PLAIN_R56, [R56, R56_PLAIN_STAGE], 32, 1, ("torch", "onnxruntime", "openvino")),
    (PLAIN_V3, [V3, V3_16], 224, 1, ("onnxruntime", "openvino")),
    (PLAIN_R50, [R50], 224, 1, ("onnxruntime", "openvino")),
]


def built(network: Network) -> nn.Module:
    torch.manual_seed(0)
    net: nn.Module = timm.create_model(network[0], **network[1]).eval()
    return net


def told(network: Network) -> str:
    return f"{network[0]}({', '.join(f'{name}={value}' for name, value in network[1].items())})"


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("plain", "networks", "side", "batch", "runtimes"), GROUPS, ids=["r56-b32", "r56-b1", "v3", "r50"]
)
def test_inference(
    plain: Network,
    networks: list[Network],
    side: int,
    batch: int,
    runtimes: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What is chosen by measuring is not slower than what holds everywhere."""
    size, threads = (3, side, side), torch.get_num_threads()
    torch.set_num_threads(1)
    rows, ratios = [], []
    for runtime in runtimes:
        forms = {}
        for network in (plain, *networks):
            net = built(network)
            forms[told(network)] = (runtime, mgic_nas.fuse(net))
            chosen = mgic_nas.fuse(net, runtime, input_size=size, batch=batch)
            forms[f"{told(network)}, for {runtime}"] = (runtime, chosen)
        seconds = times_in_turns(forms, size, batch, rounds=31, seconds=2.0)
        first = seconds[f"{told(plain)}, for {runtime}"]
        rows += [[runtime, name, f"{1e3 * value:.2f}", f"{value / first:.2f}"] for name, value in seconds.items()]
        values = list(seconds.values())
        ratios += [chosen / everywhere for everywhere, chosen in zip(values[::2], values[1::2], strict=True)]
    torch.set_num_threads(threads)
    heading = ["runtime", "network", "ms", "of the plain one's for the runtime"]
    show(capsys, f"Inference of {batch} at {side}x{side}, one thread", heading, rows)
    assert max(ratios) < 1.1

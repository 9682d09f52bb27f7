"""Costs of the networks in the tables, ours and other libraries', counted alike. Imports torch and timm."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torchvision.models import get_model
from torchvision.models.feature_extraction import create_feature_extractor
from torchvision.models.segmentation.lraspp import LRASPP

from ..cost import Cost
from ..cost.count import count
from ..models import points, segmentation
from ..models.coarse import CoarseRepresentation
from ..profiling import profile

META = torch.device("meta")


def network_cost(network: str, config: Mapping[str, Any], input_size: tuple[int, ...], num_classes: int | None) -> Cost:
    """The cost of one input.

    Args:
        network: a timm name, ours included, or a name with a prefix of :data:`BUILDERS`, or one of it.
        config: its arguments.
        input_size: (C, H, W), (C, points) for point clouds.
        num_classes: None where the network takes none.
    """
    if network == "plain_resnet56":  # the name in `mgic-nas tables --json`
        network, config = "mgic_resnet56", {"levels": "none"}
    prefix, _, name = network.partition(":")
    if prefix in BUILDERS:
        return count(BUILDERS[prefix](name, num_classes, **config), input_size)
    channels, height, width = input_size
    return profile(network, input_size=(channels, height, width), num_classes=num_classes, **config)


def _segmentation(name: str, num_classes: int | None, **config: Any) -> nn.Module:
    return segmentation.NETWORKS[name](num_classes=num_classes or 19, device=META, **config)


def _points(name: str, num_classes: int | None, **config: Any) -> nn.Module:
    return points.NETWORKS[name](num_classes=num_classes or 10, device=META, **config)


def _coarse(name: str, num_classes: int | None, **config: Any) -> nn.Module:
    return CoarseRepresentation(device=META, **config)


def _torchvision(name: str, num_classes: int | None, **config: Any) -> nn.Module:
    with META:
        net: nn.Module = get_model(name, num_classes=num_classes, **config)
    return net


class _Plain(nn.Module):
    """torchvision's LR-ASPP, its output without the dictionary."""

    def __init__(self, trunk: nn.Module, low: int, high: int, num_classes: int) -> None:
        super().__init__()
        features: Any = trunk.features
        taps = create_feature_extractor(features, {str(low): "low", str(high): "high"})
        widths = (features[low].out_channels, features[high].out_channels)
        self.net = LRASPP(taps, *widths, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.net(x)["out"]
        return y


def _lraspp(name: str, num_classes: int | None, **config: Any) -> nn.Module:
    """The plain network that MGIC's is compared with, from torchvision."""
    # The first block at an eighth of the resolution, and the last conv: what torchvision's own builder taps.
    low, high = {"mobilenet_v3_large": (4, 16), "mobilenet_v3_small": (2, 12)}[name]
    with META:
        return _Plain(get_model(name, dilated=True, reduced_tail=True), low, high, num_classes or 19)


#: What stands before the colon (or alone) in a network that is no timm name -> its builder.
BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "segmentation": _segmentation,
    "points": _points,
    "coarse": _coarse,
    "torchvision": _torchvision,
    "lraspp": _lraspp,
}

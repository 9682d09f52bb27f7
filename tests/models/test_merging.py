"""Merged groups and folded corrections are other forms of the same function."""

import copy
from collections.abc import Callable

import pytest
import timm
import torch
from timm.layers import Conv2dSame
from torch import nn

import mgic_nas
from mgic_nas.models.merging import FoldedBlock, fold_corrections, merge_groups
from mgic_nas.models.mgic import ChannelTransfer, MultigridBlock

CHANGES: dict[str, Callable[[nn.Module], int]] = {
    "3x3": lambda net: merge_groups(net, 16, spatial=True),
    "1x1": lambda net: merge_groups(net, 16, spatial=False),
    "corrections": fold_corrections,
    "all": lambda net: (
        fold_corrections(net) + merge_groups(net, 8, spatial=True) + merge_groups(net, 16, spatial=False)
    ),
}


def fused(name: str, **arguments: object) -> nn.Module:
    """In float64, with statistics as a training leaves them."""
    torch.manual_seed(0)
    net = timm.create_model(name, num_classes=10, **arguments).double()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
    return mgic_nas.fuse(net)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("mgic_resnet20", {"s_g": 4, "s_c": 8, "depths": 1}),
        ("mgic_resnet20", {"s_g": 8, "s_c": 16, "depths": 1, "block": "bottleneck", "width_mult": 4}),
        ("mgic_mobilenetv3_small_100", {"s_g": 8, "s_c": 16}),
    ],
)
def test_outputs_are_the_same(name: str, arguments: dict[str, object], change: str) -> None:
    net = fused(name, **arguments)
    changed = copy.deepcopy(net)
    count = CHANGES[change](changed)
    assert count > 0
    x = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(changed(x), net(x), rtol=1e-9, atol=1e-9)
    folded = sum(isinstance(m, FoldedBlock) for m in changed.modules())
    blocks = sum(isinstance(m, MultigridBlock) and len(m.restrict) > 0 for m in net.modules())
    assert folded == (blocks if change in ("corrections", "all") else 0)


@pytest.mark.parametrize(
    ("conv", "width", "groups"),
    [
        (nn.Conv2d(32, 32, 3, groups=8), 8, 4),
        (nn.Conv2d(32, 32, 3, groups=8), 16, 2),
        (nn.Conv2d(32, 32, 3, groups=8), 64, 1),
        (nn.Conv2d(64, 32, 3, groups=8, stride=2, padding=1), 8, 4),  # 8 channels in and 4 out
        (nn.Conv2d(24, 24, 3, groups=6, dilation=2), 8, 3),
        (nn.Conv2d(24, 24, 3, groups=6), 16, 1),  # of the divisors 1, 2, 3, 6 none gives 16 but the whole
        (nn.Conv2d(24, 40, 3, groups=8), 8, 1),  # 3 channels in and 5 out
        (nn.Conv2d(48, 48, 3, groups=2), 16, 1),
        (nn.Conv2d(48, 48, 3, groups=2), 8, 2),
        (nn.Conv2d(32, 32, 3, groups=8, bias=False), 4, 8),
        (nn.Conv2d(32, 32, 3, groups=32), 16, 32),  # depthwise
        (nn.Conv2d(32, 64, 3, groups=32), 16, 32),  # depthwise with a multiplier
        (nn.Conv2d(32, 32, 3), 16, 1),
        (nn.Conv2d(32, 32, 3, groups=8, padding=1, padding_mode="reflect"), 16, 8),
        (Conv2dSame(32, 32, 3, groups=8), 16, 8),
    ],
)
def test_groups_get_a_multiple_of_what_is_asked_or_become_one(conv: nn.Conv2d, width: int, groups: int) -> None:
    net = nn.Sequential(conv.double())
    x = torch.randn(2, conv.in_channels, 9, 9, dtype=torch.float64)
    before = net(x)
    merged = merge_groups(net, width, spatial=True)
    assert net[0].groups == groups
    assert merged == int(net[0] is not conv)
    torch.testing.assert_close(net(x), before, rtol=1e-12, atol=1e-12)


def test_kernels_of_one_kind_are_merged() -> None:
    net = nn.Sequential(nn.Conv2d(16, 16, 3, groups=4), ChannelTransfer(16, 8, 4))
    assert merge_groups(net, 8, spatial=False) == 1
    assert [conv.groups for conv in net] == [4, 1]  # 4 in and 2 out a group: all four have 8 out


def test_a_block_with_norms_is_left() -> None:
    net = timm.create_model("mgic_resnet20", s_g=4, s_c=8, depths=1).eval()
    assert fold_corrections(net) == 0

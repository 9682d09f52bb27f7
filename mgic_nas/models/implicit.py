"""The network that learns a function of five numbers (eq. 4.1), after the paper's Table 2.

    input       the 5 numbers as the channels of a 1x1 image
    stem        1x1 conv, 5 -> 16, BN, ReLU
    stages      for each width 32, 64, .. c_max: a change of width, then two CNN blocks (expansion 4, no SE, ReLU)
    head        1x1 conv, c_max -> 64, BN, ReLU; 1x1 conv, 64 -> 1, with bias

Every kernel is 1x1 (the "depthwise" convs too: they are a factor for each channel). The CNN block is MobileNetV3's,
GhostNet's or MGIC-MobileNetV3's. The paper leaves the change of width open: here it is that of MGIC-MobileNetV3 with
a 1x1 kernel, a conv in gcd(c_in, c_out) groups with BN and no activation, the same one for all three blocks, so
that the networks differ in nothing but their blocks. Convs start as torch's do (with timm's init for MobileNetV3
these networks learn several times slower), R and P as in every MGIC block.

Parameters and MACs of one input; MGIC at s_g = s_c = 16, whose cost is linear in the width where theirs is quadratic:

    c_max                  32                64                128                  256                  512
    MobileNetV3  20,241 18,864     90,833 87,024    363,089 354,416  1,431,889 1,413,488  5,666,641 5,628,784
    GhostNet     11,441 10,576     48,049 45,776    186,801 181,712      726,449 715,728  2,854,321 2,832,336
    MGIC         18,001 15,920     57,297 50,672    141,841 125,424      316,881 280,176      672,913 594,928
"""

import math
from collections.abc import Hashable, Mapping
from typing import Any

import torch
from torch import nn

from ..errors import UserError
from ._canonical import normal_config
from ._net import _strided
from .blocks import block_class
from .mgic import TRANSFER_INIT, ZERO_INIT_CORRECTION, MGICBlock, start
from .rows import Level, Row, Rows, Stage, check_choices, check_levels, hierarchy, positive_int

__all__ = [
    "NETWORKS",
    "ImplicitNetwork",
    "implicit_ghostnet",
    "implicit_mgic_mobilenetv3",
    "implicit_mobilenetv3",
    "implicit_rows",
]

NARROWEST = 32  # the width of the first stage
BLOCKS_A_STAGE = 2


def implicit_rows(
    c_max: int = 128,
    block: str = "inverted_residual",
    s_g: int = 16,
    s_c: int | None = 16,
    in_chans: int = 5,
    min_levels: int = 0,
    min_groups: int = 1,
    levels: str = "auto",
) -> Rows:
    """The rows of Table 2; the arguments are those of :class:`ImplicitNetwork`.

    ``rows_cost(implicit_rows(...), (5, 1, 1), 1)`` is the network's cost: the last conv stands as its classifier.
    """
    positive_int("c_max", c_max)
    check_choices(s_g, 1 if s_c is None else s_c, min_levels, min_groups)
    s_c = None if check_levels(levels) else s_c
    if c_max < NARROWEST or c_max % NARROWEST or (c_max // NARROWEST).bit_count() != 1:
        raise UserError(f"c_max must be 32, 64, 128, ... (doubled each time), not {c_max}.")
    mid = block_class(block).mid
    stem = Stage((Row("conv", in_chans, 16, 1),))
    stages, c, width = [], 16, NARROWEST
    while width <= c_max:
        if s_c is None:
            grids = hierarchy(width, width, width, lambda _, w: (w, mid(w)))
        else:
            least = {"min_levels": min_levels, "min_groups": min_groups}
            grids = hierarchy(width, s_g, s_c, lambda _, w: (w, mid(w)), **least)
        change = Row("conv", c, width, 1, groups=math.gcd(c, width), act="")
        stages.append(Stage((change, *BLOCKS_A_STAGE * (Row(block, width, width, 1, levels=grids),))))
        c, width = width, 2 * width
    return Rows(stem, tuple(stages), Stage((Row("conv", c, 64, 1),)))


class ImplicitNetwork(nn.Module):
    """Table 2: inputs (N, 5, H, W) to values (N, 1, H, W).

    H and W are 1 for a batch of vectors. With every kernel 1x1 the pixels have nothing to do with each other, so
    one image of N pixels holds the same batch (and the same statistics for BN) as N images of one.

    Args:
        c_max: width of the last stage: 32, 64, 128, ...
        block: the wrapped block, a name in :data:`mgic_nas.models.blocks.BLOCKS`.
        s_g: channels a group on all but the coarsest level.
        s_c: width of the coarsest level at most; None for the plain block.
        num_outputs: values of the function.
        min_levels: at least so many restrictions; by default stages of at most s_c channels are plain.
        min_groups: 2 keeps a grouped level from being fully coupled.
        levels: "none" for the plain block, as ``s_c=None``.
        transfer_init, zero_init_correction: how MGIC blocks begin, see :func:`~mgic_nas.models.mgic.start`.
    """

    def __init__(
        self,
        c_max: int = 128,
        block: str = "inverted_residual",
        s_g: int = 16,
        s_c: int | None = 16,
        num_outputs: int = 1,
        in_chans: int = 5,
        norm_layer: Any = nn.BatchNorm2d,
        min_levels: int = 0,
        min_groups: int = 1,
        levels: str = "auto",
        transfer_init: str = TRANSFER_INIT,
        zero_init_correction: bool = ZERO_INIT_CORRECTION,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        dd = {"device": device, "dtype": dtype}
        rows = implicit_rows(c_max, block, s_g, s_c, in_chans, min_levels, min_groups, levels)
        modules = [
            nn.Sequential(
                *(
                    _strided(row, norm_layer, dd) if row.block == "conv" else MGICBlock(row, 0.0, norm_layer, **dd)
                    for row in stage
                )
            )
            for stage in rows.parts
        ]
        self.stem = modules[0]
        self.stages = nn.Sequential(*modules[1:-1])
        self.head = modules[-1]
        self.output = nn.Conv2d(rows.head[-1].c_out, num_outputs, 1, **dd)
        start(self, transfer_init, zero_init_correction)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(self.head(self.stages(self.stem(x))))


def implicit_mobilenetv3(c_max: int = 128, **kwargs: Any) -> ImplicitNetwork:
    """Table 2 with MobileNetV3's block."""
    return ImplicitNetwork(c_max, s_c=None, **kwargs)


def implicit_ghostnet(c_max: int = 128, **kwargs: Any) -> ImplicitNetwork:
    """Table 2 with GhostNet's block."""
    return ImplicitNetwork(c_max, block="ghost", s_c=None, **kwargs)


def implicit_mgic_mobilenetv3(c_max: int = 128, s_g: int = 16, s_c: int = 16, **kwargs: Any) -> ImplicitNetwork:
    """Table 2 with MGIC-MobileNetV3's block."""
    return ImplicitNetwork(c_max, s_g=s_g, s_c=s_c, **kwargs)


def canonical(name: str, config: Mapping[str, Any]) -> Hashable:
    """The same for two configs (every argument in them) that are the same architecture."""
    if name != "implicit_mgic_mobilenetv3":  # plain blocks, which nothing of Algorithm 1 changes
        return normal_config({**config, "s_g": 16, "s_c": 16, "levels": "auto"}, lambda *_: [()], 16)

    def hierarchies(*choices: int) -> list[tuple[Level, ...]]:
        s_g, s_c, min_levels, min_groups = choices
        rows = implicit_rows(config["c_max"], config["block"], s_g, s_c, min_levels=min_levels, min_groups=min_groups)
        return [row.levels for stage in rows.stages for row in stage if row.levels]

    return normal_config(config, hierarchies, config["c_max"])


NETWORKS = {
    "implicit_mobilenetv3": implicit_mobilenetv3,
    "implicit_ghostnet": implicit_ghostnet,
    "implicit_mgic_mobilenetv3": implicit_mgic_mobilenetv3,
}

"""The CNN blocks that MGIC wraps, in a registry: one more block is one class and one ``@register_block`` line.

A block says in ``convs`` which convolutions it has at a level; its constructor builds exactly those, and the cost
counts exactly those. ``mid`` gives its inner width where a family has no rule of its own.
"""

import math
from collections import OrderedDict
from collections.abc import Callable
from functools import cache
from typing import Any, ClassVar, TypeVar

import torch
import torch.nn.functional as F
from timm.layers import ConvNormAct, DropPath, LayerNorm2d, LayerScale2d, create_act_layer, create_conv2d, get_act_layer
from timm.models._efficientnet_blocks import SqueezeExcite
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .._registry import Registry
from ..errors import UserError
from .rows import Conv, Level, Row

#: Wrapped block by name. From outside the package also ``BLOCKS.register("mine", "my_package.blocks:MyBlock")``.
BLOCKS: Registry[type["WrappedBlock"]] = Registry("block", {}, home=f"{__name__}:BLOCKS")
BlockType = TypeVar("BlockType", bound="type[WrappedBlock]")


def register_block(name: str) -> Callable[[BlockType], BlockType]:
    """Lets families and search spaces wrap the class under ``name``."""

    def register(cls: BlockType) -> BlockType:
        BLOCKS.register(name, cls)
        return cls

    return register


def block_class(name: str) -> type["WrappedBlock"]:
    """The class registered under ``name``; UserError for an unknown one."""
    return BLOCKS.load(name)


def check_act(act: Any) -> Any:
    """``act``, an activation as timm knows it by name or as a class. UserError for an unknown name."""
    if isinstance(act, str):
        _check_name(act)
    return act


@cache
def _check_name(act: str) -> None:
    try:
        get_act_layer(act)
    except KeyError:
        raise UserError(f"Unknown activation {act!r}. timm knows relu, gelu, silu, hard_swish, ...") from None


class WrappedBlock(nn.Module):
    """A CNN block on tensors (N, level.channels, H, W), at one level of the hierarchy; it keeps their shape.

    A new block passes ``mgic_nas.testing.check_block``.
    """

    kernel: ClassVar[int] = 3  # of its spatial conv, where the family has no rule of its own
    strides: ClassVar[bool] = False  # whether it follows a row that changes width or stride
    inverted: ClassVar[bool] = False  # wider inside: takes MobileNetV3's expansion and squeeze-and-excitation

    @staticmethod
    def mid(channels: int) -> int:
        """Inner width for tensors of ``channels``."""
        return channels

    @staticmethod
    def convs(row: Row, level: Level) -> tuple[Conv, ...]:
        """Every convolution of the block at ``level``, in order of use."""
        raise NotImplementedError

    @classmethod
    def refuse_change(cls, row: Row) -> None:
        """UserError where the block cannot change width or stride, as a plain network's first of a stage does."""
        if row.changes and not cls.strides:
            raise UserError(
                "levels='none' and transition='plain' are for blocks that can change width and stride, which "
                f"{row.block} cannot."
            )

    def zero_init_last(self) -> None:
        """Lets the residual branch start at zero, as timm's blocks do; a block without one does nothing."""


class FusableConvNormAct(ConvNormAct):
    """timm's conv, norm, activation, and its inference form: ``timm.utils.reparameterize_model`` calls ``fuse``."""

    def fuse(self) -> nn.Module:
        """The conv with the BatchNorm folded in, and the activation. Any other norm stays."""
        if not isinstance(self.bn, nn.BatchNorm2d):
            return self
        conv = fuse_conv_bn_eval(self.conv.eval(), self.bn.eval())
        act = getattr(self.bn, "act", nn.Identity())
        return conv if isinstance(act, nn.Identity) else nn.Sequential(OrderedDict(conv=conv, act=act)).eval()


def conv_norm_act(conv: Conv, act: str, norm_layer: Any, dd: dict[str, Any], stride: int = 1) -> FusableConvNormAct:
    """The module of one :class:`Conv` with its norm; ``act`` "" leaves the activation out."""
    return FusableConvNormAct(
        conv.c_in,
        conv.c_out,
        kernel_size=conv.kernel,
        stride=stride,
        groups=conv.groups,
        dilation=conv.dilation,
        bias=conv.bias,
        apply_act=bool(act),
        norm_layer=norm_layer,
        act_layer=act or None,
        **dd,
    )


def drop_path(rate: float) -> nn.Module:
    """Stochastic depth, or nothing at rate 0."""
    return DropPath(rate) if rate else nn.Identity()


class Shortcut(nn.Module):
    """A row's input (N, c_in, H, W) at the width and resolution of its output, for the sum with a residual branch."""

    def __init__(self, row: Row, norm_layer: Any, dd: dict[str, Any]) -> None:
        super().__init__()
        self.stride = row.stride
        self.more = row.c_out - row.c_in
        conv = shortcut_convs(row)
        self.conv = conv_norm_act(conv[0], "", norm_layer, dd, stride=row.stride) if conv else nn.Identity()
        self.pads = not conv

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.pads:
            x = x[:, :, :: self.stride, :: self.stride]
            return F.pad(x, (0, 0, 0, 0, self.more // 2, self.more - self.more // 2))
        return self.conv(x)


def shortcut_convs(row: Row) -> tuple[Conv, ...]:
    """The conv of a row's shortcut, where it has one."""
    return (Conv(row.c_in, row.c_out),) if row.changes and row.shortcut == "project" else ()


def shortcut(row: Row, norm_layer: Any, dd: dict[str, Any]) -> nn.Module:
    """The module of a row's shortcut: the identity where nothing changes."""
    return Shortcut(row, norm_layer, dd) if row.changes else nn.Identity()


def _squeeze_convs(level: Level) -> tuple[Conv, ...]:
    """The two convs of squeeze-and-excitation, where the level has it."""
    if not level.se:
        return ()
    reduce = Conv(level.mid, level.se, bias=True, norm=False, pooled=True)
    return reduce, Conv(level.se, level.mid, bias=True, norm=False, pooled=True)


def _squeeze(level: Level, dd: dict[str, Any]) -> nn.Module:
    if not level.se:
        return nn.Identity()
    return SqueezeExcite(level.mid, rd_channels=level.se, gate_layer="hard_sigmoid", **dd)


@register_block("basic")
class BasicBlock(WrappedBlock):
    """ResNet's: two 3x3 convs, residual, activation last."""

    strides = True

    @staticmethod
    def convs(row: Row, level: Level) -> tuple[Conv, ...]:
        conv = Conv(level.channels, level.channels, row.kernel, level.groups, dilation=row.dilation)
        return (conv._replace(c_in=row.c_in) if row.changes else conv), conv

    def __init__(self, row: Row, level: Level, drop: float, norm_layer: Any, dd: dict[str, Any]) -> None:
        super().__init__()
        first, second = self.convs(row, level)
        self.conv1 = conv_norm_act(first, row.act, norm_layer, dd, stride=row.stride)
        self.conv2 = conv_norm_act(second, "", norm_layer, dd)
        self.shortcut = shortcut(row, norm_layer, dd)
        self.drop_path = drop_path(drop)
        self.act = create_act_layer(row.act, inplace=True)

    def zero_init_last(self) -> None:
        nn.init.zeros_(self.conv2.bn.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.shortcut(x) + self.drop_path(self.conv2(self.conv1(x))))


@register_block("bottleneck")
class Bottleneck(WrappedBlock):
    """ResNet's: 1x1 to the narrow width, 3x3 there (with the stride), 1x1 back, residual, activation last."""

    strides = True

    @staticmethod
    def mid(channels: int) -> int:
        return max(4, channels // 4)

    @staticmethod
    def convs(row: Row, level: Level) -> tuple[Conv, ...]:
        return Bottleneck._convs(row, level, level.groups)

    @staticmethod
    def _convs(row: Row, level: Level, spatial_groups: int) -> tuple[Conv, ...]:
        wide, narrow, groups = level.channels, level.mid, level.groups
        return (
            Conv(row.c_in if row.changes else wide, narrow, 1, groups, early=True),
            Conv(narrow, narrow, row.kernel, spatial_groups, dilation=row.dilation),
            Conv(narrow, wide, 1, groups),
        )

    def __init__(self, row: Row, level: Level, drop: float, norm_layer: Any, dd: dict[str, Any]) -> None:
        super().__init__()
        reduce, spatial, expand = self.convs(row, level)
        self.conv1 = conv_norm_act(reduce, row.act, norm_layer, dd)
        self.conv2 = conv_norm_act(spatial, row.act, norm_layer, dd, stride=row.stride)
        self.conv3 = conv_norm_act(expand, "", norm_layer, dd)
        self.shortcut = shortcut(row, norm_layer, dd)
        self.drop_path = drop_path(drop)
        self.act = create_act_layer(row.act, inplace=True)

    def zero_init_last(self) -> None:
        nn.init.zeros_(self.conv3.bn.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.shortcut(x) + self.drop_path(self.conv3(self.conv2(self.conv1(x)))))


@register_block("resnext")
class ResNeXtBlock(Bottleneck):
    """ResNeXt's bottleneck: its 3x3 conv has 32 groups as far as they divide, or the level's where those are finer."""

    @staticmethod
    def mid(channels: int) -> int:
        return max(4, channels // 2)

    @staticmethod
    def convs(row: Row, level: Level) -> tuple[Conv, ...]:
        return Bottleneck._convs(row, level, max(level.groups, math.gcd(level.mid, 32)))


@register_block("inverted_residual")
class InvertedResidual(WrappedBlock):
    """MobileNetV3's: 1x1 expand, depthwise, squeeze-and-excitation before the activation, 1x1 project, residual.

    Where a row's inner width equals its outer one, the expand conv is left out at all its levels. A plain one that
    changes width or stride has no residual.
    """

    strides = True
    inverted = True

    @staticmethod
    def mid(channels: int) -> int:
        return 4 * channels

    @staticmethod
    def expands(row: Row) -> bool:
        """Whether the row has the 1x1 expand conv."""
        return row.levels[0].mid != (row.c_in if row.changes else row.levels[0].channels)

    @staticmethod
    def convs(row: Row, level: Level) -> tuple[Conv, ...]:
        outer, inner, groups = level.channels, level.mid, level.groups
        c_in = row.c_in if row.changes else outer
        expand = (Conv(c_in, inner, 1, groups, early=True),) if InvertedResidual.expands(row) else ()
        depthwise = Conv(inner, inner, row.kernel, inner, dilation=row.dilation)
        return *expand, depthwise, *_squeeze_convs(level), Conv(inner, outer, 1, groups)

    def __init__(self, row: Row, level: Level, drop: float, norm_layer: Any, dd: dict[str, Any]) -> None:
        super().__init__()
        convs = self.convs(row, level)
        expand, depthwise = convs[: self.expands(row)], convs[self.expands(row)]
        self.conv_pw = conv_norm_act(expand[0], row.act, norm_layer, dd) if expand else nn.Identity()
        self.conv_dw = conv_norm_act(depthwise, "", norm_layer, dd, stride=row.stride)
        self.se = _squeeze(level, dd)
        self.act = create_act_layer(row.act, inplace=True)
        self.conv_pwl = conv_norm_act(convs[-1], "", norm_layer, dd)
        self.residual = not row.changes
        self.drop_path = drop_path(drop)

    def zero_init_last(self) -> None:
        if self.residual:
            nn.init.zeros_(self.conv_pwl.bn.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv_dw(self.conv_pw(x))
        y = self.conv_pwl(self.act(self.se(y)))
        return x + self.drop_path(y) if self.residual else y


class GhostModule(nn.Module):
    """GhostNet's: half of the output by a conv, in GhostNet 1x1, half by a cheap depthwise conv of that half.

    With groups, each group is such a module of its own: halves are joined within their group, so that disjoint
    groups stay disjoint. With one group it is GhostNet's.
    """

    @staticmethod
    def convs(row: Row, c_in: int, c_out: int, groups: int, kernel: int = 1) -> tuple[Conv, ...]:
        half = groups * -(-c_out // groups // 2)
        dilation = row.dilation if kernel > 1 else 1
        return (
            Conv(c_in, half, kernel, groups, dilation=dilation),
            Conv(half, half, row.kernel, half, dilation=row.dilation),
        )

    def __init__(
        self, convs: tuple[Conv, ...], c_out: int, act: Any, norm_layer: Any, dd: dict[str, Any], stride: int = 1
    ) -> None:
        super().__init__()
        primary, cheap = convs
        self.groups = primary.groups
        self.per_group = c_out // primary.groups
        self.primary_conv = conv_norm_act(primary, act, norm_layer, dd, stride=stride)
        self.cheap_operation = conv_norm_act(cheap, act, norm_layer, dd)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x1 = self.primary_conv(x)
        x2 = self.cheap_operation(x1)
        halves = [x1.unflatten(1, (self.groups, -1)), x2.unflatten(1, (self.groups, -1))]
        return torch.cat(halves, 2)[:, :, : self.per_group].flatten(1, 2)


@register_block("ghost")
class GhostBottleneck(WrappedBlock):
    """GhostNet's: a ghost module that expands, squeeze-and-excitation, one that projects, residual."""

    inverted = True

    @staticmethod
    def mid(channels: int) -> int:
        return 4 * channels

    @staticmethod
    def convs(row: Row, level: Level) -> tuple[Conv, ...]:
        outer, inner, groups = level.channels, level.mid, level.groups
        expand = GhostModule.convs(row, outer, inner, groups)
        return *expand, *_squeeze_convs(level), *GhostModule.convs(row, inner, outer, groups)

    def __init__(self, row: Row, level: Level, drop: float, norm_layer: Any, dd: dict[str, Any]) -> None:
        super().__init__()
        convs = self.convs(row, level)
        self.ghost1 = GhostModule(convs[:2], level.mid, row.act, norm_layer, dd)
        self.se = _squeeze(level, dd)
        self.ghost2 = GhostModule(convs[-2:], level.channels, "", norm_layer, dd)
        self.drop_path = drop_path(drop)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.drop_path(self.ghost2(self.se(self.ghost1(x))))


@register_block("ghost_basic")
class GhostBasicBlock(WrappedBlock):
    """Ghost-ResNet's (Table 3): ResNet's basic block, both 3x3 convs as ghost modules."""

    strides = True

    @staticmethod
    def convs(row: Row, level: Level) -> tuple[Conv, ...]:
        c, groups = level.channels, level.groups
        first = GhostModule.convs(row, row.c_in if row.changes else c, c, groups, row.kernel)
        return *first, *GhostModule.convs(row, c, c, groups, row.kernel)

    def __init__(self, row: Row, level: Level, drop: float, norm_layer: Any, dd: dict[str, Any]) -> None:
        super().__init__()
        convs = self.convs(row, level)
        self.ghost1 = GhostModule(convs[:2], level.channels, row.act, norm_layer, dd, stride=row.stride)
        self.ghost2 = GhostModule(convs[2:], level.channels, "", norm_layer, dd)
        self.shortcut = shortcut(row, norm_layer, dd)
        self.drop_path = drop_path(drop)
        self.act = create_act_layer(row.act, inplace=True)

    def zero_init_last(self) -> None:
        for module in (self.ghost2.primary_conv, self.ghost2.cheap_operation):
            nn.init.zeros_(module.bn.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.shortcut(x) + self.drop_path(self.ghost2(self.ghost1(x))))


@register_block("convnext")
class ConvNeXtBlock(WrappedBlock):
    """ConvNeXt's: depthwise 7x7, LayerNorm over the channels, 1x1 to four times the width and back, layer scale."""

    kernel = 7

    @staticmethod
    def mid(channels: int) -> int:
        return 4 * channels

    @staticmethod
    def convs(row: Row, level: Level) -> tuple[Conv, ...]:
        outer, inner, groups = level.channels, level.mid, level.groups
        return (
            Conv(outer, outer, row.kernel, outer, dilation=row.dilation),
            Conv(outer, inner, 1, groups, norm=False),
            Conv(inner, outer, 1, groups, norm=False, scale=True),
        )

    def __init__(self, row: Row, level: Level, drop: float, norm_layer: Any, dd: dict[str, Any]) -> None:
        super().__init__()
        depthwise, expand, project = (
            create_conv2d(c.c_in, c.c_out, c.kernel, groups=c.groups, dilation=c.dilation, bias=False, **dd)
            for c in self.convs(row, level)
        )
        self.conv_dw = depthwise
        self.norm = LayerNorm2d(level.channels, eps=1e-6, **dd)
        self.conv_pw = expand
        self.act = create_act_layer(row.act)
        self.conv_pwl = project
        self.gamma = LayerScale2d(level.channels, init_values=1e-6, **dd)
        self.drop_path = drop_path(drop)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv_pw(self.norm(self.conv_dw(x)))
        return x + self.drop_path(self.gamma(self.conv_pwl(self.act(y))))

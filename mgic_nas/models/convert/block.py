"""Modules that take the place of what is converted: Algorithm 1 around a part of another network."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from timm.layers import LayerNorm2d
from timm.utils import reparameterize_model
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ..fusing import fold_pairs
from ..mgic import MultigridBlock
from ..rows import Level
from .find import Block
from .level import at_level


class ConvertedBlock(MultigridBlock):
    """Algorithm 1 around a block of another network."""

    def __init__(self, block: nn.Module, facts: Block, levels: Sequence[Level], init: str = "random") -> None:
        dd = placed(block)
        super().__init__(
            levels,
            lambda j, level: self.layer(block, facts, j, level.groups, init),
            lambda channels: self.norm_of(block, channels, dd),
            **dd,
        )
        if not any(p.requires_grad for p in block.parameters()):  # frozen stays frozen
            self.requires_grad_(False)
        self.train(block.training)

    @staticmethod
    def layer(block: nn.Module, facts: Block, level: int, groups: int, init: str) -> nn.Module:
        """CNN_j, on maps of the width of level j."""
        return at_level(block, facts, level, groups, init)

    @staticmethod
    def norm_of(block: nn.Module, channels: int, dd: dict[str, Any]) -> nn.Module:
        """N."""
        return norm_like(block, channels, dd)

    def fuse(self) -> MultigridBlock:
        """As :meth:`MultigridBlock.fuse`, and the norms of the block's own levels: timm's blocks do not fold theirs."""
        # A copy: timm goes on into this one's children, and blocks of several branches cannot be merged twice.
        try:
            fused: ConvertedBlock = reparameterize_model(self)
        except RuntimeError:  # a merge of timm's that knows of no groups (NextViT's)
            for module in self.modules():
                if hasattr(module, "reparameterize"):
                    module.reparameterize = _stay  # type: ignore[assignment]
            fused = reparameterize_model(self)
        super(ConvertedBlock, fused).fuse()
        fold_pairs(fused)
        return fused


def _stay() -> None:
    """The ``reparameterize`` of a module whose own one fails."""


class ConvertedConv(ConvertedBlock):
    """Algorithm 1 around a conv without a residual and the norm and activation that follow it in the network.

    ``block`` is the sequence of these. Those of the finest level are the network's own, which stay where they are: the
    finest layer here is the conv alone, and its sizes can be read here.
    """

    def __init__(self, block: nn.Module, facts: Block, levels: Sequence[Level], init: str = "random") -> None:
        super().__init__(block, facts, levels, init)
        conv: Any = block.get_submodule("conv")
        self.in_channels: int = conv.in_channels
        self.out_channels: int = conv.out_channels
        self.kernel_size, self.stride = conv.kernel_size, conv.stride

    @staticmethod
    def layer(block: nn.Module, facts: Block, level: int, groups: int, init: str) -> nn.Module:
        whole = at_level(block, facts, level, groups, init)
        return whole if level else whole.get_submodule("conv")


class ChannelsLast(nn.Module):
    """A module that reads (N, H, W, C), on a map (N, C, H, W)."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvertedLast(ConvertedBlock):
    """Algorithm 1 on maps around an MLP that reads channels last. N is a LayerNorm where the MLP holds no norm."""

    @staticmethod
    def layer(block: nn.Module, facts: Block, level: int, groups: int, init: str) -> nn.Module:
        return ChannelsLast(at_level(block, facts, level, groups, init))

    @staticmethod
    def norm_of(block: nn.Module, channels: int, dd: dict[str, Any]) -> nn.Module:
        return norm_like(block, channels, dd, LayerNorm2d)


class ConvertedMLP(nn.Module):
    """Algorithm 1 around an MLP on tokens (B, N, C) or, without ``tokens``, on maps (B, H, W, C)."""

    def __init__(self, block: ConvertedBlock, tokens: bool) -> None:
        super().__init__()
        self.tokens = tokens
        self.block = block

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.tokens:  # a map one pixel wide
            return self.block(x.transpose(1, 2).unsqueeze(3)).squeeze(3).transpose(1, 2)
        return self.block(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class ChangeOfWidth(nn.Module):
    """The grouped 3x3 conv that changes width and resolution before an MGIC block (sec. 3.3), its norm and activation.

    (N, c_in, H, W) to (N, c_out, ceil(H / stride), ceil(W / stride)); groups = gcd(c_in, c_out), as the paper's
    families have it (:func:`~mgic_nas.models.rows.change_of_width`).

    Args:
        c_in, c_out, stride: of the block whose place it takes.
        norm: of c_out channels.
        act: what the block ends with; None for nothing.
        copies: whether an output channel begins as its input channel (its aggregate's mean where the width falls)
            instead of at random.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        stride: int,
        norm: nn.Module,
        act: nn.Module | None,
        copies: bool,
        dd: dict[str, Any],
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, 3, stride, 1, groups=math.gcd(c_in, c_out), bias=False, **dd)
        self.norm = norm
        self.act = act or nn.Identity()
        with torch.no_grad():
            if copies:
                self._copy()
            else:
                nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")

    def _copy(self) -> None:
        groups = self.conv.groups
        c_in, c_out = self.conv.in_channels // groups, self.conv.out_channels // groups
        own = aggregates(c_in, c_out).to(self.conv.weight)
        self.conv.weight.zero_()
        self.conv.weight[:, :, 1, 1] = (own / own.sum(1, keepdim=True)).repeat(groups, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.norm(self.conv(x)))

    def fuse(self) -> nn.Module:
        """The inference form: a BatchNorm is folded into the conv."""
        if not isinstance(self.norm, nn.BatchNorm2d):
            return self
        conv = fuse_conv_bn_eval(self.conv.eval(), self.norm.eval())
        return nn.Sequential(OrderedDict(conv=conv, act=self.act)).eval()


class ConvertedTransition(nn.Module):
    """A block that changes width or resolution: :class:`ChangeOfWidth`, then an MGIC block at the new width."""

    def __init__(self, change: ChangeOfWidth, block: ConvertedBlock) -> None:
        super().__init__()
        self.change = change
        self.block = block

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.block(self.change(x))


def aggregates(c_in: int, c_out: int) -> torch.Tensor:
    """(c_out, c_in) of 0 and 1: which input channels an output channel stands for, in order and equal parts."""
    i, j = torch.arange(c_out).unsqueeze(1), torch.arange(c_in)
    return (i * c_in // c_out == j if c_in <= c_out else j * c_out // c_in == i).float()


def placed(block: nn.Module) -> dict[str, Any]:
    """The device and dtype of a block."""
    sample = next(block.parameters())
    return {"device": sample.device, "dtype": sample.dtype}


def norm_like(
    block: nn.Module, channels: int, dd: dict[str, Any], otherwise: type[nn.Module] = nn.BatchNorm2d
) -> nn.Module:
    """N: a norm of the kind that the block uses, with N(0) = 0 at the start; ``otherwise`` where it uses none."""
    for module in block.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            return nn.BatchNorm2d(channels, eps=module.eps, momentum=module.momentum, **dd)
        if isinstance(module, nn.GroupNorm):
            return nn.GroupNorm(math.gcd(module.num_groups, channels), channels, eps=module.eps, **dd)
        if isinstance(module, nn.LayerNorm):
            return LayerNorm2d(channels, eps=module.eps, **dd)
    return otherwise(channels, **dd)

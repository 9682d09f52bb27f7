"""One level of a converted block: the block itself at ``1 / 2**level`` of its widths, its convs grouped.

Nothing is built by a constructor: a copy of the block has its tensors and its stored widths cut down, so that its
class, forward pass, norms, activations and drop-path stay what they are.
"""

import math
import re
from typing import Any

import torch
from torch import nn

from ..._text import size_text
from .find import Block, depthwise, meta_copy
from .init import Source

# Names under which modules store numbers of channels that their forward pass reads (GhostModule.out_chs, ...).
WIDTH_NAME = re.compile(r"(^|_)(ch|chs|chans|channels|features|width|dims?|planes|splits?|shape|parameters)(_|$)")
_NARROWEST = 4  # a smaller number under such a name may be an axis or a count


class NotScalable(Exception):
    """A part of a block that no rule here can halve; the message says which."""


class PointwiseConv(nn.Conv2d):
    """A grouped linear layer on channels-last maps (N, H, W, C): an ``nn.Linear`` as a 1x1 conv."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self._conv_forward(x.permute(0, 3, 1, 2), self.weight, self.bias)
        return y.permute(0, 2, 3, 1)


def at_level(block: nn.Module, facts: Block, level: int, groups: int, init: str) -> nn.Module:
    """``block`` at a level of the hierarchy, on the block's own device.

    Args:
        block: the residual block.
        facts: what :func:`~mgic_nas.models.convert.find.find_blocks` found out about it.
        level: every width is divided by ``2**level``, rounding down.
        groups: of the layers that connect channels on the map; those that had more keep theirs as far as they divide.
        init: "random" or "weights"; see :class:`~mgic_nas.models.convert.init.Source`.

    Raises:
        NotScalable: a tensor whose dimensions are no widths of the block.
    """
    copy: nn.Module = meta_copy(block)
    forget_hooks(copy)  # they are moved to the MGIC block, once
    source = Source(level, init)
    dense = {d.name for d in facts.dense}
    for name, original in block.named_modules():
        if level and any(name == g or name.startswith(g + ".") for g in facts.gates):
            if name in facts.gates:  # squeeze-and-excitation stands on the finest level alone
                put(copy, name, nn.Identity())
            continue
        module = copy.get_submodule(name)
        if isinstance(original, nn.Conv2d):
            _resize_conv(module, original, groups if name in dense else 1, source)
        elif isinstance(original, nn.Linear):
            small = _resize_linear(module, original, groups if name in dense else 1, source)
            put(copy, name, small)
        else:
            _resize_other(module, original, name, facts.widths, source)
    _store_groups(copy, block, facts, level)
    return copy.train(block.training)


def call_hooks(module: nn.Module) -> list[str]:
    """The attributes that hold a module's forward and backward hooks and what is known about each."""
    prefixes = ("_forward", "_backward", "_is_full_backward")
    return [name for name in vars(module) if name.startswith(prefixes) and "_hook" in name]


def forget_hooks(net: nn.Module) -> None:
    """Leaves no hook on any module of a copy."""
    for module in net.modules():
        for name in call_hooks(module):
            setattr(module, name, type(getattr(module, name))())


def put(root: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    root.get_submodule(parent)._modules[child] = module


def _resize_conv(module: Any, original: nn.Conv2d, groups: int, source: Source) -> None:
    c_in, c_out = original.in_channels >> source.level, original.out_channels >> source.level
    if depthwise(original):
        groups = c_in
    elif original.groups > 1:  # ResNeXt, RegNet: the finer of both
        groups = max(groups, math.gcd(original.groups, c_in, c_out))
    if "weight" not in original._parameters:
        raise NotScalable(f"a {type(original).__name__} whose weight is computed")
    if min(c_in, c_out) < 1 or c_in % groups or c_out % groups:
        raise NotScalable(
            f"a conv of {original.in_channels} to {original.out_channels} channels at 1/{2**source.level}"
        )
    module.in_channels, module.out_channels, module.groups = c_in, c_out, groups
    weight = source.matrix(original.weight, original.groups, c_in, c_out, groups)
    for key, value in original._parameters.items():
        if value is None:
            continue
        if key == "weight":
            module.weight = weight
        elif value.shape[0] == original.out_channels and value.numel() == original.out_channels:  # bias, gain
            module._parameters[key] = source.vector(value, key, {original.out_channels})
        else:
            raise NotScalable(f"parameter {key} of {type(original).__name__}")
    if hasattr(original, "gain"):  # timm's ScaledStdConv2d: its scale is gamma / sqrt(fan in)
        module.scale *= math.sqrt(original.weight[0].numel() / weight[0].numel())


def _resize_linear(module: Any, original: nn.Linear, groups: int, source: Source) -> Any:
    c_in, c_out = original.in_features >> source.level, original.out_features >> source.level
    if min(c_in, c_out) < 1:
        raise NotScalable(f"a linear layer of {original.in_features} to {original.out_features} features")
    if type(original).forward is not nn.Linear.forward and groups > 1:
        raise NotScalable(f"a linear layer of type {type(original).__name__}")
    bias = None if original.bias is None else source.vector(original.bias, "bias", {original.out_features})
    weight = source.matrix(original.weight, 1, c_in, c_out, groups)
    if groups > 1:
        module = PointwiseConv(c_in, c_out, 1, groups=groups, bias=bias is not None, device="meta")
        weight = nn.Parameter(weight[:, :, None, None], requires_grad=weight.requires_grad)
    else:
        module.in_features, module.out_features = c_in, c_out
    module.weight, module.bias = weight, bias
    return module


def _resize_other(module: Any, original: nn.Module, name: str, widths: frozenset[int], source: Source) -> None:
    """Norms, layer scale, and whatever else has tensors or stored numbers of channels."""
    for tensors, kept in ((original._parameters, module._parameters), (original._buffers, module._buffers)):
        for key, value in tensors.items():
            if value is None:
                continue
            if source.level and any(d != 1 and d not in widths for d in value.shape):
                shape = size_text(value.shape)
                raise NotScalable(f"{name or 'its'} parameter {key} ({shape}) of {type(original).__name__}")
            kept[key] = source.vector(value, key, widths)
    if not source.level:
        return
    for key, value in vars(original).items():
        if not key.startswith("_") and WIDTH_NAME.search(key):
            setattr(module, key, _divided(value, widths, source.level))
    if isinstance(original, nn.GroupNorm):
        module.num_groups = math.gcd(original.num_groups, module.num_channels)


def _store_groups(copy: nn.Module, block: nn.Module, facts: Block, level: int) -> None:
    """A module that merges its branches for inference (RepVGG's kin) knows the groups of their convs."""
    convs = {n: m for n, m in block.named_modules() if isinstance(m, nn.Conv2d) and n not in facts.pooled}
    for name, original in block.named_modules():
        if isinstance(original, nn.Conv2d) or not isinstance(old := vars(original).get("groups"), int):
            continue
        own = [n for n, m in convs.items() if m.groups == old and n.startswith(name + "." if name else "")]
        new: set[Any] = {copy.get_submodule(n).groups for n in own}
        if not new and old in facts.widths:  # of an identity branch alone
            new = {old >> level}
        if len(new) == 1:
            copy.get_submodule(name).groups = new.pop()


def _divided(value: Any, widths: frozenset[int], level: int) -> Any:
    """A stored width, or several (a norm's shape, a split), at a level; anything else as it is."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value >> level if value in widths or value >= _NARROWEST else value
    if not isinstance(value, (list, tuple)) or not all(isinstance(v, int) for v in value):
        return value
    parts = [v >> level if v in widths else v for v in value]
    if len(value) > 1 and sum(value) in widths:  # a split: its untouched part takes what the others leave
        rest = next((i for i, v in enumerate(value) if v not in widths), 0)
        parts[rest] += (sum(value) >> level) - sum(parts)
    return type(value)(parts)

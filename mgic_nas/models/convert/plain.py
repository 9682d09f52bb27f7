"""Convs without a residual that keep the width and resolution: VGG's, ConvMixer's 1x1 ones, those of concatenations."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from timm.layers import LayerNorm2d
from torch import nn

from .find import Block, Calls, Dense, depthwise, map_shape, refusal

_NORMS = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, LayerNorm2d)
_ACTIVATIONS = ("torch.nn.modules.activation", "timm.layers.activations", "timm.layers.activations_me")


@dataclass(frozen=True)
class PlainConv(Block):
    """A conv, found, and the norm and activation that follow it: they belong to the block that MGIC wraps."""

    followers: tuple[str, ...] = ()


def is_activation(module: nn.Module) -> bool:
    """Whether a module is an activation of torch's or timm's without parameters."""
    return type(module).__module__ in _ACTIVATIONS and not list(module.parameters())


def find_convs(net: nn.Module, calls: Calls, taken: Iterable[str]) -> list[PlainConv]:
    """The convs of ``net`` that connect channels, outside of the blocks ``taken``; with the reason where one is left.

    Args:
        net: on the meta device.
        calls: of :func:`~mgic_nas.models.convert.find.watch_net`.
        taken: names of modules whose convs are not looked at.
    """
    modules = dict(net.named_modules())
    taken = tuple(f"{name}." for name in taken)
    readers: dict[int, list[str]] = {}  # of a tensor
    for name, module in modules.items():
        if name in calls and (isinstance(module, _NORMS) or is_activation(module)):
            readers.setdefault(id(calls[name][0].args[0]), []).append(name)
    found = []
    for name, conv in modules.items():
        if not isinstance(conv, nn.Conv2d) or name not in calls or name.startswith(taken) or depthwise(conv):
            continue
        followers = _followers(modules, calls, readers, name)
        parts = [conv, *(modules[f] for f in followers)]
        kind = " + ".join(type(part).__name__ for part in parts)
        c = conv.in_channels
        dense = (Dense("conv", c, conv.out_channels),)
        shape, reason = map_shape(calls[name][0]), refusal(calls[name])
        found.append(PlainConv(name, kind, shape, reason, dense, widths=frozenset({c}), followers=followers))
    return found


def _followers(
    modules: dict[str, nn.Module], calls: Calls, readers: dict[int, list[str]], conv: str
) -> tuple[str, ...]:
    """The norm and the activation, in their order, that read what the conv gives."""
    found: list[str] = []
    output = calls[conv][0].output
    while len(found) < 2:
        known = tuple(f"{name}." for name in found)  # timm's norms hold their activation
        names = [n for n in readers.get(id(output), []) if n not in found and not n.startswith(known)]
        alike = [n for n in names if not any(is_activation(modules[n]) == is_activation(modules[f]) for f in found)]
        if len(names) != 1 or not alike:
            break
        found += alike
        output = calls[alike[0]][0].output
    return tuple(found)


def with_followers(net: nn.Module, facts: PlainConv) -> nn.Module:
    """The conv and what follows it as one block."""
    parts = {"conv": net.get_submodule(facts.name)}
    for name in facts.followers:
        module = net.get_submodule(name)
        parts["act" if is_activation(module) else "norm"] = module
    block = nn.Sequential(OrderedDict(parts))
    block.training = parts["conv"].training
    return block

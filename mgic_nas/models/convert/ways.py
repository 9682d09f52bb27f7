"""How each kind of what was found becomes an MGIC block."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from torch import nn

from ..rows import Level
from .block import (
    ChangeOfWidth,
    ConvertedBlock,
    ConvertedConv,
    ConvertedLast,
    ConvertedMLP,
    ConvertedTransition,
    norm_like,
    placed,
)
from .find import Block
from .level import forget_hooks
from .mlp import MLP
from .plain import PlainConv, with_followers
from .transition import Transition, at_equal_width


def wrapped(net: nn.Module, facts: Block, init: str = "random") -> nn.Module:
    """What stands on the levels: a block that keeps its width and resolution."""
    block = _found(net, facts)
    return at_equal_width(block, facts.change, copies=init == "weights") if isinstance(facts, Transition) else block


def _found(net: nn.Module, facts: Block) -> nn.Module:
    """What was found, as one module."""
    return with_followers(net, facts) if isinstance(facts, PlainConv) else net.get_submodule(facts.name)


def layer_at(block: nn.Module, facts: Block, level: int, groups: int) -> nn.Module:
    """CNN_j of a :func:`wrapped` block, on maps (B, C / 2**j, H, W)."""
    return _way(facts).layer(block, facts, level, groups, "random")


def new_module(net: nn.Module, facts: Block, levels: Sequence[Level], init: str) -> nn.Module:
    """What takes the place of a module of ``net``."""
    block, way = wrapped(net, facts, init), _way(facts)
    inner = way(block, facts, levels, init)
    new: nn.Module = inner
    if isinstance(facts, MLP) and facts.layout != "first":
        new = ConvertedMLP(inner, tokens=facts.layout == "tokens")
    elif isinstance(facts, Transition):
        change, dd = facts.change, placed(block)
        act = copy.deepcopy(_found(net, facts).get_submodule(change.act)) if change.act else None
        norm = norm_like(block, change.c_out, dd)
        first = ChangeOfWidth(change.c_in, change.c_out, change.stride, norm, act, init == "weights", dd)
        forget_hooks(first)
        first.requires_grad_(any(p.requires_grad for p in block.parameters()))
        new = ConvertedTransition(first, inner)
        if isinstance(inner, ConvertedConv):  # a conv's sizes can be read where it stood
            sizes = {"in_channels": change.c_in, "out_channels": change.c_out, "kernel_size": inner.kernel_size}
            vars(new).update(sizes, stride=(change.stride, change.stride))
    new.train(net.get_submodule(facts.name).training)
    return new


def _way(facts: Block) -> type[ConvertedBlock]:
    if isinstance(facts, PlainConv):
        return ConvertedConv
    if isinstance(facts, MLP):
        return ConvertedLast if facts.layout != "first" else ConvertedBlock
    return ConvertedBlock

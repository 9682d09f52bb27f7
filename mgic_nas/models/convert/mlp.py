"""MLPs on the channels of each token or pixel, without a residual of their own: ViT's, Mixer's, Swin's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from .find import FAILURES, Block, Calls, Dense, Flow, connects, watch

_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True)
class MLP(Block):
    """An MLP, found. ``shape`` is (C, N, 1) where it reads tokens (B, N, C)."""

    layout: str = "tokens"  # or "last", (B, H, W, C), or "first", (B, C, H, W)


def find_mlps(net: nn.Module, calls: Calls, taken: Iterable[str]) -> list[MLP]:
    """The MLPs of ``net`` outside of the blocks ``taken``, innermost; with the reason where one is left.

    A module is one where it has nothing but two linear layers or 1x1 convs or more that connect channels, and keeps
    its input's shape.

    Args:
        net: on the meta device, in eval mode.
        calls: of :func:`~mgic_nas.models.convert.find.watch_net`.
        taken: names of modules that are not looked into.
    """
    inner = tuple(f"{name}." for name in taken)
    outer = set(taken)
    modules = dict(net.named_modules())
    found: dict[str, MLP] = {}
    for name, module in reversed(modules.items()):
        if name in outer or name.startswith(inner) or any(n.startswith(f"{name}.") for n in found):
            continue
        if connects(module) and _keeps(calls.get(name, [])):
            mlp = _mlp(name, module, calls[name][0].args[0], modules, calls)
            if mlp:
                found[name] = mlp
    return [found[name] for name in modules if name in found]


def _keeps(calls: list[Any]) -> bool:
    """Whether every call is of one tensor, tokens or a map, and gives its shape."""
    for call in calls:
        x, y = call.args[0] if len(call.args) == 1 else None, call.output
        if call.kwargs or not isinstance(x, torch.Tensor) or not isinstance(y, torch.Tensor):
            return False
        if x.dim() not in (3, 4) or x.shape != y.shape or x.shape[1:-1].numel() == 1:
            return False
    return bool(calls)


def _mlp(name: str, module: nn.Module, x: torch.Tensor, modules: dict[str, nn.Module], calls: Calls) -> MLP | None:
    inside = {n: m for n, m in module.named_modules() if n}
    layers: dict[str, Any] = {n: m for n, m in inside.items() if isinstance(m, _LAYERS)}
    if len(layers) < 2 or not all(_pointwise(layer) for layer in layers.values()):
        return None
    first = next(iter(layers.values()))
    maps = isinstance(first, nn.Conv2d)
    layout = "first" if maps else "tokens" if x.dim() == 3 else "last"
    if any(isinstance(layer, nn.Conv2d) != maps for layer in layers.values()):
        return None
    fresh = torch.empty(x.shape, device="meta", dtype=x.dtype)
    try:
        with torch.no_grad(), Flow(fresh) as flow:
            seen = watch(module, layers, fresh)
    except FAILURES:  # what it does depends on more than its input
        return None
    pooled = (made[0].args[0].numel() // layers[n].weight.shape[1] <= x.shape[0] for n, made in seen.items())
    if flow.residual or flow.attention or any(pooled):
        return None
    c, *size = x.shape[1:] if maps else (x.shape[-1], *x.shape[1:-1])
    shape = (c, *size) if len(size) == 2 else (c, size[0], 1)
    widths = [(layer.weight.shape[1], layer.weight.shape[0]) for layer in layers.values()]
    facts = MLP(
        name,
        type(module).__name__,
        shape,
        dense=tuple(Dense(n, *w) for n, w in zip(layers, widths)),
        widths=frozenset({c, *(w for pair in widths for w in pair)}),
        layout=layout,
    )
    return _with_reason(facts, _trouble(module, facts, seen, x, modules, calls))


def _with_reason(facts: MLP, reason: str) -> MLP:
    return MLP(facts.name, facts.kind, facts.shape, reason, layout=facts.layout) if reason else facts


def _trouble(
    module: nn.Module, facts: MLP, seen: Calls, x: torch.Tensor, modules: dict[str, nn.Module], calls: Calls
) -> str:
    """Why an MLP is left, or ""."""
    if any(m._forward_hooks or m._forward_pre_hooks for m in list(module.modules())[1:]):
        return "a hook reads from its inside"
    if facts.layout != "first" and _transposed(x, modules, calls):
        return "it mixes tokens, not channels"
    for dense in facts.dense:
        if dense.name not in seen:
            return f"its layer {dense.name} is not called as a module"
        read = seen[dense.name][0].args[0].shape
        rest = (read[2:], x.shape[2:]) if facts.layout == "first" else (read[:-1], x.shape[:-1])
        if rest[0] != rest[1]:
            return f"its layer {dense.name} does not work on each token's channels"
    return ""


def _pointwise(layer: Any) -> bool:
    if isinstance(layer, nn.Linear):
        return True
    return isinstance(layer, nn.Conv2d) and layer.groups == 1 and {*layer.kernel_size, *layer.stride} == {1}


def _transposed(x: torch.Tensor, modules: dict[str, nn.Module], calls: Calls) -> bool:
    """Whether a norm over another axis gave ``x``: its last axis is then not that of the channels (Mixer's)."""
    for name, module in modules.items():
        if isinstance(module, nn.LayerNorm) and name in calls:
            for call in calls[name]:
                y = call.output
                if y.untyped_storage()._cdata == x.untyped_storage()._cdata and y is not x:
                    return bool(y.stride(-1) != x.stride(-1))
    return False

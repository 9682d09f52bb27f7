"""Finds the residual blocks of a network by watching it run on the meta device: no list of architectures.

A block is eligible where it maps one feature map to one of the same shape and adds its own input to what its convs
make of it. What the network computes says so, whatever its classes are called.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

# Operators by their ATen names.
CONVS = {"convolution", "mm", "addmm", "linear"}
_ADDS = {"add", "add_"}
_ATTENTION = ("bmm", "baddbmm", "_scaled_dot_product")  # or what begins so
#: What a network's own code raises on tensors that it does not expect.
FAILURES = (RuntimeError, NotImplementedError, ValueError, TypeError, AssertionError, LookupError, AttributeError)
_NO_DENSE = "none of its convs connects channels"


@dataclass(frozen=True)
class Dense:
    """A conv or linear layer of a block that connects channels on the whole map: what s_g groups."""

    name: str
    c_in: int
    c_out: int


@dataclass(frozen=True)
class Block:
    """A residual block, found; ``reason`` says why it cannot be converted, where it cannot."""

    name: str
    kind: str
    shape: tuple[int, int, int]  # (C, H, W) of its maps at the network's input size
    reason: str = ""
    dense: tuple[Dense, ...] = ()
    gates: tuple[str, ...] = ()  # squeeze-and-excitation and its kin: gates computed from pooled maps
    pooled: frozenset[str] = frozenset()  # conv and linear layers on 1x1 maps
    widths: frozenset[int] = frozenset()  # every number of channels inside

    @property
    def channels(self) -> int:
        """Of its input and output."""
        return self.shape[0]

    @property
    def narrow(self) -> int:
        """w_0, the narrowest map that one of its layers reads: what is halved, and what s_g is measured on."""
        return min(d.c_in for d in self.dense)

    def common(self, level: int) -> int:
        """Greatest common divisor of all widths that the block connects at a level."""
        widths = [w >> level for d in self.dense for w in (d.c_in, d.c_out)]
        return math.gcd(self.channels >> level, *widths)


def meta_copy(module: nn.Module) -> Any:
    """A deep copy whose tensors are on the meta device: nothing large is copied."""
    memo: dict[int, Any] = {}
    for owner in module.modules():
        for p in owner._parameters.values():
            if p is not None:
                memo[id(p)] = nn.Parameter(torch.empty_like(p, device="meta"), requires_grad=p.requires_grad)
        for b in owner._buffers.values():
            if b is not None:
                memo[id(b)] = torch.empty_like(b, device="meta")
    return copy.deepcopy(module, memo)


@dataclass(frozen=True)
class Call:
    """One call of a module."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    output: Any


Calls = dict[str, list[Call]]


@torch.inference_mode(False)  # a network may be built in inference mode, whose tensors count no versions
def watch_net(net: nn.Module, input_size: tuple[int, int, int]) -> Calls:
    """Every call of every module of ``net``, on the meta device and in eval mode, for two (C, H, W) images."""
    dtype = next((p.dtype for p in net.parameters() if p.dtype.is_floating_point), torch.float32)
    return watch(net, dict(net.named_modules()), torch.empty(2, *input_size, device="meta", dtype=dtype))


@torch.inference_mode(False)
def find_blocks(net: nn.Module, calls: Calls) -> list[Block]:
    """The residual blocks of ``net``, in order, and the modules of their classes that are none, with the reason.

    Args:
        net: on the meta device, in eval mode.
        calls: of :func:`watch_net`.
    """
    modules = dict(net.named_modules())
    found: dict[str, Block] = {}
    for name, module in reversed(modules.items()):  # children before their parents: the innermost is the block
        inside = name + "." if name else ""
        if (
            not any(other.startswith(inside) for other in found)
            and connects(module)
            and not refusal(calls.get(name, []))
        ):
            block = residual(name, module, calls[name][0].args[0])
            if block:
                found[name] = block
    kinds = {type(modules[name]) for name in found}
    for name, module in modules.items():
        if type(module) in kinds and name not in found and name in calls:
            reason = refusal(calls[name]) or (
                "it does not add its input to its output" if connects(module) else _NO_DENSE
            )
            found[name] = Block(name, type(module).__name__, map_shape(calls[name][0]), reason)
    return [found[name] for name in modules if name in found]


def watch(net: nn.Module, modules: dict[str, nn.Module], x: torch.Tensor) -> Calls:
    """Every call of every one of ``modules`` in one forward pass of ``net``."""
    calls: Calls = {}
    handles = []
    for name, module in modules.items():

        def record(_: nn.Module, args: Any, kwargs: Any, output: Any, name: str = name) -> None:
            calls.setdefault(name, []).append(Call(args, kwargs, output))

        handles.append(module.register_forward_hook(record, with_kwargs=True))
    try:
        with torch.no_grad():
            net(x)
    finally:
        for handle in handles:
            handle.remove()
    return calls


def connects(module: nn.Module) -> bool:
    """Whether a layer in it connects channels, so that there is something to group; a bare container is no block."""
    if type(module) in (nn.Sequential, nn.ModuleList, nn.ModuleDict) or not list(module.children()):
        return False
    return any(isinstance(m, nn.Linear) or (isinstance(m, nn.Conv2d) and not depthwise(m)) for m in module.modules())


Places = dict[int, list[tuple[str, nn.Module]]]


def shared(net: nn.Module) -> Places:
    """The parameters that stand at several places of ``net``, by their id: (name of the module, the module) of each."""
    places: Places = {}
    for place, owner in net.named_modules(remove_duplicate=False):
        for p in owner._parameters.values():
            if p is not None:
                places.setdefault(id(p), []).append((place, owner))
    return {key: found for key, found in places.items() if len(found) > 1}


def tie(net: nn.Module, name: str, places: Places) -> str:
    """The module with which the one of this name shares a tensor that a conversion would make two; "" for none.

    A module that is used at several places is one, and its conversion is used at all of them.

    Args:
        net: the network.
        name: of a module of it.
        places: of :func:`shared`.
    """
    block = net.get_submodule(name)
    tied = [places[id(p)] for p in block.parameters() if id(p) in places]
    if not tied:
        return ""
    own = [place for place, module in net.named_modules(remove_duplicate=False) if module is block]
    inside = tuple(f"{place}." if place else "" for place in own)
    for found in tied:
        for place, owner in found:
            if not f"{place}.".startswith(inside) or owner is not found[0][1]:
                return place
    return ""


def depthwise(conv: nn.Conv2d) -> bool:
    """Whether every channel is a group of its own."""
    return conv.groups == conv.in_channels > 1


def map_shape(call: Call) -> tuple[int, int, int]:
    x = call.args[0] if call.args else None
    return tuple(x.shape[1:]) if isinstance(x, torch.Tensor) and x.dim() == 4 else (0, 0, 0)  # type: ignore[return-value]


def refusal(calls: list[Call]) -> str:
    """Why a module is none that keeps one map's shape, from how it was called; "" where it is."""
    if not calls:
        return "it is not used"
    for call in calls:
        if len(call.args) != 1 or call.kwargs or not isinstance(call.args[0], torch.Tensor):
            return "it takes more than one tensor"
        x, y = call.args[0], call.output
        if not isinstance(y, torch.Tensor) or x.dim() != 4 or y.dim() != 4:
            return "its input and output are not maps (N, C, H, W)"
        if x.shape[1] != y.shape[1]:
            return f"it changes the width, {x.shape[1]} to {y.shape[1]}"
        if x.shape != y.shape:
            return f"it changes the resolution, {x.shape[2]}x{x.shape[3]} to {y.shape[2]}x{y.shape[3]}"
    return ""


class Flow(TorchDispatchMode):
    """Follows a block's input through its operators: is it added, unconvolved, to something convolved?"""

    def __init__(self, x: torch.Tensor) -> None:
        super().__init__()
        self._shape = x.shape
        self._plain: dict[int, Any] = {id(x): x}  # the input itself, or what only norms and activations made of it
        self._convolved: dict[int, Any] = {}  # held, so that no id is given twice
        self.residual = False
        self.attention = False

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        inputs = list(tensors((args, kwargs)))
        op = func.overloadpacket.__name__
        convolved = op in CONVS or any(id(t) in self._convolved for t in inputs)
        plain = any(id(t) in self._plain for t in inputs)
        self.attention |= op.startswith(_ATTENTION)
        if op in _ADDS and convolved and all(t.shape == self._shape for t in inputs) and len(inputs) == 2:
            self.residual |= plain and any(id(t) in self._convolved for t in inputs)
        for t in tensors(out):
            if convolved:
                self._convolved[id(t)] = t
                self._plain.pop(id(t), None)
            elif plain:
                self._plain[id(t)] = t
        return out


def tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        yield from tensors(tuple(value.values()))
    elif isinstance(value, (list, tuple)):
        for v in value:
            yield from tensors(v)


def residual(name: str, module: nn.Module, x: torch.Tensor) -> Block | None:
    """The block that ``module`` is, or None where it adds nothing to its input."""
    _, c, height, width = x.shape
    # Afresh, and no smaller than 2x2, so that a pooled map can be told from a small one.
    x = torch.empty(2, c, max(height, 2), max(width, 2), device="meta", dtype=x.dtype)
    version = x._version
    inside = {n: m for n, m in module.named_modules() if n}
    with torch.no_grad(), Flow(x) as flow:
        module(x)
    if not flow.residual:
        return None
    kind, shape = type(module).__name__, (c, height, width)
    if any(m._forward_hooks or m._forward_pre_hooks for m in inside.values()):
        return Block(name, kind, shape, "a hook reads from its inside")
    if flow.attention:
        return Block(name, kind, shape, "it holds attention")
    if x._version != version:
        return Block(name, kind, shape, "it changes its input in place")
    return _facts(name, kind, shape, inside, watch(module, inside, x))


def _facts(name: str, kind: str, shape: tuple[int, int, int], inside: dict[str, nn.Module], calls: Calls) -> Block:
    """What a conversion has to know of a block's layers."""
    layers = {n: m for n, m in inside.items() if isinstance(m, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d))}
    pooled, dense, widths = set(), [], {shape[0]}
    for n, layer in layers.items():
        if n not in calls:
            return Block(name, kind, shape, f"its layer {n} is not called as a module")
        x = calls[n][0].args[0]
        map_size = x.shape[1:3] if isinstance(layer, nn.Linear) else x.shape[2:]
        if isinstance(layer, nn.Conv1d) or x.dim() == 2 or math.prod(map_size) == 1:
            pooled.add(n)
            continue
        if x.dim() != 4 or isinstance(layer, nn.Conv3d):
            return Block(name, kind, shape, f"its layer {n} works on tokens, not on maps")
        c_in, c_out = layer.weight.shape[1] * getattr(layer, "groups", 1), layer.weight.shape[0]
        widths |= {c_in, c_out}
        if not (isinstance(layer, nn.Conv2d) and depthwise(layer)):
            dense.append(Dense(n, c_in, c_out))
    if not dense:
        return Block(name, kind, shape, _NO_DENSE)
    read = {d.c_in for d in dense}
    if shape[0] not in read and shape[2] in read:
        return Block(name, kind, shape, "its maps are channels-last")
    gates: list[str] = []
    for n in inside:
        own = [k for k in layers if k == n or k.startswith(n + ".")]
        known = any(n.startswith(g + ".") for g in gates)
        if own and not known and pooled.issuperset(own) and n in calls and not refusal(calls[n]):
            gates.append(n)
    widths |= {layers[n].weight.shape[i] for n in pooled for i in (0, 1) if not isinstance(layers[n], nn.Conv1d)}
    return Block(name, kind, shape, "", tuple(dense), tuple(gates), frozenset(pooled), frozenset(widths))

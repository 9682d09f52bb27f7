"""Residual blocks that change width or resolution, as a block at their new width behind a grouped 3x3 conv (sec. 3.3).

No list of architectures here either: a copy of the block reads c_out channels instead of c_in, its strides are 1, and
its projected shortcut is taken out (or its shortcut is switched on, where the class has one for equal widths alone).
What then adds its input to its output, at equal width, is the block that MGIC wraps; what does not is left.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from .block import aggregates
from .find import CONVS, FAILURES, Block, Calls, connects, depthwise, meta_copy, refusal, residual, tensors, watch
from .level import WIDTH_NAME, NotScalable, forget_hooks, put
from .plain import is_activation

_SWITCH = ("skip", "residual", "shortcut", "res_connect")  # in the name of what says whether a block adds its input
CHANGES = ("it changes the width", "it changes the resolution")
_SIZES = (nn.Conv2d, nn.Linear)


@dataclass(frozen=True)
class Change:
    """How a block becomes one of equal width and stride 1."""

    c_in: int
    c_out: int
    stride: int
    act: str = ""  # the activation that it ends with
    read: frozenset[str] = frozenset()  # layers that connect channels and read c_in of them
    wide: frozenset[str] = frozenset()  # modules on maps of c_in channels, whatever they do: norms, depthwise convs
    gates: frozenset[str] = frozenset()  # on maps of c_in channels, computed from pooled ones
    shortcut: str = ""  # the module that projects
    identity: bool = False  # which cannot be None
    switch: str = ""  # the attribute that switches the shortcut on: True, or the identity instead of None


@dataclass(frozen=True)
class Transition(Block):
    """A block that changes width or resolution; what a :class:`Block` says is of the block at its new width."""

    change: Change = Change(0, 0, 0)


def find_transitions(net: nn.Module, calls: Calls, blocks: Iterable[Block]) -> list[Block]:
    """The transitions of ``net``, and with the reason the blocks of its residual blocks' classes that are none.

    Args:
        net: on the meta device, in eval mode.
        calls: of :func:`~mgic_nas.models.convert.find.watch_net`.
        blocks: of :func:`~mgic_nas.models.convert.find.find_blocks`.
    """
    modules = dict(net.named_modules())
    known = {b.name: b for b in blocks}
    inside = [b.name for b in blocks if not b.reason.startswith(CHANGES)]
    found: dict[str, Block] = {}
    for name, module in reversed(modules.items()):
        if name in inside or not connects(module) or any(n.startswith(f"{name}.") for n in (*inside, *found)):
            continue
        if any(name.startswith(f"{n}.") for n in inside) or not refusal(calls.get(name, [])).startswith(CHANGES):
            continue
        transition = _transition(name, module, calls[name])
        if isinstance(transition, Transition):
            found[name] = transition
        elif name in known:
            block = known[name]
            found[name] = Block(name, block.kind, block.shape, f"{block.reason}, and {transition}")
    return [found[name] for name in modules if name in found]


def _transition(name: str, block: nn.Module, calls: list[Any]) -> Transition | str:
    """The transition that a module is, or why it is none."""
    x, y = calls[0].args[0], calls[0].output
    if any(c.args[0].shape[1:] != x.shape[1:] or c.output.shape[1:] != y.shape[1:] for c in calls):
        return "it is used at several sizes"
    sizes = list(zip(x.shape[2:], y.shape[2:]))
    stride = max(1, round(x.shape[2] / y.shape[2]))
    if any(-(-a // stride) != b for a, b in sizes):
        return f"no stride leads from {x.shape[2]}x{x.shape[3]} to {y.shape[2]}x{y.shape[3]}"
    inside = {n: m for n, m in block.named_modules() if n}
    if any(m._forward_hooks or m._forward_pre_hooks for m in inside.values()):
        return "a hook reads from its inside"
    shape = (2, x.shape[1], max(x.shape[2], 2 * stride), max(x.shape[3], 2 * stride))
    x = torch.empty(shape, device="meta", dtype=x.dtype)
    try:
        change, shortcuts = _look(block, inside, x, y.shape[1], stride)
    except FAILURES as error:
        return f"by itself it does not run: {' '.join(str(error).split())[:80]}"
    why = ""
    for ways in ({}, *shortcuts, *_switches(block)):  # {}: a shortcut that only pools
        tried = Change(**{**_fields(change), **ways})
        try:
            equal = at_equal_width(block, tried, copies=False)
            found = residual(name, equal, torch.empty(2, *y.shape[1:], device="meta", dtype=x.dtype))
        except NotScalable as error:
            return f"no rule for {error}"
        except FAILURES as error:
            failed = f"without what it adds it does not run: {' '.join(str(error).split())[:80]}"
            why = why or failed
            continue
        if found:
            known = {f.name: getattr(found, f.name) for f in fields(Block)}
            return found.reason or Transition(**known, change=tried)
    return why or "it adds nothing to its output"


def _fields(change: Change) -> dict[str, Any]:
    return {f.name: getattr(change, f.name) for f in fields(change)}


def _switches(block: nn.Module) -> Iterator[dict[str, Any]]:
    """A lone conv (a network's last one) is no block: a change of width before it would be the larger conv."""
    if sum(isinstance(m, nn.Conv2d) for m in block.modules()) < 2:
        return
    for key, value in vars(block).items():
        if (value is False or value is None) and any(word in key for word in _SWITCH):
            yield {"switch": key}


class _Unconnected(TorchDispatchMode):
    """Follows a block's input through its operators until a layer connects channels."""

    def __init__(self, x: torch.Tensor) -> None:
        super().__init__()
        self._seen: dict[int, Any] = {id(x): x}  # held, so that no id is given twice

    def __contains__(self, x: Any) -> bool:
        return id(x) in self._seen

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        op = func.overloadpacket.__name__
        by_channel = op == "convolution" and args[8] == args[0].shape[1] > 1
        if (op not in CONVS or by_channel) and any(t in self for t in tensors((args, kwargs))):
            self._seen |= {id(t): t for t in tensors(out)}
        return out


def _look(
    block: nn.Module, inside: dict[str, nn.Module], x: torch.Tensor, c_out: int, stride: int
) -> tuple[Change, list[dict[str, Any]]]:
    """What of a block works on its input's channels, and the modules that may be its shortcut, likely ones first."""
    with torch.no_grad(), _Unconnected(x) as flow:
        calls = watch(block, {**inside, "": block}, x)
    y = calls.pop("")[0].output
    ends = next((n for n in calls if is_activation(inside[n]) and calls[n][-1].output is y), "")
    reads = {n for n, made in calls.items() if any(len(c.args) == 1 and c.args[0] in flow for c in made)}
    gates = {n for n in reads if _is_gate(inside[n], calls[n][0])}
    reads = {n for n in reads if not any(n.startswith(f"{g}.") for g in gates)} - gates
    dense = {n for n in reads if isinstance(inside[n], _SIZES) and not _by_channel(inside[n])}
    wide = {n for n in reads - dense if not list(inside[n].children()) or _own_tensors(inside[n])}
    ways: list[dict[str, Any]] = []
    half = _numbers(block) // 2
    outer = [n for n in reads if connects(inside[n]) or n in dense or isinstance(inside[n], nn.Sequential)]
    for n in (n for n in inside if n in outer):
        given = calls[n][0].output
        nested = any(n.startswith(f"{o}.") for o in outer)
        if nested or _numbers(inside[n]) > half or _merges(block.get_submodule(n.rpartition(".")[0])):
            continue
        if isinstance(given, torch.Tensor) and given.shape == y.shape:
            ways += [{"shortcut": n}, {"shortcut": n, "identity": True}]
    ways.sort(key=lambda way: not any(word in way["shortcut"] for word in (*_SWITCH, "downsample", "proj", "ident")))
    change = Change(x.shape[1], c_out, stride, ends, frozenset(dense), frozenset(wide), frozenset(gates))
    return change, ways


def _numbers(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _merges(module: nn.Module) -> bool:
    """Whether a module merges its branches for inference (RepVGG's kin): it counts on all of them."""
    return any(hasattr(module, name) for name in ("fuse", "reparameterize", "switch_to_deploy"))


def _by_channel(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d) and depthwise(module)


def _own_tensors(module: nn.Module) -> bool:
    return any(v is not None for v in (*module._parameters.values(), *module._buffers.values()))


def _is_gate(module: nn.Module, call: Any) -> bool:
    """Squeeze-and-excitation and its kin: keeps the map, and connects channels of pooled ones alone."""
    layers: dict[str, nn.Module] = {n: m for n, m in module.named_modules() if isinstance(m, (nn.Conv1d, *_SIZES))}
    if not layers or "" in layers or refusal([call]):
        return False
    calls = watch(module, layers, torch.empty_like(call.args[0]))
    return all(n in calls and _is_pooled(layer, calls[n][0].args[0]) for n, layer in layers.items())


def _is_pooled(layer: nn.Module, x: torch.Tensor) -> bool:
    size = x.shape[1:-1] if isinstance(layer, nn.Linear) else x.shape[2:]
    return isinstance(layer, nn.Conv1d) or x.dim() == 2 or size.numel() == 1


def at_equal_width(block: nn.Module, change: Change, copies: bool) -> nn.Module:
    """A copy of a block that maps c_out channels to as many, at stride 1, and adds them to its output.

    Args:
        block: the transition.
        change: what is known of it.
        copies: whether its layers begin as what they are on channels that :class:`ChangeOfWidth` copied; else they
            have the variance that they had, and no more.
    """
    on_meta = next(block.parameters()).is_meta
    equal: nn.Module = meta_copy(block) if on_meta else copy.deepcopy(block)
    forget_hooks(equal)
    if change.shortcut:
        parent, _, child = change.shortcut.rpartition(".")
        put(equal, change.shortcut, nn.Identity())
        if not change.identity:
            equal.get_submodule(parent)._modules[child] = None
    if change.switch:
        setattr(equal, change.switch, nn.Identity() if getattr(equal, change.switch) is None else True)
    widen = _Widening(change.c_in, change.c_out, copies)
    for name, module in list(equal.named_modules()):
        if any(name == g or name.startswith(f"{g}.") for g in change.gates):
            widen.tensors(module)
        elif name in change.read and name != change.shortcut:
            widen.reader(module)
        elif name in change.wide:
            widen.tensors(module)
        if any(s != 1 for s in _stride(module)):
            if isinstance(module, nn.Conv2d):
                module.stride = (1, 1)
            elif not list(module.parameters()):  # a pooling
                put(equal, name, nn.Identity())
    return equal


def _stride(module: nn.Module) -> tuple[int, ...]:
    stride = getattr(module, "stride", 1)
    leaf = not list(module.children())
    return () if not leaf else (stride,) if isinstance(stride, int) else tuple(stride or ())


class _Widening:
    """Makes modules of c_in channels ones of c_out."""

    def __init__(self, c_in: int, c_out: int, copies: bool) -> None:
        self.c_in, self.c_out, self.copies = c_in, c_out, copies
        self.own = aggregates(c_in, c_out)  # (c_out, c_in)

    def reader(self, layer: Any) -> None:
        """A conv or linear layer that reads the channels and gives others."""
        if getattr(layer, "groups", 1) > 1:
            raise NotScalable("a grouped layer that reads its input")
        if layer.weight.shape[1] != self.c_in:
            raise NotScalable("layers that read parts of its input")
        weight = self._over(layer.weight, 1, total=True)
        layer.weight = nn.Parameter(weight, requires_grad=layer.weight.requires_grad)
        setattr(layer, "in_channels" if isinstance(layer, nn.Conv2d) else "in_features", self.c_out)
        if hasattr(layer, "gain"):  # timm's ScaledStdConv2d: its scale is gamma / sqrt(fan in)
            layer.scale *= (self.c_in / self.c_out) ** 0.5

    def tensors(self, module: Any) -> None:
        """Every tensor and stored width of a module."""
        dense = isinstance(module, _SIZES) and not _by_channel(module)
        for kept in (module._parameters, module._buffers):
            for key, value in kept.items():
                if value is None:
                    continue
                new = value.detach()
                for dim, size in enumerate(value.shape[:2]):
                    if size == self.c_in:
                        new = self._over(new, dim, total=dense and dim == 1)
                is_parameter = isinstance(value, nn.Parameter)
                kept[key] = nn.Parameter(new, requires_grad=value.requires_grad) if is_parameter else new
        for key, value in vars(module).items():
            if key == "groups" or (not key.startswith("_") and WIDTH_NAME.search(key)):
                setattr(module, key, self._width(value))

    def _width(self, value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(self._width, value))
        return self.c_out if type(value) is int and value == self.c_in else value

    def _over(self, tensor: torch.Tensor, dim: int, total: bool) -> torch.Tensor:
        """``tensor`` with c_out entries along ``dim``; ``total``: such that sums over them stay what they are."""
        if tensor.is_meta:
            return tensor.new_empty([self.c_out if d == dim else n for d, n in enumerate(tensor.shape)])
        own = self.own.to(tensor)
        with torch.no_grad():
            if self.copies or not total:
                own = own / own.sum(0 if total else 1, keepdim=True)
                return torch.tensordot(own, tensor, ([1], [dim])).movedim(0, dim).to(tensor.dtype)
            index = own.argmax(1)  # other entries of the same variance, for the new fan in
            return tensor.index_select(dim, index) * (self.c_in / self.c_out) ** 0.5

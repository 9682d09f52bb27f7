"""What a block holds in memory, in maps of its own size: sec. 3.4's claim."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter


class Live(TorchDispatchMode):
    """Counts the bytes of all tensors that are alive. ``peak``: the most at any moment."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._bytes: dict[int, int] = {}

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = function(*args, **(kwargs or {}))
        for tensor in tree_iter(out):
            if isinstance(tensor, torch.Tensor):
                self._track(tensor.untyped_storage())
        return out

    def _track(self, storage: Any) -> None:
        key = storage._cdata
        if key not in self._bytes:
            self._bytes[key] = storage.nbytes()
            self.now += self._bytes[key]
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._free, key)

    def _free(self, key: int) -> None:
        self.now -= self._bytes.pop(key)


def peak_maps(net: nn.Module, x: torch.Tensor) -> float:
    """Most maps of the size of ``x`` that one inference holds at a moment, beside ``x``."""
    net.eval()
    with torch.no_grad(), Live() as live:
        net(x)
    return live.peak / _bytes(x)


def kept_maps(net: nn.Module, x: torch.Tensor) -> float:
    """Maps of the size of ``x`` that a forward pass in training keeps for the backward pass, without the weights.

    Other tensors that autograd keeps (BatchNorm's statistics, masks) count with their bytes.
    """
    net.train()
    own = {p.untyped_storage().data_ptr() for p in (*net.parameters(), *net.buffers())}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        y = net(x)
    del y
    return sum(kept.values()) / _bytes(x)


def _bytes(x: torch.Tensor) -> int:
    return x.numel() * x.element_size()

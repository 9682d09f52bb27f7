"""What an MGIC block holds in memory at inference: sec. 3.4's claim, in maps of the block's size."""

import weakref
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from mgic_nas.models.mgic import MGICBlock
from mgic_nas.models.rows import Row, hierarchy


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


def peak_maps(block: str, s_c: int, channels: int = 64) -> float:
    """Most maps of the block's size beside its input."""
    levels = hierarchy(channels, 16, s_c, lambda j, w: (w, w))
    net = MGICBlock(Row(block, channels, channels, levels=levels)).eval()
    x = torch.randn(2, channels, 16, 16)
    with torch.no_grad(), Live() as live:
        net(x)
    return live.peak / (x.numel() * x.element_size())


@pytest.mark.parametrize("s_c", [32, 16, 4])
def test_an_mgic_block_holds_one_map_more_than_the_plain_one_whatever_its_levels(s_c: int) -> None:
    """The corrected map beside the input. Coarse maps are freed on the way up: half a map, and a quarter, ..."""
    assert peak_maps("basic", s_c) == peak_maps("basic", 64) + 1

"""What the tensors of a converted block start with.

Both ways keep the dtype, the device and ``requires_grad`` of what they replace.

``random``: a weight matrix is drawn anew, normal with the standard deviation of the original's entries times
``sqrt(fan_in / new fan_in)``: the variance that the original's own initialisation (or training) gives to the layer's
output is kept, so that no family's rule has to be known. A vector (norm, bias, layer scale) that is constant keeps
its constant, as after initialisation; a trained one gets the layer's default.

``weights``: Galerkin's coarse operator ``R W P`` with plain averaging. P copies a coarse channel to its ``2**level``
consecutive fine ones and R averages them, so the weight between two coarse channels is the mean over the fine outputs
of the sum over the fine inputs. A grouped layer then keeps the entries within its groups (the diagonal blocks); the
others are dropped. Vectors and running statistics are averaged over the same channels. Channels that do not fill a
coarse one (odd widths) are dropped. The running statistics of norms no longer fit exactly: train, or re-estimate them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

INITS = ("random", "weights")
_DEFAULTS = {"bias": 0.0, "running_mean": 0.0, "running_var": 1.0, "weight": 1.0, "num_batches_tracked": 0}


@dataclass(frozen=True)
class Source:
    """Makes the tensors of a level from those of the original block."""

    level: int
    init: str

    def matrix(self, weight: Any, old_groups: int, c_in: int, c_out: int, groups: int) -> nn.Parameter:
        """The weight (c_out, c_in / groups, ...) of a conv or linear layer."""
        shape = (c_out, c_in // groups, *weight.shape[2:])
        new = weight.new_empty(shape)
        if not weight.is_meta:
            with torch.no_grad():
                if self.init == "weights":
                    new.copy_(self._galerkin(weight, old_groups, c_in, groups))
                else:
                    fan, new_fan = weight[0].numel(), new[0].numel()
                    new.normal_(0.0, float(weight.float().std(correction=0)) * math.sqrt(fan / new_fan))
        return nn.Parameter(new, requires_grad=weight.requires_grad)

    def vector(self, value: Any, key: str, widths: set[int] | frozenset[int]) -> Any:
        """A norm's, bias' or layer scale's tensor, or a buffer: dimensions that are widths are divided."""
        factor = 2**self.level
        shape = tuple(d // factor if d in widths else d for d in value.shape) if factor > 1 else tuple(value.shape)
        new = value.new_empty(shape)
        if not value.is_meta:
            with torch.no_grad():
                self._fill(new, value.detach(), key, isinstance(value, nn.Parameter))
        return nn.Parameter(new, requires_grad=value.requires_grad) if isinstance(value, nn.Parameter) else new

    def _fill(self, new: torch.Tensor, old: torch.Tensor, key: str, trained: bool) -> None:
        if self.init == "weights" or not (trained or key in _DEFAULTS):  # a filter or an index is no weight
            for dim, size in enumerate(new.shape):
                if size != old.shape[dim]:
                    old = _blocks(old, dim, size, 2**self.level).mean(dim + 1)
            new.copy_(old)
        elif old.numel() and bool((old == old.flatten()[0]).all()) and key != "num_batches_tracked":
            new.fill_(old.flatten()[0])
        elif old.dim() > 1:
            new.normal_(float(old.float().mean()), float(old.float().std(correction=0)))
        else:
            new.fill_(_DEFAULTS.get(key, float(old.float().mean())))

    def _galerkin(self, weight: torch.Tensor, old_groups: int, c_in: int, groups: int) -> torch.Tensor:
        factor, c_out = 2**self.level, weight.shape[0] >> self.level
        if weight.shape[1] == 1 and groups == c_in > 1:  # depthwise: R diag(w) P
            return _blocks(weight, 0, c_out, factor).mean(1)
        if old_groups > 1:
            weight = _ungrouped(weight, old_groups)
        coarse = _blocks(_blocks(weight, 0, c_out, factor).mean(1), 1, c_in, factor).sum(2)
        if groups == 1:
            return coarse
        tiles = coarse.unflatten(1, (groups, c_in // groups)).unflatten(0, (groups, c_out // groups))
        return torch.cat([tiles[g, :, g] for g in range(groups)])


def _blocks(tensor: torch.Tensor, dim: int, count: int, factor: int) -> torch.Tensor:
    """``count`` blocks of ``factor`` consecutive entries along ``dim``; what is left over is dropped."""
    return tensor.narrow(dim, 0, count * factor).unflatten(dim, (count, factor))


def _ungrouped(weight: torch.Tensor, groups: int) -> torch.Tensor:
    """The same conv as one full matrix, zero between its groups."""
    c_out, per_group = weight.shape[:2]
    full = weight.new_zeros(c_out, groups * per_group, *weight.shape[2:])
    rows = c_out // groups
    for g in range(groups):
        full[g * rows : (g + 1) * rows, g * per_group : (g + 1) * per_group] = weight[g * rows : (g + 1) * rows]
    return full

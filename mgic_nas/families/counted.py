"""Families whose cost is counted on the meta device, once an architecture and input size."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from torch import nn

from ..cost.count import count
from ..cost.rows_cost import Cost
from .base import Named, TimmNamed, frozen

META = torch.device("meta")


class CountedFamily(Named):
    """The cost of a subclass's networks, from building and counting each once."""

    def __init__(self) -> None:
        self._costs: dict[Hashable, Cost] = {}

    def build(self, config: Mapping[str, Any], num_classes: int, in_chans: int, **kwargs: Any) -> nn.Module:
        raise NotImplementedError

    def cost(self, config: Mapping[str, Any], input_size: tuple[int, int, int], num_classes: int) -> Cost:
        """Of one (C, H, W) image. UserError where the network cannot be built so."""
        key = (self.canonical(config), tuple(input_size), num_classes)
        if key not in self._costs:
            self._costs[key] = count(self.build(config, num_classes, input_size[0], device=META), input_size)
        return self._costs[key]


class TimmFamily(TimmNamed, CountedFamily):
    """Any timm name that is not ours."""

    arguments = frozenset({"drop_rate", "drop_path_rate", "act_layer", "norm_layer", "width", "depth"})

    def __init__(self, name: str) -> None:
        TimmNamed.__init__(self, name)
        CountedFamily.__init__(self)

    def canonical(self, config: Mapping[str, Any]) -> Hashable:
        return self.name, tuple(sorted((k, frozen(v)) for k, v in config.items()))

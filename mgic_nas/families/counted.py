"""Families whose cost is counted on the meta device, once an architecture and input size."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch

from ..cost.count import count
from ..cost.rows_cost import Cost
from .base import _digest, _frozen, _Named


class TimmFamily(_Named):
    """Any other timm name: counted on the meta device, once a config and input size."""

    arguments = frozenset({"drop_rate", "drop_path_rate", "act_layer", "norm_layer", "width", "depth"})

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._costs: dict[Hashable, Cost] = {}

    def canonical(self, config: Mapping[str, Any]) -> Hashable:
        return self.name, tuple(sorted((k, _frozen(v)) for k, v in config.items()))

    def arch_id(self, config: Mapping[str, Any]) -> str:
        return _digest(self.canonical(config))

    def cost(self, config: Mapping[str, Any], input_size: tuple[int, int, int], num_classes: int) -> Cost:
        key = (self.canonical(config), tuple(input_size), num_classes)
        if key not in self._costs:
            net = self.build(config, num_classes, input_size[0], device=torch.device("meta"))
            self._costs[key] = count(net, input_size)
        return self._costs[key]

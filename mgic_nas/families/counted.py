"""Families whose cost is counted on the meta device, once an architecture and input size."""

from __future__ import annotations

import inspect
from collections.abc import Hashable, Mapping
from typing import Any, get_type_hints

import torch
from timm.models import model_entrypoint
from torch import nn

from ..cost.count import count
from ..cost.rows_cost import Cost
from .base import FROM_DATA, Named, TimmNamed, frozen

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


# Of timm's classes, and no architecture: where the data and the device come from, and names of Python objects.
_NOT_SEARCHED = FROM_DATA | {"self", "device", "dtype", "fc_bias", "head_conv", "pretrained"}


class TimmFamily(TimmNamed, CountedFamily):
    """Any timm name that is not ours. Its arguments are those of the network's class that plain values can be."""

    _COMMON = frozenset({"drop_rate", "drop_path_rate", "act_layer", "norm_layer", "width", "depth"})

    def __init__(self, name: str) -> None:
        TimmNamed.__init__(self, name)
        CountedFamily.__init__(self)
        self.arguments = self._COMMON | _class_arguments(name)

    def check(self, config: Mapping[str, Any]) -> None:
        """UserError where timm does not build a config."""
        self.refuse_unknown(config)
        self.build(config, self.num_classes, self.input_size[0], device=META)

    def canonical(self, config: Mapping[str, Any]) -> Hashable:
        return self.name, tuple(sorted((k, frozen(v)) for k, v in config.items()))


def _class_arguments(name: str) -> frozenset[str]:
    """The arguments of the class that a timm name builds, as far as numbers, texts and lists of them can be given."""
    try:
        built = get_type_hints(model_entrypoint(name)).get("return")
        parameters = inspect.signature(built.__init__).parameters  # type: ignore[misc]
    except (NameError, TypeError, ValueError, AttributeError):
        return frozenset()
    plain = (int, float, str, tuple, list, type(None))
    return frozenset(
        key
        for key, p in parameters.items()
        if key not in _NOT_SEARCHED
        and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        and ((p.default is p.empty and key == "layers") or isinstance(p.default, plain))
    )

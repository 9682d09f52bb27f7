"""Families of the networks that are no timm names: segmentation, point clouds, functions.

Each is a builder in ``NETWORKS`` of its module. Such a network is searched and trained as any other;
``timm.create_model`` does not know it.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Hashable, Mapping
from typing import Any, get_type_hints

from torch import nn

from .base import frozen, readable
from .counted import META, CountedFamily
from .names import NETWORKS, start_of

#: Module of :mod:`mgic_nas.models` -> (default input size, default outputs) of its networks. A module may have
#: ``canonical(name, config)``, with every argument in it: equal for the configs that are one architecture.
MODULES = {
    "segmentation": ((3, 1024, 2048), 19),
    "points": ((3, 1024, 1), 10),
    "implicit": ((5, 1, 1), 1),
}
# Arguments that came after the first version: at these values they stay out of arch_id, so that older ids hold.
_LATER = {"min_levels": 0, "min_groups": 1, "levels": "auto", "transition": "grouped"}
# From the data, or fixed by the name.
_NOT_SEARCHED = frozenset({"num_classes", "num_outputs", "in_chans", "device", "dtype", "layout", "self", "kwargs"})


def networks(module: str) -> Mapping[str, Callable[..., nn.Module]]:
    """Name -> builder of one of :data:`MODULES`."""
    found: Mapping[str, Callable[..., nn.Module]] = importlib.import_module(f"mgic_nas.models.{module}").NETWORKS
    return found


def _parameters(builder: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """What a builder takes; where it passes the rest on to the class that it gives, that class's arguments too."""
    own = dict(inspect.signature(builder).parameters)
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in own.values()):
        given = get_type_hints(builder)["return"]
        return {**inspect.signature(given.__init__).parameters, **own}
    return own


class NetworkFamily(CountedFamily):
    """The builder of one of :data:`~mgic_nas.families.names.NETWORKS` as a :class:`~mgic_nas.families.Family`."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        module = next(module for module, names in NETWORKS.items() if name in names)
        self.input_size, self.num_classes = MODULES[module]
        self._builder = networks(module)[name]
        self._canonical = getattr(importlib.import_module(f"mgic_nas.models.{module}"), "canonical", None)
        parameters = _parameters(self._builder)
        self._outputs = "num_classes" if "num_classes" in parameters else "num_outputs"
        first = start_of(name).first
        self._later = {**_LATER, **first}
        self._defaults = {k: first.get(k, p.default) for k, p in parameters.items() if k not in _NOT_SEARCHED}
        self.arguments = frozenset(self._defaults)
        self._valid: dict[Hashable, Hashable] = {}

    def canonical(self, config: Mapping[str, Any]) -> Hashable:
        self.refuse_unknown(config)
        full = {**self._defaults, **config}
        full = {name: value for name, value in full.items() if name not in self._later or value != self._later[name]}
        key = tuple((k, frozen(v)) for k, v in sorted(full.items()))
        if key not in self._valid:
            self.build(config, self.num_classes, self.input_size[0], device=META)  # or a UserError
            self._valid[key] = self.name, self._canonical(self.name, full) if self._canonical else key
        return self._valid[key]

    # What timm's create_model takes for the data, a network without a cfg of its own carries as it is.
    def build(self, config: Mapping[str, Any], num_classes: int, in_chans: int, **kwargs: Any) -> nn.Module:
        outputs = {self._outputs: num_classes, "in_chans": in_chans}
        data_config = kwargs.pop("pretrained_cfg_overlay", None)
        with readable(self.name, config):
            net = self._builder(**{**config, **outputs, **kwargs})
        if data_config:
            net.pretrained_cfg = dict(data_config)  # type: ignore[assignment]
        return net

"""The family of a converted timm network."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import cache, lru_cache
from typing import Any

import timm
import torch
from timm.models import is_model, list_models
from torch import nn

from ..cost.count import count
from ..errors import UserError, did_you_mean
from ..models.convert.also import check_also
from ..models.convert.blueprint import Blueprint, Conversion
from ..models.rows import check_levels
from .counted import CountedFamily
from .names import start_of, timm_call


class MgicifiedFamily(CountedFamily):
    """A timm network in MGIC form: ``mgicify:<timm name>``, or ``mgicified`` with the name as the argument ``base``.

    Two configs are one architecture where every block gets the same levels and groups. That is arithmetic on what is
    found out once about a base; the cost is counted on the meta device, once an architecture and input size.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self._base = name.partition(":")[2]
        self.arguments = frozenset({*_MGIC_DEFAULTS, *_FIRST_START, "levels", "drop_rate", "drop_path_rate"})
        self.arguments |= frozenset() if self._base else {"base"}
        blueprint = _blueprint(self._base or "resnet18")
        self.input_size, self.num_classes = blueprint.input_size, blueprint.net.num_classes

    def _read(self, config: Mapping[str, Any]) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
        """(base, levels of each converted block, the base's own arguments)."""
        self.refuse_unknown(config)
        base = config.get("base", self._base or "resnet18")
        own = {k: config[k] for k in ("drop_rate", "drop_path_rate") if k in config}
        levels = _levels(base, *self._choices(config).values())
        return base, () if check_levels(config.get("levels", "auto")) else levels, own

    def canonical(self, config: Mapping[str, Any]) -> Hashable:
        base, levels, own = self._read(config)
        if own:
            _takes(base, tuple(own.items()))
        start = {k: v for k, v in self._start(config).items() if v != _FIRST_START[k]} if levels else {}
        return base, levels, tuple(sorted([*own.items(), *start.items()]))

    def _choices(self, config: Mapping[str, Any]) -> dict[str, Any]:
        choices = {k: config.get(k, default) for k, default in _MGIC_DEFAULTS.items()}
        return {**choices, "also": check_also(choices["also"])}

    def _start(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return {name: config.get(name, value) for name, value in _FIRST_START.items()}

    def original(self, config: Mapping[str, Any], num_classes: int, in_chans: int, **kwargs: Any) -> nn.Module:
        """The network that a config converts, as it was."""
        base, _, own = self._read(config)
        return timm.create_model(base, num_classes=num_classes, in_chans=in_chans, **own, **kwargs)

    def conversion(self, config: Mapping[str, Any], input_size: tuple[int, int, int], num_classes: int) -> Conversion:
        """What a config replaces and what it leaves, with the cost before and after at an input size."""
        base, _, _ = self._read(config)
        choices = self._choices(config)
        blueprint = _blueprint(base)
        as_it_is = check_levels(config.get("levels", "auto"))
        plan, left = ({}, ()) if as_it_is else blueprint.plan(**choices)
        original = self.original(config, num_classes, input_size[0], device=torch.device("meta"))
        return Conversion(
            base,
            **choices,
            init="random",
            replaced=blueprint.replaced(plan),
            left=left,
            input_size=input_size,
            before=count(original, input_size),
            after=self.cost(config, input_size, num_classes),
            **self._start(config),
        )

    def build(self, config: Mapping[str, Any], num_classes: int, in_chans: int, **kwargs: Any) -> nn.Module:
        self.canonical(config)  # a wrong one is named in one line
        name, arguments = timm_call(self.name, config)
        return timm.create_model(name, num_classes=num_classes, in_chans=in_chans, **{**arguments, **kwargs})


_FIRST_START = start_of("mgicified").first
_MGIC_DEFAULTS = {"s_g": 64, "s_c": 64, "min_levels": 0, "min_groups": 1, "also": ()}


@cache
def _blueprint(base: str) -> Blueprint:
    if not isinstance(base, str) or not is_model(base):
        raise UserError(f"Unknown model {base!r}.{did_you_mean(str(base), list_models())}")
    return Blueprint(_without_storage(base))


def _without_storage(base: str, **arguments: Any) -> nn.Module:
    """A timm network on the meta device. Some (EfficientNets) draw random numbers even so, which must not be missed."""
    with torch.random.fork_rng(devices=[]):
        return timm.create_model(base, device=torch.device("meta"), **arguments)


@lru_cache(maxsize=1 << 16, typed=True)
def _levels(base: str, *choices: Any) -> tuple[Any, ...]:
    return tuple(_blueprint(base).plan(*choices)[0].items())


@cache
def _takes(base: str, arguments: tuple[tuple[str, Any], ...]) -> None:
    """UserError where a timm model refuses its own arguments."""
    try:
        _without_storage(base, **dict(arguments))
    except (TypeError, ValueError, AssertionError) as error:
        raise UserError(f"{base} cannot be built with {dict(arguments)}: {error}") from error

"""What the search needs of any family: ``canonical``, ``cost``, ``build``.

Row families get all three from their rows. Any other timm name is counted once on the meta device and remembered.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Hashable, Mapping
from functools import cache, lru_cache
from inspect import signature
from types import ModuleType
from typing import Any, Protocol

import timm
import torch
from timm.models import is_model, list_models
from torch import nn

from ..errors import UserError, did_you_mean
from ..models import family_modules
from ..models.convert import Blueprint, Conversion
from ..models.rows import Rows
from ._cost import Cost, rows_cost
from ._count import count
from ._names import timm_call
from ._networks import network_family, network_names

# These follow from the data, never from a configuration.
FROM_DATA = frozenset({"num_classes", "in_chans", "input_size", "img_size"})


class Family(Protocol):
    """A model name whose keyword arguments are searched. A config is a dict of those arguments."""

    name: str
    arguments: frozenset[str]
    input_size: tuple[int, int, int]  # (C, H, W) of its default cfg
    num_classes: int  # of its default cfg

    def canonical(self, config: Mapping[str, Any]) -> Hashable:
        """The same value for two configs exactly where they are the same architecture.

        num_classes, in_chans and the input size stay out of it. UserError for a config that is none.
        """

    def arch_id(self, config: Mapping[str, Any]) -> str:
        """12 hex digits of a hash of the canonical form: the same on every machine and in every version."""

    def cost(self, config: Mapping[str, Any], input_size: tuple[int, int, int], num_classes: int) -> Cost:
        """The cost of one (C, H, W) image."""

    def build(self, config: Mapping[str, Any], num_classes: int, in_chans: int, **kwargs: Any) -> nn.Module:
        """The network, by ``timm.create_model``."""


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=_plain).encode()).hexdigest()[:12]


def _plain(value: Any) -> Any:
    """JSON for what JSON lacks: rows by their fields, classes by their names."""
    if dataclasses.is_dataclass(value):
        fields = [
            f
            for f in dataclasses.fields(value)
            if not (f.metadata.get("later") and getattr(value, f.name) == f.default)
        ]
        return {f.name: getattr(value, f.name) for f in fields}
    return getattr(value, "__qualname__", repr(value))


def _frozen(value: Any) -> Hashable:
    return tuple(_frozen(v) for v in value) if isinstance(value, (list, tuple)) else value


class _Named:
    """What every family knows from timm's registry."""

    def __init__(self, name: str) -> None:
        self.name = name
        cfg = timm.get_pretrained_cfg(name) if hasattr(timm, "get_pretrained_cfg") else None
        cfg = cfg or timm.models.get_pretrained_cfg(name)
        self.input_size: tuple[int, int, int] = tuple(cfg.input_size)
        self.num_classes: int = cfg.num_classes

    def build(self, config: Mapping[str, Any], num_classes: int, in_chans: int, **kwargs: Any) -> nn.Module:
        try:
            return timm.create_model(self.name, num_classes=num_classes, in_chans=in_chans, **{**config, **kwargs})
        except (TypeError, ValueError, AssertionError) as error:
            raise UserError(f"{self.name} cannot be built from {dict(config)}: {error}") from error


class RowFamily(_Named):
    """A family of :mod:`mgic_nas.models` whose networks are lists of rows."""

    def __init__(self, name: str, module: ModuleType) -> None:
        super().__init__(name)
        self._defaults: dict[str, Any] = module.archs[name]
        self._rows: Callable[..., Rows] = module.rows
        self._kind = module.net.__name__
        self._shown = frozenset(signature(module.rows).parameters)
        constructor = signature(module.net.__init__).parameters
        self._hidden = {k: p.default for k, p in constructor.items() if k not in self._shown | _NOT_SEARCHED}
        self.arguments = (self._shown | frozenset(self._hidden)) - _NOT_SEARCHED

    def rows(self, config: Mapping[str, Any], in_chans: int = 3) -> Rows:
        """The rows of a config. UserError for an unknown argument or an impossible value."""
        args = {**self._defaults, **config}
        if not self._shown.issuperset(args):
            for key in args:
                if key not in self.arguments:
                    raise UserError(f"{self.name} takes no argument {key!r}.{did_you_mean(key, self.arguments)}")
            args = {k: v for k, v in args.items() if k in self._shown}
        try:
            return self._rows(**args, in_chans=in_chans)
        except TypeError as error:
            raise UserError(f"{self.name} cannot be built from {dict(config)}: {error}") from error

    def canonical(self, config: Mapping[str, Any]) -> Hashable:
        rows = self.rows(config)
        hidden = [(k, _frozen(v)) for k, v in config.items() if k in self._hidden and v != self._hidden[k]]
        return self._kind, rows, tuple(sorted(hidden))

    def arch_id(self, config: Mapping[str, Any]) -> str:
        return _row_arch_id(self.canonical(config))

    def cost(self, config: Mapping[str, Any], input_size: tuple[int, int, int], num_classes: int) -> Cost:
        return rows_cost(self.rows(config, input_size[0]), input_size, num_classes)


@lru_cache(maxsize=1 << 20)
def _row_arch_id(canonical: tuple[str, Rows, Any]) -> str:
    kind, rows, hidden = canonical
    return _digest([kind, [_stage_digest(stage) for stage in rows.parts], hidden])


@cache
def _stage_digest(stage: Any) -> str:
    return _digest(list(stage))


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


class MgicifiedFamily:
    """A timm network in MGIC form: ``mgicify:<timm name>``, or ``mgicified`` with the name as the argument ``base``.

    Two configs are one architecture where every block gets the same levels and groups. That is arithmetic on what is
    found out once about a base; the cost is counted on the meta device, once an architecture and input size.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._base = name.partition(":")[2]
        self.arguments = frozenset({"s_g", "s_c", "min_levels", "min_groups", "drop_rate", "drop_path_rate"})
        self.arguments |= frozenset() if self._base else {"base"}
        blueprint = _blueprint(self._base or "resnet18")
        self.input_size, self.num_classes = blueprint.input_size, blueprint.net.num_classes
        self._costs: dict[Hashable, Cost] = {}

    def _read(self, config: Mapping[str, Any]) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
        """(base, levels of each converted block, the base's own arguments)."""
        for key in config:
            if key not in self.arguments:
                raise UserError(f"{self.name} takes no argument {key!r}.{did_you_mean(key, self.arguments)}")
        base = config.get("base", self._base or "resnet18")
        own = {k: config[k] for k in ("drop_rate", "drop_path_rate") if k in config}
        choices = (config.get(k, default) for k, default in _MGIC_DEFAULTS.items())
        return base, _levels(base, *choices), own

    def canonical(self, config: Mapping[str, Any]) -> Hashable:
        base, levels, own = self._read(config)
        if own:
            _takes(base, tuple(own.items()))
        return base, levels, tuple(sorted(own.items()))

    def arch_id(self, config: Mapping[str, Any]) -> str:
        return _digest(self.canonical(config))

    def cost(self, config: Mapping[str, Any], input_size: tuple[int, int, int], num_classes: int) -> Cost:
        base, levels, own = self._read(config)
        key = (base, levels, tuple(input_size), num_classes)
        if key not in self._costs:
            kwargs = {"num_classes": num_classes, "in_chans": input_size[0], "device": torch.device("meta"), **own}
            net = timm.create_model(base, **kwargs)
            _blueprint(base).apply(net, dict(levels))
            self._costs[key] = count(net, input_size)
        return self._costs[key]

    def original(self, config: Mapping[str, Any], num_classes: int, in_chans: int, **kwargs: Any) -> nn.Module:
        """The network that a config converts, as it was."""
        base, _, own = self._read(config)
        return timm.create_model(base, num_classes=num_classes, in_chans=in_chans, **own, **kwargs)

    def conversion(self, config: Mapping[str, Any], input_size: tuple[int, int, int], num_classes: int) -> Conversion:
        """What a config replaces and what it leaves, with the cost before and after at an input size."""
        base, _, _ = self._read(config)
        choices = {k: config.get(k, default) for k, default in _MGIC_DEFAULTS.items()}
        blueprint = _blueprint(base)
        plan, left = blueprint.plan(**choices)
        plain = self.original(config, num_classes, input_size[0], device=torch.device("meta"))
        return Conversion(
            base,
            **choices,
            init="random",
            replaced=blueprint.replaced(plan),
            left=left,
            input_size=input_size,
            before=count(plain, input_size),
            after=self.cost(config, input_size, num_classes),
        )

    def build(self, config: Mapping[str, Any], num_classes: int, in_chans: int, **kwargs: Any) -> nn.Module:
        self.canonical(config)  # a wrong one is named in one line
        name, arguments = timm_call(self.name, config)
        return timm.create_model(name, num_classes=num_classes, in_chans=in_chans, **{**arguments, **kwargs})


_MGIC_DEFAULTS = {"s_g": 64, "s_c": 64, "min_levels": 0, "min_groups": 1}


@cache
def _blueprint(base: str) -> Blueprint:
    if not isinstance(base, str) or not is_model(base):
        raise UserError(f"Unknown model {base!r}.{did_you_mean(str(base), list_models())}")
    return Blueprint(timm.create_model(base, device=torch.device("meta")))


@lru_cache(maxsize=1 << 16, typed=True)
def _levels(base: str, *choices: Any) -> tuple[Any, ...]:
    return tuple(_blueprint(base).plan(*choices)[0].items())


@cache
def _takes(base: str, arguments: tuple[tuple[str, Any], ...]) -> None:
    """UserError where a timm model refuses its own arguments."""
    try:
        timm.create_model(base, device=torch.device("meta"), **dict(arguments))
    except (TypeError, ValueError, AssertionError) as error:
        raise UserError(f"{base} cannot be built with {dict(arguments)}: {error}") from error


_NOT_SEARCHED = FROM_DATA | {"self", "global_pool", "device", "dtype"}


def model_names() -> list[str]:
    """Every registered MGIC name."""
    return sorted(name for module in family_modules() for name in module.archs)


@cache
def family(name: str) -> Family:
    """The family behind a model name. UserError for a name that timm does not know."""
    for module in family_modules():
        if name in module.archs:
            return RowFamily(name, module)
    if isinstance(name, str) and (name == "mgicified" or name.startswith("mgicify:")):
        return MgicifiedFamily(name)
    if isinstance(name, str) and is_model(name):
        return TimmFamily(name)
    if found := network_family(name):
        return found
    known = [*model_names(), *network_names(), *list_models()]
    raise UserError(f"Unknown model {name!r}.{did_you_mean(str(name), known)} `mgic-nas models` lists ours.")

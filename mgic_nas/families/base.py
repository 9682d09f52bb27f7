"""The protocol of a family, and how its configs are hashed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Hashable, Mapping
from typing import Any, Protocol

import timm
from torch import nn

from ..cost.rows_cost import Cost
from ..errors import UserError

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


_NOT_SEARCHED = FROM_DATA | {"self", "global_pool", "device", "dtype"}

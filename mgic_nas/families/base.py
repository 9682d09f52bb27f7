"""The protocol of a family, and how its configs are hashed."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Hashable, Iterator, Mapping
from typing import Any, Protocol

import timm
from timm.models import get_pretrained_cfg
from torch import nn

from ..cost.rows_cost import Cost
from ..errors import UserError, did_you_mean

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


def digest(value: Any) -> str:
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


def frozen(value: Any) -> Hashable:
    return tuple(frozen(v) for v in value) if isinstance(value, (list, tuple)) else value


class Named:
    """A family with a name and its arguments, and what follows from the canonical form."""

    name: str
    arguments: frozenset[str]

    def canonical(self, config: Mapping[str, Any]) -> Hashable:
        raise NotImplementedError

    def arch_id(self, config: Mapping[str, Any]) -> str:
        return digest(self.canonical(config))

    def refuse_unknown(self, config: Mapping[str, Any]) -> None:
        """UserError naming the first argument that the model does not take."""
        for key in config:
            if key not in self.arguments:
                raise UserError(f"{self.name} takes no argument {key!r}.{did_you_mean(key, self.arguments)}")


class TimmNamed(Named):
    """A family whose name timm's registry knows."""

    def __init__(self, name: str) -> None:
        self.name = name
        cfg = get_pretrained_cfg(name)
        assert cfg is not None
        self.input_size: tuple[int, int, int] = cfg.input_size
        self.num_classes: int = cfg.num_classes

    def build(self, config: Mapping[str, Any], num_classes: int, in_chans: int, **kwargs: Any) -> nn.Module:
        with readable(self.name, config):
            net: nn.Module = timm.create_model(
                self.name, num_classes=num_classes, in_chans=in_chans, **{**config, **kwargs}
            )
            return net


@contextlib.contextmanager
def readable(name: str, config: Mapping[str, Any]) -> Iterator[None]:
    """What a constructor raises, as one UserError that names the config."""
    try:
        yield
    except UserError:
        raise
    except (TypeError, ValueError, AssertionError) as error:
        raise UserError(f"{name} cannot be built from {dict(config)}: {error}") from error

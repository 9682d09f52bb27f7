"""Families whose networks are lists of rows."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from functools import cache, lru_cache
from inspect import signature
from types import ModuleType
from typing import Any

from ..cost.rows_cost import Cost, rows_cost
from ..errors import UserError, did_you_mean
from ..models.rows import Rows
from .base import _NOT_SEARCHED, _digest, _frozen, _Named


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

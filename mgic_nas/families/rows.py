"""Families whose networks are lists of rows."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import lru_cache
from types import ModuleType
from typing import Any

from ..cost.rows_cost import Cost, rows_cost
from ..errors import UserError
from ..models.rows import CACHED_STAGES, Rows
from .base import TimmNamed, digest, frozen
from .names import start_of

_OF_LEVELS = ("transfer_init", "zero_init_correction")


class RowFamily(TimmNamed):
    """A family of :mod:`mgic_nas.models` whose networks are lists of rows."""

    def __init__(self, name: str, module: ModuleType) -> None:
        super().__init__(name)
        cfg = module.archs[name]
        self._cfg = type(cfg)
        self._defaults: dict[str, Any] = cfg._asdict()
        self._kind = module.net.__name__
        self._start = start_of(name).first
        self._hidden: dict[str, Any] = {**module.net.not_in_rows, **self._start}
        self.arguments = frozenset(self._defaults) | frozenset(self._hidden)

    def rows(self, config: Mapping[str, Any], in_chans: int = 3) -> Rows:
        """The rows of a config. UserError for an unknown argument or an impossible value."""
        args = {**self._defaults, **config}
        if len(args) > len(self._defaults):
            self.refuse_unknown(config)
            args = {k: v for k, v in args.items() if k in self._defaults}
        try:
            rows: Rows = self._cfg(**args).rows(in_chans)
        except TypeError as error:
            raise UserError(f"{self.name} cannot be built from {dict(config)}: {error}") from error
        return rows

    def canonical(self, config: Mapping[str, Any]) -> Hashable:
        rows = self.rows(config)
        hidden = [(k, frozen(v)) for k, v in config.items() if k in self._hidden and v != self._hidden[k]]
        if hidden and not any(len(row.levels) > 1 for stage in rows.stages for row in stage):
            hidden = [(k, v) for k, v in hidden if k not in _OF_LEVELS]  # there is no R, P or N that could start
        return self._kind, rows, tuple(sorted(hidden))

    def arch_id(self, config: Mapping[str, Any]) -> str:
        return _row_arch_id(self.canonical(config))

    def cost(self, config: Mapping[str, Any], input_size: tuple[int, int, int], num_classes: int) -> Cost:
        return rows_cost(self.rows(config, input_size[0]), input_size, num_classes)


@lru_cache(maxsize=1 << 13)  # each holds its rows
def _row_arch_id(canonical: tuple[str, Rows, Any]) -> str:
    kind, rows, hidden = canonical
    return digest([kind, [_stage_digest(stage) for stage in rows.parts], hidden])


@lru_cache(maxsize=CACHED_STAGES)
def _stage_digest(stage: Any) -> str:
    return digest(list(stage))

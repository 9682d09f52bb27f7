"""Samplers compared on a recorded table, by simulated searches: what ``mgic-nas replay`` prints."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._compare import Comparison, compare
    from ._write import text, to_dict, write

_NAMES = {"Comparison": "_compare", "compare": "_compare", "text": "_write", "to_dict": "_write", "write": "_write"}
__all__ = ["Comparison", "compare", "text", "to_dict", "write"]


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(import_module(f".{_NAMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""Recorded tables, and samplers compared on them by simulated searches: ``mgic-nas record`` and ``replay``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_exports

if TYPE_CHECKING:
    from .compare import Comparison
    from .write import text, to_dict

__all__ = ["Comparison", "text", "to_dict"]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "Comparison": ".compare",
        "text": ".write",
        "to_dict": ".write",
    },
)

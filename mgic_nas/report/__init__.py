"""What came out of a run, for a person: report.html, report.md, front.png, tables, and winners that timm loads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_exports

if TYPE_CHECKING:
    from ._build import build

__all__ = ["build"]

__getattr__, __dir__ = lazy_exports(__name__, {"build": "._build"})

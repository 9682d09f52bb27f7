"""What came out of a run, for a person: report.html, report.md, front.png, tables, and winners that timm loads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_exports

if TYPE_CHECKING:
    from ._build import build
    from ._overlay import overlay, summary_text
    from ._watch import watch
    from .overlaid import gather_runs

__all__ = ["build", "gather_runs", "overlay", "summary_text", "watch"]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "build": "._build",
        "gather_runs": ".overlaid",
        "overlay": "._overlay",
        "summary_text": "._overlay",
        "watch": "._watch",
    },
)

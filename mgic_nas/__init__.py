"""mgic_nas: neural architecture search over multigrid-in-channels (MGIC) networks.

Importing it registers the ``mgic_*`` names with timm (lazily: timm itself is not imported here).
"""

from __future__ import annotations

import importlib
from typing import Any

from ._registration import register_with_timm

__version__ = "0.1.0"

_API = {
    "profile": "mgic_nas.profiling",
    "mgicify": "mgic_nas.networks",
    "Cost": "mgic_nas.cost",
    "fuse": "mgic_nas.models.fusing",
    "SearchSpace": "mgic_nas.space",
    "search": "mgic_nas.run",
    "load_run": "mgic_nas.run",
    "create_model": "mgic_nas.networks",
    "load_winner": "mgic_nas.networks",
    "Run": "mgic_nas.run",
    "UserError": "mgic_nas.errors",
}

__all__ = ["__version__", *sorted(_API)]


def __getattr__(name: str) -> Any:
    if name in _API:
        return getattr(importlib.import_module(_API[name]), name)
    raise AttributeError(f"module 'mgic_nas' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_API})


register_with_timm()

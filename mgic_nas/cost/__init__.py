"""What a network costs: from its rows (fast), from its modules (truth).

The unit is MACs: multiply-accumulates of conv and linear layers for one image at a stated input size.
"""

from __future__ import annotations

import importlib
from typing import Any

_API = {
    "Cost": "._cost",
    "rows_cost": "._cost",
    "count": "._count",
    "create_model_line": "._names",
    "Family": "._family",
    "MgicifiedFamily": "._family",
    "family": "._family",
    "model_names": "._family",
    "network_names": "._networks",
    "in_timm": "._names",
    "image_latency": "._latency",
    "latency": "._latency",
    "literal": "._names",
    "profile": "._profile",
    "timed_on": "._latency",
    "timm_call": "._names",
}

__all__ = sorted(_API)


def __getattr__(name: str) -> Any:
    if name in _API:
        return getattr(importlib.import_module(_API[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

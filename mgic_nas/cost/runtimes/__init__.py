"""The runtimes that may run a trained network, and the time that it takes in them on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..._lazy import lazy_exports
from .registry import RUNTIMES, Prepared, Runtime

if TYPE_CHECKING:
    from .measure import prepare, runtime_latency, shipped_latency

__all__ = ["RUNTIMES", "Prepared", "Runtime", "prepare", "runtime_latency", "shipped_latency"]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "prepare": ".measure",
        "runtime_latency": ".measure",
        "shipped_latency": ".measure",
    },
)

"""What a network costs: from its rows (fast), from its modules (truth), on the clock.

The unit is MACs: multiply-accumulates of conv and linear layers for one image at a stated input size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_exports

if TYPE_CHECKING:
    from .latency import image_latency, timed_on
    from .rows_cost import Cost

__all__ = ["Cost", "image_latency", "timed_on"]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "Cost": ".rows_cost",
        "image_latency": ".latency",
        "timed_on": ".latency",
    },
)

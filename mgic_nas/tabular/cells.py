"""Numbers over seeds as the cells of a table."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable

#: (head, rows) -> the table as text
TableMaker = Callable[[list[str], list[list[str]]], str]


def middle(values: list[float]) -> str:
    """The median; a dash where that is infinite."""
    found = statistics.median(values)
    return f"{found:.0f}" if math.isfinite(found) else "-"


def spread(values: list[float]) -> str:
    """Median and quartiles: 124 (98-151)."""
    ordered = sorted(values)
    quarter, three = ordered[len(values) // 4], ordered[(3 * len(values)) // 4]
    return f"{middle(values)} ({_number(quarter)}-{_number(three)})"


def percent(share: float) -> str:
    """``95 %``."""
    return f"{100 * share:.0f} %"


def _number(value: float) -> str:
    return f"{value:.0f}" if math.isfinite(value) else "never"

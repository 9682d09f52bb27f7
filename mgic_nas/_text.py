"""Numbers, sizes and costs as people read them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

UNITS = {"macs": "MACs", "params": "params", "activations": "activations"}


def amount(number: float, digits: int = 4) -> str:
    """A rounded number with its unit: 2.412M."""
    if number > 0:
        number = round(number, digits - 1 - math.floor(math.log10(number)))
    for unit, power in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= power:
            return f"{number / power:.{max(digits, 4)}g}{unit}"
    return f"{number:.{max(digits, 4)}g}"


def size_text(input_size: Sequence[int]) -> str:
    """1x14x14."""
    return "x".join(map(str, input_size))


def cost_text(cost: object, kinds: Iterable[str], input_size: Sequence[int]) -> str:
    """The named costs with their units, MACs and activations with the input size that they hold for."""
    kinds = list(kinds)
    text = ", ".join(f"{amount(getattr(cost, kind))} {UNITS[kind]}" for kind in kinds)
    return text if kinds == ["params"] else f"{text} at {size_text(input_size)}"

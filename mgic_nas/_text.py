"""Numbers, costs, sizes, durations and lists as people read them: the one place where a text is made of them.

A count of MACs or activations never stands without the input size that it holds for: sentences take the size as an
argument, tables and axes carry it in their headings.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_UP, Decimal

UNITS = {"macs": "MACs", "params": "params", "activations": "activations"}
# A narrow no-break space, so that "0.98 M" is never torn apart at the end of a line.
THIN = "\u202f"
_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e5, "M"), (1e3, "k"))


def amount(number: float, digits: int = 4) -> str:
    """A rounded number with its unit: 2.412M."""
    if number > 0:
        number = round(number, digits - 1 - math.floor(math.log10(number)))
    for unit, power in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= power:
            return f"{number / power:.{max(digits, 4)}g}{unit}"
    return f"{number:.{max(digits, 4)}g}"


def count(number: float | None, *, strip: bool = False) -> str:
    """A large count with three significant digits: ``0.260 M``, ``41.1 M``, ``7.80 G``; a dash for None.

    Args:
        number: what to print. From 100,000 upwards in millions, as this field writes its tables.
        strip: drop trailing zeros (``0.5 M``), for budgets that a person typed.
    """
    if number is None or math.isnan(number):
        return "–"
    for threshold, prefix in _PREFIXES:
        if abs(number) >= threshold * (1 - 5e-4):
            scaled = number / (1e6 if prefix == "M" else threshold)
            return f"{_three_digits(scaled, strip)}{THIN}{prefix}"
    return f"{number:,.0f}" if float(number).is_integer() else _three_digits(number, strip)


def _three_digits(value: float, strip: bool) -> str:
    if value == 0:
        return "0"
    value = float(f"{value:.3g}")  # first, or 0.9996 would keep the decimals of a number below one
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if strip and "." in text else text


def mega(number: float) -> str:
    """A count in millions with three significant digits, without the unit."""
    return f"{number / 1e6:.3g}" if number < 999.5e6 else f"{number / 1e6:.0f}"


def fixed(value: float, decimals: int = 1) -> str:
    """The rounding of every accuracy and difference that a person reads: to the nearest, halves away from zero.

    So 81.25 is 81.3 and 82.85 is 82.9, as on paper; Python's own formatting makes 81.2 and 82.8 of them, the one
    because it rounds halves to even, the other because 82.85 has no exact binary form.
    """
    return str(Decimal(f"{value:.12g}").quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP))


def percent(value: float | None, *, decimals: int = 1) -> str:
    """``81.3 %``; a dash for None."""
    return "–" if value is None or math.isnan(value) else f"{fixed(value, decimals)}{THIN}%"


def measured(value: float | None, error: float | None, *, decimals: int = 1) -> str:
    """An accuracy with its standard error: ``81.3 ± 1.0 %``."""
    if value is None or math.isnan(value):
        return "–"
    if error is None:
        return percent(value, decimals=decimals)
    return f"{fixed(value, decimals)} ± {fixed(error, decimals)}{THIN}%"


def standard_error(acc: float | None, images: int | None) -> float | None:
    """The binomial standard error, in percent, of an accuracy measured on ``images`` images.

    Where none or all are right that would be 0, as if it were certain: one right and one wrong image are added then.
    """
    if acc is None or not images or math.isnan(acc):
        return None
    p = min(max(acc / 100, 0.0), 1.0)
    if p in (0.0, 1.0):
        p, images = (p * images + 1) / (images + 2), images + 2
    return 100 * math.sqrt(p * (1 - p) / images)


def duration(seconds: float | None) -> str:
    """``48 s``, ``12.5 min``, ``3 h 20 min``, ``2 d 4 h``."""
    if seconds is None or math.isnan(seconds):
        return "–"
    if seconds < 90:
        return f"{seconds:.0f}{THIN}s" if seconds >= 10 else f"{seconds:.1f}{THIN}s"
    minutes = seconds / 60
    if minutes < 90:
        return f"{minutes:.0f}{THIN}min" if minutes >= 10 else f"{minutes:.1f}{THIN}min"
    hours, rest = divmod(round(minutes), 60)
    if hours < 48:
        return f"{hours}{THIN}h {rest}{THIN}min" if rest else f"{hours}{THIN}h"
    days, hours = divmod(hours, 24)
    return f"{days}{THIN}d {hours}{THIN}h" if hours else f"{days}{THIN}d"


def rough_duration(seconds: float) -> str:
    """``41 s``, ``12 min``, ``3 h 20 min``: for an estimate, in whole minutes."""
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


NO_INPUT = (1, 1, 1)  # of settings that are no network's: their cost is what a function says


def size_text(input_size: Iterable[int], sign: str = "x") -> str:
    """``1x14x14`` for (1, 14, 14); reports write ``1×14×14``. Costs that no input has are at ``its own count``."""
    size = tuple(input_size)
    return "its own count" if size == NO_INPUT else sign.join(map(str, size))


def cost_text(cost: object, kinds: Iterable[str], input_size: Sequence[int]) -> str:
    """The named costs with their units, MACs and activations with the input size that they hold for."""
    kinds = list(kinds)
    text = ", ".join(f"{amount(getattr(cost, kind))} {UNITS[kind]}" for kind in kinds)
    return text if kinds == ["params"] else f"{text} at {size_text(input_size)}"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table: the first column to the left, the others to the right, two spaces apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.rjust(w) if i else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True)))
        for row in rows
    ]


def plural(number: int, singular: str, several: str | None = None) -> str:
    """``1 network``, ``24 networks``, ``no network``."""
    if number == 0:
        return f"no {singular}"
    return f"{number:,} {singular if number == 1 else several or singular + 's'}"


def listed(words: Iterable[str], last: str = "and") -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    items = list(words)
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {last} {items[-1]}"


def scalar(value: object) -> str:
    """A parameter's value as people write it: ``0.5``, ``basic``, ``True``, ``[0.5, 1]``."""
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(scalar(item) for item in value)}]"
    return str(value)


def one_line(text: str | None, limit: int = 160) -> str:
    """The last non-empty line of an error: where Python puts the exception itself. Long ones are cut."""
    lines = [line.strip() for line in (text or "").splitlines() if line.strip()]
    if not lines:
        return ""
    return lines[-1] if len(lines[-1]) <= limit else lines[-1][: limit - 1] + "…"


def round_unit(span: float) -> float:
    """The power of ten for marginal gains: ``the next million`` where the front spans a few millions."""
    return 10.0 ** math.floor(math.log10(span)) if span > 0 else 1e6


def unit_name(unit: float) -> str:
    """``million`` for 1e6, ``10 million`` for 1e7, ``100 thousand`` for 1e5: for a sentence."""
    for power, name in ((12, "trillion"), (9, "billion"), (6, "million"), (3, "thousand")):
        if unit >= 10.0**power * 0.999:
            many = round(unit / 10.0**power)
            return name if many == 1 else f"{many} {name}"
    return f"{unit:.0f}"

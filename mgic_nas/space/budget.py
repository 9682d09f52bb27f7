"""Budgets as people write them: ``5M``, ``params=1M``, ``latency=5ms``, ``latency-onnxruntime-b8=5ms``."""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from ..cost.runtimes.kinds import LATENCY, csv_stem, is_latency, runtime_kind
from ..cost.runtimes.registry import RUNTIMES
from ..errors import UserError, did_you_mean

if TYPE_CHECKING:
    from ..cost import Cost

COUNTS = ("macs", "params", "activations")  # known exactly before anything is trained
KINDS = (*COUNTS, LATENCY)  # latency is measured, in seconds; it has further kinds, see :mod:`..cost.runtimes.kinds`

_FORM = re.compile(
    r"\s*(?:(?P<kind>[A-Za-z_][A-Za-z0-9_-]*)\s*=)?\s*"
    r"(?P<number>[+-]?(?:[0-9][0-9_]*\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*(?P<unit>[A-Za-zµμ]*)\s*"
)
_COUNT_UNITS = {"": 0, "k": 3, "K": 3, "M": 6, "G": 9, "g": 9, "T": 12}  # powers of ten
_TIME_UNITS = {"s": 0, "ms": -3, "us": -6, "µs": -6, "μs": -6}


@dataclass(frozen=True)
class Budget:
    """An upper limit on one kind of cost. Two budgets are equal where kind and limit are.

    Attributes:
        kind: ``macs``, ``params``, ``activations`` (counts); ``latency``, ``latency-<runtime>`` with ``-b8`` for a
            batch and ``-t2`` for threads, or ``latency-<stem of a csv>`` (see :func:`refuse_unnamed`).
        limit: the largest cost that still fits: a count, or **seconds** for a latency (of a whole batch).
        text: what the user wrote, for messages.
    """

    kind: str
    limit: float
    text: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not is_latency(self.kind) and self.kind not in COUNTS:
            hint = " (macs are multiply-accumulates; a FLOP count is about twice that)" if "flop" in self.kind else ""
            raise UserError(f"Unknown budget {self.kind!r}{hint}.{did_you_mean(self.kind, KINDS)}")
        if is_latency(self.kind):
            runtime_kind(self.kind)  # refuses other spellings
        least = 1 if self.kind in COUNTS else 0
        if not (math.isfinite(self.limit) and self.limit >= least and self.limit > 0):
            raise UserError(f"Budget {self.text or self.limit!r}: a limit must be finite and above zero.")
        object.__setattr__(self, "limit", float(self.limit))

    @property
    def label(self) -> str:
        """The one canonical way to write this budget: ``0.5M``, ``params=1M``, ``latency=5ms``.

        ``parse_budget(label)`` gives an equal budget back, and the label is a safe file name.
        """
        exact = Decimal(repr(self.limit))
        if is_latency(self.kind):
            return f"{self.kind}={_plain(exact.scaleb(3))}ms"
        amount = _plain(exact)
        for unit, power, least in (("T", 12, 12), ("G", 9, 9), ("M", 6, 5), ("k", 3, 3)):
            if exact >= Decimal(10) ** least:
                amount = _plain(exact.scaleb(-power)) + unit
                break
        return amount if self.kind == "macs" else f"{self.kind}={amount}"

    def fits(self, cost: Cost) -> bool:
        """Whether a counted cost is within this budget; a latency budget has to be measured and says True."""
        return is_latency(self.kind) or getattr(cost, self.kind) <= self.limit

    def __str__(self) -> str:
        return self.label


def parse_budget(value: str | float | Budget) -> Budget:
    """A :class:`Budget` from ``"5M"``, ``"500k"``, ``"5e6"``, ``5e6`` (MACs), ``"params=1M"``, ``"latency=5ms"``.

    Units of counts are k, M, G and T (powers of 1,000); of latencies s, ms and us.
    UserError for what is no number, has no known unit or kind, or is not above zero.
    """
    if isinstance(value, Budget):
        return value
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        return Budget("macs", float(value), text=str(value))
    match = _FORM.fullmatch(value) if isinstance(value, str) else None
    if match is None or not isinstance(value, str):
        raise UserError(f"Budget {value!r} is not a budget: write 5M (MACs), params=1M, activations=2M or latency=5ms.")
    kind, unit = (match["kind"] or "macs").lower(), match["unit"]
    if is_latency(kind):
        if unit not in _TIME_UNITS:
            raise UserError(f"Budget {value!r}: give the unit of a latency as s, ms or us, as in latency=5ms.")
        power = _TIME_UNITS[unit]
    else:
        if unit not in _COUNT_UNITS:
            hint = "time is written latency=5ms" if unit in _TIME_UNITS else "write k, M, G or T, as in 5M"
            raise UserError(f"Budget {value!r}: unknown unit {unit!r}: {hint}.")
        power = _COUNT_UNITS[unit]
    return Budget(kind, float(Decimal(match["number"]).scaleb(power)), text=value.strip())


def parse_budgets(values: Iterable[str | float | Budget]) -> tuple[Budget, ...]:
    """Every budget once, MACs first, each kind from the smallest limit to the largest."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise UserError(f"budgets must be a list such as ['5M', 'params=1M'], not {values!r}.")
    return tuple(sorted(set(map(parse_budget, values)), key=lambda b: (*_order(b.kind), b.limit)))


def _order(kind: str) -> tuple[int, str]:
    return (KINDS.index(kind), kind) if kind in KINDS else (len(KINDS), kind)


def latency_kinds(budgets: Iterable[Budget]) -> tuple[str, ...]:
    """The kinds of latency that budgets are on, each once, in their order."""
    return tuple(dict.fromkeys(budget.kind for budget in budgets if is_latency(budget.kind)))


def refuse_unnamed(kinds: Iterable[str], stems: Iterable[str] = ()) -> None:
    """UserError for a kind of latency that is neither a runtime's nor named by the csv of some ``stems``."""
    known = {*stems}
    for kind in kinds:
        stem = csv_stem(kind)
        if stem is not None and stem not in known:
            raise UserError(
                f"Unknown budget {kind!r}: neither a runtime nor a csv of measurements (--latencies {stem}.csv) has "
                f"that name.{did_you_mean(stem, [*RUNTIMES, *known])}"
            )


def hard_limits(budgets: Iterable[Budget]) -> dict[str, float]:
    """The largest limit of each kind: what no trained network may exceed. Smaller budgets only choose winners."""
    limits: dict[str, float] = {}
    for budget in budgets:
        limits[budget.kind] = max(budget.limit, limits.get(budget.kind, 0.0))
    return limits


def within(cost: Cost, limits: Mapping[str, float]) -> bool:
    """Whether the counted costs are within ``limits`` (kind -> limit). Latency is not counted, so not asked."""
    return all(is_latency(kind) or getattr(cost, kind) <= limit for kind, limit in limits.items())


def _plain(number: Decimal) -> str:
    return format(number.normalize(), "f")

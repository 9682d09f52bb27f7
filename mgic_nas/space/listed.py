"""A space of listed settings, whose costs are looked up."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..cost import Cost
from ..errors import UserError, did_you_mean
from ..families.base import digest
from .budget import COUNTS
from .conditions import Scalar, Values
from .parameters import InputSize


class ListedSpace:
    """Listed settings as a :class:`~mgic_nas.space.Space`: nothing else can be chosen, and costs are looked up."""

    def __init__(self, name: str, params: dict[str, tuple[Scalar, ...]], rows: Sequence[Values], costs: Sequence[Cost]):
        self.model = self.source = name
        self.params = params
        self.size = len(rows)
        self._rows = rows
        self._costs = dict(zip(rows, costs))
        self._own = {name: {value: value for value in values} for name, values in params.items()}  # 8.0 is 8

    @classmethod
    def from_arrays(cls, settings: Any, costs: Any) -> ListedSpace:
        """The space of n settings with known costs.

        Args:
            settings: a list of n dicts with the same keys, or a dict of n values each (a DataFrame's columns too).
                Values are numbers, texts, True, False or None.
            costs: n numbers, the MACs or whatever takes their place; or a dict of ``macs`` and, where they are known,
                ``params`` and ``activations``.

        Raises:
            UserError: lengths that differ, a setting twice, a value that is none, a parameter with True beside 1 (or
                False beside 0), or a cost below 1.
        """
        names, rows = _rows(settings)
        for column, name in enumerate(names):
            _refuse_mixed(name, [row[column] for row in rows])
        first: dict[Values, int] = {}
        for at, row in enumerate(rows):
            if first.setdefault(row, at) != at:
                raise UserError(f"settings {first[row]} and {at} are the same, {dict(zip(names, row))}: keep one.")
        params = {name: _distinct(row[column] for row in rows) for column, name in enumerate(names)}
        return cls("settings", params, rows, _costs(costs, len(rows)))

    def is_range(self, name: str) -> bool:
        return False

    def bounds(self, name: str) -> tuple[float, float, float]:
        raise UserError(f"{name} is no range")

    def allows(self, setting: Mapping[str, Scalar]) -> bool:
        return self.allows_values(self._values(setting))

    def arch_id(self, setting: Mapping[str, Scalar]) -> str:
        return self.arch_id_values(self._values(setting))

    def config(self, setting: Mapping[str, Scalar]) -> dict[str, Any]:
        return dict(setting)

    def cost(self, setting: Mapping[str, Scalar], input_size: InputSize, num_classes: int) -> Cost:
        return self.cost_values(self._values(setting), input_size, num_classes)

    def enumerate_values(self) -> Iterator[tuple[int, Values]]:
        return enumerate(self._rows)

    def values_at(self, number: int) -> Values:
        return self._rows[number]

    def sample_values(self, rng: random.Random) -> Values:
        return rng.choice(self._rows)

    def allows_values(self, values: Values) -> bool:
        return tuple(values) in self._costs

    def canonical_values(self, values: Values) -> Hashable:
        return tuple(values)

    def arch_id_values(self, values: Values) -> str:
        return digest([self._own[name].get(value, value) for name, value in zip(self.params, values)])

    def cost_values(self, values: Values, input_size: InputSize, num_classes: int) -> Cost:
        if (cost := self._costs.get(tuple(values))) is None:
            raise UserError(f"{dict(zip(self.params, values))} is none of the {self.size:,} settings that are listed.")
        return cost

    def _values(self, setting: Mapping[str, Scalar]) -> Values:
        if missing := [name for name in self.params if name not in setting]:
            raise UserError(f"a setting lacks {', '.join(missing)}: {dict(setting)}.")
        return tuple(setting[name] for name in self.params)


def _rows(settings: Any) -> tuple[list[str], list[tuple[Scalar, ...]]]:
    """The names, and the values of each setting in their order."""
    if isinstance(settings, Mapping) or hasattr(settings, "columns"):
        if twice := [name for name, count in Counter(map(str, settings)).items() if count > 1]:
            raise UserError(f"settings has the column {twice[0]!r} twice: keep one.")
        columns = {str(name): [_scalar(name, v) for v in _column(name, settings[name])] for name in settings}
        lengths = {name: len(column) for name, column in columns.items()}
        if len(set(lengths.values())) > 1:
            raise UserError(f"settings has columns of different lengths: {lengths}.")
        names, rows = list(columns), [tuple(row) for row in zip(*columns.values())]
    else:
        given = [dict(setting) for setting in settings] if _all_mappings(settings) else None
        if given is None:
            raise UserError("settings must be a list of dicts, or a dict of columns, such as {'width': [16, 32]}.")
        names = list(map(str, given[0])) if given else []
        for at, setting in enumerate(given):
            if setting.keys() != given[0].keys():
                odd = sorted(map(str, setting.keys() ^ given[0].keys()))
                raise UserError(f"setting {at} has other parameters than setting 0: {', '.join(odd)}.")
        rows = [tuple(_scalar(name, setting[name]) for name in given[0]) for setting in given]
    if not names or not rows:
        raise UserError("settings is empty: there is nothing to choose from.")
    return names, rows


def _column(name: Any, values: Any) -> Iterable[Any]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise UserError(f"settings: {name} must be a list of values, one for each setting, not {values!r}.")
    return values


def _all_mappings(settings: Any) -> bool:
    sized = isinstance(settings, Sequence) and not isinstance(settings, str)
    return sized and all(isinstance(setting, Mapping) for setting in settings)


def _scalar(name: Any, value: Any) -> Scalar:
    value = value.item() if isinstance(value, np.generic) else value
    if value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and np.isfinite(value)):
        return value
    raise UserError(
        f"settings: {name} holds {str(value)[:40]!r}, which is no finite number, text, True, False or None."
    )


def _distinct(values: Iterator[Scalar]) -> tuple[Scalar, ...]:
    """Each once and in an order that is their own: numbers ascending, others by kind and text."""
    found = list(dict.fromkeys(values))
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in found)
    if numbers:
        return tuple(sorted(found))  # type: ignore[type-var]
    return tuple(sorted(found, key=lambda value: (type(value).__name__, str(value))))


def _refuse_mixed(name: str, column: Sequence[Scalar]) -> None:
    """True is 1 to Python, and False 0: which of them a trial had could not be told."""
    for flag in (True, False):
        if any(value is flag for value in column) and any(type(v) is not bool and v == flag for v in column):
            raise UserError(f"settings: {name} holds {flag} and {int(flag)}, which are equal: write them alike.")


def _costs(costs: Any, count: int) -> list[Cost]:
    given = costs if isinstance(costs, Mapping) else {"macs": costs}
    for kind in given:
        if kind not in COUNTS:
            raise UserError(f"costs: unknown kind {kind!r}.{did_you_mean(str(kind), COUNTS)}")
    if "macs" not in given:
        raise UserError("costs lacks macs: the first objective is against them.")
    columns: dict[str, list[Any]] = {}
    for kind, values in given.items():
        try:
            column = np.asarray(values, dtype=float)
        except (TypeError, ValueError):
            raise UserError(f"costs: {kind} holds something that is no number.") from None
        if column.shape != (count,):
            raise UserError(
                f"costs: {kind} must be {count} numbers, one for each setting, not of shape {column.shape}."
            )
        if wrong := np.flatnonzero(~(np.isfinite(column) & (column >= 1))).tolist():
            value = column[wrong[0]]
            mend = "take a smaller unit" if 0 < value < 1 else "give it a number from 1 up"
            raise UserError(f"costs: {kind} of setting {wrong[0]} is {value:g}: a cost is 1 or more; {mend}.")
        columns[kind] = [int(value) if value.is_integer() else value for value in column.tolist()]
    macs, params, activations = (columns.get(kind, [1] * count) for kind in COUNTS)
    return [Cost(m, m, p, a) for m, p, a in zip(macs, params, activations)]

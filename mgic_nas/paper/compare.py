"""The paper's numbers beside ours: what is counted, what is recorded, and by how much they differ."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from .._files import read_csv
from ..errors import UserError
from .tables import TABLES, Line, Table, Trained

if TYPE_CHECKING:
    from ..cost import Cost

_UNITS = {"K": 1e3, "M": 1e6, "G": 1e9}


@dataclass(frozen=True)
class Measured:
    """An accuracy that was recorded here: the mean over ``runs`` trainings, from ``file``."""

    value: float
    runs: int
    file: str


@dataclass(frozen=True)
class Compared:
    """A line of the paper with our cost (None where there is nothing to count)."""

    line: Line
    cost: Cost | None
    measured: Measured | None

    @property
    def differences(self) -> dict[str, float]:
        """ours / paper - 1 of "params", "macs" and "macs_without_transfers", as far as both are there."""
        if self.cost is None:
            return {}
        paper = {"params": quantity(self.line.params), "macs": quantity(self.line.macs)}
        paper["macs_without_transfers"] = paper["macs"]
        return {name: getattr(self.cost, name) / value - 1 for name, value in paper.items() if value}


@dataclass(frozen=True)
class ComparedTable:
    """A table of the paper, compared; ``groups`` are (heading, lines).

    ``smaller`` holds, by a line's name, what smaller trainings of the same form gave (``table.trained.about``).
    """

    table: Table
    groups: tuple[tuple[str, tuple[Compared, ...]], ...]
    smaller: Mapping[str, Measured] = field(default_factory=dict)


def quantity(text: str) -> float | None:
    """ "15.1 M" as 15.1e6, "3,328" as 3328.0, "" as None."""
    if not text:
        return None
    number, _, unit = text.replace(",", "").partition(" ")
    return float(number) * (_UNITS[unit] if unit else 1)


def compare(numbers: Sequence[str] = (), runs: str | Path = "runs") -> list[ComparedTable]:
    """Counts the networks of the tables ``numbers`` (all of them where none is named), in the order given.

    Args:
        numbers: of tables.
        runs: folder of recorded trainings; what it lacks is left out.

    Raises:
        UserError: a number that names no table here.
    """
    for number in numbers:
        if number not in TABLES:
            raise UserError(f"There is no table {number} here; there are {', '.join(TABLES)}.")
    return [_table(TABLES[number], Path(runs)) for number in dict.fromkeys(numbers or TABLES)]


def _table(table: Table, runs: Path) -> ComparedTable:
    trained = table.trained
    measured = {} if trained is None else _measured(trained, runs)
    alike = {} if trained is None or trained.about else measured
    groups = tuple(
        (heading, tuple(_compared(table, line, alike.get(line.name)) for line in lines))
        for heading, lines in table.groups
    )
    return ComparedTable(table, groups, {} if alike else measured)


def _compared(table: Table, line: Line, measured: Measured | None) -> Compared:
    from .count import network_cost  # torch and timm, which a table without networks does not need

    cost = network_cost(line.network, line.config, table.input_size, table.num_classes) if line.network else None
    return Compared(line, cost, measured)


def _measured(trained: Trained, runs: Path) -> dict[str, Measured]:
    """What is recorded of a table's lines, by their names."""
    path = runs / trained.file
    scores: dict[str, list[float]] = {}
    try:
        for row in read_csv(path):
            if row.get(trained.column):
                scores.setdefault(row.get(trained.by, ""), []).append(float(row[trained.column]))
        if not all(math.isfinite(score) for found in scores.values() for score in found):
            raise ValueError(f"a {trained.column} is not finite")
    except OSError:
        return {}
    except ValueError as error:
        raise UserError(f"{path} cannot be read: {error}.") from None
    return {
        line: Measured(fmean(scores[name]), len(scores[name]), trained.file)
        for line, name in trained.rows.items()
        if name in scores
    }

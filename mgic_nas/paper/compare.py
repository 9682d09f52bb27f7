"""The paper's numbers beside ours: what is counted, what is recorded, and by how much they differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from .._files import read_csv
from ..errors import UserError
from .tables import TABLES, Line, Recorded, Table

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
    """A table of the paper, compared; ``groups`` are (heading, lines)."""

    table: Table
    groups: tuple[tuple[str, tuple[Compared, ...]], ...]


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
    chosen = [TABLES[number] for number in dict.fromkeys(numbers or TABLES)]
    return [
        ComparedTable(
            table,
            tuple(
                (title, tuple(_compared(table, line, Path(runs)) for line in lines)) for title, lines in table.groups
            ),
        )
        for table in chosen
    ]


def _compared(table: Table, line: Line, runs: Path) -> Compared:
    from .count import network_cost  # torch and timm, which a table without networks does not need

    cost = network_cost(line.network, line.config, table.input_size, table.num_classes) if line.network else None
    return Compared(line, cost, _measured(line.recorded, runs) if line.recorded else None)


def _measured(recorded: Recorded, runs: Path) -> Measured | None:
    path = runs / recorded.file
    try:
        values = [
            float(row[recorded.column])
            for row in read_csv(path)
            if all(row.get(name) == value for name, value in recorded.match.items()) and row.get(recorded.column)
        ]
        if not all(map(math.isfinite, values)):
            raise ValueError(f"a {recorded.column} is not finite")
    except OSError:
        return None
    except ValueError as error:
        raise UserError(f"{path} cannot be read: {error}.") from None
    return Measured(fmean(values), len(values), recorded.file) if values else None

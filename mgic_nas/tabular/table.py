"""A recorded table: every architecture of a space trained to the end with several seeds, epoch by epoch.

A search can be simulated in it without training: :mod:`.recording` makes it, :mod:`.replay` searches in it. In its
folder::

    table.yaml          the space, the data, the budgets, the recipe, the epochs, versions
    architectures.csv   one row an architecture: arch_id, p.<every parameter>, its costs; the cheapest first
    curves.csv          one row an epoch of a training: arch_id, seed (0, 1, ... of the table), epoch, its metrics
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from .._files import read_csv, write_atomic, write_csv
from ..engine.storage import recorded
from ..engine.storage.trial import COSTS
from ..errors import UserError
from ..families.registry import family
from ..space.search_space import SearchSpace

Array = NDArray[np.float64]

TABLE_YAML, ARCHITECTURES_CSV, CURVES_CSV = "table.yaml", "architectures.csv", "curves.csv"
FORMAT = 1
CURVE = ("train_loss", "val_acc", "val_loss", "lr", "seconds", "cpu_seconds")
COLUMNS = ("arch_id", "seed", "epoch", *CURVE, "peak_memory_mb", "device")

_FEWEST = 2  # architectures, of which one can be better than the other

# What every training of a table shares; a table that differs in one of them is another table.
_SHARED = ("space", "data.fingerprint", "epochs", "recipe")


@dataclass(frozen=True)
class TableConfig:
    """How a table is made: plain values, written to table.yaml.

    Attributes:
        space: as ``SearchSpace.to_dict()`` gives it.
        data: ``spec``, ``fingerprint`` and the other fields of ``tasks.DataInfo``.
        budgets: labels; only architectures within the largest of each kind are in the table. May grow, so that none
            is left out.
        epochs, recipe: of every training.
        machine: what trained it, for people.
    """

    space: dict[str, Any]
    data: dict[str, Any]
    budgets: list[str]
    epochs: int
    recipe: dict[str, Any]
    machine: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    created: str = ""
    format: int = FORMAT

    @property
    def input_size(self) -> tuple[int, int, int]:
        channels, height, width = self.data["input_size"]
        return channels, height, width

    @property
    def num_classes(self) -> int:
        return int(self.data["num_classes"])

    def save(self, folder: Path) -> None:
        text = yaml.safe_dump(dataclasses.asdict(self), sort_keys=False, allow_unicode=True, width=100)
        write_atomic(folder / TABLE_YAML, text)

    @classmethod
    def load(cls, folder: str | Path) -> TableConfig:
        """UserError where ``folder`` holds no table."""
        try:
            return recorded.load(cls, Path(folder) / TABLE_YAML, "a table", FORMAT, _RULES)
        except (FileNotFoundError, NotADirectoryError):
            raise UserError(f"{folder} is not a recorded table: it has no {TABLE_YAML}.") from None

    def refuse_other(self, new: TableConfig, folder: Path) -> None:
        """UserError, naming the field, where ``new`` would put trainings of another kind into this table."""
        for name in _SHARED:
            before, after = (_at(dataclasses.asdict(config), name) for config in (self, new))
            if before != after:
                raise UserError(
                    f"{folder} is a table with another {name} ({_short(before)}, not {_short(after)}): name another "
                    "folder. Only seeds and budgets may grow."
                )


_RULES = (
    *recorded.SPACE_AND_DATA,
    ("budgets", recorded.TEXTS),
    ("epochs", recorded.WHOLE),
    ("recipe", recorded.MAPPING),
    ("versions", recorded.MAPPING),
    *((name, recorded.TEXT) for name in ("machine", "created")),
)


@dataclass(frozen=True)
class Architecture:
    """One row of architectures.csv. ``setting`` is the space's; ``cost`` has the four counts."""

    arch_id: str
    setting: dict[str, Any]
    cost: Mapping[str, float]


class Table:
    """A recorded table, read from its folder.

    Attributes:
        config: how it was made.
        space: its search space.
        architectures: A of them, the cheapest first: those that have a whole training.
        seeds: S of them.
        notes: what was left out: one line each.
        unfinished: how many architectures of all are trained, for messages; empty where all are.

    Raises:
        UserError: no table there, an unreadable one, or one of which too little is trained.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.name = self.folder.name
        self.config = TableConfig.load(folder)
        self.space = SearchSpace.from_recorded(self.config.space, source=str(self.folder / TABLE_YAML))
        everything = _read_architectures(self.folder, self.space)
        curves = read_curves(self.folder, self.config.epochs)
        trained = {arch_id for (arch_id, _), rows in curves.items() if rows[-1]["val_acc"]}
        self.architectures = [a for a in everything if a.arch_id in trained]
        if not self.architectures:
            raise UserError(f"{folder} holds no training yet: go on with `mgic-nas record`.")
        self._rows = {key: rows for key, rows in curves.items() if key[0] in self.index}
        self.seeds = 1 + max(seed for _, seed in self._rows)
        self.notes: list[str] = []
        self.unfinished = ""
        if left_out := len(everything) - len(self.architectures):
            number = len(self.architectures)
            self.unfinished = f"{number} of {len(everything)} architectures {'is' if number == 1 else 'are'} trained"
            if number < _FEWEST:
                raise UserError(f"{folder}: {self.unfinished}: go on with `mgic-nas record`.")
            self.notes.append(
                f"left out: {left_out} of {len(everything)} architectures, without a whole training; `mgic-nas record` "
                "goes on with them"
            )

    @cached_property
    def index(self) -> dict[str, int]:
        """arch_id -> row of the arrays."""
        return {a.arch_id: i for i, a in enumerate(self.architectures)}

    def arch_id(self, config: Mapping[str, Any]) -> str:
        """Of a job's configuration: several settings may lead to one architecture."""
        return family(self.space.model).arch_id(config)

    def cost(self, kind: str) -> Array:
        """float64 (A,), one of :data:`COSTS`."""
        return np.array([a.cost[kind] for a in self.architectures], dtype=float)

    def curves(self, column: str) -> Array:
        """float64 (A, S, epochs), NaN where a training is not recorded. ``column``: val_acc, val_loss, seconds, ..."""
        found = np.full((len(self.architectures), self.seeds, self.config.epochs), np.nan)
        for (arch_id, seed), rows in self._rows.items():
            if arch_id in self.index:
                found[self.index[arch_id], seed] = [float(row[column] or "nan") for row in rows]  # read_curves knows
        return found

    @property
    def missing(self) -> list[tuple[str, int]]:
        """(arch_id, seed) of the trainings that a complete table would have."""
        pairs = ((a.arch_id, seed) for seed in range(self.seeds) for a in self.architectures)
        return [pair for pair in pairs if pair not in self._rows]

    def machines(self) -> dict[str, int]:
        """device -> number of trainings."""
        counts: dict[str, int] = {}
        for rows in self._rows.values():
            counts[rows[-1]["device"]] = counts.get(rows[-1]["device"], 0) + 1
        return counts


def read_curves(folder: Path, epochs: int) -> dict[tuple[str, int], list[dict[str, str]]]:
    """(arch_id, seed) -> the rows of its epochs; incomplete trainings are left out. UserError where it is no csv."""
    path = folder / CURVES_CSV
    found: dict[tuple[str, int], list[dict[str, str]]] = {}
    try:
        rows = read_csv(path)
        for row in rows:
            if row.get("device"):  # the last column: absent from a torn line
                seed = int(row["seed"])
                if not 0 <= seed < len(rows):  # they are numbered from 0 on
                    raise ValueError(f"seed {seed}")
                for column in (*CURVE, "peak_memory_mb"):
                    if not math.isfinite(float(row[column] or "0")):
                        raise ValueError(f"{column} {row[column]}")
                found.setdefault((row["arch_id"], seed), []).append(row)
        whole = {key: group for key, group in found.items() if len(group) == epochs}
        return {key: group for key, group in whole.items() if all(int(r["epoch"]) == e for e, r in enumerate(group, 1))}
    except FileNotFoundError:
        return {}
    except (OSError, KeyError, ValueError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> UserError:
    reason = f"it has no {error}" if isinstance(error, KeyError) else getattr(error, "strerror", None) or error
    return UserError(f"{path} cannot be read: {reason}; is the table whole?")


def write_curves(folder: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes curves.csv, whole or not at all."""
    write_csv(folder / CURVES_CSV, COLUMNS, rows)


def write_architectures(folder: Path, architectures: Sequence[Architecture]) -> None:
    """Writes architectures.csv, whole or not at all."""
    rows = [{"arch_id": a.arch_id, **{f"p.{k}": v for k, v in a.setting.items()}, **a.cost} for a in architectures]
    columns = ["arch_id", *(f"p.{name}" for name in architectures[0].setting), *COSTS]
    write_csv(folder / ARCHITECTURES_CSV, columns, rows)


def recorded_ids(folder: Path) -> set[str]:
    """The arch_ids in architectures.csv; none where it cannot be read: it is written again then."""
    try:
        return {row["arch_id"] for row in read_csv(folder / ARCHITECTURES_CSV)}
    except (OSError, KeyError, ValueError):
        return set()


def _read_architectures(folder: Path, space: SearchSpace) -> list[Architecture]:
    """The values of settings are the space's own, so that they keep their types."""
    path = folder / ARCHITECTURES_CSV
    try:
        rows = read_csv(path)
        values = {name: {str(value): value for value in grid} for name, grid in space.params.items()}
        return [
            Architecture(
                row["arch_id"],
                {name: by_text[row[f"p.{name}"]] for name, by_text in values.items()},
                {kind: _cost(row[kind]) for kind in COSTS},
            )
            for row in rows
        ]
    except (OSError, KeyError, ValueError) as error:
        raise _unreadable(path, error) from None


def _cost(text: str) -> int:
    if (value := int(text)) < 1:
        raise ValueError(f"a cost of {value}")
    return value


def _at(values: Mapping[str, Any], dotted: str) -> Any:
    for key in dotted.split("."):
        values = values[key]
    return values


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."

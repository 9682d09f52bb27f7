"""Tables of other people: one row an architecture, with its settings, its costs and the accuracy of each training.

A csv (also compressed) or parquet file is read as it lies where its columns say what they are:

- ``macs`` (or ``flops``), ``params``, ``activations``: costs, of which MACs must be there
- ``acc``, ``val_acc``, ``test_acc``, ``accuracy``, also with a number behind (``acc.0``, ``acc.1``): percent, one
  column a training; empty where there is none. A list in a cell, ``[41.0, 55.2, 60.1]``, is the curve of a training
- every other column but ``arch_id``: a setting, one of several choices

What that makes of a file is said. A YAML beside the file says it otherwise::

    name: NAS-Bench-Macro
    file: nas_bench_macro_cifar10.csv.gz     # beside this file
    settings: [layer0, layer1, layer2]       # default: every other column
    ordered: [width]                         # of these, numbers whose order counts
    costs: {macs: flops, params: parameters} # cost -> column
    accuracies: [acc.0, acc.1]               # columns
    unit: percent                            # or share, for accuracies from 0 to 1
    input_size: [3, 32, 32]
    source: where it comes from
    licence: what may be done with it
"""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..cost import Cost
from ..engine.storage import recorded
from ..engine.storage.trial import COSTS
from ..errors import UserError, did_you_mean
from ..families.base import digest
from ..space.conditions import Scalar, Values
from ..space.parameters import InputSize
from .table import Architecture, Array, TableConfig

SUFFIXES = (".csv", ".csv.gz", ".csv.xz", ".csv.bz2", ".csv.zst", ".parquet")
YAMLS = (".yaml", ".yml")
_COST_COLUMNS = {"macs": ("macs", "flops"), "params": ("params", "parameters"), "activations": ("activations",)}
_ACCURACY = re.compile(r"(val_|valid_|test_)?acc(uracy)?([._-]?\d+)?", re.IGNORECASE)
_NO_SETTING = ("arch_id", "index", "unnamed: 0")
_MOST_ROWS = 1_000_000
_FIELDS = (
    "name", "file", "settings", "ordered", "costs", "accuracies", "unit", "input_size", "source", "licence",
)  # fmt: skip


@dataclass(frozen=True)
class Description:
    """What the columns of a file are.

    Attributes:
        name: of the table.
        file: the csv or parquet.
        settings: columns, each a parameter.
        ordered: of these, those whose values are numbers that are near each other or far.
        costs: one of ``macs``, ``params``, ``activations`` -> column.
        accuracies: columns, one a training.
        share: accuracies go from 0 to 1, not to 100.
        input_size: (C, H, W) that MACs are counted at.
    """

    name: str
    file: Path
    settings: tuple[str, ...]
    ordered: tuple[str, ...]
    costs: Mapping[str, str]
    accuracies: tuple[str, ...]
    share: bool = False
    input_size: InputSize = (3, 32, 32)


def is_foreign(path: Path) -> bool:
    """Whether a path names a file of this kind, and not the folder of a recorded table."""
    return path.name.lower().endswith((*SUFFIXES, *YAMLS)) and not path.is_dir()


class TableSpace:
    """The rows of a table as a :class:`~mgic_nas.space.Space`: nothing else can be chosen, and costs are looked up."""

    def __init__(self, name: str, params: dict[str, tuple[Scalar, ...]], rows: Sequence[Values], costs: Sequence[Cost]):
        self.model = self.source = name
        self.params = params
        self.size = len(rows)
        self._rows = rows
        self._costs = dict(zip(rows, costs))

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
        return digest(list(values))

    def cost_values(self, values: Values, input_size: InputSize, num_classes: int) -> Cost:
        return self._costs[tuple(values)]

    def _values(self, setting: Mapping[str, Scalar]) -> Values:
        return tuple(setting[name] for name in self.params)


class ForeignTable:
    """Somebody's table, with what :class:`~.table.Table` has.

    Attributes:
        folder: the file.
        name: of the table.
        config: as far as it is known.
        space: its rows.
        architectures: A of them, the cheapest first.
        seeds: S of them: columns of accuracies.
        notes: how its columns were understood, and what was left out: one line each.

    Raises:
        UserError: no such file, or its columns are not what is said of them.
    """

    def __init__(self, path: str | Path) -> None:
        self.folder = Path(path)
        self.notes: list[str] = []
        described = _described(self.folder) if self.folder.suffix.lower() in YAMLS else None
        frame = _read(described["file"] if described else self.folder)
        self.described = description = _description(self.folder, frame, described or {})
        if described is None:
            self.notes.append(_told(description))
        curves = _curves(frame, description)
        trained = np.any(~np.isnan(curves[:, :, -1]), axis=1)
        if not trained.any():
            raise UserError(f"{self.folder} has no accuracy in {', '.join(description.accuracies)}.")
        if left_out := int((~trained).sum()):
            self.notes.append(f"{left_out:,} rows without an accuracy are left out")
        costs = _costs(frame, description)
        values, params = _settings(frame, description)
        order = [i for i in np.argsort([c.macs for c in costs], kind="stable").tolist() if trained[i]]
        rows = [values[i] for i in order]
        _refuse_twins(self.folder, description, values)
        self.name = description.name
        self.space = TableSpace(description.name, params, rows, [costs[i] for i in order])
        self.architectures = [
            Architecture(
                self.space.arch_id_values(row), dict(zip(params, row)), {k: getattr(costs[i], k) for k in COSTS}
            )
            for i, row in zip(order, rows)
        ]
        self._acc = curves[order]
        self.seeds = self._acc.shape[1]
        self.config = TableConfig(
            {"model": description.name, "params": {}},
            {"spec": description.name, "input_size": list(description.input_size), "num_classes": 2},
            [],
            self._acc.shape[2],
            {},
        )

    @cached_property
    def index(self) -> dict[str, int]:
        """arch_id -> row of the arrays."""
        return {a.arch_id: i for i, a in enumerate(self.architectures)}

    def arch_id(self, config: Mapping[str, Any]) -> str:
        """Of a job's configuration."""
        return self.space.arch_id(config)

    def cost(self, kind: str) -> Array:
        """float64 (A,), one of :data:`COSTS`."""
        return np.array([a.cost[kind] for a in self.architectures], dtype=float)

    def curves(self, column: str) -> Array:
        """float64 (A, S, epochs), NaN where it is not known; every epoch takes a second."""
        if column == "val_acc":
            return self._acc
        if column in ("seconds", "cpu_seconds"):
            return np.where(np.isnan(self._acc), np.nan, 1.0)
        return np.full_like(self._acc, np.nan)

    @property
    def missing(self) -> list[tuple[str, int]]:
        """(arch_id, seed) of the trainings that a complete table would have."""
        lacking = np.argwhere(np.isnan(self._acc[:, :, -1])).tolist()
        return [(self.architectures[row].arch_id, seed) for row, seed in lacking]

    def machines(self) -> dict[str, int]:
        return {}


def _described(path: Path) -> dict[str, Any]:
    """What a YAML says, checked; ``file`` is a path beside it."""
    try:
        written, place = recorded.read(path)
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"there is no file {path}: name a recorded table's folder, a csv or a YAML of one.") from None
    if not isinstance(written, dict):
        raise UserError(f"{path} does not describe a table: it needs file: NAME.csv at least.")
    for key in written:
        if key not in _FIELDS:
            raise place.error((key,), f"unknown key {key!r}.{did_you_mean(str(key), _FIELDS)}")
    for key, kind, expected in (
        ("settings", list, "a list of columns"),
        ("ordered", list, "a list of columns"),
        ("accuracies", list, "a list of columns"),
        ("costs", dict, "a mapping such as {macs: flops}"),
        ("input_size", list, "three numbers such as [3, 32, 32]"),
        ("name", str, "a text"),
    ):
        if key in written and not isinstance(written[key], kind):
            raise place.error((key,), f"{key} must be {expected}.")
    if written.get("unit", "percent") not in ("percent", "share"):
        raise place.error(("unit",), "unit must be percent or share.")
    size = written.get("input_size", [3, 32, 32])
    if len(size) != 3 or not all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in size):
        raise place.error(("input_size",), "input_size must be three numbers such as [3, 32, 32].")
    for kind in written.get("costs", {}):
        if kind not in _COST_COLUMNS:
            raise place.error(("costs", kind), f"unknown cost {kind!r}: macs, params and activations are known.")
    file = written.get("file")
    if not isinstance(file, str) or Path(file).name != file:
        raise place.error(("file",), "file must name a csv or parquet file in the same folder.")
    return {**written, "file": path.parent / file}


def _read(path: Path) -> pd.DataFrame:
    try:
        frame = pd.read_parquet(path) if path.suffix.lower() == ".parquet" else pd.read_csv(path)
    except FileNotFoundError:
        raise UserError(f"there is no file {path}: name a recorded table's folder, a csv or a YAML of one.") from None
    except (OSError, ValueError, EOFError, LookupError, ImportError) as error:  # of pandas, gzip, pyarrow
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path} cannot be read as a table: {reason}.") from None
    if not 1 < len(frame) <= _MOST_ROWS:
        raise UserError(f"{path} has {len(frame):,} rows: a table has 2 to {_MOST_ROWS:,}, one an architecture.")
    return frame


def _description(path: Path, frame: pd.DataFrame, written: Mapping[str, Any]) -> Description:
    """What was written of the columns, and for the rest what their names say."""
    columns = [str(column) for column in frame.columns]
    lower = {column.lower(): column for column in columns}
    costs = dict(written.get("costs") or {})
    for kind, names in _COST_COLUMNS.items():
        found = next((lower[name] for name in names if name in lower), None)
        if found and kind not in costs and not written.get("costs"):
            costs[kind] = found
    if "macs" not in costs:
        raise UserError(f"{path} has no column macs; its columns are {_some(columns)}: say costs: {{macs: COLUMN}}.")
    accuracies = written.get("accuracies") or [column for column in columns if _ACCURACY.fullmatch(column)]
    if not accuracies:
        raise UserError(f"{path} has no column acc; its columns are {_some(columns)}: say accuracies: [COLUMN].")
    taken = {*costs.values(), *accuracies}
    rest = [c for c in columns if c not in taken and c.lower() not in _NO_SETTING]
    settings = written.get("settings") or rest
    ordered = written.get("ordered") or []
    for column in (*settings, *ordered, *costs.values(), *accuracies):
        if column not in columns:
            raise UserError(f"{path}: there is no column {column!r}.{did_you_mean(str(column), columns)}")
    if not settings:
        raise UserError(f"{path} has no columns of settings beside its costs and accuracies.")
    if wrong := [column for column in ordered if column not in settings]:
        raise UserError(f"{path}: {wrong[0]} is ordered but none of the settings.")
    return Description(
        written.get("name") or re.sub(r"\.(csv|parquet|ya?ml).*$", "", path.name, flags=re.IGNORECASE),
        written.get("file") or path,
        tuple(settings),
        tuple(ordered),
        costs,
        tuple(accuracies),
        written.get("unit") == "share",
        tuple(written.get("input_size") or (3, 32, 32)),
    )


def _told(description: Description) -> str:
    costs = ", ".join(kind if kind == column else f"{kind} ({column})" for kind, column in description.costs.items())
    return (
        f"read by its columns' names: settings {_some(description.settings)} (choices without an order); costs "
        f"{costs}; accuracies in percent {_some(description.accuracies)}; a YAML can say it otherwise"
    )


def _curves(frame: pd.DataFrame, description: Description) -> NDArray[np.float64]:
    """float64 (rows, trainings, epochs), percent; NaN where there is none."""
    cells = [[_curve(cell, description, column) for cell in frame[column]] for column in description.accuracies]
    epochs = max(len(curve) for column in cells for curve in column)
    found: NDArray[np.float64] = np.full((len(frame), len(cells), epochs), np.nan)
    for seed, column in enumerate(cells):
        for row, curve in enumerate(column):
            if curve and len(curve) != epochs:
                where = f"row {row} of {description.file} has {len(curve)} epochs in {description.accuracies[seed]}"
                raise UserError(f"{where}, others have {epochs}: give all curves one length.")
            found[row, seed, : len(curve)] = curve
    if description.share:
        found *= 100
    elif np.nanmax(found, initial=0.0) <= 1.0:
        raise UserError(
            f"{description.file}: no accuracy is above 1; they are percent here, so say unit: share in a YAML if they "
            "go from 0 to 1."
        )
    if np.nanmin(found, initial=0.0) < 0 or np.nanmax(found, initial=0.0) > 100:
        raise UserError(f"{description.file}: accuracies must be 0 to 100 percent (unit: share for 0 to 1).")
    return found


def _curve(cell: Any, description: Description, column: str) -> list[float]:
    """One training: a number, or a list of them, one an epoch; empty where there is none."""
    if isinstance(cell, str):
        try:
            cell = json.loads(cell.strip() or "null")
        except ValueError:
            cell = "?"
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return []
    values = list(cell) if isinstance(cell, list | tuple | np.ndarray) else [cell]
    if not all(isinstance(v, int | float | np.number) and math.isfinite(v) for v in values) or isinstance(cell, bool):
        raise UserError(f"{description.file}: {column} holds {str(cell)[:40]!r}, which is no accuracy.")
    return [float(v) for v in values]


def _costs(frame: pd.DataFrame, description: Description) -> list[Cost]:
    found: dict[str, NDArray[np.float64]] = {}
    for kind, column in description.costs.items():
        values = pd.to_numeric(frame[column], errors="coerce").to_numpy(dtype=float)
        wrong = np.flatnonzero(~(np.isfinite(values) & (values >= 1)))
        if len(wrong):
            shown = str(frame[column].iloc[int(wrong[0])])[:40]
            raise UserError(f"{description.file}: row {wrong[0]} has {column} {shown}: a cost is 1 or more, not in M.")
        found[kind] = values.round()
    lacking = np.ones(len(frame))
    macs, params, activations = (found.get(kind, lacking).astype(int).tolist() for kind in _COST_COLUMNS)
    return [Cost(m, m, p, a) for m, p, a in zip(macs, params, activations)]


def _settings(
    frame: pd.DataFrame, description: Description
) -> tuple[list[tuple[Scalar, ...]], dict[str, tuple[Scalar, ...]]]:
    """The values of each row, and the choices of each parameter in their order; without an order they are texts."""
    columns: list[list[Scalar]] = []
    for name in description.settings:
        cells = frame[name].tolist()
        if any(cell is None or (isinstance(cell, float) and math.isnan(cell)) for cell in cells):
            raise UserError(f"{description.file}: the setting {name} is empty in some rows: fill it in.")
        if name in description.ordered:
            if not all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in cells):
                raise UserError(f"{description.file}: {name} is ordered but holds other things than numbers.")
            columns.append(cells)
        else:
            columns.append([str(cell) for cell in cells])
    params: dict[str, tuple[Scalar, ...]] = {
        name: tuple(sorted(set(column)))  # type: ignore[type-var]
        for name, column in zip(description.settings, columns)
    }
    return list(zip(*columns)), params


def _refuse_twins(path: Path, description: Description, values: Sequence[tuple[Scalar, ...]]) -> None:
    first: dict[tuple[Scalar, ...], int] = {}
    for row, value in enumerate(values):
        if first.setdefault(value, row) != row:
            raise UserError(
                f"{path}: rows {first[value]} and {row} have the same settings ({_some(description.settings)}): give "
                "each architecture one row, and each of its trainings a column."
            )


def _some(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")

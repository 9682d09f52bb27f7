"""Tables of other people, as :mod:`.columns` reads them: what a search can be simulated in without training."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..cost import Cost
from ..engine.storage.trial import COSTS
from ..errors import UserError
from ..space.conditions import Scalar
from ..space.listed import ListedSpace
from .columns import COST_COLUMNS, YAMLS, Description, describe, read_frame, some, told, written_in
from .table import Architecture, Array, TableConfig


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
        described = written_in(self.folder) if self.folder.suffix.lower() in YAMLS else None
        frame = read_frame(described["file"] if described else self.folder)
        self.described = description = describe(self.folder, frame, described or {})
        if described is None:
            self.notes.append(told(description))
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
        self.space = ListedSpace(description.name, params, rows, [costs[i] for i in order])
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
    macs, params, activations = (found.get(kind, lacking).astype(int).tolist() for kind in COST_COLUMNS)
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
                f"{path}: rows {first[value]} and {row} have the same settings ({some(description.settings)}): give "
                "each architecture one row, and each of its trainings a column."
            )

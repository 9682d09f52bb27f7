"""Tables of other people, as :mod:`.columns` reads them: what a search can be simulated in without training."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from .._text import plural
from ..cost import Cost
from ..engine.storage.trial import COSTS
from ..errors import UserError
from ..space.conditions import Scalar
from ..space.listed import ListedSpace
from . import values
from .columns import YAMLS, Description, describe, told, written_in
from .frames import read_frame
from .guesses import COST_COLUMNS, some
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
        unfinished: nothing: nobody goes on with it.

    Raises:
        UserError: no such file, or its columns are not what is said of them.
    """

    unfinished = ""

    def __init__(self, path: str | Path) -> None:
        self.folder = Path(path)
        self.notes: list[str] = []
        described = written_in(self.folder) if self.folder.suffix.lower() in YAMLS else None
        frame = read_frame(described["file"] if described else self.folder)
        self.described = description = describe(self.folder, frame, described or {})
        if described is None:
            self.notes.append(told(description))
        if description.left_out:
            self.notes.append(description.left_out)
        curves = values.accuracies(frame, description)
        trained = np.any(~np.isnan(curves[:, :, -1]), axis=1)
        if left_out := int((~trained).sum()):
            self.notes.append(f"left out: {plural(left_out, 'row')} without an accuracy")
        whole = np.flatnonzero(trained)
        macs = values.costs(frame, whole, description)["macs"]
        order = whole[np.argsort(macs, kind="stable")].tolist()
        costs = values.costs(frame, order, description)
        rows, params, notes = values.settings(frame, order, description)
        self.notes += notes
        _refuse_twins(self.folder, description, dict(zip(order, rows)))
        self.name = description.name
        self.space = ListedSpace(description.name, params, rows, _counted(costs, len(rows)))
        self.architectures = [
            Architecture(self.space.arch_id_values(row), dict(zip(params, row)), _as_given(costs, at))
            for at, row in enumerate(rows)
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


def _counted(costs: Mapping[str, Array], number: int) -> list[Cost]:
    """Costs as a space counts them: whole numbers stay such."""
    found = {kind: [int(c) if c.is_integer() else c for c in cost.tolist()] for kind, cost in costs.items()}
    macs, params, activations = (found.get(kind, [1] * number) for kind in COST_COLUMNS)
    return [Cost(m, m, p, a) for m, p, a in zip(macs, params, activations)]


def _as_given(costs: Mapping[str, Array], at: int) -> dict[str, float]:
    found = {kind: float(costs[kind][at]) if kind in costs else 1.0 for kind in COST_COLUMNS}
    return {kind: found[kind if kind in found else "macs"] for kind in COSTS}


def _refuse_twins(path: Path, description: Description, rows: Mapping[int, tuple[Scalar, ...]]) -> None:
    first: dict[tuple[Scalar, ...], int] = {}
    for row in sorted(rows):
        if first.setdefault(rows[row], row) != row:
            raise UserError(
                f"{path}: rows {first[rows[row]]} and {row} have the same settings ({some(description.settings)}): "
                "give each architecture one row, and each of its trainings a column."
            )

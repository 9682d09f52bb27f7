"""The paper's tables as they are printed, and which network here stands for each row; typed in ``tables.yaml``.

Eliasof, Ephrath, Ruthotto, Treister: "MGIC: Multigrid-in-Channels Neural Network Architectures", SIAM J. Sci.
Comput. 45 (2023). Nothing there is computed, and nothing that is computed is typed there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from .notes import NOTES


@dataclass(frozen=True)
class Recorded:
    """Where a training of ours is recorded: rows of ``<runs>/<file>`` whose columns match, and the value's column."""

    file: str
    match: Mapping[str, str]
    column: str


@dataclass(frozen=True)
class Line:
    """One row of a table. Quantities are the paper's own digits: "15.1 M", "2.5 G", "3,328"; "" where it has none.

    ``network`` is what :func:`mgic_nas.paper.count.network_cost` counts, "" where there is nothing to count.
    """

    name: str
    params: str = ""
    macs: str = ""
    score: str = ""
    network: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def recorded(self) -> Recorded | None:
        """The experiment that trains it, where there is one."""
        if self.network == "coarse":
            return Recorded("coarse/results.csv", {"s_g": str(self.config["s_g"])}, "mse")
        kind, _, name = self.network.partition(":")
        return Recorded("points/results.csv", {"network": name}, "test_acc") if kind == "points" else None


@dataclass(frozen=True)
class Table:
    """One table: groups of lines under a heading ("" for none), all at one input size."""

    number: str
    title: str
    input_size: tuple[int, ...]
    num_classes: int | None
    score: str  # what the last column is
    groups: tuple[tuple[str, tuple[Line, ...]], ...]

    @property
    def note(self) -> str:
        """Why what differs differs."""
        return NOTES[self.number]


def _line(cells: Sequence[Any]) -> Line:
    *texts, last = cells
    return replace(Line(*texts), config=last) if isinstance(last, dict) else Line(*cells)


def _table(number: str, typed: Mapping[str, Any]) -> Table:
    groups = tuple((heading, tuple(map(_line, lines))) for heading, lines in typed["groups"].items())
    return Table(number, typed["title"], tuple(typed["input_size"]), typed["num_classes"], typed["score"], groups)


_TYPED = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text("utf-8"))
TABLES = {number: _table(number, typed) for number, typed in _TYPED.items()}

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
class Trained:
    """Where trainings of a table's networks are recorded: in ``<runs>/<file>``, scores in ``column``.

    ``rows`` names what stands in column ``by`` for a line. ``about`` says what was trained where that is smaller than
    the table's own networks and data; "" where it is these.
    """

    file: str
    column: str
    by: str
    rows: Mapping[str, str]
    about: str = ""


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


@dataclass(frozen=True)
class Table:
    """One table: groups of lines under a heading ("" for none), all at one input size."""

    number: str
    title: str
    input_size: tuple[int, ...]
    num_classes: int | None
    score: str  # what the last column is
    groups: tuple[tuple[str, tuple[Line, ...]], ...]
    trained: Trained | None = None

    @property
    def note(self) -> str:
        """Why what differs differs."""
        return NOTES[self.number]


def _line(cells: Sequence[Any]) -> Line:
    *texts, last = cells
    return replace(Line(*texts), config=last) if isinstance(last, dict) else Line(*cells)


def _table(number: str, typed: Mapping[str, Any]) -> Table:
    groups = tuple((heading, tuple(map(_line, lines))) for heading, lines in typed["groups"].items())
    trained = Trained(**typed["trained"]) if "trained" in typed else None
    title, input_size = typed["title"], tuple(typed["input_size"])
    return Table(number, title, input_size, typed["num_classes"], typed["score"], groups, trained)


_TYPED = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text("utf-8"))
TABLES = {number: _table(number, typed) for number, typed in _TYPED.items()}

"""What the columns of other people's tables are: one row an architecture, its settings, costs and accuracies.

A csv (also compressed) or parquet file is read as it lies where its columns say what they are:

- ``macs`` (or ``flops``), ``params``, ``activations``: costs from 1 up, also with decimals; MACs must be there
- ``acc``, ``val_acc``, ``test_acc``, ``accuracy``, also with a number behind (``acc.0``, ``acc.1``): percent, one
  column a training; empty where there is none. A list in a cell, ``[41.0, 55.2, 60.1]``, is the curve of a training
- names (``id``, ``arch_id``, texts that differ in every row) and other results (``train_acc``, ``val_loss``,
  ``latency``): left out. Accuracies of several kinds (``val_acc`` beside ``test_acc``) are refused, and so are several
  rows of one architecture that differ in ``seed``
- every other column: a setting, one of several choices

What that makes of a file is said (:mod:`.guesses`). A YAML beside the file says it otherwise::

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

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ..engine.storage import recorded
from ..errors import UserError, did_you_mean
from ..space.document import Place
from ..space.parameters import InputSize
from .frames import SUFFIXES
from .guesses import COST_COLUMNS, accuracy_columns, is_accuracy, is_error, left_out, setting_columns, some

YAMLS = (".yaml", ".yml")
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
        unit: of accuracies, ``percent`` or ``share`` (from 0 to 1); None where nobody said it.
        input_size: (C, H, W) that MACs are counted at.
        left_out: which columns are nothing of that, and why; empty where somebody said what the settings are.
    """

    name: str
    file: Path
    settings: tuple[str, ...]
    ordered: tuple[str, ...]
    costs: Mapping[str, str]
    accuracies: tuple[str, ...]
    unit: str | None = None
    input_size: InputSize = (3, 32, 32)
    left_out: str = ""

    @property
    def share(self) -> bool:
        """Whether accuracies go from 0 to 1, not to 100."""
        return self.unit == "share"


def is_foreign(path: Path) -> bool:
    """Whether a path names a file of this kind, and not the folder of a recorded table."""
    return path.name.lower().endswith((*SUFFIXES, *YAMLS)) and not path.is_dir()


def written_in(path: Path) -> dict[str, Any]:
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
    for key in ("settings", "ordered", "accuracies"):
        if key in written:
            written[key] = _columns(written[key], key, place)
    for key, kind, expected in (
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
    for kind, column in written.get("costs", {}).items():
        if kind not in COST_COLUMNS:
            raise place.error(("costs", kind), f"unknown cost {kind!r}: macs, params and activations are known.")
        [written["costs"][kind]] = _columns([column], f"costs: {kind}", place)
    file = written.get("file")
    if not isinstance(file, str) or Path(file).name != file or file in ("", ".."):
        raise place.error(("file",), "file must name a csv or parquet file in the same folder.")
    return {**written, "file": path.parent / file}


def _columns(value: Any, key: str, place: Place) -> list[str]:
    """Names of columns; a column may be named by a number."""
    if not isinstance(value, list) or (not value and key != "ordered"):
        raise place.error((key,), f"{key} must be a list of columns.")
    for column in value:
        if not isinstance(column, str | int) or isinstance(column, bool):
            raise place.error((key,), f"{key} holds {str(column)[:40]!r}, which is no column's name.")
    return [str(column) for column in value]


def describe(path: Path, frame: pd.DataFrame, written: Mapping[str, Any]) -> Description:
    """What was written of the columns, and for the rest what their names say.

    Raises:
        UserError: a column is not there or is named twice, or the names say several things.
    """
    columns = [*frame.columns]
    costs = dict(written.get("costs") or _cost_columns(columns))
    if "macs" not in costs:
        raise UserError(f"{path} has no column macs; its columns are {some(columns)}: say costs: {{macs: COLUMN}}.")
    accuracies = written.get("accuracies") or accuracy_columns(path, columns)
    ordered = written.get("ordered") or []
    taken = [*costs.values(), *accuracies]
    for column in (*(written.get("settings") or ()), *ordered, *taken):
        if column not in columns:
            raise UserError(f"{path}: there is no column {column!r}.{did_you_mean(column, columns)}")
    left: dict[str, list[str]] = {}
    if (settings := written.get("settings")) is None:
        settings, left = setting_columns(path, frame, taken, keep=ordered)
    for what, several in (("a cost", costs.values()), ("a setting", settings)):
        if wrong := next(filter(is_accuracy, several), None):
            raise UserError(f"{path}: {wrong} is an accuracy by its name, and cannot be {what}: rename the column.")
    _refuse_twice(path, {"costs": [*costs.values()], "accuracies": accuracies, "settings": settings})
    if wrong := next((column for column in accuracies if is_error(column)), None):
        raise UserError(
            f"{path}: {wrong} is lower-is-better, and no accuracy: make a column of 100 - {wrong} in percent."
        )
    if odd := [column for column in ordered if column not in settings]:
        raise UserError(f"{path}: {odd[0]} is ordered but none of the settings.")
    return Description(
        written.get("name") or re.sub(r"\.(csv|parquet|ya?ml).*$", "", path.name, flags=re.IGNORECASE),
        written.get("file") or path,
        tuple(settings),
        tuple(ordered),
        costs,
        tuple(accuracies),
        written.get("unit"),
        tuple(written.get("input_size") or (3, 32, 32)),
        left_out(left),
    )


def _cost_columns(columns: Sequence[str]) -> dict[str, str]:
    lower = {column.lower(): column for column in reversed(columns)}
    found = {kind: next((lower[n] for n in names if n in lower), None) for kind, names in COST_COLUMNS.items()}
    return {kind: column for kind, column in found.items() if column}


def _refuse_twice(path: Path, named: Mapping[str, Sequence[str]]) -> None:
    """UserError for a column that would be two things."""
    first: dict[str, str] = {}
    for what, columns in named.items():
        for column in columns:
            if before := first.get(column):
                where = f"twice in {what}" if before == what else f"in {before} and in {what}"
                raise UserError(f"{path}: the column {column} is named {where}: a column is one thing.")
            first[column] = what


def told(description: Description) -> str:
    """How the columns of a file without a YAML were understood."""
    costs = ", ".join(kind if kind == column else f"{kind} ({column})" for kind, column in description.costs.items())
    return (
        f"read by its columns' names: settings {some(description.settings)} (choices without an order); costs "
        f"{costs}; accuracies in percent {some(description.accuracies)}; a YAML can say it otherwise"
    )

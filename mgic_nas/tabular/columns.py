"""What the columns of other people's tables are: one row an architecture, its settings, costs and accuracies.

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

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ..engine.storage import recorded
from ..errors import UserError, did_you_mean
from ..space.parameters import InputSize

SUFFIXES = (".csv", ".csv.gz", ".csv.xz", ".csv.bz2", ".csv.zst", ".parquet")
YAMLS = (".yaml", ".yml")
COST_COLUMNS = {"macs": ("macs", "flops"), "params": ("params", "parameters"), "activations": ("activations",)}
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
        if kind not in COST_COLUMNS:
            raise place.error(("costs", kind), f"unknown cost {kind!r}: macs, params and activations are known.")
    file = written.get("file")
    if not isinstance(file, str) or Path(file).name != file:
        raise place.error(("file",), "file must name a csv or parquet file in the same folder.")
    return {**written, "file": path.parent / file}


def read_frame(path: Path) -> pd.DataFrame:
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


def describe(path: Path, frame: pd.DataFrame, written: Mapping[str, Any]) -> Description:
    """What was written of the columns, and for the rest what their names say."""
    columns = [str(column) for column in frame.columns]
    lower = {column.lower(): column for column in columns}
    costs = dict(written.get("costs") or {})
    for kind, names in COST_COLUMNS.items():
        found = next((lower[name] for name in names if name in lower), None)
        if found and kind not in costs and not written.get("costs"):
            costs[kind] = found
    if "macs" not in costs:
        raise UserError(f"{path} has no column macs; its columns are {some(columns)}: say costs: {{macs: COLUMN}}.")
    accuracies = written.get("accuracies") or [column for column in columns if _ACCURACY.fullmatch(column)]
    if not accuracies:
        raise UserError(f"{path} has no column acc; its columns are {some(columns)}: say accuracies: [COLUMN].")
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


def told(description: Description) -> str:
    costs = ", ".join(kind if kind == column else f"{kind} ({column})" for kind, column in description.costs.items())
    return (
        f"read by its columns' names: settings {some(description.settings)} (choices without an order); costs "
        f"{costs}; accuracies in percent {some(description.accuracies)}; a YAML can say it otherwise"
    )


def some(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")

"""Other results, from a csv, to be laid over the front: those on the same data at the same input size.

A point of other data or another input size says nothing about the networks of this run. It is left out, or where
somebody asks for it drawn visibly apart.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import UserError

_NAME = ("name", "model")
_MACS = ("macs", "gmacs")
_ACC = ("top1", "val_acc")
_SIZE = ("input_size", "img_size")
_DATA = ("data", "dataset")
_MOST_BYTES = 10_000_000
_MOST_POINTS = 20_000  # more cannot be seen, and make a page that no browser opens


@dataclass(frozen=True)
class ReferencePoint:
    """One published result. ``input_size`` and ``data`` are what the csv says, as text; empty where it says nothing.

    ``apart``: it is of other data or another input size than the run, or does not say so.
    """

    name: str
    macs: float
    acc: float
    input_size: str = ""
    data: str = ""
    apart: bool = False


def judged(
    points: Iterable[ReferencePoint], data: Iterable[str], input_size: Sequence[int]
) -> tuple[ReferencePoint, ...]:
    """The points, each with whether it is apart from a run.

    Args:
        points: as read.
        data: the names that the run's data go by.
        input_size: of the run, (C, H, W).
    """
    names = {name.casefold() for name in data if name}
    height, width = input_size[1:]
    sizes = {"x".join(map(str, input_size)), f"{height}x{width}"} | ({str(height)} if height == width else set())
    return tuple(
        replace(p, apart=p.data.casefold() not in names or p.input_size.lower().replace("×", "x") not in sizes)
        for p in points
    )


def read_reference(path: str | Path) -> tuple[ReferencePoint, ...]:
    """Reads reference points: columns ``name`` (or ``model``), ``macs`` (or ``gmacs``), ``top1`` (or ``val_acc``).

    Columns ``data`` (or ``dataset``) and ``input_size`` (``3x32x32``, ``32x32``; or ``img_size``, ``32``) say what a
    point may be compared with, see :func:`judged`. Rows without a cost or an accuracy are left
    out; other columns are ignored.

    Raises:
        UserError: no such file, missing columns (all of them named), a cell that is no number (with its line).
    """
    path = Path(path)
    try:
        with open(path, "rb") as stream:
            content = stream.read(_MOST_BYTES + 1)
        text = content.decode("utf-8-sig")
    except (OSError, ValueError) as error:  # ValueError also for a null byte in the path
        wrong = "not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)
        reason = error.strerror if isinstance(error, OSError) else wrong
        raise UserError(f"Cannot read the reference csv {path}: {reason}.") from None
    if len(content) > _MOST_BYTES:
        raise UserError(f"The reference csv {path} has more than {_MOST_BYTES:,} bytes: leave rows out.")
    try:
        return _points(path, csv.DictReader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise UserError(f"The reference csv {path} is no csv: {error}.") from None


def _points(path: Path, reader: csv.DictReader[str]) -> tuple[ReferencePoint, ...]:
    found = [column.strip() for column in reader.fieldnames or ()]
    reader.fieldnames = found
    columns = {
        choices: next((c for c in choices if c in found), None) for choices in (_NAME, _MACS, _ACC, _SIZE, _DATA)
    }
    missing = [" or ".join(choices) for choices in (_NAME, _MACS, _ACC) if columns[choices] is None]
    if missing:
        raise UserError(
            f"The reference csv {path} lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}. "
            f"It has: {', '.join(found)[:200] or 'none'}{_separator(found)}."
        )
    points: list[ReferencePoint] = []
    for row in reader:
        macs = _number(row, columns[_MACS], path, reader.line_num)
        acc = _number(row, columns[_ACC], path, reader.line_num)
        if macs is None or acc is None:
            continue
        if macs <= 0 or not 0 <= acc <= 100:
            raise UserError(
                f"Line {reader.line_num} of the reference csv {path}: MACs must be positive and accuracies percent."
            )
        if len(points) == _MOST_POINTS:
            raise UserError(f"The reference csv {path} has more than {_MOST_POINTS:,} points: leave some out.")
        size, data = (row.get(columns[names] or "") or "" for names in (_SIZE, _DATA))
        scale = 1e9 if columns[_MACS] == "gmacs" else 1.0
        name = (row[columns[_NAME] or ""] or "").strip()
        points.append(ReferencePoint(name, macs * scale, acc, size.strip(), data.strip()))
    return tuple(points)


def _separator(found: list[str]) -> str:
    """A hint where everything is in one column."""
    for mark, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if len(found) == 1 and mark in found[0]:
            return f" (separate columns by commas, not by {name})"
    return ""


def _number(row: dict[str, str], column: str | None, path: Path, line: int) -> float | None:
    cell = (row.get(column or "") or "").strip()
    if not cell:
        return None
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f"Line {line} of the reference csv {path}: {column} is {cell!r}, not a number.")
    return value

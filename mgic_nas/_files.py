"""Files that are either whole or absent, whatever is killed in between."""

from __future__ import annotations

import contextlib
import csv
import fcntl
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

# A spreadsheet computes a cell that begins so (OWASP, "CSV injection"; the last four are its full-width forms).
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")


def write_atomic(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Writes ``content`` so that a reader sees the old file or the new one, never a part.

    Temporary file in the same folder, fsync, rename, fsync of the folder: after a return the file survives a
    power cut too.
    """
    path = Path(path)
    data = content.encode() if isinstance(content, str) else content
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Only one process at a time is inside this block of one folder; the others wait.

    The lock is on the folder itself, so it leaves no file and vanishes with its process. Where a file system has no
    such locks, it goes without.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def replaced_folder(target: Path) -> Iterator[Path]:
    """An empty folder to fill, which takes ``target``'s place where the block ends well: no reader sees half of it.

    ``target``'s parent is made where there is none, but nothing above it.
    """
    target.parent.mkdir(exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=".new-", dir=target.parent))
    try:
        yield new
        os.chmod(new, 0o755)
        for file in new.iterdir():  # temporary files are their owner's alone; this is for everybody
            os.chmod(file, 0o644)
        if target.exists():  # a folder cannot be renamed over a full one
            old = Path(tempfile.mkdtemp(prefix=".old-", dir=target.parent))
            os.replace(target, old / "it")
            os.replace(new, target)
            shutil.rmtree(old)
        else:
            os.replace(new, target)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]], *, heading: bool = True) -> str:
    """Rows as csv. A cell that a row lacks is empty, what is in no column is left out.

    A text that a spreadsheet would take for a formula gets a ``'`` in front, which :func:`csv_rows` takes away again.
    """
    lines = _Lines()
    writer = csv.writer(lines, lineterminator="\r\n")  # so that a return in a cell is quoted too
    if heading:
        writer.writerow([_guarded(column) for column in columns])
    writer.writerows([_guarded(row.get(column, "")) for column in columns] for row in rows)
    return "".join(f"{line[:-2]}\n" for line in lines)


class _Lines(list[str]):
    """What a csv writer writes into: a row at a time."""

    write = list.append


def csv_rows(lines: Iterable[str]) -> list[dict[str, str]]:
    """The rows of a csv with a heading, as :func:`csv_text` was given them.

    A cell that a row lacks is absent from its dict, and so is what stands beyond the last column.

    Raises:
        ValueError: it is no csv.
    """
    reader = csv.reader(lines)
    try:
        columns = [_unguarded(cell) for cell in next(reader, [])]
        return [dict(zip(columns, map(_unguarded, row))) for row in reader if row]
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num} is no csv: {error}") from None


def read_csv(path: str | os.PathLike[str]) -> list[dict[str, str]]:
    """:func:`csv_rows` of a file (UTF-8).

    Raises:
        OSError, ValueError: it cannot be read.
    """
    with open(path, newline="", encoding="utf-8-sig") as stream:
        return csv_rows(stream)


def _guarded(value: Any) -> Any:
    formula = isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value)
    return f"'{value}" if formula else value


def _unguarded(cell: str) -> str:
    return cell[1:] if cell[:1] == "'" and _FORMULA.match(cell) else cell


def write_csv(path: str | os.PathLike[str], columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """:func:`write_atomic` of :func:`csv_text`."""
    write_atomic(path, csv_text(columns, rows))


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """:func:`write_atomic` of a value as indented JSON."""
    write_atomic(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: str | os.PathLike[str]) -> Any | None:
    """The value in a JSON file, or None where there is no file.

    Raises:
        OSError, ValueError: it cannot be read.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except RecursionError:
        raise ValueError("nested too deeply") from None

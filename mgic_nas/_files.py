"""Files that are either whole or absent, whatever is killed in between."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any


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


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]], *, heading: bool = True) -> str:
    """Rows as csv. A cell that a row lacks is empty, what is in no column is left out."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", extrasaction="ignore")
    if heading:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def write_csv(path: str | os.PathLike[str], columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """:func:`write_atomic` of :func:`csv_text`."""
    write_atomic(path, csv_text(columns, rows))


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """:func:`write_atomic` of a value as indented JSON."""
    write_atomic(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: str | os.PathLike[str]) -> Any | None:
    """The value in a JSON file, or None where there is no file."""
    try:
        return json.loads(Path(path).read_text())
    except FileNotFoundError:
        return None

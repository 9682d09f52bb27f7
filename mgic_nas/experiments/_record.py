"""How an experiment's numbers are recorded: where they were measured, and a table that survives being killed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from .._files import alone, read_csv, write_csv
from .._machine import cpu_model
from .._signals import terminable
from .._text import plural
from ..errors import Interrupted, UserError

#: The columns that :meth:`Table.append` fills in by itself.
MACHINE = ("device", "cpu", "cores", "torch", "date")


def machine(device: Any = "cpu") -> dict[str, str]:
    """Facts of this machine and moment: "cpu" or the GPU's name, cpu model, cores, torch version, UTC date."""
    device = torch.device(device)
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "cpu": cpu_model(),
        "cores": str(os.cpu_count() or 1),
        "torch": torch.__version__,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def describe(facts: Mapping[str, str]) -> str:
    """:func:`machine`'s facts (or a row that holds them) as one line for a report."""
    gpu = "" if facts["device"] == "cpu" else f"{facts['device']}, "
    return f"{gpu}{facts['cpu']}, {plural(int(facts['cores']), 'core')}, torch {facts['torch']}, {facts['date']}"


class Table:
    """A csv file of measurements, one row appended at a time; the same command again skips what it holds.

    Every append writes the whole file atomically (the tables are small), so a killed experiment loses at most the
    measurement that it was at. Values are kept as the texts they are written as. Several processes may fill one table
    beside each other: :meth:`claim` gives each measurement to one of them.

    Args:
        path: of the csv file; its folder is made.
        columns: all columns but those of :data:`MACHINE`, which are added and filled in.
        key: the columns that tell one measurement from another.
        fixed: column -> value that every row shares (recipe, data, ...): a file that differs is refused rather
            than continued with something else.

    Raises:
        UserError: the file has other columns or another fixed value.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        columns: Sequence[str],
        key: Sequence[str],
        fixed: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = Path(path)
        self.key = tuple(key)
        self.fixed = {name: str(value) for name, value in (fixed or {}).items()}
        self.columns = tuple(dict.fromkeys([*columns, *self.fixed, *MACHINE]))
        self.rows: list[dict[str, str]] = []
        self._locks = self.path.with_name(f".{self.path.name}.locks")
        self._claims: dict[tuple[str, ...], FileLock] = {}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._read()

    def _read(self) -> None:
        if not self.path.exists():
            return
        self.rows = read_csv(self.path)
        found = tuple(self.rows[0]) if self.rows else ()
        if found != self.columns:
            raise UserError(f"{self.path} has the columns {', '.join(found)}: name another folder")
        for row in self.rows:
            for name, value in self.fixed.items():
                if row[name] != value:
                    raise UserError(
                        f"{self.path} was measured with {name}={row[name]}, not {value}: ask for the same, or name "
                        "another folder"
                    )

    def _key(self, row: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(str(row[name]) for name in self.key)

    def find(self, **key: Any) -> dict[str, str] | None:
        """The row of this key, or None where it is still to be measured."""
        wanted = self._key(key)
        return next((row for row in self.rows if self._key(row) == wanted), None)

    def claim(self, **key: Any) -> bool:
        """Whether this measurement is this process's to make: no row has its key, and no other process is at it.

        The claim ends with :meth:`append`, or with the process however it ends.
        """
        mine = self._key(key)
        if mine in self._claims:
            return True
        lock = self._lock(hashlib.sha256("\0".join(mine).encode()).hexdigest()[:16])
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return False
        self._read()
        if self.find(**key) is not None:
            self._release(lock)
            return False
        self._claims[mine] = lock
        return True

    def _lock(self, name: str) -> FileLock:
        self._locks.mkdir(exist_ok=True)
        return FileLock(self._locks / name)

    def _release(self, lock: FileLock) -> None:
        """Also removes the file: who locks the removed one finds the row, which was written before."""
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()
        with contextlib.suppress(OSError):  # another process has a claim
            self._locks.rmdir()

    def append(self, row: Mapping[str, Any], device: Any = "cpu") -> dict[str, str]:
        """Adds a measurement (without machine facts and fixed values), made on ``device``; returns it as written."""
        full = {**row, **self.fixed, **machine(device)}
        if set(full) != set(self.columns):
            raise ValueError(f"a row has {sorted(full)}, the table {sorted(self.columns)}")
        written = {name: str(full[name]) for name in self.columns}
        with alone(self.path.parent):
            self._read()
            if self.find(**{name: full[name] for name in self.key}):
                raise ValueError(f"{self.path} has a row for {self._key(full)} already")
            self.rows.append(written)
            write_csv(self.path, self.columns, self.rows)
        if (claim := self._claims.pop(self._key(full), None)) is not None:
            self._release(claim)
        return written


def say(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


def command(name: str, work: Callable[[], None]) -> int:
    """Runs an experiment's command and returns its exit code: 0, 2 for wrong input, 130 or 143 interrupted."""
    try:
        with terminable():
            work()
    except UserError as error:
        say(f"{name}: error: {error}")
        return 2
    except KeyboardInterrupt as error:
        ended = error if isinstance(error, Interrupted) else Interrupted()
        say(f"{name}: {ended}.")
        return ended.code
    return 0

"""Whether somebody watches a run's report: pages that are built meanwhile, by whomever, reload themselves."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from ..engine.storage.folder import refuse_links
from ..errors import UserError

RELOAD_SECONDS = 10.0  # between two reloads of a page
_FILE = ".watched"


@contextlib.contextmanager
def watched(folder: Path) -> Iterator[None]:
    """Within the block the run is watched. The lock on its file vanishes with its process, however that ends.

    Raises:
        UserError: another process watches it, or the folder cannot be written.
    """
    refuse_links(folder, [_FILE])
    try:
        handle = os.open(folder / _FILE, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror}.") from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{folder} is watched by another process already: its report is kept fresh.") from None
        yield
    finally:
        os.close(handle)


def is_watched(folder: Path) -> bool:
    """Whether a process is inside :func:`watched`."""
    try:
        handle = os.open(folder / _FILE, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False

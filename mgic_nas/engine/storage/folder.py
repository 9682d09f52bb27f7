"""The folder of a run: whose it is, and who may write it."""

from __future__ import annotations

import os
from pathlib import Path

from filelock import FileLock, Timeout

from ...errors import UserError
from .config import RunConfig, continued, find_run

LOCK = ".lock"


class Lock:
    """The right to write a run or a table: an flock, which the system releases however its process ends.

    Args:
        folder: of the run or table, which must exist.

    Raises:
        UserError: another process holds it.
        OSError: the folder cannot be written, or its file system has no locks.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / LOCK
        self._lock = FileLock(path, timeout=0, thread_local=False, fallback_to_soft=False)
        try:
            self._lock.acquire()
        except Timeout:
            owner = path.read_text().strip() or "another process"
            raise UserError(
                f"{folder} is being written by another search ({owner}): wait for it, or name another folder."
            ) from None
        path.write_text(f"process {os.getpid()} on {os.uname().nodename}\n")

    def release(self) -> None:
        """Unlocks; the file stays, because to remove it would let two processes lock two different files."""
        self._lock.release()


def lock_folder(folder: Path, config: RunConfig) -> Lock:
    """Makes the folder where there is none, and locks it. UserError where it is no run's, or another driver's."""
    if find_run(folder) is None:  # before anything is made in a folder that is no run
        config.refuse_occupied_storage()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return Lock(folder)
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror}.") from None


def claim_folder(folder: Path, config: RunConfig) -> RunConfig:
    """run.yaml, under the lock: compared and brought up to date, or written for the first time."""
    old = find_run(folder)
    if old is not None:
        config = continued(old, config, folder)
    if config != old:
        config.save(folder)
    try:
        config.trials_folder(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{error.filename} cannot be made: {error.strerror}.") from None
    return config

"""The folder of a run: whose it is, and who may write it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TextIO

from ...errors import UserError
from .config import RunConfig, continued, find_run

LOCK = ".lock"


class Lock:
    """The right to write a run: a flock, so that it vanishes with its process, however that ends."""

    def __init__(self, folder: Path) -> None:
        import fcntl

        self._stream: TextIO = open(folder / LOCK, "a+")  # noqa: SIM115 - held open as long as the lock is
        try:
            fcntl.flock(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._stream.seek(0)
            owner = self._stream.read().strip() or "another process"
            self._stream.close()
            raise UserError(
                f"{folder} is being written by another search ({owner}): wait for it, or name another folder."
            ) from None
        except OSError:  # a file system without locks
            self._stream.close()
            raise
        self._stream.truncate(0)
        self._stream.write(f"process {os.getpid()} on {os.uname().nodename}\n")
        self._stream.flush()

    def release(self) -> None:
        """Gives the run free; the file stays (removing it would let two drivers lock two different files)."""
        self._stream.close()


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

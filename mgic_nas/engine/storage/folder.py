"""The folder of a run: whose it is, and who may write it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from filelock import FileLock, Timeout

from ...cost.runtimes.kinds import LATENCY
from ...errors import UserError
from ...space.budget import latency_kinds
from .config import RunConfig, continued, find_run
from .latencies import file_name
from .record import TRIALS_CSV, lost_trials
from .study import STUDY_DB

LOCK = ".lock"
_TUNE = ".tune"  # Ray Tune's, while a search is at work
# Written where they stand; everything else in a run's folder replaces what has its name.
_IN_PLACE = (LOCK, STUDY_DB, *(f"{STUDY_DB}-{end}" for end in ("wal", "shm", "journal")))


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
    if (old := find_run(folder)) is None:  # before anything is made in a folder that is no run
        config.refuse_occupied_storage()
    else:
        trials = old.trials_folder(folder)
        kinds = latency_kinds([*old.parsed_budgets(), *config.parsed_budgets()])
        refuse_links(folder, [*_IN_PLACE, *map(file_name, {LATENCY, *kinds})])
        refuse_links(trials.parent, [_TUNE])
        refuse_links_in(trials, levels=2)
        if lost := lost_trials(folder):
            raise UserError(
                f"{folder} has the results of a run ({TRIALS_CSV}) whose {STUDY_DB} is gone or lacks {lost} of them, "
                f"so it can be reported but not go on: put {STUDY_DB} back, or name another folder."
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return Lock(folder)
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror}.") from None


def claim_folder(folder: Path, config: RunConfig) -> RunConfig:
    """run.yaml, under the lock: compared, or written for the first time; :func:`update_config` brings it up to date."""
    old = find_run(folder)
    if old is not None:
        config = continued(old, config, folder)
    trials = config.trials_folder(folder)
    if config.storage is not None:
        if old is None:  # before run.yaml: from then on it has to be there
            _make(trials.parent, parents=True)
        elif not trials.parent.exists():
            raise UserError(
                f"{trials.parent}, where the run's workers wrote, is not there: mount its disk, or make the folder "
                "to go on without what was in it."
            )
    if old is None:
        config.save(folder)
    _make(trials, parents=False)  # where its parent is gone again, the run was moved or unmounted this moment
    return config


def _make(folder: Path, parents: bool) -> None:
    try:
        folder.mkdir(parents=parents, exist_ok=True)
    except OSError as error:
        raise UserError(f"{error.filename or folder} cannot be made: {error.strerror}.") from None


def update_config(folder: Path, config: RunConfig) -> None:
    """run.yaml, under the lock, once it is known that the run can go on."""
    if config != find_run(folder):
        config.save(folder)


def refuse_links(folder: Path, names: Iterable[str]) -> None:
    """UserError where one of ``names`` in ``folder`` is a link: what is written there would land somewhere else."""
    for name in names:
        if (folder / name).is_symlink():
            raise _link(folder / name)


def refuse_links_in(folder: Path, levels: int) -> None:
    """UserError where a folder, or something in so many levels of folders in it, is a link.

    A run is often somebody else's: whoever goes on with it or builds its report must not write or delete elsewhere.
    """
    if folder.is_symlink():
        raise _link(folder)
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_symlink():
                    raise _link(Path(entry.path))
                if levels > 1 and entry.is_dir(follow_symlinks=False):
                    refuse_links_in(Path(entry.path), levels - 1)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error.strerror}.") from None


def _link(path: Path) -> UserError:
    return UserError(f"{path} is a link, and nothing is written through links: put the file or folder itself there.")

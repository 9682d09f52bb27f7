"""The lock of a run: two drivers in one folder would train, count and delete each other's trials."""

import subprocess
import sys
from pathlib import Path

import pytest

from mgic_nas.engine.storage.folder import LOCK, Lock
from mgic_nas.errors import UserError

HOLD = """
import sys, pathlib
from mgic_nas.engine.storage.folder import Lock
lock = Lock(pathlib.Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_lock_names_its_owner_and_ends_with_its_process(tmp_path: Path) -> None:
    """However it ends: nobody has to delete a file after a crash."""
    owner = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    assert owner.stdout.readline() == "held\n"
    for _ in range(2):  # to be refused takes nothing away
        with pytest.raises(UserError, match=f"is being written by another search .process {owner.pid} on "):
            Lock(tmp_path)
    owner.kill()
    owner.communicate()
    Lock(tmp_path).release()


def test_file_of_a_released_lock_stays(tmp_path: Path) -> None:
    """Whoever waits may have opened it; removed, two processes would lock two different files."""
    lock = Lock(tmp_path)
    inode = (tmp_path / LOCK).stat().st_ino
    lock.release()
    again = Lock(tmp_path)
    assert (tmp_path / LOCK).stat().st_ino == inode
    with pytest.raises(UserError):
        Lock(tmp_path)
    again.release()

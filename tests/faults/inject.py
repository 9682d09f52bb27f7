"""Inside the processes of a search: numbers everything that they write, and strikes at the n-th write.

The plan comes as JSON in the environment, and every process of the search reads it:

- ``folder``: the run, absolute: only what is written in there counts. ``log``: a path outside; each write of a driver
  becomes a line of ``<log>.driver``, each of a worker one of ``<log>.worker``
- ``role``, ``at``: strike at the ``at``-th line of that log; without ``at`` nobody strikes
- ``do``: ``kill``; ``term``: SIGTERM to itself, ``term all``: to the workers as well; ``stop``: SIGSTOP; ``full``,
  ``readonly``, ``io``: this write and all later ones of all processes fail so; ``take``: the folder ``data`` is renamed
  to ``<data>.away``; ``move``: so is the run's; ``clock``: the clock is a day behind from then on
- ``when``: ``before`` the write; ``during``: a part of it is done; ``after``

A write is a file that is opened for writing, fsync, rename, unlink, mkdir, rmdir, a table, commit or the close of the
study, and a message between driver and local worker.
"""

import contextlib
import errno
import fcntl
import json
import os
import random
import shutil  # noqa: F401 - imported before os is changed: it asks at import what os can do
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

PLAN = "MGIC_NAS_FAULT"
DAY = 86_400.0
REFUSALS = {
    "full": (errno.ENOSPC, "database or disk is full", ("unlink", "remove", "rmdir")),
    "readonly": (errno.EROFS, "attempt to write a readonly database", ()),
    "io": (errno.EIO, "disk I/O error", ()),
}
NEVER_REFUSED = ("send", "close")

_plan: dict[str, Any] = {}
_role = ""
_offset = 0.0  # seconds that the clock was set
_in_point = threading.local()


def install(role: str = "") -> None:
    """Begins to count in this process, which is a ``driver``, a ``worker``, or whatever its command line says."""
    global _role
    command = " ".join(sys.orig_argv)
    if not role and ("worker_process" in command or "default_worker.py" in command):
        role = "worker"
    _role = role or ("driver" if "-m mgic_nas " in command else "")
    if _plan or not _role:
        return
    _plan.update(json.loads(os.environ[PLAN]))
    sys.addaudithook(_audit)
    _watch(os, "fsync", _of_handle)
    for name in ("replace", "rename"):
        _watch(os, name, lambda source, target, **_: os.fspath(target))
    for name in ("unlink", "remove", "mkdir", "rmdir"):
        _watch(os, name, _of_path)
    _watch(Connection, "send", lambda *_: _plan["folder"])
    connect, clock = sqlite3.connect, time.time
    sqlite3.connect = lambda *args, **options: connect(*args, factory=_Study, **options)
    time.time = lambda: clock() + _offset


class _Cursor(sqlite3.Cursor):
    """A cursor whose tables are writes: each is a commit of its own."""

    def execute(self, sql: str, *args: Any) -> Any:
        with _point("create", self.connection.path) if sql.lstrip().startswith("CREATE") else contextlib.nullcontext():
            return super().execute(sql, *args)


class _Study(sqlite3.Connection):
    """A connection whose commits and whose end are writes."""

    def __init__(self, database: str, **options: Any) -> None:
        super().__init__(database, **options)
        self.path = database.removeprefix("file:").partition("?")[0] if "mode=rwc" in database else ""

    def cursor(self, factory: Any = _Cursor) -> Any:
        return super().cursor(factory)

    def commit(self) -> None:
        with _point("commit", self.path) if self.in_transaction else contextlib.nullcontext():
            super().commit()

    def close(self) -> None:
        with _point("close", self.path):
            super().close()


def _of_handle(handle: int) -> str:
    return os.readlink(f"/proc/self/fd/{handle}")


def _of_path(path: Any, *_: Any, dir_fd: int | None = None) -> str:
    return os.fspath(path) if dir_fd is None else os.path.join(_of_handle(dir_fd), path)


def _watch(owner: Any, name: str, where: Callable[..., str]) -> None:
    function = getattr(owner, name)

    def watched(*args: Any, **options: Any) -> Any:
        with _point(name, where(*args, **options), args[0]):
            return function(*args, **options)

    setattr(owner, name, watched)


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if event == "open" and isinstance(args[0], str | bytes | os.PathLike) and args[2] & (os.O_WRONLY | os.O_RDWR):
        with _point("open", os.fsdecode(args[0])):
            pass


@contextlib.contextmanager
def _point(kind: str, path: str, handle: Any = None) -> Iterator[None]:
    """Around a write."""
    folder = _plan["folder"]
    inside = os.path.abspath(path) == folder or os.path.abspath(path).startswith(folder + "/")
    if not path or not inside or getattr(_in_point, "busy", False):
        yield
        return
    _in_point.busy = True
    try:
        hit = _count(kind, path) == _plan.get("at") and _role == _plan["role"]
        killer = _strike(kind, handle) if hit and _plan.get("when") != "after" else None
        _refuse(kind, path)
        yield
        if killer:
            killer.join()
        elif hit and _plan.get("when") == "after":
            _strike(kind, handle)
    finally:
        _in_point.busy = False


def _count(kind: str, path: str) -> int:
    """Appends a line to this role's log; returns its number."""
    with open(f"{_plan['log']}.{_role}", "a+") as log:
        fcntl.flock(log, fcntl.LOCK_EX)
        log.seek(0)
        number = len(log.readlines()) + 1
        log.write(f"{os.getpid()} {kind} {os.path.relpath(path, _plan['folder'])}\n")
    return number


def _strike(kind: str, handle: Any) -> threading.Thread | None:
    global _offset
    do = _plan["do"]
    if do == "kill" and _plan.get("when") == "during":
        if kind == "fsync" and os.path.isfile(_of_handle(handle)):
            os.truncate(handle, os.fstat(handle).st_size // 2)
        else:  # a commit or a rename: somewhere in it, or shortly afterwards
            thread = threading.Thread(target=_kill_soon, daemon=True)
            thread.start()
            return thread
    if do == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif do == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif do in ("term", "term all"):
        if do == "term all":
            for worker in workers(_plan["log"]):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
    elif do in ("take", "move"):
        folder = _plan["data" if do == "take" else "folder"]
        os.rename(folder, folder + ".away")
    elif do == "clock":
        _offset = -DAY
    else:
        Path(f"{_plan['log']}.{do}").touch()
    return None


def _kill_soon() -> None:
    time.sleep(random.SystemRandom().uniform(0, 1e-3))
    os.kill(os.getpid(), signal.SIGKILL)


def _refuse(kind: str, path: str) -> None:
    """Raises what the system would, once the disk is full or cannot be written."""
    do = _plan.get("do")
    if do not in REFUSALS or kind in NEVER_REFUSED or not os.path.exists(marker := f"{_plan['log']}.{do}"):
        return
    number, text, allowed = REFUSALS[do]
    if kind in allowed:
        return
    with open(marker, "a") as log:
        log.write(f"{_role} {kind} {path}\n")
    raise sqlite3.OperationalError(text) if kind in ("commit", "create") else OSError(number, os.strerror(number), path)


def workers(log: str) -> set[int]:
    """The processes of workers that have written something."""
    path = Path(f"{log}.worker")
    return {int(line.split()[0]) for line in path.read_text().splitlines()} if path.exists() else set()

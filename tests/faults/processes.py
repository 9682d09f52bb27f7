"""Searches as processes: of a Python of their own, or forked from one that has imported everything already.

The second takes a tenth of the time, so that every write can be tried. What differs from the first: a worker is forked
from its driver, which has imported torch, where it would be a new Python.
"""

import contextlib
import json
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import forkserver
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from . import inject

TESTS = Path(__file__).parents[1]
SITE = str(TESTS / "faults" / "site")
PATIENCE = 240.0  # seconds that one life of a search may take
_starting = threading.Lock()
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", "MPLBACKEND": "agg"}


@dataclass(frozen=True)
class Ended:
    """How a search ended: its exit code (negative: the signal), and what it wrote."""

    code: int
    out: str
    err: str
    log: str

    @property
    def lines(self) -> list[str]:
        """The lines that say why it ended."""
        return [line for line in self.err.splitlines() if ": error: " in line or "interrupted" in line]

    @property
    def clear(self) -> bool:
        """Whether it ended well, or said in exactly one line why not."""
        return "Traceback" not in self.err and len(self.lines) == (self.code != 0)


class Search:
    """``mgic-nas search ...`` as a process that reads a plan for :mod:`.inject`.

    Args:
        arguments: of ``mgic-nas``.
        plan: see :mod:`.inject`.
        forked: see above.
        core: the one that it may use.
        environment: further variables.
        most_bytes: of any file that it writes; the system refuses to write more.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        plan: Mapping[str, Any],
        *,
        forked: bool,
        core: int,
        environment: Mapping[str, str] | None = None,
        most_bytes: int | None = None,
    ) -> None:
        self.log = plan["log"]
        paths = [SITE, str(TESTS), *filter(None, sys.path)]
        variables = {**os.environ, **_ENVIRONMENT, **(environment or {}), inject.PLAN: json.dumps(plan)}
        variables["PYTHONPATH"] = os.pathsep.join(paths)
        limits = (core, most_bytes)
        self._process: Any
        if forked:
            given = (list(arguments), variables, self.log, limits)
            self._process = _forking().Process(target=_search, args=given)
            self._process.start()
        else:
            with open(f"{self.log}.out", "w") as out, open(f"{self.log}.err", "w") as err:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "mgic_nas", *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    env=variables,
                    start_new_session=True,
                    preexec_fn=lambda: _limit(*limits),
                )
        self.pid = self._process.pid

    @property
    def code(self) -> int | None:
        process = self._process
        return process.poll() if isinstance(process, subprocess.Popen) else process.exitcode

    def wait(self, alone: bool = False, patience: float = PATIENCE) -> Ended:
        """Waits for it and, unless ``alone``, all that it started. Whatever is still there after that is killed."""
        until = time.monotonic() + patience
        while self.code is None and time.monotonic() < until:
            time.sleep(0.01)
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
            self._process.wait() if isinstance(self._process, subprocess.Popen) else self._process.join()
            with open(f"{self.log}.err", "a") as err:
                err.write(f"\nTraceback: killed after {patience:.0f} s\n")
        until = time.monotonic() + 30
        while (left := set() if alone else self.processes()) and time.monotonic() < until:
            time.sleep(0.05)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        out, err = (Path(f"{self.log}.{name}").read_text(errors="replace") for name in ("out", "err"))
        code = self.code
        assert code is not None
        return Ended(code, out, err + "".join(f"\nTraceback: process {pid} was left" for pid in left), self.log)

    def processes(self) -> set[int]:
        """What it has started and still runs: known by the plan in its environment, or by what it wrote."""
        found = {pid for pid in inject.workers(self.log) if running(pid)}
        for path in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                if f'"{self.log}"'.encode() in path.read_bytes():
                    found.add(int(path.parent.name))
        return {pid for pid in found - {self.pid} if running(pid)}


def running(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has waited for does not."""
    return state(pid) not in ("", "Z", "X")


def state(pid: int) -> str:
    """One letter, as in ``ps``; empty where there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (OSError, IndexError):
        return ""


def _forking() -> Any:
    """The context of a process that has imported everything, and from which the others are forked."""
    context = multiprocessing.get_context("forkserver")
    paths = os.pathsep.join([str(TESTS), *filter(None, sys.path)])
    with _starting, mock.patch.dict(os.environ, {**_ENVIRONMENT, "PYTHONPATH": paths}):
        context.set_forkserver_preload(["faults.preload"])
        forkserver.ensure_running()
    return context


def _limit(core: int, most_bytes: int | None) -> None:
    os.sched_setaffinity(0, {core})
    if most_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))


def _search(arguments: list[str], variables: dict[str, str], log: str, limits: tuple[int, int | None]) -> None:
    """The search in a forked process."""
    from mgic_nas import cli
    from mgic_nas.engine.executors import local

    os.setsid()
    os.environ.clear()
    os.environ.update(variables)
    sys.path.insert(0, SITE)  # Ray's workers get it from here
    time.tzset()
    _redirect(os.open(f"{log}.out", os.O_WRONLY | os.O_CREAT), os.open(f"{log}.err", os.O_WRONLY | os.O_CREAT))
    _limit(*limits)
    constants = {name: getattr(subprocess, name) for name in ("DEVNULL", "STDOUT", "TimeoutExpired")}
    local.subprocess = SimpleNamespace(Popen=_Forked, **constants)  # type: ignore[assignment]
    inject.install("driver")
    sys.exit(cli.main(arguments))


def _redirect(out: int, err: int) -> None:
    os.dup2(out, 1)
    os.dup2(err, 2)
    sys.stdout, sys.stderr = (os.fdopen(handle, "w", buffering=1, closefd=False) for handle in (1, 2))


class _Forked:
    """As much of ``subprocess.Popen`` as the local executor uses, for its workers."""

    def __init__(self, command: list[str], *, pass_fds: Sequence[int], stdout: Any, env: dict[str, str], **_: Any):
        self._code: int | None = None
        (handle,) = pass_fds
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self._work(handle, stdout.fileno(), env)
            finally:
                os._exit(1)

    def _work(self, handle: int, output: int, env: dict[str, str]) -> None:
        from mgic_nas.engine.executors import worker_process

        os.setsid()
        _redirect(output, output)
        for other in map(int, os.listdir("/proc/self/fd")):
            if other > 2 and other != handle:
                with contextlib.suppress(OSError):
                    os.close(other)
        os.environ.update(env)
        for number in (signal.SIGTERM, signal.SIGINT):  # as after exec
            signal.signal(number, signal.SIG_DFL)
        inject.install("worker")
        worker_process.main(handle)
        os._exit(0)

    def wait(self, timeout: float | None = None) -> int:
        until = time.monotonic() + (float("inf") if timeout is None else timeout)
        while self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > until:
                raise subprocess.TimeoutExpired("worker", timeout or 0)
            else:
                time.sleep(0.005)
        return self._code

    def kill(self) -> None:
        if self._code is None:
            os.kill(self.pid, signal.SIGKILL)

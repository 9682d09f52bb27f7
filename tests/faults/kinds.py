"""The kinds of faults. Each disturbs one search in one place; then the same command goes on until it ends well."""

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from . import inject
from .invariants import LOST, OTHER, Snapshot, rows, snapshot, violations
from .processes import Ended, Search, state

LIVES = 12  # of a search after a fault, at most
SPACE = """model: mgic_resnet20
kwargs: {depths: 1, s_g: 8, s_c: 8}
params:
  width_mult: {choices: [0.25, 0.5, 0.75]}
"""
TRIALS = 3  # all that there are, so that it does not matter in which order they are proposed


@dataclass(frozen=True)
class Setting:
    """What is searched, and how."""

    base: Path
    executor: str = "local"
    rungs: str = "none"
    concurrent: int = 1
    forked: bool = True
    core: int = 0

    @property
    def epochs(self) -> int:
        return 2 if self.rungs == "none" else 4

    @property
    def data(self) -> Path:
        """A folder of its own for each core, as one search may take it away from under another."""
        return self.base / f"data{self.core}"

    def command(self, run: Path) -> list[str]:
        given = {
            "--data": f"{self.data}?val=0.5",
            "--budget": "5M",
            "--trials": TRIALS,
            "--epochs": self.epochs,
            "--out": run,
            "--executor": self.executor,
            "--sampler": "random",
            "--rungs": self.rungs,
            "--concurrent": self.concurrent,
        }
        return ["search", str(self.base / "space.yaml"), *(str(word) for pair in given.items() for word in pair)]

    def prepare(self) -> None:
        """Writes space and data."""
        (self.base / "space.yaml").write_text(SPACE)
        for stripe in range(4):  # a class is where its bright stripe is
            folder = self.data / f"stripe{stripe}"
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(40):
                noise = random.Random(f"{stripe} {number}")
                image = Image.new("L", (8, 8))
                image.putdata([noise.randrange(160) + 90 * (place // 16 == stripe) for place in range(64)])
                image.save(folder / f"{number}.png")


@dataclass(frozen=True)
class Reference:
    """A search that nobody disturbed: its table, its curves, its writes by role, and how long it took."""

    rows: Mapping[str, Any]
    curves: Mapping[str, Any]
    writes: Mapping[str, list[str]]
    seconds: float

    @classmethod
    def of(cls, setting: Setting) -> "Reference":
        case = Case(setting, None, "undisturbed")
        begin = time.monotonic()
        ended = case.live()
        assert ended.code == 0, ended.err
        writes = {role: Path(f"{ended.log}.{role}").read_text().splitlines() for role in ("driver", "worker")}
        return cls(rows(case.run), snapshot(case.run).curves, writes, time.monotonic() - begin)


class Case:
    """One search, its lives, and what was wrong.

    Attributes:
        run: its folder.
        wrong: (kind, what) of each violation so far.
    """

    def __init__(self, setting: Setting, reference: Reference | None, name: str) -> None:
        self.setting, self._reference, self.name = setting, reference, name
        self._folder = setting.base / f"{name} {setting.executor} {setting.rungs}".replace(" ", "-")
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        self.run = self._folder / "run"
        self.wrong: list[tuple[str, str]] = []
        self._history: list[Snapshot] = []
        self._lives = 0

    def start(self, environment: Mapping[str, str] | None = None, most_bytes: int | None = None, **plan: Any) -> Search:
        """A life, with a plan for :mod:`.inject`."""
        self._lives += 1
        log = str(self._folder / f"life{self._lives}")
        plan = {"folder": str(self.run), "log": log, "data": str(self.setting.data), **plan}
        where = {"forked": self.setting.forked, "core": self.setting.core}
        return Search(self.setting.command(self.run), plan, environment=environment, most_bytes=most_bytes, **where)

    def live(self, codes: tuple[int, ...] | None = None, **options: Any) -> Ended:
        """A life to its end. ``codes``: the exit codes that are right, with one line where it is not 0."""
        return self.ended(self.start(**options).wait(), codes)

    def ended(self, ended: Ended, codes: tuple[int, ...] | None = None) -> Ended:
        if codes is not None and (ended.code not in codes or not ended.clear):
            self.wrong.append((OTHER, f"exit code {ended.code}: {ended.err[-2000:]}"))
        if (self.run / "run.yaml").exists():
            self._history.append(snapshot(self.run))
        return ended

    def finish(self, codes: tuple[int, ...] = (0,), environment: Mapping[str, str] | None = None) -> "Case":
        """The same command until it ends well, and what must hold then."""
        for _ in range(LIVES):
            if self.live(codes, environment=environment).code == 0:
                break
        else:
            self.wrong.append((LOST, f"it does not end after {LIVES} lives"))
            return self
        assert self._reference is not None
        known, early = self._reference, self.setting.rungs != "none"
        self.wrong += violations(self.run, self._history, self.setting.epochs, known.rows, known.curves, early)
        return self

    def clear(self) -> None:
        """Removes the search, unless there was something wrong with it."""
        if not self.wrong:
            shutil.rmtree(self._folder)


def killed(case: Case, role: str, at: int, when: str) -> Case:
    """SIGKILL at a write. A driver that outlives its worker trains again what that had."""
    case.live(None if role == "driver" else (0,), role=role, at=at, do="kill", when=when)
    return case.finish()


def killed_at_random(case: Case, role: str, seconds: float, number: int = 0) -> Case:
    """SIGKILL to driver, worker or both after some seconds, in one life after the other, until one ends before.

    After the driver's the next life begins at once, whatever its workers do.
    """
    for _ in range(3):
        search = case.start()
        until = time.monotonic() + random.SystemRandom().uniform(0, seconds)
        while search.code is None and time.monotonic() < until:
            time.sleep(0.001)
        victims = [search.pid] if role != "worker" else []
        victims += inject.workers(search.log) if role != "driver" else []
        for pid in victims:
            if state(pid) not in ("", "Z"):
                os.kill(pid, signal.SIGKILL)
        if case.ended(search.wait(alone=role == "driver")).code == 0:
            break
    return case.finish()


def renamed(case: Case, step: int) -> Case:
    """The run's folder has another name in each life; each is killed ``step`` writes after its beginning."""
    for life in range(8):
        ended = case.live(role="driver", at=step + life, do="kill", when="before")
        if ended.code == 0:
            break
        if case.run.exists():
            case.run = case.run.rename(case.run.with_name(f"run{life}"))
    return case.finish()


def moved(case: Case, role: str, at: int) -> Case:
    """The run's folder is renamed under a search, which must not begin another one at the old place."""
    case.live(None, role=role, at=at, do="move")
    if (away := case.run.with_name("run.away")).exists():
        if left := [path for path in case.run.rglob("*") if path.is_file()]:
            case.wrong.append((LOST, f"{left} are not in the run's folder any more"))
        shutil.rmtree(case.run, ignore_errors=True)
        away.rename(case.run)
    return case.finish()


def refused(case: Case, do: str, role: str, at: int) -> Case:
    """The disk is full, cannot be written or breaks at a write, and is mended before the next life."""
    ended = case.live((0, 1, 2), role=role, at=at, do=do)
    refusals = Path(f"{ended.log}.{do}")
    if ended.code == 0 and refusals.exists() and refusals.read_text():
        case.wrong.append((OTHER, f"exit code 0, though {do} at {refusals.read_text().splitlines()[0]}"))
    return case.finish()


def limited(case: Case, most_bytes: int) -> Case:
    """The system itself refuses to write more into a file, also in the middle of a commit."""
    case.live((0, 1, 2), most_bytes=most_bytes)
    return case.finish()


def small_disk(case: Case, kib: int) -> Case:
    """A disk so small that it is full at some time, and cannot be written the next time. Needs the right to mount."""
    case.run.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(case.run)]
    subprocess.run(mount, check=True)
    try:
        case.live((0, 1, 2))
        for options, codes in (("remount,ro", (1, 2)), ("remount,rw,size=64m", None)):
            subprocess.run(["mount", "-o", options, str(case.run)], check=True)
            if codes:
                case.live(codes)
        case.finish()
    finally:
        subprocess.run(["umount", str(case.run)], check=True)
    return case


def taken(case: Case, at: int) -> Case:
    """The folder of the data is gone from a write on, for another life too, and then back."""
    data = case.setting.data
    try:
        case.live((0, 1, 2), role="driver", at=at, do="take")
        case.live((1, 2))
    finally:
        if (away := data.with_name(f"{data.name}.away")).exists():
            away.rename(data)
    return case.finish()


def set_back(case: Case, at: int) -> Case:
    """Killed, and the next life is a day earlier, by its zone; in that one the clock falls back another day."""
    case.live(role="driver", at=at, do="kill", environment={"TZ": "X-12"})
    case.live((0,), role="driver", at=at, do="clock", environment={"TZ": "X+12"})
    return case.finish(environment={"TZ": "X+12"})


def two_drivers(case: Case, at: int) -> Case:
    """The first stands still at a write while the second begins."""
    first = case.start(role="driver", at=at, do="stop")
    while first.code is None and state(first.pid) != "T":
        time.sleep(0.005)
    second = case.start()
    until = time.monotonic() + 10
    while second.code is None and time.monotonic() < until:  # it may wait for the first's report
        time.sleep(0.01)
    if first.code is None:
        os.kill(first.pid, signal.SIGCONT)
    for search in (second, first):
        case.ended(search.wait(), (0, 2))
    if 0 not in (first.code, second.code):
        case.wrong.append((OTHER, f"exit codes {first.code} and {second.code}"))
    return case.finish()


def terminated(case: Case, do: str, at: int) -> Case:
    """SIGTERM, to the driver alone or to its workers too."""
    ended = case.live(role="driver", at=at, do=do)
    if ended.code not in (0, -signal.SIGTERM, 128 + signal.SIGTERM, 130) or "Traceback" in ended.err:
        case.wrong.append((OTHER, f"exit code {ended.code}: {ended.err[-2000:]}"))
    return case.finish()


def make(setting: Setting, reference: Reference, name: str, kind: Callable[..., Case], *args: Any) -> Case:
    """A case of a kind; what breaks in the harness itself is a violation too."""
    case = Case(setting, reference, f"{name} {' '.join(map(str, args))}")
    try:
        kind(case, *args)
    except Exception as error:
        case.wrong.append((OTHER, f"{type(error).__name__}: {error}"))
    case.clear()
    return case

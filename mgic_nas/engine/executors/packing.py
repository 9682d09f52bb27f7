"""How many trials at a time: measured once, for seconds, before the first is trained.

Trials that share a GPU share its memory without isolation, and cores are shared well or badly depending on the
networks. So the costliest network that the budgets allow is trained for a moment, alone and in several copies side by
side, and as many trials run at a time as train the most images a second within the memory that is there.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..._files import read_json, write_json
from ..._machine import available_memory_mb, cpu_model
from ...train.job import Job, Setup
from .local import Worker, environment
from .messages import EPOCH, FAILED, POISONED, REFUSED
from .slots import MOST_BY_DEFAULT, cores, visible_gpus

if TYPE_CHECKING:
    from ..proposals.candidate import SearchProblem
    from ..storage.config import RunConfig

PACKING_JSON = "packing.json"
FEWEST_TRIALS = 8  # for fewer a probe does not pay
PROBE_SHARE = 0.05  # of the time that all trainings take: a probe that takes more is left out
SECONDS = 1.5  # of training in each measurement
PATIENCE = 60.0  # seconds that a probe may take in all; on a machine so busy it would measure others
SHORTEST = 12.0  # seconds that a probe needs, most of them to start its processes
MARGIN = 0.15  # of the memory is left free: networks differ, and evaluation takes some too
GOOD_ENOUGH = 0.95  # of the best throughput: fewer trials at a time let a sampler learn more from each
ROOM = 3_072  # MiB that a copy does not take before it trains

Say = Callable[[str], None]


@dataclass(frozen=True)
class Reading:
    """What one copy of a training reports; see :func:`mgic_nas.train.probe.probe`."""

    images: int
    seconds: float
    host_mb: float
    gpu_mb: float = 0.0
    gpu_used_mb: float = 0.0
    gpu_total_mb: float = 0.0


@dataclass(frozen=True)
class Machine:
    """What there is to share: cores, GPUs (alike: the first stands for all), MiB of memory that are free here."""

    processor: str
    cores: int
    gpus: tuple[str, ...] = ()
    host_mb: float | None = None

    @property
    def choices(self) -> list[int]:
        """Copies (on one GPU, where there is one) that are worth a measurement."""
        most = min(self.cores // max(1, len(self.gpus)), MOST_BY_DEFAULT)
        return [k for k in (1, 2, 3, 4, 6, 8) if k <= most and (self.gpus or k != 3)]

    def threads(self, copies: int) -> int:
        """CPU threads of each, with so many copies (on each GPU)."""
        return max(1, self.cores // (copies * max(1, len(self.gpus))))


@dataclass(frozen=True)
class Packing:
    """What a probe chose: ``concurrent`` trials at a time, on all GPUs together.

    ``images_per_second`` has every measured number of copies (on one GPU); ``host_mb`` and ``gpu_mb`` are one copy's.
    """

    concurrent: int
    images_per_second: dict[int, float] = field(default_factory=dict)
    host_mb: float = 0.0
    gpu_mb: float = 0.0

    @property
    def rate(self) -> float:
        """Images a second of all copies together on the first GPU, or on the cores, as chosen; 0 where unknown."""
        return max((rate for copies, rate in self.images_per_second.items() if copies <= self.concurrent), default=0.0)


Measure = Callable[[int, int], list[Reading]]


def choose(machine: Machine, measure: Measure) -> Packing | None:
    """The best number of copies; None where not even one could be trained.

    ``measure(copies, threads)`` trains so many side by side and gives a reading of each; it raises RuntimeError where
    that fails. More copies are only tried while they fit into the memory, by what one takes, with :data:`MARGIN` left.
    """
    rates: dict[int, float] = {}
    host = gpu = used = total = 0.0  # MiB: of each copy; on the GPU with one copy and everybody else, and of the GPU
    shared = max(1, len(machine.gpus))
    for copies in machine.choices:
        if rates and (
            (machine.host_mb is not None and copies * shared * host > (1 - MARGIN) * machine.host_mb)
            or (machine.gpus and used + (copies - 1) * gpu > (1 - MARGIN) * total)
        ):
            break
        try:
            readings = measure(copies, machine.threads(copies))
        except RuntimeError:
            break  # out of memory after all, or something that the first trial will say better
        rates[copies] = sum(r.images / r.seconds for r in readings)
        host = max(host, *(r.host_mb for r in readings))
        gpu = max(gpu, *(_on_gpu(r, copies) for r in readings))
        used, total = used or readings[0].gpu_used_mb, readings[0].gpu_total_mb
    if not rates:
        return None
    enough = GOOD_ENOUGH * max(rates.values())
    copies = min(k for k, rate in rates.items() if rate >= enough)
    rounded = {k: round(rate, 1) for k, rate in rates.items()}
    return Packing(copies * shared, rounded, round(host, 1), round(gpu, 1))


def _on_gpu(reading: Reading, copies: int) -> float:
    """MiB that one more copy takes on a GPU: its tensors, and its CUDA context, which is what else is in use there.

    Where others use the GPU too, that is too much, which does no harm.
    """
    return max(reading.gpu_mb, reading.gpu_used_mb / copies)


def packing(
    folder: Path,
    config: RunConfig,
    problem: SearchProblem,
    setup: Setup,
    trials: int,
    say: Say,
    patience: float | None = None,
    keep: bool = True,
) -> Packing | None:
    """How many trials at a time, where the user left it open: kept with the run, else measured now.

    None where nothing is to be chosen: the user named a number, the trials run on a cluster, there are few of them
    (``trials`` is how many are left), this machine has one core and no GPU, no network fits the budgets, or the
    measurement takes longer than ``patience`` seconds (by default, and at most, :data:`PATIENCE`); where that is less
    than :data:`SHORTEST` it is not begun. ``keep``: write the result into the run's folder.
    """
    if config.concurrent is not None or config.gpus_per_trial != "auto" or config.address is not None:
        return None

    def costliest() -> Mapping[str, Any] | None:
        largest = problem.feasible.costliest()
        return None if largest is None else problem.space.config(largest.setting)

    return probed(folder, setup, costliest, trials, say, patience, keep)


def probed(
    folder: Path,
    setup: Setup,
    costliest: Callable[[], Mapping[str, Any] | None],
    trials: int,
    say: Say,
    patience: float | None = None,
    keep: bool = True,
) -> Packing | None:
    """As :func:`packing`, of trainings whose costliest network's configuration ``costliest`` gives; None for none."""
    if trials < FEWEST_TRIALS:
        return None
    machine = this_machine()
    if len(machine.choices) < 2:
        return None
    key = {"processor": machine.processor, "cores": machine.cores, "gpus": list(machine.gpus)}
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        kept = read_json(folder / PACKING_JSON)
        if kept and {name: kept[name] for name in key} == key:
            rates = {int(copies): rate for copies, rate in kept["images_per_second"].items()}
            return Packing(int(kept["concurrent"]), rates, kept["host_mb"], kept["gpu_mb"])
    patience = min(PATIENCE, PATIENCE if patience is None else patience)
    if patience < SHORTEST:
        return None
    begin = time.monotonic()
    largest = costliest()
    if largest is None:
        return None
    found = None
    with _Copies(setup, largest, machine, patience) as copies, contextlib.suppress(TimeoutError):
        found = choose(machine, copies.measure)
    if found is None:
        return None
    if keep:
        with contextlib.suppress(OSError):  # it only spares the next driver the probe
            write_json(folder / PACKING_JSON, {**key, **asdict(found)})
    say(f"{_told(found, machine)} (probed for {time.monotonic() - begin:.0f} s; --concurrent N chooses otherwise)")
    return found


def _told(found: Packing, machine: Machine) -> str:
    shared = max(1, len(machine.gpus))
    rates = ", ".join(f"{copies}: {rate:,.0f}" for copies, rate in found.images_per_second.items())
    copies, threads = found.concurrent // shared, machine.threads(found.concurrent // shared)
    where = f"each GPU ({found.gpu_mb:,.0f} MiB each)" if machine.gpus else f"{machine.cores} cores"
    return (
        f"{copies} trial{'s' if copies > 1 else ''} at a time on {where}, {threads} thread{'s' if threads > 1 else ''} "
        f"and {found.host_mb:,.0f} MiB each; images/s with {rates}"
    )


def this_machine() -> Machine:
    """What a probe has to share here. Makes no CUDA context."""
    return Machine(cpu_model(), cores(), tuple(visible_gpus()), available_memory_mb())


class _Copies:
    """Worker processes that train the same network side by side, on the first GPU or on the cores."""

    def __init__(self, setup: Setup, config: Mapping[str, Any], machine: Machine, patience: float) -> None:
        self._introduction = (replace(setup, device="auto" if machine.gpus else "cpu"), "mgic_nas.train.probe:probe")
        self._config = dict(config)
        self._machine = machine
        self._workers: list[Worker] = []
        self._warm = 0  # of them have trained already
        self._until = time.monotonic() + patience

    def __enter__(self) -> _Copies:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.hang_up()
        for worker in self._workers:
            worker.bury()

    def measure(self, copies: int, threads: int) -> list[Reading]:
        """A reading of each of so many copies. RuntimeError where one dies or fails; TimeoutError."""
        started, free = len(self._workers), self._machine.host_mb
        most = max(self._machine.choices)
        # All at once where they surely fit: their imports then take no longer than one's.
        new = range(started, most if not started and free is not None and free > most * ROOM else max(copies, started))
        gpus = visible_gpus()[:1]
        self._workers += [Worker(i, environment(self._machine.cores, gpus), self._introduction) for i in new]
        workers = self._workers[:copies]
        self._hear([self._workers[i] for i in new])  # they are ready
        if copies > self._warm:
            self._train(workers[self._warm :], threads, 0.0)  # one step: libraries choose their kernels in it
            self._warm = copies
        return [Reading(**{k: v for k, v in found.items() if k != "epoch"}) for found in self._train(workers, threads)]

    def _train(self, workers: Sequence[Worker], threads: int, seconds: float = SECONDS) -> list[dict[str, Any]]:
        asked = {"config": self._config, "threads": threads, "seconds": seconds}
        for worker in workers:
            worker.start(Job(0, 1, asked, 0, 1))
        readings = self._hear(workers)
        for worker in workers:
            worker.answer(True)
        self._hear(workers)  # done
        return readings

    def _hear(self, workers: Sequence[Worker]) -> list[Any]:
        """One message of each."""
        heard: dict[Connection, Any] = {}
        while len(heard) < len(workers):
            waiting = [w.connection for w in workers if w.connection not in heard]
            ready = wait(waiting, max(0.0, self._until - time.monotonic()))
            if not ready:
                raise TimeoutError("the probe takes too long")
            for connection in waiting:
                if connection not in ready:
                    continue
                try:
                    kind, content = connection.recv()
                except (EOFError, OSError):
                    raise RuntimeError("a worker of the probe died") from None
                if kind in (FAILED, POISONED, REFUSED):
                    raise RuntimeError(content if isinstance(content, str) else content["text"])
                heard[connection] = content if kind == EPOCH else None
        return [heard[w.connection] for w in workers]

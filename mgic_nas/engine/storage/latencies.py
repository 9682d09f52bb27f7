"""Measured latencies of a run: each architecture once on each machine, kept in the run's folder.

A latency cannot be counted, and to measure one takes a tenth of a second or more. So a candidate is measured only when
everything that can be counted fits, and never twice: ``latency.csv`` says what was measured, where and how, and each
further kind of latency has a file of its name (``latency-onnxruntime-b8.csv``).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ... import cost, families  # their functions load torch when they are called
from ..._files import csv_text, read_csv, write_atomic
from ..._text import size_text
from ...cost.runtimes.kinds import LATENCY, RuntimeKind
from ...cost.runtimes.registry import RUNTIMES
from ...errors import UserError
from ...families.names import create_model_line

if TYPE_CHECKING:
    from ...space.parameters import Setting
    from .config import RunConfig

COLUMNS = ("arch_id", "latency_ms", "input_size", "batch", "device", "threads", "runtime", "config")
_OF_TORCH = tuple(name for name in COLUMNS if name != "runtime")  # as they have always been
THREADS = 1  # more of them share the cores with trainings, and then no measurement repeats

_SIZE, _DIGITS = re.compile(r"[0-9]{1,9}(x[0-9]{1,9}){2}"), re.compile(r"[0-9]{1,9}")

Measure = Callable[[str, Mapping[str, Any]], float | None]
Row = dict[str, str]


@dataclass(frozen=True)
class Place:
    """Where and how a latency was measured: what makes two of them comparable.

    Attributes:
        input_size: (C, H, W) of one image.
        device: its name; of a csv of measurements the file's.
        threads: of a CPU; 0 on a GPU, and where nobody said.
        batch: images at a time, 0 where nobody said.
        runtime: with its version; empty for torch as it trains. Of a csv, what it held.
    """

    input_size: tuple[int, int, int]
    device: str
    threads: int
    batch: int = 1
    runtime: str = ""

    def __str__(self) -> str:
        if not self.batch:
            return f"as in {self.device}, images of {size_text(self.input_size)}"
        one = "one image" if self.batch == 1 else f"a batch of {self.batch}"
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''} of " if self.threads else ""
        runtime = f", {self.runtime}" if self.runtime else ""
        return f"{one} of {size_text(self.input_size)} at a time on {threads}{self.device}{runtime}"

    def cells(self) -> Row:
        """Its columns of latency.csv."""
        return {
            "input_size": size_text(self.input_size),
            "batch": str(self.batch),
            "device": self.device,
            "threads": str(self.threads),
            **({"runtime": self.runtime} if self.runtime else {}),
        }


class Latencies:
    """The latencies of a run's architectures, of one kind, on this machine.

    Args:
        folder: of the run; what was measured there before in this place is not measured again.
        place: where and how ``measure`` measures.
        measure: (arch_id, keyword arguments of the model) -> seconds of one batch; None where a csv lacks the network.
        limit: the largest budget on it, seconds.
        kind: of the cost.

    Attributes:
        kind: ``latency``, ``latency-onnxruntime-b8``, ...
        too_slow: the arch_ids that were measured and take longer than ``limit``.
        lacking: the arch_ids that the csv is known to lack, or that could not be timed.
        settings: arch_id -> setting of the space, of what a csv names so; else empty.
    """

    def __init__(self, folder: Path, place: Place, measure: Measure, limit: float, kind: str = LATENCY) -> None:
        self.kind = kind
        self.place = place
        self.limit = limit
        self.lacking: set[str] = set()
        self._failure = ""  # the latest reason why one could not be timed
        self.settings: Mapping[str, Setting] = {}
        self._path = folder / file_name(kind)
        self._columns = _columns(kind)
        self._measure = measure
        rows = _read(self._path)
        ours = [row for row in rows if place.cells().items() <= row.items()]
        self._rows = {row["arch_id"]: row for row in ours}
        self.too_slow = {arch_id for arch_id in self._rows if self._slow(arch_id)}
        if ours != rows[len(rows) - len(ours) :] or _torn(self._path):
            # This machine's last, because readers go by the last row's; and no half a line for the next to follow.
            others = [row for row in rows if not place.cells().items() <= row.items()]
            write_atomic(self._path, csv_text(self._columns, [*others, *ours]))

    def seconds(self, arch_id: str, config: Mapping[str, Any]) -> float | None:
        """The latency of an architecture, measured now where it is not known yet.

        None where a csv lacks it, or where it could not be timed: then it is one of :attr:`lacking`.
        """
        if arch_id not in self._rows:
            seconds = None if arch_id in self.lacking else self._measured(arch_id, config)
            if seconds is None:
                self.lacking.add(arch_id)
                return None
            milliseconds = f"{seconds * 1e3:.4g}"
            row = {"arch_id": arch_id, "latency_ms": milliseconds, **self.place.cells(), "config": json.dumps(config)}
            with open(self._path, "a", newline="") as stream:
                stream.write(csv_text(self._columns, [row], heading=not stream.tell()))
            self._rows[arch_id] = row
            if self._slow(arch_id):
                self.too_slow.add(arch_id)
        # From the text also the first time: whoever resumes compares the same number.
        return float(self._rows[arch_id]["latency_ms"]) / 1e3

    def _measured(self, arch_id: str, config: Mapping[str, Any]) -> float | None:
        try:
            return self._measure(arch_id, config)
        except UserError as error:  # of this network alone: another was timed before the search began
            self._failure = str(error)
            return None

    @property
    def why_lacking(self) -> str:
        """The reason for which a network of :attr:`lacking` is not trained."""
        return "not timed" if self.place.batch else f"not in {self.place.device}"

    def known(self, arch_id: str) -> float | None:
        """Seconds, None where it was not measured on this machine."""
        row = self._rows.get(arch_id)
        return None if row is None else float(row["latency_ms"]) / 1e3

    def slow_ones(self, model: str, num_classes: int) -> str:
        """`` (17 were measured and too slow)``, with the fastest of them where all were; nothing where none was.

        Those without a latency are counted too.
        """
        slow, lacking = len(self.too_slow), len(self.lacking)
        missing = f"{self.place.device} has no measurement of {lacking:,}" if lacking else ""
        if missing and self.place.batch:
            missing = f"{lacking:,} could not be timed: {self._failure.rstrip('.')}"
        if not slow:
            return f" ({missing})" if missing else ""
        text = (
            f"{slow:,} {'was' if slow == 1 else 'were'} measured and too slow for {self.kind}={self.limit * 1e3:.4g}ms"
        )
        if slow == len(self._rows):
            row = min(self._rows.values(), key=lambda r: float(r["latency_ms"]))
            line = create_model_line(model, json.loads(row["config"]), num_classes, self.place.input_size[0])
            text += f"; the fastest takes {row['latency_ms']} ms, {self.place}: {line}"
        return f" ({text}; {missing})" if missing else f" ({text})"

    def _slow(self, arch_id: str) -> bool:
        return float(self._rows[arch_id]["latency_ms"]) / 1e3 > self.limit

    def __len__(self) -> int:
        return len(self._rows)


def of_torch(config: RunConfig) -> tuple[Place, Measure]:
    """One image in torch, as the network is trained; a GPU unless none is there or wanted."""
    place, device = here(config.input_size, config.gpus_per_trial)

    def measure(arch_id: str, arguments: Mapping[str, Any]) -> float:
        net = families.family(config.model).build(dict(arguments), config.num_classes, config.input_size[0])
        return cost.image_latency(net.to(device), config.input_size, threads=THREADS)

    return place, measure


def here(
    input_size: tuple[int, int, int], gpus_per_trial: str | float = "auto", runtime: RuntimeKind | None = None
) -> tuple[Place, str]:
    """Where and how this machine measures, and torch's name of that device: a GPU unless none is there or wanted.

    Args:
        input_size: (C, H, W) of one image.
        gpus_per_trial: 0 where no GPU is wanted.
        runtime: None for torch as it trains.
    """
    import torch  # here: who only reads a table of latencies needs none

    own = None if runtime is None else RUNTIMES.load(runtime.runtime)
    gpu = (own is None or own.gpu) and gpus_per_trial != 0 and torch.cuda.is_available()
    device = "cuda" if gpu else "cpu"
    threads = 0 if gpu else THREADS if runtime is None else runtime.threads
    batch = 1 if runtime is None else runtime.batch
    named = "" if runtime is None or own is None else f"{runtime.runtime} ({own.version()})"
    return Place(input_size, cost.timed_on(device), threads, batch, named), device


def read_latencies(folder: str | Path, kind: str = LATENCY) -> tuple[dict[str, float], Place | None]:
    """arch_id -> seconds, of the machine that measured last in a run, and how it measured; nothing where none did."""
    rows = _read(Path(folder) / file_name(kind))
    if not rows:
        return {}, None
    last = rows[-1]
    channels, height, width = map(int, last["input_size"].split("x"))
    place = Place(
        (channels, height, width), last["device"], int(last["threads"]), int(last["batch"]), last.get("runtime", "")
    )
    same = (row for row in rows if place.cells().items() <= row.items())
    return {row["arch_id"]: float(row["latency_ms"]) / 1e3 for row in same}, place


def file_name(kind: str) -> str:
    """Of a kind's latencies in a run's folder."""
    return f"{kind}.csv"


def _columns(kind: str) -> tuple[str, ...]:
    return _OF_TORCH if kind == LATENCY else COLUMNS


def _read(path: Path) -> list[Row]:
    """The whole rows; one that a killed driver left half written is none."""
    try:
        return [row for row in read_csv(path) if _whole(row)]
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise UserError(f"{path} cannot be read: {error}.") from None


def _whole(row: Mapping[str, Any]) -> bool:
    try:
        if not isinstance(json.loads(row["config"]), dict):  # the last column
            return False
        known = row["arch_id"] and _SIZE.fullmatch(row["input_size"])
        whole = all(_DIGITS.fullmatch(row[name]) for name in ("batch", "threads"))
        return bool(known and whole and row["device"]) and 0 < float(row["latency_ms"]) < math.inf
    except (KeyError, TypeError, ValueError, RecursionError):
        return False


def _torn(path: Path) -> bool:
    return path.exists() and not path.read_bytes().endswith(b"\n")

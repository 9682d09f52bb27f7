"""What is known of every trial, read from the study: the rows of trials.csv and what a report needs besides."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..._files import write_atomic
from ...pareto import non_dominated
from .study import ENDED, OVER, REJECTED, read_study
from .trial import COMPLETE, FAILED, PAUSED, STOPPED, Trial

TRIALS_CSV = "trials.csv"
COSTS = ("macs", "macs_without_transfers", "params", "activations")

Row = dict[str, Any]


@dataclass(frozen=True)
class Record:
    """A run as its study tells it.

    Attributes:
        entries: the architectures whose training started, by number.
        rejected: reason -> how many proposals were not trained for it.
        uniform: how many architectures were drawn uniformly, because the sampler found none.
        ended: why no further architecture is proposed ("no untried architecture is left ..."); empty if there may be.
        trials_folder: where their weights are.
        timed: where a budget is on latency, how it was measured, in words; None where there is none.
        over: the run came to its end; what is paused then was not worth more training.
    """

    entries: tuple[Trial, ...]
    rejected: dict[str, int]
    uniform: int
    ended: str
    trials_folder: Path
    timed: str | None = None
    over: bool = False

    @property
    def rows(self) -> list[Row]:
        return rows(self.entries, self.timed is not None)

    @property
    def weights(self) -> dict[int, Path]:
        """trial number -> its trained weights, where they were kept."""
        found = ((e.number, e.weights(self.trials_folder)) for e in self.entries)
        return {number: path for number, path in found if path is not None and path.exists()}

    @property
    def curves(self) -> dict[int, list[dict[str, Any]]]:
        """trial number -> its epochs, ``{"epoch": 1, "val_acc": ..., ...}`` each; finished trials only."""
        return {e.number: e.curve for e in self.entries if e.curve}

    @property
    def wall_seconds(self) -> float | None:
        """From the first trial's start to the last one's end, pauses of the driver included."""
        starts = [e.started for e in self.entries if e.started is not None]
        ends = [e.ended for e in self.entries if e.ended is not None]
        return max(ends) - min(starts) if starts and ends else None


def read_record(folder: str | Path) -> Record:
    """What the study in ``folder`` says now; also while a driver is writing it, or after one was killed.

    Nothing is written. UserError where there is no run or no study.
    """
    from .config import RunConfig
    from .latencies import read_latencies

    folder = Path(folder)
    config = RunConfig.load(folder)
    trials_folder = config.trials_folder(folder)
    trials, attributes = read_study(folder)
    entries = [entry for trial in trials if (entry := Trial.from_trial(trial))]
    timed = None
    if "latency" in config.limits():
        seconds, place = read_latencies(folder)
        timed = str(place or "")
        for entry in entries:
            entry.latency = seconds.get(entry.arch_id)
    return Record(
        tuple(sorted(entries, key=lambda e: e.number)),
        dict(Counter(t.user_attrs[REJECTED] for t in trials if REJECTED in t.user_attrs and t.state.name == "PRUNED")),
        sum(e.job.get("drawn") == "uniform" for e in entries),
        str(attributes.get(ENDED, "")),
        trials_folder,
        timed,
        bool(attributes.get(OVER, False)),
    )


def read_trials(folder: str | Path) -> list[Row]:
    """The rows of trials.csv, by number, from the study. Everything is a plain value; what is not known is None."""
    return read_record(folder).rows


def write_trials_csv(folder: str | Path, entries: Iterable[Trial] | None = None, timed: bool = False) -> None:
    """Writes trials.csv, whole or not at all; without ``entries`` from the study. ``timed``: as in :func:`rows`."""
    table = read_trials(folder) if entries is None else rows(entries, timed)
    text = io.StringIO()
    writer = csv.DictWriter(text, columns(table), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    write_atomic(Path(folder) / TRIALS_CSV, text.getvalue())


def columns(table: Sequence[Row]) -> list[str]:
    """The columns of trials.csv; with no rows, those that every run has."""
    return list(table[0]) if table else list(_row(_NOTHING, [], False))


def rows(entries: Iterable[Trial], timed: bool = False) -> list[Row]:
    """One row an entry, in the order of their numbers; all with the same columns. ``timed``: with latency_ms."""
    entries = sorted(entries, key=lambda e: e.number)
    names = list(dict.fromkeys(name for e in entries for name in e.job["setting"]))
    complete = [e for e in entries if e.state == COMPLETE and e.val_acc is not None]
    mask = non_dominated([e.val_acc or 0.0 for e in complete], [e.cost("macs") for e in complete])
    front = {e.number for e, on_front in zip(complete, mask, strict=True) if on_front}
    return [_row(e, names, e.number in front, timed) for e in entries]


def _row(entry: Trial, names: Sequence[str], on_front: bool, timed: bool = False) -> Row:
    job, result = entry.job, entry.result
    over = entry.state in (COMPLETE, STOPPED, FAILED)
    if entry.state == PAUSED:  # what it cost so far; its accuracy is none yet
        seconds = sum(epoch.get("seconds") or 0.0 for epoch in entry.curve)
        result = {"epochs": len(entry.curve), "seconds": seconds}
    return {
        "number": entry.number,
        "arch_id": job["arch_id"],
        "state": entry.state,
        **{f"p.{name}": job["setting"].get(name) for name in names},
        **{kind: job["cost"][kind] for kind in COSTS},
        **({"latency_ms": None if entry.latency is None else round(entry.latency * 1e3, 6)} if timed else {}),
        "val_acc": _finite(result.get("val_acc")) if over else None,
        "epochs": result.get("epochs"),
        "seconds": _finite(result.get("seconds")),
        "peak_memory_mb": _finite(result.get("peak_memory_mb")),
        "seed": job["seed"],
        "on_front": on_front,
        "error": result.get("error") or None,
    }


def _finite(value: Any) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


_NOTHING = Trial(0, {"arch_id": "", "setting": {}, "cost": dict.fromkeys(COSTS), "seed": None})

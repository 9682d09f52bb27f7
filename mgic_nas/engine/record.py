"""What is known of every trial, read from the study: the rows of trials.csv and what a report needs besides."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._files import write_atomic
from ..pareto import non_dominated
from .study import ENDED, JOB, OVER, REJECTED, RESULT, read_study

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

TRIALS_CSV = "trials.csv"
RUNNING, PAUSED, COMPLETE, STOPPED, FAILED = "running", "paused", "complete", "stopped", "failed"
COSTS = ("macs", "macs_without_transfers", "params", "activations")

Row = dict[str, Any]


@dataclass
class Entry:
    """One architecture whose training started.

    Attributes:
        number: of the trial in the study.
        job: its user attribute: arch_id, setting, config, cost, seed, attempt (the latest), deaths (of workers),
            first_epoch, last_epoch, checkpoint, paused, drawn, curve (at its latest rung).
        state: a word of trials.csv.
        result: what came of it: attempt, val_acc, val_loss, epochs, seconds, peak_memory_mb, curve, device, error.
        curve: the epochs that the driver heard of.
        latency: seconds of one image, where it was measured.
        started, ended: seconds since 1970.
    """

    number: int
    job: dict[str, Any]
    state: str = RUNNING
    result: dict[str, Any] = field(default_factory=dict)
    curve: list[dict[str, Any]] = field(default_factory=list)
    latency: float | None = None
    started: float | None = None
    ended: float | None = None

    @property
    def arch_id(self) -> str:
        return str(self.job["arch_id"])

    @property
    def attempt(self) -> int:
        return int(self.job["attempt"])

    @property
    def val_acc(self) -> float | None:
        """Percent; None while there is none."""
        value = self.result.get("val_acc")
        return None if value is None else float(value)

    def cost(self, kind: str) -> float:
        """One of macs, macs_without_transfers, params, activations, or latency (seconds; NaN where not measured)."""
        if kind == "latency":
            return math.nan if self.latency is None else self.latency
        return int(self.job["cost"][kind])

    def attempts_folder(self, trials_folder: Path) -> Path:
        return trials_folder / str(self.number)

    def weights(self, trials_folder: Path) -> Path | None:
        """The file that the counted attempt's weights were written to; None where none counted."""
        if self.state != COMPLETE:
            return None
        return self.attempts_folder(trials_folder) / f"attempt-{self.result['attempt']}" / "weights.safetensors"

    @classmethod
    def from_trial(cls, trial: FrozenTrial) -> Entry | None:
        """None for a proposal that was never trained."""
        from optuna.trial import TrialState

        job = trial.user_attrs.get(JOB)
        if job is None:
            return None
        states = {TrialState.COMPLETE: COMPLETE, TrialState.PRUNED: STOPPED, TrialState.FAIL: FAILED}
        result = trial.user_attrs.get(RESULT) or {}
        return cls(
            number=trial.number,
            job=dict(job),
            state=states.get(trial.state, PAUSED if job.get("paused") else RUNNING),
            result=dict(result),
            curve=list(result.get("curve") or job.get("curve") or ()),
            started=trial.datetime_start.timestamp() if trial.datetime_start else None,
            ended=trial.datetime_complete.timestamp() if trial.datetime_complete else None,
        )


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

    entries: tuple[Entry, ...]
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
    entries = [entry for trial in trials if (entry := Entry.from_trial(trial))]
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


def write_trials_csv(folder: str | Path, entries: Iterable[Entry] | None = None, timed: bool = False) -> None:
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


def rows(entries: Iterable[Entry], timed: bool = False) -> list[Row]:
    """One row an entry, in the order of their numbers; all with the same columns. ``timed``: with latency_ms."""
    entries = sorted(entries, key=lambda e: e.number)
    names = list(dict.fromkeys(name for e in entries for name in e.job["setting"]))
    complete = [e for e in entries if e.state == COMPLETE and e.val_acc is not None]
    mask = non_dominated([e.val_acc or 0.0 for e in complete], [e.cost("macs") for e in complete])
    front = {e.number for e, on_front in zip(complete, mask, strict=True) if on_front}
    return [_row(e, names, e.number in front, timed) for e in entries]


def _row(entry: Entry, names: Sequence[str], on_front: bool, timed: bool = False) -> Row:
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


_NOTHING = Entry(0, {"arch_id": "", "setting": {}, "cost": dict.fromkeys(COSTS), "seed": None})

"""The trials of a run, read from the study, and trials.csv."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ..._files import read_csv, write_csv
from ...errors import UserError
from ...families.names import recorded_config
from ...pareto import non_dominated
from ...space.budget import latency_kinds
from .config import RUN_YAML, RunConfig
from .latencies import read_latencies
from .study import ENDED, OVER, REJECTED, STUDY_DB, count_trials, read_study
from .trial import COMPLETE, COSTS, Row, Trial

TRIALS_CSV = "trials.csv"

__all__ = ["COSTS", "TRIALS_CSV", "Record", "Row", "columns", "read_record", "read_trials", "rows", "write_trials_csv"]


@dataclass(frozen=True)
class Record:
    """A run as its study has it.

    Attributes:
        entries: the architectures whose training started, by number.
        rejected: reason -> how many proposals were not trained for it.
        uniform: how many architectures were drawn uniformly, because the sampler found none.
        ended: why no further architecture is proposed ("no untried architecture is left ..."); empty if there may be.
        trials_folder: where their weights are.
        timed: the kinds of latency that a budget is on, and how each was measured, in words.
        over: the run came to its end; what is paused then was not worth more training.
    """

    entries: tuple[Trial, ...]
    rejected: dict[str, int]
    uniform: int
    ended: str
    trials_folder: Path
    timed: Mapping[str, str] = field(default_factory=dict)
    over: bool = False

    @cached_property
    def rows(self) -> list[Row]:
        return rows(self.entries, tuple(self.timed))

    @property
    def columns(self) -> list[str]:
        """The columns of trials.csv."""
        return columns(self.rows)

    @cached_property
    def weights(self) -> dict[int, Path]:
        """trial number -> its trained weights, where they were kept."""
        found = ((e.number, e.weights(self.trials_folder)) for e in self.entries)
        return {number: path for number, path in found if path is not None and path.exists()}

    @property
    def curves(self) -> dict[int, list[dict[str, Any]]]:
        """trial number -> its epochs, ``{"epoch": 1, "val_acc": ..., ...}`` each, where the study has them."""
        return {e.number: [dict(epoch) for epoch in e.curve] for e in self.entries if e.curve}

    @property
    def wall_seconds(self) -> float | None:
        """From the first trial's start to the last one's end, pauses of the driver included.

        None before there is an end, and where the clock was set back so far that the end is before the start.
        """
        starts = [e.started for e in self.entries if e.started is not None]
        ends = [e.ended for e in self.entries if e.ended is not None]
        return max(ends) - min(starts) if starts and ends and max(ends) >= min(starts) else None


def read_record(folder: str | Path) -> Record:
    """What the study in ``folder`` says now; also while a driver is writing it, or after one was killed.

    A run without its study is read from its trials.csv. Nothing is written. UserError where there is no run or neither.
    """
    folder = Path(folder)
    config = RunConfig.load(folder)
    if _study_is_gone(folder) and (folder / TRIALS_CSV).exists():
        return _record_of_csv(folder, config)
    frozen, attributes = read_study(folder)
    trials = sorted((t for f in frozen if (t := Trial.from_frozen(f))), key=lambda t: t.number)
    superseded = {t.supersedes for t in trials}
    trials = [t for t in trials if t.number not in superseded]
    found = {kind: read_latencies(folder, kind) for kind in latency_kinds(config.parsed_budgets())}
    if found:
        trials = [
            replace(t, latencies={kind: s[t.arch_id] for kind, (s, _) in found.items() if t.arch_id in s})
            for t in trials
        ]
    return Record(
        tuple(trials),
        dict(Counter(f.user_attrs[REJECTED] for f in frozen if REJECTED in f.user_attrs and f.state.name == "PRUNED")),
        sum(t.drawn == "uniform" for t in trials),
        str(attributes.get(ENDED, "")),
        config.trials_folder(folder),
        {kind: str(place or "") for kind, (_, place) in found.items()},
        bool(attributes.get(OVER, False)),
    )


def _study_is_gone(folder: Path) -> bool:
    """Whether there is no study, or an empty file in its place, which a lost disk or a broken copy leaves."""
    try:
        return not (folder / STUDY_DB).stat().st_size and not (folder / f"{STUDY_DB}-wal").exists()
    except FileNotFoundError:
        return True


def lost_trials(folder: Path) -> int:
    """How many trials trials.csv has that the study, which is written before it, does not know."""
    numbers = _numbers_of_csv(folder / TRIALS_CSV)  # before the study, which a driver may be filling
    known = 0 if _study_is_gone(folder) or not numbers else count_trials(folder)
    return sum(number >= known for number in numbers)


def _numbers_of_csv(path: Path) -> list[int]:
    """What a trials.csv that somebody may have edited says; a cell that is no number counts as none."""
    try:
        return [int(row["number"]) for row in read_csv(path) if str(row.get("number")).isdecimal()]
    except (OSError, ValueError):
        return []


def record_so_far(folder: Path) -> Record | None:
    """:func:`read_record`; None where there is no run yet, or one that ended before its study was made."""
    begun = (folder / RUN_YAML).exists() and (not _study_is_gone(folder) or (folder / TRIALS_CSV).exists())
    return read_record(folder) if begun else None


def read_trials(folder: str | Path) -> list[Row]:
    """The rows of trials.csv, by number, from the study. Everything is a plain value; what is not known is None."""
    return read_record(folder).rows


def write_trials_csv(folder: str | Path, trials: Iterable[Trial] | None = None, timed: Sequence[str] = ()) -> None:
    """Writes trials.csv, whole or not at all; without ``trials`` from the study. ``timed``: as in :func:`rows`."""
    table = read_trials(folder) if trials is None else rows(trials, timed)
    write_csv(Path(folder) / TRIALS_CSV, columns(table), table)


def columns(table: Sequence[Row]) -> list[str]:
    """The columns of trials.csv; with no rows, those that every run has."""
    return list(table[0] if table else Trial(0, "", {}, {}, None).to_row([]))


def rows(trials: Iterable[Trial], timed: Sequence[str] = ()) -> list[Row]:
    """One row a trial, by number; all with the same columns. ``timed``: kinds of latency."""
    trials = sorted(trials, key=lambda t: t.number)
    names = list(dict.fromkeys(name for t in trials for name in t.setting))
    complete = [t for t in trials if t.state == COMPLETE and t.val_acc is not None]
    mask = non_dominated([t.val_acc or 0.0 for t in complete], [t.cost("macs") for t in complete])
    front = {t.number for t, on_front in zip(complete, mask, strict=True) if on_front}
    return [t.to_row(names, t.number in front, timed) for t in trials]


def _record_of_csv(folder: Path, config: RunConfig) -> Record:
    """A run of which somebody keeps, or was sent, the table and the page."""
    rows = _rows_of_csv(folder / TRIALS_CSV, config.space.get("params") or {})
    try:
        fixed = recorded_config(config.model, config.space.get("kwargs") or {})
        trials = sorted((Trial.from_row(row, fixed) for row in rows), key=lambda t: t.number)
    except (KeyError, ValueError, OverflowError) as error:
        reason = f"it has no column {error}" if isinstance(error, KeyError) else str(error)
        raise UserError(f"{folder / TRIALS_CSV} cannot be read: {reason}.") from None
    return Record(
        entries=tuple(trials),
        rejected={},
        uniform=0,
        ended="",
        trials_folder=config.trials_folder(folder),
        timed={kind: str(read_latencies(folder, kind)[1] or "") for kind in latency_kinds(config.parsed_budgets())},
    )


def _rows_of_csv(path: Path, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of a trials.csv with the parameters' types restored: csv knows only text."""
    try:
        rows: list[dict[str, Any]] = [dict(row) for row in read_csv(path)]
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    for row in rows:
        for column in row:
            if column.startswith("p."):
                spec = params.get(column[2:], params.get(column[2:].rpartition(".")[0], {}))
                choices = spec.get("choices") if isinstance(spec, Mapping) else ()
                row[column] = _value(row[column], choices if isinstance(choices, list) else ())
    return rows


def _value(text: str, choices: Iterable[Any]) -> Any:
    for choice in choices:
        if text == ("" if choice is None else str(choice)):
            return choice
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text

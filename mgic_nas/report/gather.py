"""Reads a run folder into a :class:`~mgic_nas.report.data.Summary`: while it runs, after a kill, or when it is over."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from .._files import csv_rows, read_csv
from ..engine.storage.config import RunConfig
from ..engine.storage.latencies import read_latencies
from ..engine.storage.record import TRIALS_CSV, Record, read_record
from ..engine.storage.study import STUDY_DB
from ..engine.storage.trial import Trial, curve_points
from ..errors import UserError
from ..space.budget import latency_kinds
from .data import Summary
from .reference import read_reference


def gather(folder: str | Path, reference: str | Path | None = None) -> Summary:
    """What is on disk of a run. Nothing is written.

    A run without its study (a table and a page that somebody keeps or was sent) is read from its trials.csv.

    Args:
        folder: the run.
        reference: a csv of points to lay over the front.

    Raises:
        UserError: no run there, or a reference csv that cannot be read.
    """
    folder = Path(folder)
    config = RunConfig.load(folder)
    points = read_reference(reference) if reference is not None else ()
    record = _with_curves(read_record(folder)) if (folder / STUDY_DB).exists() else _record_of_csv(folder, config)
    return Summary(folder, config, record, points, Path(reference).name if reference is not None else "")


def read_curve(attempts: Iterable[Path]) -> tuple[dict[str, Any], ...]:
    """A trial's learning curve from the epochs.csv of its attempts; what a later attempt repeats replaces it.

    A line that is being written at this moment, or was torn by a kill, is left out.
    """
    curve: dict[int, float] = {}
    for attempt in attempts:
        with contextlib.suppress(OSError, ValueError):
            lines = (attempt / "epochs.csv").read_text(encoding="utf-8", errors="replace").splitlines()
            curve.update(curve_points(csv_rows(lines)))
    return tuple({"epoch": epoch, "val_acc": acc} for epoch, acc in sorted(curve.items()))


def _with_curves(record: Record) -> Record:
    """Curves that the study does not have (of trials that are under way or failed) from the workers' own files."""

    def curve(trial: Trial) -> tuple[dict[str, Any], ...]:
        folder = trial.attempts_folder(record.trials_folder)
        return trial.curve or read_curve(folder / f"attempt-{k}" for k in range(trial.attempt + 1))

    return replace(record, entries=tuple(replace(t, curve=curve(t)) for t in record.entries))


def _record_of_csv(folder: Path, config: RunConfig) -> Record:
    rows = _rows_of_csv(folder / TRIALS_CSV, config.space.get("params") or {})
    try:
        trials = sorted((Trial.from_row(row, config.space.get("kwargs")) for row in rows), key=lambda t: t.number)
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

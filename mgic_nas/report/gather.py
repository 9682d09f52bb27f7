"""Reads a run folder into a :class:`~mgic_nas.report.data.Summary`: while it runs, after a kill, or when it is over."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..engine.storage.config import RunConfig
from ..engine.storage.latencies import read_latencies
from ..engine.storage.record import TRIALS_CSV, Record, read_record
from ..engine.storage.study import STUDY_DB
from .data import Config, Summary, summarise
from .facts import facts_of
from .reference import read_reference

Curve = tuple[tuple[int, float], ...]


def gather(folder: str | Path, reference: str | Path | None = None) -> tuple[Summary, Record | None]:
    """What is on disk of a run. Nothing is written.

    A run without its study (a table and a page that somebody keeps or was sent) is read from its trials.csv; the
    record is then None.

    Args:
        folder: the run.
        reference: a csv of points to lay over the front.

    Raises:
        UserError: no run there, or a reference csv that cannot be read.
    """
    folder = Path(folder)
    config = RunConfig.load(folder)
    points = read_reference(reference) if reference is not None else ()
    file = Path(reference).name if reference is not None else ""
    if not (folder / STUDY_DB).exists():
        rows = _rows_of_csv(folder / TRIALS_CSV, config.space.get("params") or {})
        facts = facts_of(config, folder, timed=str(read_latencies(folder)[1] or ""))
        return summarise(rows, facts, folder, reference=points, reference_file=file), None
    record = read_record(folder)
    facts = facts_of(
        config,
        folder,
        rejected=record.rejected,
        uniform=record.uniform,
        ended=record.ended,
        over=record.over,
        wall_seconds=record.wall_seconds,
        devices=[str(e.result["device"]) for e in record.entries if e.result.get("device")],
        timed=record.timed or "",
    )
    configs: dict[int, Config] = {e.number: dict(e.job["config"]) for e in record.entries}
    summary = summarise(
        record.rows,
        facts,
        folder,
        configs=configs,
        curves=_curves(record),
        losses={e.number: e.result["val_loss"] for e in record.entries if "val_loss" in e.result},
        weights=record.weights,
        reference=points,
        reference_file=file,
    )
    return summary, record


def read_curve(attempts: Iterable[Path]) -> Curve:
    """A trial's learning curve from the epochs.csv of its attempts; what a later attempt repeats replaces it.

    A line that is being written at this moment, or was torn by a kill, is left out.
    """
    curve: dict[int, float] = {}
    for attempt in attempts:
        try:
            with open(attempt / "epochs.csv", newline="", encoding="utf-8", errors="replace") as stream:
                lines = list(csv.DictReader(stream))
        except OSError:
            continue
        curve.update(_points(lines))
    return tuple(sorted(curve.items()))


def _curves(record: Record) -> dict[int, Curve]:
    """From the study where it has them; from the workers' own files for those that are under way or failed."""
    known = record.curves
    curves: dict[int, Curve] = {}
    for entry in record.entries:
        if entry.number in known:
            curves[entry.number] = tuple(sorted(_points(known[entry.number])))
        else:
            folder = entry.attempts_folder(record.trials_folder)
            curves[entry.number] = read_curve(folder / f"attempt-{k}" for k in range(entry.attempt + 1))
    return curves


def _points(lines: Iterable[Mapping[str, Any]]) -> list[tuple[int, float]]:
    points = []
    for line in lines:
        try:
            epoch, acc = int(line["epoch"]), float(line["val_acc"])
        except (KeyError, TypeError, ValueError):
            continue
        if acc == acc:
            points.append((epoch, acc))
    return points


def _rows_of_csv(path: Path, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of a trials.csv with the parameters' types restored: csv knows only text."""
    try:
        with open(path, newline="", encoding="utf-8") as stream:
            rows = [dict(row) for row in csv.DictReader(stream)]
    except FileNotFoundError:
        return []
    for row in rows:
        for column in row:
            if column.startswith("p."):
                spec = params.get(column[2:], params.get(column[2:].rpartition(".")[0], {}))
                choices = spec.get("choices", ()) if isinstance(spec, Mapping) else ()
                row[column] = _value(row[column], choices)
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

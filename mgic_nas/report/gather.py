"""Reads a run folder into a :class:`~mgic_nas.report.data.Summary`: while it runs, after a kill, or when it is over."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from .._files import csv_rows
from ..engine.storage.config import RunConfig
from ..engine.storage.record import TRIALS_CSV, Record, read_record
from ..engine.storage.row_latencies import read_row_latencies
from ..engine.storage.study import STUDY_DB
from ..engine.storage.trial import Trial, curve_points
from ..errors import UserError
from ..retraining.results import RETRAINED, read_trainings
from .data import Summary
from .reference import judged, read_reference


def gather(folder: str | Path, reference: str | Path | None = None, *, apart: bool = False) -> Summary:
    """What is on disk of a run. Nothing is written.

    Args:
        folder: the run.
        reference: a csv of points to lay over the front.
        apart: with its points of other data or another input size too.

    Raises:
        UserError: no run there, or a reference csv that cannot be read.
    """
    folder = Path(folder)
    config = RunConfig.load(folder)
    found = read_reference(reference) if reference is not None else ()
    names = (str(config.data.get("name") or ""), str(config.data["spec"]), str(config.data["spec"]).partition("?")[0])
    points = judged(found, names, config.input_size)
    shown = tuple(p for p in points if apart or not p.apart)
    begun = any((folder / name).exists() for name in (STUDY_DB, TRIALS_CSV))
    record = _with_curves(read_record(folder)) if begun else Record((), {}, 0, "", config.trials_folder(folder))
    file = Path(reference).name if reference is not None else ""
    retrained = None
    with contextlib.suppress(UserError):  # somebody else's folder of that name is no reason to have no report
        retrained = read_trainings(folder / RETRAINED)
    timed = read_row_latencies(folder)
    return Summary(folder, config, record, shown, file, len(points) - len(shown), retrained, timed)


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

"""What became of a run's networks when they were trained again on a full recipe: retrain.csv, where there is one."""

from __future__ import annotations

import contextlib
import math
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from .._files import read_csv

FILE = "retrain.csv"


class Retrained(NamedTuple):
    """The trainings of one network.

    Attributes:
        trial: its number in the run.
        epochs: of the longest training.
        seeds: how many trainings.
        test: mean accuracy on the test split, percent; None without one.
        spread: standard deviation over the seeds; None for one seed.
        error: standard error that the number of test inputs alone gives; None where a score is no share of inputs.
    """

    trial: int
    epochs: int
    seeds: int
    test: float | None
    spread: float | None
    error: float | None


def read_retrained(folder: Path) -> dict[int, Retrained]:
    """Trial number -> its trainings. What cannot be read is left out: a report is of the search."""
    rows: list[dict[str, str]] = []
    with contextlib.suppress(OSError, ValueError):
        rows = read_csv(folder / FILE)
    by_trial: dict[int, list[dict[str, str]]] = {}
    for row in rows:
        number = _number(row, "trial")
        if number is not None and number.is_integer():
            by_trial.setdefault(int(number), []).append(row)
    return {number: _of(number, found) for number, found in by_trial.items()}


def _of(number: int, rows: list[dict[str, str]]) -> Retrained:
    tests = [value for row in rows if (value := _number(row, "test_acc")) is not None]
    errors = [value for row in rows if (value := _number(row, "test_error")) is not None]
    return Retrained(
        trial=number,
        epochs=int(max((_number(row, "epochs") or 0 for row in rows), default=0)),
        seeds=len(rows),
        test=statistics.fmean(tests) if tests else None,
        spread=statistics.stdev(tests) if len(tests) > 1 else None,
        error=statistics.fmean(errors) if errors else None,
    )


def _number(row: Mapping[str, str], column: str) -> float | None:
    try:
        value = float(row.get(column) or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None

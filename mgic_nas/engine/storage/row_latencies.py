"""Where a winner's milliseconds go: its parts, each timed by itself, kept in the run's folder for the report."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from ... import families  # its functions load torch when they are called
from ..._files import read_csv, write_csv
from ...cost.runtimes.kinds import csv_stem, is_latency
from .config import RunConfig
from .predicting import Timer
from .record import read_record
from .trial import Trial
from .winner import winner

FILE = "row_latencies.csv"
COLUMNS = ("kind", "part", "latency_ms")
PATIENCE = 30.0  # seconds: a compiler takes as long for each part, and a report is no reason to wait for it

RowLatencies = Mapping[str, Mapping[str, float]]


def write_row_latencies(folder: Path, config: RunConfig, winners: Iterable[Trial] | None = None) -> None:
    """Times the parts of the winners in every way in which this machine measured the run's networks.

    ``winners`` are those that the run hands over, by whatever its winners are chosen; None: by what was measured.

    Nothing is done where no budget is on a latency that is measured here, or the networks are no lists of rows. What
    cannot be timed within :data:`PATIENCE` is left out.
    """
    kinds = [kind for kind in config.limits() if is_latency(kind) and csv_stem(kind) is None]
    if not kinds:
        return
    from ...families.rows import RowFamily  # loads torch
    from ...models.parts import parts_of

    known = families.family(config.model)
    if not isinstance(known, RowFamily):
        return
    if winners is None:
        trials = read_record(folder).entries
        winners = filter(None, (winner(trials, [budget]) for budget in config.parsed_budgets()))
    networks = [known.rows(trial.config, config.input_size[0]) for trial in {t.number: t for t in winners}.values()]
    parts = dict.fromkeys(p for rows in networks for p in parts_of(rows, config.input_size, config.num_classes))
    until = time.monotonic() + PATIENCE
    rows = []
    for kind in kinds:
        timer = Timer(config, kind, keep=True)
        for part in parts:
            seconds = timer.part(part) if timer.knows(part) or time.monotonic() < until else None
            if seconds is not None:
                rows.append({"kind": kind, "part": part.digest, "latency_ms": f"{seconds * 1e3:.4g}"})
    write_csv(folder / FILE, COLUMNS, rows)


def read_row_latencies(folder: Path) -> RowLatencies:
    """Kind of latency -> digest of a part -> seconds; nothing where a run has none, or they cannot be read."""
    found: dict[str, dict[str, float]] = {}
    try:
        for row in read_csv(folder / FILE):
            if (seconds := float(row["latency_ms"]) / 1e3) > 0:
                found.setdefault(row["kind"], {})[row["part"]] = seconds
    except (OSError, ValueError, KeyError):
        return {}
    return found

"""What is on disk of a run, read without the code that is being tested, and what must hold of it."""

import contextlib
import csv
import itertools
import json
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

UNLIKE = ("number", "seconds", "peak_memory_mb")  # columns in which two equal searches may differ

LOST, DOUBLED, FAILED, OTHER = "lost", "doubled", "wrongly failed", "other"


@dataclass(frozen=True)
class Snapshot:
    """A run between two lives of its driver.

    Attributes:
        trials: number -> state of Optuna, job, result (None where there is none) and objectives, of what was trained.
        results: (number, attempt) -> the worker's result.json.
    """

    trials: dict[int, tuple[str, Any, Any, Any]] = field(default_factory=dict)
    results: dict[tuple[int, int], Any] = field(default_factory=dict)

    @property
    def curves(self) -> dict[str, list[tuple[Any, ...]]]:
        """arch_id -> (epoch, accuracy, loss) of each epoch, of those that are complete."""
        complete = [(job, result) for state, job, result, _ in self.trials.values() if state == "COMPLETE"]
        return {j["arch_id"]: [(e["epoch"], e["val_acc"], e["val_loss"]) for e in r["curve"]] for j, r in complete}

    @property
    def over(self) -> dict[int, Any]:
        return {number: trial for number, trial in self.trials.items() if trial[0] in ("COMPLETE", "PRUNED", "FAIL")}


def snapshot(run: Path) -> Snapshot:
    """The run as it is now. Nobody may be writing it."""
    results = {}
    for path in run.glob("trials/*/attempt-*/result.json"):
        number, attempt = path.parts[-3], path.parts[-2].removeprefix("attempt-")
        results[int(number), int(attempt)] = json.loads(path.read_text())
    return Snapshot(_study(run), results)


def _study(run: Path) -> dict[int, Any]:
    with tempfile.TemporaryDirectory() as copy:  # to look at a log of sqlite's would change it
        for name in ("study.db", "study.db-wal"):
            if (run / name).exists():
                shutil.copy(run / name, copy)
        with contextlib.closing(sqlite3.connect(Path(copy) / "study.db")) as database:
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
            if not {"trials", "trial_user_attributes", "trial_values"} <= tables:
                return {}
            attributes: dict[int, dict[str, Any]] = {}
            for trial, key, value in database.execute("SELECT trial_id, key, value_json FROM trial_user_attributes"):
                attributes.setdefault(trial, {})[key] = json.loads(value)
            values: dict[int, list[Any]] = {}
            for trial, *value in database.execute("SELECT trial_id, objective, value FROM trial_values"):
                values.setdefault(trial, []).append(value)
            return {
                number: (state, attributes[trial]["job"], attributes[trial].get("result"), values.get(trial))
                for trial, number, state in database.execute("SELECT trial_id, number, state FROM trials")
                if "job" in attributes.get(trial, {})
            }


def rows(run: Path) -> dict[str, dict[str, str]]:
    """arch_id -> what its row of trials.csv says, without what may differ."""
    with open(run / "trials.csv", newline="") as stream:
        table = list(csv.DictReader(stream))
    return {row["arch_id"]: {key: cell for key, cell in row.items() if key not in UNLIKE} for row in table}


def violations(
    run: Path,
    history: Sequence[Snapshot],
    epochs: int,
    expected: Mapping[str, Any],
    curves: Mapping[str, Any],
    early: bool,
) -> list[tuple[str, str]]:
    """(kind, what) of everything that should not be.

    Args:
        run: ended with exit code 0.
        history: it after each life of its driver; the last one now.
        epochs: of a whole training.
        expected, curves: what :func:`rows` and :attr:`Snapshot.curves` are of such a search that nobody disturbed.
        early: with early stopping, where it depends on the order which trials come to their end.
    """
    found: list[tuple[str, str]] = []
    end = history[-1]
    for before, after in itertools.pairwise(history):
        for number, trial in before.over.items():
            if after.trials.get(number) != trial:
                found.append((LOST, f"trial {number} was {trial}, and is {after.trials.get(number)}"))
        for key, result in before.results.items():
            if after.results.get(key) != result:
                found.append((LOST, f"result {key} was {result}, and is {after.results.get(key)}"))
    for number in {number for (number, _), result in end.results.items() if result["epochs"] == epochs}:
        state, _, result, _ = end.trials.get(number, ("", None, None, None))
        if state != "COMPLETE":
            found.append((LOST, f"trial {number} was trained to its end, and is {state or 'not in the study'}"))
        elif (booked := {k: result[k] for k in ("val_acc", "epochs", "curve")}) != {
            k: end.results[number, result["attempt"]][k] for k in booked
        }:
            found.append((LOST, f"trial {number} is booked with {booked}"))
    ends = Counter((number, result["epochs"]) for (number, _), result in end.results.items())
    found += [(DOUBLED, f"trial {n} was trained to epoch {e} {k} times") for (n, e), k in ends.items() if k > 1]
    arches = Counter(job["arch_id"] for _, job, _, _ in end.trials.values())
    found += [(DOUBLED, f"{arch} was begun as {k} trials") for arch, k in arches.items() if k > 1]
    failed = {number: trial for number, trial in end.trials.items() if trial[0] == "FAIL"}
    found += [(FAILED, f"trial {number}: {trial[2]}") for number, trial in failed.items()]
    table = rows(run)
    with open(run / "trials.csv", newline="") as stream:
        numbers = sorted(int(row["number"]) for row in csv.DictReader(stream))
    if numbers != sorted(end.trials):
        found.append((DOUBLED, f"trials.csv has the trials {numbers}, and the study {sorted(end.trials)}"))
    if table.keys() != expected.keys():
        found.append((LOST, f"trials.csv has {sorted(table)} in place of {sorted(expected)}"))
    for arch in table.keys() & expected.keys():
        mine, other = table[arch], expected[arch]
        if early and not mine["state"] == other["state"] == "complete":
            continue
        if differ := [k for k in other if mine.get(k) != other[k] and not (early and k == "on_front")]:
            what = ", ".join(f"{k} = {mine.get(k)}, not {other[k]}" for k in differ)
            found.append((OTHER, f"{arch} differs from the undisturbed search: {what}"))
    found += [
        (OTHER, f"{arch} was trained otherwise: {curve}, not {curves[arch]}")
        for arch, curve in end.curves.items()
        if arch in curves and curve != curves[arch]
    ]
    found += [(OTHER, f"no {name}") for name in ("report.html", "front.csv") if not (run / name).exists()]
    if not list(run.glob("winners/*/*.safetensors")):
        found.append((OTHER, "no winner's weights"))
    return found

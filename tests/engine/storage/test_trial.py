"""A trial is the same wherever it is read: from the study, from a table, by the report."""

import csv
import math
from pathlib import Path
from typing import Any

from mgic_nas.engine.storage.record import read_record, rows, write_trials_csv
from mgic_nas.engine.storage.study import read_study
from mgic_nas.engine.storage.trial import COMPLETE, PAUSED, Trial, curve_points, gathered


def test_trial_survives_the_study_and_the_table(run: Any) -> None:
    with run.open(trials=4, rungs="halving") as controller:
        controller.fail(controller.next(), "ValueError: no")
        run.finish(controller)
        known = dict(controller._ledger.trials)
    record = read_record(run.folder)
    for trial in record.entries:
        kept = known[trial.number]
        same = (
            "arch_id",
            "setting",
            "config",
            "state",
            "attempt",
            "last_epoch",
            "checkpoint",
            "curve",
            "result_attempt",
        )
        assert all(getattr(trial, name) == getattr(kept, name) for name in (*same, "val_acc", "epochs", "seconds"))
        assert trial.job() == kept.job()
    with open(run.folder / "trials.csv", newline="") as stream:
        table = list(csv.DictReader(stream))
    again = []
    for row, trial in zip(table, record.entries, strict=True):
        typed = {k: int(v) if k.startswith("p.") else v for k, v in row.items()}
        again.append(Trial.from_row(typed))
        for name in ("number", "arch_id", "setting", "state", "val_acc", "epochs", "seconds", "seed", "error", "macs"):
            assert getattr(again[-1], name) == getattr(trial, name), name
    assert rows(again) == record.rows


def test_stored_job_is_what_earlier_versions_read(run: Any) -> None:
    with run.open(trials=4, rungs="halving") as controller:
        run.finish(controller)
    jobs = [t.user_attrs["job"] for t in read_study(run.folder)[0] if "job" in t.user_attrs]
    keys = ["arch_id", "setting", "config", "cost", "seed", "attempt", "deaths"]
    keys += ["first_epoch", "checkpoint", "paused", "drawn", "last_epoch"]
    assert all(list(job) in (keys, [*keys, "curve"]) for job in jobs)
    paused = [job for job in jobs if job["paused"]]
    assert paused
    assert all(len(job["curve"]) == job["last_epoch"] for job in paused)


def test_unknown_cells_are_none_and_unknown_costs_nan() -> None:
    trial = Trial.from_row({"number": "3", "state": "running", "macs": "1200", "p.w.0": 1, "p.w.1": 2, "val_acc": ""})
    assert (trial.number, trial.macs, trial.val_acc, trial.params) == (3, 1200, None, None)
    assert trial.config == {"w": [1, 2]}
    assert math.isnan(trial.cost("params"))
    assert math.isnan(trial.cost("latency"))
    assert gathered({"s": 3, "w.1": 2, "w.0": 1}) == {"s": 3, "w": [1, 2]}


def test_points_of_a_curve_leave_out_what_is_no_number() -> None:
    epochs = [
        {"epoch": "2", "val_acc": "51"},
        {"epoch": 1, "val_acc": 50.0},
        {"epoch": 3, "val_acc": None},
        {"val_acc": 1},
    ]
    assert curve_points(epochs) == ((1, 50.0), (2, 51.0))


def test_weights_are_those_of_the_attempt_that_counted(tmp_path: Path) -> None:
    trial = Trial(7, "x", {}, {}, 1, attempt=3)
    assert trial.weights(tmp_path) is None
    done = trial.with_result({"attempt": 2, "val_acc": 70, "curve": [{"epoch": 1}]}, COMPLETE)
    assert done.weights(tmp_path) == tmp_path / "7/attempt-2/weights.safetensors"
    assert (done.attempt, done.val_acc, done.curve) == (3, 70.0, ({"epoch": 1},))
    assert trial.pause().state == PAUSED


def test_empty_table_has_its_heading(tmp_path: Path) -> None:
    write_trials_csv(tmp_path, [])
    assert (tmp_path / "trials.csv").read_text().startswith("number,arch_id,state,macs,")

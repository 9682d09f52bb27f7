"""trials.csv and which weights stay: what a user keeps of a search."""

import csv
import os
from pathlib import Path
from typing import Any

import pytest
from fakes import engine as engine_fakes
from fakes.engine import EPOCHS, FakeSpace, accuracy, attempt_folder, write_result

from mgic_nas.engine import read_record, read_trials
from mgic_nas.engine.schedulers.base import NoEarlyStopping
from mgic_nas.engine.storage.record import Record
from mgic_nas.engine.storage.trial import Trial
from mgic_nas.engine.storage.weights import Weights
from mgic_nas.errors import UserError

COLUMNS = [
    *("number", "arch_id", "state", "p.a", "p.b", "p.alias", "macs", "macs_without_transfers", "params", "activations"),
    *("val_acc", "epochs", "seconds", "peak_memory_mb", "seed", "on_front", "error"),
]


def read_csv(run: Any) -> list[dict[str, str]]:
    with open(run.folder / "trials.csv", newline="") as stream:
        return list(csv.DictReader(stream))


def test_table_has_the_promised_columns_and_says_what_happened(run: Any) -> None:
    with run.open(trials=4) as controller:
        failed = controller.next()
        controller.fail(failed, 'ValueError: a "quoted", text')
        run.finish(controller)
    rows = run.rows()
    assert list(rows[0]) == COLUMNS
    assert [list(row) for row in read_csv(run)] == [COLUMNS] * 4
    assert read_csv(run)[0]["error"] == 'ValueError: a "quoted", text'
    complete = [row for row in rows if row["state"] == "complete"]
    for row in complete:
        config = {"a": row["p.a"], "b": row["p.b"]}
        assert row["val_acc"] == accuracy(config)
        assert row["macs"] == 1000 * row["p.a"] * row["p.b"]
        assert (row["epochs"], row["seconds"], row["peak_memory_mb"], row["error"]) == (EPOCHS, 1.5, 10.0, None)
        better = [r for r in complete if r["val_acc"] >= row["val_acc"] and r["macs"] <= row["macs"] and r is not row]
        assert row["on_front"] == (not better)


def test_running_trials_are_seen_while_a_driver_works_and_after_it_was_killed(run: Any) -> None:
    controller = run.open(trials=3)
    run.train(controller, controller.next())
    controller.next()
    assert [row["state"] for row in run.rows()] == ["complete", "running"]
    run.kill(controller)
    assert [row["state"] for row in run.rows()] == ["complete", "running"]


def test_reading_writes_nothing(run: Any) -> None:
    with run.open(trials=2) as controller:
        run.finish(controller)
    before = {p.name: p.stat().st_mtime_ns for p in run.folder.iterdir()}
    assert "study.db-wal" not in before
    read_trials(run.folder)
    assert {p.name: p.stat().st_mtime_ns for p in run.folder.iterdir()} == before


def test_run_in_a_folder_that_cannot_be_written_is_readable(run: Any) -> None:
    """A colleague's run, or one on a read-only mount."""
    controller = run.open(trials=2)
    run.train(controller, controller.next())
    run.kill(controller)
    assert run.rows()  # everything that reading needs is imported
    for path in [run.folder, *run.folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    user = os.geteuid()
    if user == 0:
        for path in run.folder.parents:
            path.chmod(path.stat().st_mode | 0o011)
        os.seteuid(65534)  # root may write anywhere
    try:
        assert not os.access(run.folder, os.W_OK, effective_ids=True)
        assert [row["state"] for row in run.rows()] == ["complete"]
    finally:
        os.seteuid(user)
        run.folder.chmod(0o755)


def test_folder_without_a_run_or_a_study_is_one_clear_line(run: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a run"):
        read_trials(tmp_path)
    run.open(trials=2).close()
    assert read_trials(run.folder) == []
    assert (run.folder / "trials.csv").read_text().startswith("number,arch_id,state,macs")
    (run.folder / "study.db").write_bytes(b"not a database")
    with pytest.raises(UserError, match=r"study.db cannot be read"):
        read_trials(run.folder)
    with pytest.raises(UserError, match=r"study.db cannot be read"):
        run.open(trials=2)
    (run.folder / "study.db").unlink()
    (run.folder / "trials.csv").unlink()
    with pytest.raises(UserError, match=r"has no study.db"):
        read_trials(run.folder)


def test_a_kept_table_is_read_without_its_study_and_never_replaced(run: Any) -> None:
    with run.open(trials=2) as controller:
        run.finish(controller)
    before = read_trials(run.folder)
    assert len(before) == 2
    (run.folder / "study.db").unlink()
    text = (run.folder / "trials.csv").read_text()
    kept = read_trials(run.folder)
    assert [(row["number"], row["arch_id"], row["val_acc"]) for row in kept] == [
        (row["number"], row["arch_id"], row["val_acc"]) for row in before
    ]
    with pytest.raises(UserError, match=r"trials.csv.*study.db is gone"):
        run.open(trials=2)
    assert (run.folder / "trials.csv").read_text() == text


@pytest.mark.parametrize("left", [0, 1])
def test_a_study_that_lacks_trials_of_the_table_is_not_gone_on_with(run: Any, left: int) -> None:
    """An empty file, and a copy of an earlier moment: what they lack would be trained again, its files deleted."""
    with run.open(trials=1) as controller:
        run.finish(controller)
    before = (run.folder / "study.db").read_bytes() if left else b""
    with run.open(trials=3) as controller:
        run.finish(controller)
    (run.folder / "study.db").write_bytes(before)
    trained = sorted(run.trials.glob("*/attempt-*/*"))
    with pytest.raises(UserError, match=rf"study.db is gone or lacks {3 - left} of them"):
        run.open(trials=3)
    assert sorted(run.trials.glob("*/attempt-*/*")) == trained
    assert len(read_trials(run.folder)) == (left or 3)


def weights(run: Any) -> set[int]:
    """The trials whose weights are on disk."""
    return {int(p.parent.parent.name) for p in run.trials.glob("*/attempt-*/weights.safetensors")}


@pytest.fixture
def some_are_beaten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks with an odd ``a`` are worse than cheaper ones."""
    monkeypatch.setattr(engine_fakes, "accuracy", lambda c: 50 + (c["a"] * c["b"]) ** 0.5 - 10 * (c["a"] % 2))


def test_every_possible_budget_keeps_its_winners_weights(run: Any, some_are_beaten: None) -> None:
    """Any limit on MACs, parameters or activations: whoever wins within it can still be loaded."""
    with run.open(trials=1000) as controller:
        run.finish(controller)
    rows = {row["number"]: row for row in run.rows()}
    kept = weights(run)
    assert len(kept) < len(rows)
    for kind in ("macs", "params", "activations"):
        for limit in {row[kind] for row in rows.values()}:
            within = [row for row in rows.values() if row[kind] <= limit]
            winner = min(within, key=lambda row: (-row["val_acc"], row[kind], row["number"]))
            assert winner["number"] in kept
    assert kept == set(read_record(run.folder).weights)


def test_keep_all_keeps_all_weights_but_no_checkpoints(run: Any) -> None:
    with run.open(trials=5, keep="all") as controller:
        job = controller.next()
        write_result(run.trials, job.number, 1, 60.0)
        (attempt_folder(run.trials, job.number, 1) / "checkpoint.pt").touch()
        controller.finish(job)
        run.finish(controller)
    assert weights(run) == {row["number"] for row in run.rows()}
    assert not list(run.trials.glob("*/*/checkpoint*"))


def test_weights_are_deleted_only_once_the_study_knows_of_the_better_network(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in between, a run must not be left without any weights for a budget."""
    told = []
    with run.open(trials=6) as controller:
        finish, tidy = controller._store.finish, Weights._tidy

        def spy_finish(trial: Trial) -> None:
            finish(trial)
            told.append(trial.number)

        def spy_tidy(self: Weights, entry: Trial) -> None:
            assert entry.number in told
            assert controller._ledger.trials[told[-1]] is entry or told.index(entry.number) < len(told) - 1
            tidy(self, entry)

        monkeypatch.setattr(controller._store, "finish", spy_finish)
        monkeypatch.setattr(Weights, "_tidy", spy_tidy)
        run.finish(controller)


def test_what_a_killed_driver_did_not_delete_is_deleted_later(
    run: Any, monkeypatch: pytest.MonkeyPatch, some_are_beaten: None
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Weights, "_tidy", lambda *_: None)
        with run.open(trials=20) as controller:
            run.finish(controller)
    assert weights(run) == {row["number"] for row in run.rows()}
    run.open(trials=20).close()
    assert weights(run) == set(read_record(run.folder).weights) < {row["number"] for row in run.rows()}


class SuccessiveHalving:
    """Pauses everybody after one epoch; the better half goes on. A stand-in for early stopping with promotion."""

    def __init__(self) -> None:
        self.remembered: list[int] = []

    def first(self, entry: Trial) -> int:
        return 1

    def decide(self, entry: Trial, result: dict[str, Any]) -> bool:
        return result["epoch"] != 2 or entry.setting["a"] > 1

    def promote(self, paused: Any, ending=False) -> tuple[int, int] | None:
        best = [e.number for e in paused if e.setting["a"] * e.setting["b"] >= 6]
        return (min(best), EPOCHS) if best else None

    def remember(self, entry: Trial) -> None:
        self.remembered.append(entry.number)


def test_trials_pause_and_go_on_from_checkpoints_also_over_restarts(run: Any) -> None:
    """Jobs, attempts and states carry early stopping: nothing trained is trained again."""
    allowed = 8
    controller = run.open(trials=allowed, rungs=SuccessiveHalving())
    continued = []
    for _ in range(allowed + 2):
        job = controller.next()
        if job.first_epoch:
            continued.append(job)
            assert (job.first_epoch, job.last_epoch, job.attempt) == (1, EPOCHS, 2)
            assert job.checkpoint == str(run.trials / str(job.number) / "attempt-1/checkpoint.pt")
            assert Path(job.checkpoint).exists()
        if len(continued) == 2:
            break
        run.train(controller, job)
    paused = {r["number"] for r in run.rows() if r["state"] == "paused"}
    assert paused
    assert continued[0].number in {r["number"] for r in run.rows() if r["state"] == "complete"}
    run.kill(controller)  # while a promoted one is under way

    rungs = SuccessiveHalving()
    controller = run.open(trials=allowed, rungs=rungs)
    assert rungs.remembered
    job = controller.next()
    assert (job.number, job.attempt, job.first_epoch) == (continued[1].number, 3, 1)
    run.train(controller, job)
    run.finish(controller)
    assert controller.done  # those that were never promoted stay paused
    controller.close()
    rows = {row["number"]: row for row in run.rows()}
    assert {row["state"] for row in rows.values()} == {"complete", "paused"}
    for row in rows.values():
        assert (row["state"] == "complete") == (row["p.a"] * row["p.b"] >= 6)
        # A checkpoint is kept exactly as long as it may be needed.
        assert bool(list(run.trials.glob(f"{row['number']}/*/checkpoint.pt"))) == (row["state"] == "paused")

    # Without early stopping the same run trains them to the end.
    with run.open(trials=allowed, rungs=NoEarlyStopping(EPOCHS)) as controller:
        run.finish(controller)
    assert {row["state"] for row in run.rows()} == {"complete"}


@pytest.mark.parametrize(("ended", "seconds"), [(160.0, 60.0), (40.0, None)])
def test_search_took_no_negative_time_where_the_clock_was_set_back(ended: float, seconds: float | None) -> None:
    trial = Trial(0, "a1b1", {}, {}, 1, started=100.0, ended=ended)
    assert Record((trial,), {}, 0, "", Path()).wall_seconds == seconds


def test_stopped_trial_keeps_its_curve_and_enters_no_front(run: Any) -> None:
    class Stop(NoEarlyStopping):
        def decide(self, entry: Trial, result: dict[str, Any]) -> bool:
            return result["epoch"] < 2

    with run.open(trials=2, rungs=Stop(EPOCHS), space=FakeSpace()) as controller:
        run.finish(controller)
    rows = run.rows()
    assert [row["state"] for row in rows] == ["stopped"] * 2
    assert [row["epochs"] for row in rows] == [2, 2]
    assert not any(row["on_front"] for row in rows)
    assert all(len(curve) == 2 for curve in read_record(run.folder).curves.values())


@pytest.mark.parametrize("stored", ["relative", "absolute"])
def test_moved_run_goes_on_from_its_checkpoints(run: Any, stored: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Renamed, copied or mounted elsewhere; earlier versions stored where the checkpoints were."""
    if stored == "absolute":
        job, trials = Trial.job, run.trials

        def old(self: Trial) -> dict[str, Any]:
            values = job(self)
            return values | {"checkpoint": values["checkpoint"] and str(trials / values["checkpoint"])}

        monkeypatch.setattr(Trial, "job", old)
    controller = run.open(trials=3, rungs=SuccessiveHalving())
    for _ in range(3):
        run.train(controller, controller.next())
    run.kill(controller)
    monkeypatch.undo()
    assert {row["state"] for row in run.rows()} == {"paused"}
    kept, gone, also_kept = (row["number"] for row in run.rows())
    run.folder = run.folder.rename(run.folder.with_name("moved"))
    run.trials = run.folder / "trials"
    (run.trials / f"{gone}/attempt-1/checkpoint.pt").unlink()  # really gone: trained again, not failed
    jobs = {}
    with run.open(trials=3, rungs=NoEarlyStopping(EPOCHS)) as controller:
        while not controller.done:
            job = controller.next()
            jobs[job.number] = job
            run.train(controller, job)
    assert {number: (job.first_epoch, job.checkpoint) for number, job in jobs.items()} == {
        kept: (1, str(run.trials / f"{kept}/attempt-1/checkpoint.pt")),
        gone: (0, None),
        also_kept: (1, str(run.trials / f"{also_kept}/attempt-1/checkpoint.pt")),
    }
    assert [(row["state"], row["epochs"], row["error"]) for row in run.rows()] == [("complete", EPOCHS, None)] * 3


def test_diverged_trial_does_not_disturb_early_stopping_after_a_restart(run: Any) -> None:
    """Its curve is stored with a None, which no scheduler can calculate with."""
    with run.open(trials=4, rungs="halving") as controller:
        assert not controller.report(controller.next(), {"epoch": 1, "val_acc": float("nan")})
        run.train(controller, controller.next())
    with run.open(trials=4, rungs="halving") as controller:
        run.finish(controller)
    assert {row["state"] for row in run.rows()} <= {"failed", "complete", "paused"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b'"x"',
        b"4",
        b"[" * 100_000,
        b'{"epochs": 3, "val_acc": "good"}',
        b'{"epochs": 3, "val_acc": 50.0, "val_loss": "low"}',
        b'{"epochs": 3, "val_acc": 50.0, "curve": 4}',
        b'{"epochs": 3, "val_acc": 50.0, "curve": [1, 2, 3]}',
        b'{"epochs": 3, "val_acc": 50.0, "curve": [{"epoch": 1, "seconds": "long"}]}',
        b'{"epochs": 3, "val_acc": 50.0, "attempt": "../1"}',
        b'{"epochs": "3", "val_acc": 50.0}',
    ],
)
def test_result_that_no_worker_wrote_is_none(run: Any, content: bytes) -> None:
    """Torn, or somebody else's: the trial is trained again, and the run opens."""
    first = run.open(trials=1)
    job = first.next()
    run.kill(first)
    folder = attempt_folder(run.trials, job.number, job.attempt)
    folder.mkdir(parents=True)
    (folder / "result.json").write_bytes(content)
    with run.open(trials=1) as controller:
        again = controller.next()
        assert (again.number, again.attempt) == (job.number, 2)
        run.train(controller, again)
    assert [row["state"] for row in run.rows()] == ["complete"]

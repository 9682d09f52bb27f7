"""Training by a user's function: what it reports is recorded, paused and taken up; what it does wrong is one line."""

from __future__ import annotations

import contextlib
import math
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mgic_nas import UserError
from mgic_nas.train.function import keeps_checkpoints, portable, work
from mgic_nas.train.job import Job, Setup, read_result

Rows = list[dict[str, Any]]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Rows]:
    """Runs a job of a function, which this process finds without importing it."""

    def run(train: Any, job: Job, epochs: int, most: int | None = None) -> Rows:
        monkeypatch.setattr("mgic_nas.train.function.from_text", lambda text, what: train)
        (tmp_path / "trials").mkdir(exist_ok=True)
        setup = Setup("settings", "function:x", epochs, "quick", str(tmp_path / "trials"), "cpu", function="a text")
        going = work(job, setup)
        found = []
        for row in going:
            found.append(row)
            if len(found) == most:
                going.close()
        return found

    return run


def steadily(setting: dict[str, Any], epochs: int, report: Any, checkpoint: Path, seed: int) -> float:
    first = int(checkpoint.read_text()) if checkpoint.exists() else 0
    for epoch in range(first + 1, epochs + 1):
        checkpoint.write_text(str(epoch))
        report(seed + epoch, epoch)
    return seed + epochs + 0.5


def again(setting: dict[str, Any], epochs: int, report: Any) -> None:
    for epoch in range(1, epochs + 1):
        report(10 * epoch + len(CALLS), epoch)


CALLS: list[int] = []


def job(number: int, attempt: int, first: int, last: int, checkpoint: Path | None = None) -> Job:
    return Job(number, attempt, {"a": 1}, first, last, None if checkpoint is None else str(checkpoint), seed=30)


def accs(rows: Rows) -> list[tuple[int, float]]:
    return [(row["epoch"], row["val_acc"]) for row in rows]


def test_it_is_recorded_and_what_it_returns_counts(call: Any, tmp_path: Path) -> None:
    assert accs(call(steadily, job(0, 1, 0, 3), 3)) == [(1, 31), (2, 32), (3, 33.5)]
    result = read_result(tmp_path / "trials", 0, 1)
    assert result is not None
    assert (result["epochs"], result["val_acc"], len(result["curve"])) == (3, 33.5, 3)
    assert (tmp_path / "trials" / "0" / "attempt-1" / "epochs.csv").read_text().count("\n") == 4


def test_paused_it_goes_on_from_its_checkpoint(call: Any, tmp_path: Path) -> None:
    assert accs(call(steadily, job(0, 1, 0, 2), 4)) == [(1, 31), (2, 32)]
    left = tmp_path / "trials" / "0" / "attempt-1" / "checkpoint.pt"
    assert left.read_text() == "2"
    assert accs(call(steadily, job(0, 2, 2, 4, left), 4)) == [(3, 33), (4, 34.5)]
    result = read_result(tmp_path / "trials", 0, 2)
    assert result is not None
    assert accs(result["curve"]) == [(1, 31), (2, 32), (3, 33), (4, 34.5)]


def test_without_a_checkpoint_it_begins_again_and_keeps_what_it_had_reported(call: Any, tmp_path: Path) -> None:
    assert not keeps_checkpoints(again)
    call(again, job(0, 1, 0, 2), 4)
    CALLS.append(1)
    left = tmp_path / "trials" / "0" / "attempt-1" / "checkpoint.pt"
    assert accs(call(again, job(0, 2, 2, 4, left), 4)) == [(3, 31), (4, 41)]
    result = read_result(tmp_path / "trials", 0, 2)
    assert result is not None
    assert accs(result["curve"]) == [(1, 10), (2, 20), (3, 31), (4, 41)]
    CALLS.clear()


def test_stopped_from_outside_it_ends_at_its_report(call: Any, tmp_path: Path) -> None:
    ended = []

    def tidy(setting: dict[str, Any], epochs: int, report: Any) -> None:
        try:
            for epoch in range(1, epochs + 1):
                report(50, epoch)
        except Exception:
            ended.append("caught")
        finally:
            ended.append("ended")

    assert accs(call(tidy, job(0, 1, 0, 5), 5, most=2)) == [(1, 50), (2, 50)]
    assert ended == ["ended"]
    assert read_result(tmp_path / "trials", 0, 1) is None


def by_finally(setting: dict[str, Any], epochs: int, report: Any) -> float:
    try:
        report(50, 1)
        report(60, 2)
    finally:
        return 33.0  # noqa: B012


def by_a_bare_except(setting: dict[str, Any], epochs: int, report: Any) -> float:
    for epoch in range(1, epochs + 1):
        with contextlib.suppress(BaseException):  # as a bare except does
            report(40 + 10 * epoch, epoch)
    return 33.0


def by_another_error(setting: dict[str, Any], epochs: int, report: Any) -> float:
    try:
        return by_a_bare_except(setting, 1, report)
    finally:
        raise RuntimeError("interrupted")


def by_a_thread(setting: dict[str, Any], epochs: int, report: Any) -> float:
    def told() -> None:
        with contextlib.suppress(BaseException):
            report(50, 1)

    thread = threading.Thread(target=told)
    thread.start()
    thread.join()
    return 33.0


@pytest.mark.parametrize("train", [by_finally, by_a_bare_except, by_another_error, by_a_thread])
def test_what_a_function_says_after_it_was_paused_counts_for_nothing(call: Any, tmp_path: Path, train: Any) -> None:
    """It has had one epoch of four, whatever it makes of being told to end."""
    assert accs(call(train, job(0, 1, 0, 1), 4)) == [(1, 50)]
    result = read_result(tmp_path / "trials", 0, 1)
    assert result is not None
    assert (result["epochs"], result["val_acc"]) == (1, 50)


def test_a_folder_is_no_checkpoint(call: Any) -> None:
    def folder(setting: dict[str, Any], epochs: int, report: Any, checkpoint: Path) -> None:
        checkpoint.mkdir()
        report(50, 1)

    with pytest.raises(UserError, match="save its state in a file"):
        call(folder, job(0, 1, 0, 1), 4)


def test_one_that_reports_nothing_is_trained_whole(call: Any, tmp_path: Path) -> None:
    """Also where it was to be paused: it is at its end then."""

    def silent(setting: dict[str, Any], epochs: int, report: Any) -> float:
        return 12.5

    assert accs(call(silent, job(0, 1, 0, 1), 8)) == [(8, 12.5)]


@pytest.mark.parametrize(
    ("reports", "returned", "hint"),
    [
        ([], None, "train returned nothing"),
        ([], "good", "train returned 'good': it is no accuracy"),
        ([], True, "train returned True: it is no accuracy"),
        ([], 250.0, "train returned 250.0: it is above 100"),
        ([(50, 0)], 1.0, "epoch 0 is not one of 1 to 4"),
        ([(50, 5)], 1.0, "epoch 5 is not one of 1 to 4"),
        ([(50, "1")], 1.0, "epoch '1' is not one of 1 to 4"),
        ([(50, 1), (50, 3)], 1.0, "epoch 3 comes after epoch 1"),
        ([(50, 1), (50, 1)], 1.0, "epoch 1 comes after epoch 1"),
        ([(50, 3)], 1.0, "epoch 3 comes after epoch 0"),
        ([("50", 1)], 1.0, "is no accuracy: a number in percent"),
        ([(math.inf, 1)], 1.0, "is infinite, and no accuracy"),
        ([], -math.inf, "is infinite, and no accuracy"),
    ],
)
def test_what_is_no_accuracy_is_one_line(call: Any, reports: Any, returned: Any, hint: str) -> None:
    def wrong(setting: dict[str, Any], epochs: int, report: Any) -> Any:
        for one in reports:
            report(*one)
        return returned

    with pytest.raises(UserError, match=hint) as told:
        call(wrong, job(0, 1, 0, 4), 4)
    assert "\n" not in str(told.value)


def test_what_it_raises_comes_out(call: Any) -> None:
    def broken(setting: dict[str, Any], epochs: int, report: Any) -> float:
        return setting["b"]

    with pytest.raises(KeyError, match="b"):
        call(broken, job(0, 1, 0, 4), 4)


@pytest.mark.parametrize(
    ("train", "hint"),
    [
        (5, "train must be a function"),
        (len, "train must take"),
        (lambda: None, "train must take"),
        (lambda a, b, c, d: None, "train must take"),
        (lambda a, b, c: None, "define it at the top level of a module"),
    ],
)
def test_functions_that_no_worker_could_call_are_one_line(train: Any, hint: str) -> None:
    with pytest.raises(UserError, match=hint) as told:
        portable(train)
    assert "\n" not in str(told.value)


def test_a_diverged_training_is_a_row_without_a_result(call: Any, tmp_path: Path) -> None:
    """As of a network: the controller fails the trial for it, and the search goes on."""
    (row,) = call(lambda setting, epochs, report: float("nan"), job(0, 1, 0, 2), 2)
    assert (row["epoch"], math.isnan(row["val_acc"])) == (2, True)
    assert read_result(tmp_path / "trials", 0, 1) is None


def test_sys_exit_fails_the_trial_and_not_the_worker(call: Any) -> None:
    with pytest.raises(RuntimeError, match=r"train called sys.exit\(3\)"):
        call(lambda setting, epochs, report: sys.exit(3), job(0, 1, 0, 2), 2)

"""The counts of a run: what the bar shows, and when the rest of a search is given up."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mgic_nas.engine.ledger import Ledger
from mgic_nas.engine.storage.trial import COMPLETE, FAILED, PAUSED, RUNNING, STOPPED, Trial
from mgic_nas.space import parse_budgets


def ledger(folder: Path | None = None, observer: Any = None) -> Ledger:
    return Ledger(folder, 10, parse_budgets(["10", "20"]), observer)


def add(books: Ledger, number: int, macs: int = 5, drawn: str = "sampler") -> Trial:
    books.live.add(number)
    return books.add(Trial(number, f"arch{number}", {"a": number}, {}, macs, drawn=drawn, attempt=1))


def test_counts_follow_every_change_of_state() -> None:
    books = ledger()
    trials = [add(books, number, macs=5 * (number + 1), drawn="uniform") for number in range(5)]
    books.rejected("duplicate")
    books.update(replace(trials[0], state=COMPLETE, val_acc=70.0))
    books.update(replace(trials[1], state=COMPLETE, val_acc=60.0))
    books.update(replace(trials[2], state=COMPLETE, val_acc=80.0))
    books.update(replace(trials[3], state=STOPPED))
    paused = books.update(replace(trials[4], state=PAUSED))
    counts = books.counts(queued=0)
    assert (counts.started, counts.complete, counts.stopped, counts.paused, counts.running) == (5, 3, 1, 1, 0)
    assert (counts.uniform, counts.rejected) == (5, {"duplicate": 1})
    assert counts.best == {"10": 70.0, "20": 80.0}
    assert books.paused == [paused]
    assert books.tried == {f"arch{number}" for number in range(5)}
    books.update(replace(paused, state=RUNNING))
    assert books.paused == []
    assert books.counts(0).paused == 0


def test_only_the_latest_attempt_of_a_live_trial_is_current() -> None:
    """A worker of an earlier attempt must not be believed."""
    books = ledger()
    trial = books.update(replace(add(books, 0), attempt=2, curve=({"epoch": 1},)))
    assert books.current(0, 2) is trial
    assert books.current(0, 1) is None
    assert books.current(1, 1) is None
    books.update(replace(trial, state=FAILED, error="x"))
    assert books.current(0, 2) is None


def test_table_that_cannot_be_written_for_a_moment_is_no_reason_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    books = ledger(tmp_path)
    add(books, 0)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mgic_nas.engine.ledger.write_trials_csv", full)
    books.write_csv()
    assert not (tmp_path / "trials.csv").exists()


def test_table_is_written_at_most_every_few_seconds(tmp_path: Path) -> None:
    """A search of ten thousand trials must not write its table ten thousand times."""
    books = ledger(tmp_path)
    add(books, 0)
    books.write_csv()
    first = (tmp_path / "trials.csv").read_text()
    add(books, 1)
    books.write_csv()
    assert (tmp_path / "trials.csv").read_text() == first
    assert first.count("\n") == 2


def test_observer_gets_the_trial_and_the_counts() -> None:
    events: list[Any] = []
    books = ledger(observer=events.append)
    books.notify("epoch", 3, add(books, 0), {"epoch": 1}, "text")
    (event,) = events
    assert (event.kind, event.number, event.attempt, event.cost["macs"]) == ("epoch", 0, 1, 5)
    assert (event.result, event.text, event.counts.queued) == ({"epoch": 1}, "text", 3)

    def broken(event: Any) -> None:
        raise BrokenPipeError

    books = ledger(observer=broken)
    with pytest.warns(UserWarning, match="is not called any more"):
        books.notify("opened", 0)
    books.notify("opened", 0)  # no second warning


@pytest.mark.parametrize(("takes", "every"), [(0.01, 5.0), (2.0, 40.0)])
def test_trials_csv_is_fresh_and_takes_no_more_than_a_twentieth_of_the_time(
    takes: float, every: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of ten thousand trials it takes seconds to write: once after each trial it would be all that a driver does."""
    clock, written = [0.0], []

    def write(*args: Any, **more: Any) -> None:
        written.append(clock[0])
        clock[0] += takes

    monkeypatch.setattr("mgic_nas.engine.ledger.time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr("mgic_nas.engine.ledger.write_trials_csv", write)
    books = ledger(tmp_path)
    for _ in range(1_000):
        books.write_csv()
        clock[0] += 0.5
    gaps = {later - earlier for earlier, later in pairwise(written)}
    assert written[0] == 0.0
    assert max(gaps) <= every + takes + 0.5
    assert takes * len(written) <= 0.06 * clock[0]

"""A search that ends by itself: when nothing more is to be gained, once, and whatever kills it in between."""

import dataclasses
import time
from pathlib import Path
from typing import Any

import pytest
from fakes import engine as engine_fakes
from fakes.engine import DATA, make_config

from mgic_nas.engine.stopping import Stopping, outlook, outlook_of, trained_seconds
from mgic_nas.engine.storage.config import RunConfig
from mgic_nas.engine.storage.record import Record, read_record
from mgic_nas.engine.storage.trial import COMPLETE, Trial
from mgic_nas.errors import UserError

MANY = {**DATA, "spec": "fashion", "sizes": {"val": 1_000_000}}  # images: what is measured is hardly luck
WORTH = "another 8 trainings are expected to add less than 0.1 points (--worth)"


def trial(number: int, acc: float, ended: float | None = None, seconds: float | None = 60.0) -> Trial:
    macs = 1000 * (1 + number % 8)
    cost = {"macs": macs, "macs_without_transfers": macs, "params": macs, "activations": macs}
    made = Trial(number, f"arch{number}", {"a": number % 8, "b": number}, {}, **cost, ended=ended)
    return made.with_result({"attempt": 1, "val_acc": acc, "seconds": seconds}, COMPLETE)


def trials(n: int, rise: float = 0.0) -> dict[int, Trial]:
    return {i: trial(i, 70.0 + i % 8 + rise * i, ended=1000.0 + 60 * i) for i in range(n)}


def test_it_ends_once_the_next_trainings_are_not_worth_it() -> None:
    stopping = Stopping(make_config(worth=0.1, data=MANY))
    assert next(n for n in range(40) if stopping.reason(trials(n))) == 20, "half of 16 make a front, four look back"
    assert stopping.reason(trials(30)) == WORTH
    assert Stopping(make_config(worth=0.1, data=MANY)).reason(trials(30, rise=1.0)) == ""
    assert Stopping(make_config()).reason(trials(30)) == "", "it was not asked for"
    assert not Stopping(make_config()).ended_before(WORTH)
    assert not Stopping(make_config()).ended_before("")
    assert Stopping(make_config(worth=0.1)).ended_before(WORTH)


def test_hours_count_trainings_and_not_the_pauses_between_two_drivers() -> None:
    spans = [trial(0, 70.0, ended=100.0), trial(1, 70.0, ended=130.0), trial(2, 70.0, ended=9000.0)]
    assert trained_seconds([*spans, trial(3, 70.0, ended=None), trial(4, 70.0, 50.0, seconds=None)]) == 90.0 + 60.0
    hour = make_config(hours=150 / 3600)
    assert Stopping(hour, spans).reason({}).startswith("its time is over (--hours")
    assert Stopping(make_config(hours=1), spans).reason({}) == ""


def test_time_goes_on_while_it_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    stopping, began = Stopping(make_config(hours=2)), time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: began + 7190)
    assert not stopping.reason({})
    monkeypatch.setattr(time, "monotonic", lambda: began + 7210)
    assert stopping.reason({}) == "its time is over (--hours 2)"


def test_an_hour_is_as_many_trainings_as_the_run_made_in_one() -> None:
    rising = [*trials(80, rise=0.5).values()]
    assert str(outlook(rising, make_config())).startswith("another hour (about 60 trainings): +")
    assert str(outlook(rising[:30], make_config())).startswith("another 30 trainings (about 30 min): +")
    assert str(outlook(rising[:30], make_config(trials=32, worth=0.1))).startswith("another 2 trainings (about 2 min)")
    assert outlook(rising[:30], make_config(trials=30, worth=0.1)) is None
    assert outlook([*trials(5).values()], make_config()) is None
    assert outlook([], make_config()) is None


def record(ended: str) -> Record:
    return Record(tuple(trials(30).values()), {}, 0, ended, Path("/nowhere"))


def test_nothing_is_promised_where_nothing_is_left_to_train() -> None:
    assert outlook_of(make_config(), record("no untried architecture is left within the budgets")) == ""
    assert outlook_of(make_config(worth=0.1, trials=100), record(WORTH)).startswith("another 30 trainings")
    assert outlook_of(make_config(), record("")).startswith("another 30 trainings")


@pytest.mark.parametrize("name", ["worth", "hours"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "much", True])
def test_limits_that_are_none_are_refused(name: str, value: Any) -> None:
    with pytest.raises(UserError, match=f"{name} must be a number above 0"):
        make_config(**{name: value})


@pytest.fixture
def flat(monkeypatch: pytest.MonkeyPatch) -> None:
    """No network is much better than another."""
    monkeypatch.setattr(engine_fakes, "accuracy", lambda c: 50.0 + 0.01 * c["a"])


@pytest.mark.parametrize("killed_after", [0, 10, 21])
def test_a_killed_search_goes_on_and_ends_once_for_the_same_reason(run: Any, flat: None, killed_after: int) -> None:
    controller = run.open(trials=1000, worth=0.1, budgets=["100k"])
    for _ in range(killed_after):
        if (job := controller.next()) is not None:
            run.train(controller, job)
    controller.next()  # a training that is lost, or the end
    run.kill(controller)
    for _ in range(2):  # the second time it has ended, and stays so
        with run.open(trials=1000, worth=0.1, budgets=["100k"]) as controller:
            run.finish(controller)
            assert controller.done
            assert controller.ended == WORTH
        assert len(read_record(run.folder).entries) in (20, 21)
    assert [event.text for event in run.events if event.kind == "exhausted"] == [WORTH]
    assert any("points expected" in event.counts.outlook for event in run.events)
    with run.open(trials=1000, worth=1e-9, budgets=["100k"]) as controller:  # more is asked for
        assert controller.next() is not None


def test_old_and_plain_runs_say_nothing_of_it_in_run_yaml(tmp_path: Path) -> None:
    text = make_config().to_yaml()
    assert not any(name in text for name in ("worth", "hours", "winner"))
    made = dataclasses.replace(make_config(), worth=0.2, hours=4.0, winner="expected")
    made.save(tmp_path)
    assert RunConfig.load(tmp_path) == made

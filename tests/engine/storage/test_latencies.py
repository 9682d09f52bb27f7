"""Budgets on latency: measured, once, after everything that is counted; what a user would lose otherwise."""

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from fakes.engine import feasible

from mgic_nas.engine import read_record
from mgic_nas.engine.proposals.candidate import SearchProblem
from mgic_nas.engine.storage.latencies import Latencies, Place
from mgic_nas.engine.storage.measuring import of_run
from mgic_nas.engine.storage.study import VIOLATION, read_study
from mgic_nas.errors import UserError

LATENCY_CSV = "latency.csv"
HERE = Place((1, 8, 8), "processor", threads=1)
THERE = Place((1, 8, 8), "another processor", threads=1)


def name(config: dict[str, Any]) -> str:
    return f"a{config['a']}b{config['b']}"


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Which architectures were measured, how often. A network takes ``a`` milliseconds, whatever its MACs."""
    count: Counter[str] = Counter()
    state = {"place": HERE}

    def of_run(folder: Path | None, config: Any, feasible: Any) -> tuple[Latencies, ...]:
        limit = config.limits().get("latency")
        if folder is None or limit is None:
            return ()

        def measure(arch_id: str, arguments: Any) -> float:
            count[name(arguments)] += 1
            return arguments["a"] / 1e3

        return (Latencies(folder, state["place"], measure, limit),)

    monkeypatch.setattr("mgic_nas.engine.controller.of_run", of_run)
    count.move = lambda place: state.update(place=place)  # type: ignore[attr-defined]
    return count


def fast(run: Any, milliseconds: int, macs: float = 20_000) -> set[str]:
    return {arch for arch in feasible(run.space, macs) if int(arch[1]) <= milliseconds}


@pytest.mark.parametrize("sampler", ["random", "nsga2", "tpe"])
def test_nothing_slower_than_the_budget_is_trained_and_all_else_is_found(run: Any, measured: Any, sampler: str) -> None:
    """A latency is as hard a limit as MACs, also where the sampler gave up and a candidate is drawn uniformly."""
    with run.open(budgets=["20k", "latency=3ms"], trials=100, sampler=sampler) as controller:
        run.finish(controller)
        assert controller.ended.startswith("no untried architecture is left within the budgets (")
        assert "too slow for latency=3ms)" in controller.ended  # some were fast enough: no need to name the fastest
    rows = run.rows()
    assert {row["arch_id"] for row in rows} == fast(run, 3)
    assert all(row["latency_ms"] == int(row["arch_id"][1]) for row in rows)
    assert read_record(run.folder).rejected["too slow"] > 0
    assert set(measured) == feasible(run.space, 20_000)  # nothing that does not fit otherwise was measured
    assert set(measured.values()) == {1}
    for trial in read_study(run.folder)[0]:
        if trial.user_attrs.get("rejected") == "too slow":
            assert trial.constraints[VIOLATION] > 0
        elif trial.state.name == "COMPLETE":
            assert trial.constraints[VIOLATION] <= 0


def test_resume_measures_nothing_twice_and_counts_the_same(run: Any, measured: Any) -> None:
    """Measured again, a network at the limit would be inside today and outside tomorrow."""
    budgets = ["20k", "latency=3ms"]
    with run.open(budgets=budgets, trials=4) as controller:
        run.finish(controller)
    path = run.folder / LATENCY_CSV
    with open(path, "a") as stream:
        stream.write("a1b1,7.0,1x8")  # the driver was killed in mid-write
    with run.open(budgets=budgets, trials=100) as controller:
        run.finish(controller)
    assert {row["arch_id"] for row in run.rows()} == fast(run, 3)
    assert set(measured.values()) == {1}
    with open(path) as stream:
        rows = list(csv.DictReader(stream))
    assert {row["arch_id"] for row in rows} == set(measured)
    assert rows[0] | {"arch_id": "", "latency_ms": "", "config": ""} == {
        "arch_id": "",
        "latency_ms": "",
        "input_size": "1x8x8",
        "batch": "1",
        "device": "processor",
        "threads": "1",
        "config": "",
    }


def test_too_slow_everything_is_one_line_with_the_fastest(run: Any, measured: Any) -> None:
    """Who asks for half a millisecond where the fastest takes one must be told so, not just that nothing is left."""
    with run.open(budgets=["20k", "latency=0.5ms"], trials=3) as controller:
        run.finish(controller)
        ended = controller.ended
    assert ended.startswith(
        f"no untried architecture is left within the budgets ({len(measured)} were measured and too slow for "
        "latency=0.5ms; the fastest takes 1 ms, one image of 1x8x8 at a time on 1 thread of processor: "
        'timm.create_model("fake", a=1, b='
    )
    assert run.rows() == []
    # A larger budget goes on from there.
    with run.open(budgets=["20k", "latency=1ms"], trials=100) as controller:
        run.finish(controller)
    assert {row["arch_id"] for row in run.rows()} == fast(run, 1)
    assert set(measured.values()) == {1}


def test_search_for_fast_ones_ends_where_there_are_too_many_slow_ones(
    run: Any, measured: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To measure every one of ten thousand candidates takes an hour in which nothing seems to happen."""
    monkeypatch.setattr("mgic_nas.engine.proposals.proposer.MEASURED", 3)
    monkeypatch.setattr("mgic_nas.engine.proposals.proposer.REJECTIONS_IN_A_ROW", 2)
    with run.open(budgets=["20k", "latency=0.5ms"], trials=3) as controller:
        run.finish(controller)
        assert "was found" in controller.ended
    assert len(measured) <= 5


def test_budget_on_latency_that_comes_later_measures_what_was_trained(run: Any, measured: Any) -> None:
    """Budgets may change when a run goes on: its earlier networks can win the new one."""
    with run.open(trials=5) as controller:
        run.finish(controller)
    assert not measured
    assert "latency_ms" not in run.rows()[0]
    assert not (run.folder / LATENCY_CSV).exists()
    with run.open(trials=5, budgets=["20k", "latency=8ms"]) as controller:
        assert controller.counts.best["latency=8ms"] is not None
    assert [row["latency_ms"] for row in run.rows()] == [int(row["arch_id"][1]) for row in run.rows()]


def test_on_another_machine_everything_is_measured_there_and_back_again_nothing(run: Any, measured: Any) -> None:
    """Milliseconds of two machines must not stand in one column."""
    budgets = ["20k", "latency=3ms"]
    with run.open(budgets=budgets, trials=4) as controller:
        run.finish(controller)
    before = Counter(measured)
    measured.move(THERE)
    with run.open(budgets=budgets, trials=4):
        pass
    trained = {row["arch_id"] for row in run.rows()}
    assert measured - before == Counter(trained)
    assert read_record(run.folder).timed == {"latency": str(THERE)}
    measured.move(HERE)
    before = Counter(measured)
    with run.open(budgets=budgets, trials=4):
        pass
    assert measured == before
    assert read_record(run.folder).timed == {"latency": str(HERE)}


def test_network_that_cannot_be_timed_is_not_trained_and_the_search_goes_on(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of a space may hold an operation that a runtime lacks; the others are what the search is for."""

    def measure(arch_id: str, arguments: Any) -> float:
        if arguments["a"] == 2:
            raise UserError("no such operation.")
        return arguments["a"] / 1e3

    def made(folder: Path, config: Any, feasible: Any) -> tuple[Latencies, ...]:
        return (Latencies(folder, HERE, measure, 0.003),)

    monkeypatch.setattr("mgic_nas.engine.controller.of_run", made)
    with run.open(budgets=["20k", "latency=3ms"], trials=100) as controller:
        run.finish(controller)
        assert "could not be timed: no such operation)" in controller.ended
    assert {row["arch_id"] for row in run.rows()} == {arch for arch in fast(run, 3) if arch[1] != "2"}
    assert read_record(run.folder).rejected["not timed"] > 0


def test_place_says_batch_threads_and_device() -> None:
    """Milliseconds mean nothing without them."""
    assert str(HERE) == "one image of 1x8x8 at a time on 1 thread of processor"
    assert str(Place((3, 32, 32), "NVIDIA H100", threads=0)) == "one image of 3x32x32 at a time on NVIDIA H100"


def test_real_measurement_is_cached_and_repeats(tmp_path: Path) -> None:
    """Through the real path: network built, measured on one thread, written, and read back as the same number."""
    from fakes.engine import make_config

    config = make_config(
        space={"model": "mgic_resnet20", "params": {"s_g": {"choices": [4, 8]}}},
        data={"spec": "fake", "fingerprint": "f", "num_classes": 10, "input_size": [1, 14, 14]},
        budgets=["latency=1s"],
        gpus_per_trial=0,
    )
    feasible = SearchProblem.of_run(config).feasible
    (measuring,) = of_run(tmp_path, config, feasible)
    small, large = ({"depths": depths, "s_g": 4, "s_c": 8} for depths in (1, 6))
    seconds, longer = measuring.seconds("small", small), measuring.seconds("large", large)
    assert seconds is not None
    assert longer is not None
    assert 0 < seconds < longer < 60
    (again,) = of_run(tmp_path, config, feasible)
    assert again.seconds("small", {"no such argument": 1}) == seconds
    assert measuring.place.threads == 1
    assert measuring.place.device in measuring.place.cells().values()

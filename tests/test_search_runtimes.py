"""A search within budgets on latency in other runtimes, from the call to the report, on trainings of a few images."""

import csv
import random
import sys
from pathlib import Path
from typing import Any

import pytest

import mgic_nas
from mgic_nas import UserError, report, search
from mgic_nas.cost import runtimes
from mgic_nas.engine.storage import predicting
from mgic_nas.preparation import Given, prepare
from mgic_nas.run import plan

SPACE = {
    "model": "mgic_resnet20",
    "kwargs": {"depths": 1},
    "params": {"s_g": {"choices": [4, 8]}, "width_mult": {"choices": [0.25, 0.5]}},
}
KIND = "latency-onnxruntime-b8"


def small(out: Path, **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {"trials": 2, "epochs": 1, "executor": "local", "sampler": "random", "concurrent": 1}
    values["space"] = mgic_nas.SearchSpace.from_dict(SPACE)
    return {"data": "fashion?train=80&val=60", "out": out, "progress": False, **values, **changes}


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, int, int]]:
    """What was timed, without timing it, in an empty cache. A network takes a nanosecond a parameter and image."""
    found: list[tuple[str, int, int]] = []

    def shipped_latency(runtime: str, net: Any, size: Any, *, batch: int = 1, threads: int = 1) -> float:
        found.append((runtime, batch, threads))
        return batch * 1e-9 * float(sum(p.numel() for p in net.parameters()))

    monkeypatch.setattr(runtimes, "shipped_latency", shipped_latency, raising=False)
    monkeypatch.setenv("MGIC_NAS_CACHE", str(tmp_path / "cache"))
    return found


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_latency_in_onnxruntime_is_measured_told_and_chosen_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way, with nothing replaced: exported, timed, trained within it, and found again in a later search."""
    monkeypatch.setenv("MGIC_NAS_CACHE", str(tmp_path / "cache"))
    run = search(**small(tmp_path / "run", budgets=["5M", f"{KIND}=1s", "latency-openvino=1s"], trials=4))
    trials = run.trials()
    assert (trials[[f"{KIND}_ms", "latency-openvino_ms"]] > 0).all(axis=None)
    winner = run.best(macs="5M", limits={KIND: "1s", "latency-openvino": 1.0})
    winner.create_model()
    with open(run.folder / "budgets.csv") as stream:
        rows = {row["budget"]: row for row in csv.DictReader(stream)}
    assert float(rows[f"{KIND}=1000ms"][f"{KIND}_ms"]) > 0
    assert (run.folder / "winners" / f"{KIND}=1000ms" / "model.safetensors").exists()
    for page in ("report.md", "report.html"):
        text = (run.folder / page).read_text()
        assert "a batch of 8 of 1x14x14 at a time on 1 thread of" in text
        assert "rank correlation between MACs and milliseconds" in text
    html = (run.folder / "report.html").read_text()
    assert f"front-{KIND}" in html
    assert "of each row timed by itself" in html
    monkeypatch.setattr(runtimes, "shipped_latency", lambda *_, **__: pytest.fail("timed again"), raising=False)
    again = search(**small(tmp_path / "again", budgets=["5M", f"{KIND}=1s"], trials=4)).trials()
    before = dict(zip(trials["arch_id"], trials[f"{KIND}_ms"]))
    assert dict(zip(again["arch_id"], again[f"{KIND}_ms"])) == before


@pytest.mark.timeout(300)
def test_several_latencies_are_limits_at_once(tmp_path: Path, timed: list[tuple[str, int, int]]) -> None:
    """Each is timed for its own batch and threads, and what is over one of them is not trained."""
    other = "latency-openvino-b2-t2"
    run = search(**small(tmp_path / "run", budgets=["5M", f"{KIND}=0.06ms", f"{other}=1ms"], trials=4))
    trials = run.trials()
    assert set(trials["p.width_mult"]) == {0.25}  # the wider ones have more than 7,500 parameters
    assert (trials[f"{KIND}_ms"] <= 0.06).all()
    assert set(timed) == {("onnxruntime", 8, 1), ("openvino", 2, 2)}
    assert "too slow for latency-onnxruntime-b8=0.06ms" in str(run)
    with pytest.raises(UserError, match=r"within latency-onnxruntime-b8=0\.001ms; the fastest takes"):
        run.best(limits={KIND: "1us"})
    before = len(timed)
    search(**small(tmp_path / "again", budgets=["5M", f"{KIND}=1ms"], trials=1, sampler="random"))
    new = timed[before:]
    assert len(new) <= 1  # from the cache, but for one that was too slow in openvino before onnxruntime had its turn


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A space of 2,048 networks, which are taken to be too many to measure."""
    monkeypatch.setattr(predicting, "PATIENCE", 0.0)
    monkeypatch.setattr(predicting.Outlook, "predicted", True)
    monkeypatch.setattr(predicting, "DRAWN", 64)
    widths = {"low": 0.25, "high": 4.0, "step": 0.25, "per_stage": 3}
    return {"space": mgic_nas.SearchSpace.from_dict({**SPACE, "params": {"width_mult": widths}}), "sampler": "cost"}


def test_large_space_is_predicted_before_anything_is_written(
    tmp_path: Path, timed: list[tuple[str, int, int]], large: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """A search says how well, and records it; a plan says that it will be, and keeps nothing."""
    options = small(tmp_path / "run", budgets=[f"{KIND}=0.4ms"], **large)
    given = Given(**{name: value for name, value in options.items() if name != "progress"})
    planned = prepare(given, keep=False)
    assert "so it is predicted from the times of" in capsys.readouterr().err
    assert not planned.problem.predictors
    assert not planned.config.predicted
    assert not (tmp_path / "cache").exists()
    found = prepare(given)
    assert list(found.problem.predictors) == [KIND]
    assert f"{KIND}: predicted; {found.config.predicted[KIND]}" in capsys.readouterr().err
    rng = random.Random(0)
    drawn = list(filter(None, (found.problem.feasible.sample(rng) for _ in range(64))))
    assert 0 < len(drawn) < 64  # what is predicted to be over the budget is drawn no more
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_large_space_is_predicted_measured_trained_and_told(
    tmp_path: Path, timed: list[tuple[str, int, int]], large: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """The error stands in the head, in run.yaml and in the report; what is timed once is not timed again."""
    budgets = [f"{KIND}=0.4ms"]
    options = small(tmp_path / "run", budgets=budgets, trials=1, **large)
    plan(**{name: value for name, value in options.items() if name != "progress"})
    assert "so it is predicted from the times of" in capsys.readouterr().err
    assert not (tmp_path / "cache").exists()
    run = search(**options)
    said = capsys.readouterr().err
    (accuracy,) = run.config.predicted.values()
    assert f"{KIND}: predicted; {accuracy}" in said
    assert "on 16 networks that were measured, after a fit on 16 others" in accuracy
    for page in ("report.md", "report.html"):
        assert f"predictions from the times of their rows: {accuracy}" in (run.folder / page).read_text()
    trials = run.trials()
    assert (trials[f"{KIND}_ms"] <= 0.4).all()
    measured = (run.folder / f"{KIND}.csv").read_text().splitlines()[1:]
    assert len(trials) == 1 <= len(measured)
    before = len(timed)
    again = search(**options)  # nothing is left to be trained
    assert len(timed) == before
    assert again.config.predicted == {KIND: accuracy}


def test_runtime_that_cannot_run_these_networks_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unable(*_: Any, **__: Any) -> float:
        raise UserError("ResNet cannot be exported to ONNX: no.")

    monkeypatch.setenv("MGIC_NAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(runtimes, "shipped_latency", unable, raising=False)
    with pytest.raises(UserError, match="cannot be exported"):
        search(**small(tmp_path / "run", budgets=[f"{KIND}=1s"]))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match="pip install onnxruntime"):
        search(**small(tmp_path / "run", budgets=[f"{KIND}=1s"]))
    assert not (tmp_path / "run").exists()


@pytest.mark.timeout(300)
def test_csv_of_another_device_from_the_call_to_the_report(tmp_path: Path) -> None:
    """The winner within its milliseconds, the run made again by its command, and the path in run.yaml only."""
    folder = tmp_path / "secret"
    folder.mkdir()
    path = folder / "jetson.csv"
    path.write_text("s_g,width_mult,latency_ms\n4,0.25,2\n8,0.25,9\n4,0.5,4\n")
    with pytest.raises(UserError, match=r"=1ms: of the networks in jetson.csv that are .* takes 2 ms"):
        search(**small(tmp_path / "run", budgets=["5M", "latency-jetson=1ms"], latencies=path))
    assert not (tmp_path / "run").exists()
    run = search(**small(tmp_path / "run", budgets=["5M", "latency-jetson=5ms"], latencies=path))
    assert run.within("latency-jetson=3ms").trial == run.best(limits={"latency-jetson": "3ms"}).trial
    trials = run.trials()
    assert sorted(trials["latency-jetson_ms"]) == [2.0, 4.0]
    assert run.best(limits={"latency-jetson": "3ms"}).row["p.width_mult"] == 0.25
    with pytest.raises(UserError, match="Unknown budget 'latency-nano'"):
        run.best(limits={"latency-nano": "3ms"})
    assert str(path) in (run.folder / "run.yaml").read_text()
    for file in run.folder.glob("*.csv"):
        assert "secret" not in file.read_text()
    # Without naming it again, as with everything that a run was made with.
    again = search(**small(tmp_path / "run", budgets=["5M", "latency-jetson=5ms"]))
    assert again.trials().equals(trials)
    # Once the csv is gone, what it said of the trained networks still answers; only more trainings want it.
    path.unlink()
    gone = mgic_nas.load_run(tmp_path / "run")
    assert gone.trials().equals(trials)
    assert gone.best(limits={"latency-jetson": "3ms"}).row["latency-jetson_ms"] == 2.0
    report.build(gone.folder)
    assert "Latency by jetson.csv" in (gone.folder / "report.md").read_text()
    with pytest.raises(UserError, match=r"jetson\.csv is not there: name a csv of measurements, or put it back"):
        search(**small(tmp_path / "run", budgets=["5M", "latency-jetson=5ms"], trials=3))

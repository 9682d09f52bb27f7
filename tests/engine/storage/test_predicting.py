"""When a search predicts latencies, from what, and what it says of it: decided by the time that measuring takes."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from fakes.engine import make_config

from mgic_nas.engine.proposals.candidate import SearchProblem
from mgic_nas.engine.storage import predicting
from mgic_nas.engine.storage.predicting import FITTED, HELD_OUT, Prediction
from mgic_nas.errors import UserError

KIND = "latency-onnxruntime-b8"
WIDTHS = {"low": 0.25, "high": 4.0, "step": 0.25, "per_stage": 3}
SPACE = {
    "model": "mgic_resnet20",
    "kwargs": {"depths": 1, "s_c": 8},
    "params": {"width_mult": WIDTHS},
}  # 2,048 networks


class Clock:
    """Measurements without measuring: a network takes ``network`` seconds to measure, a part ``part``."""

    def __init__(self, network: float = 1.0, part: float = 0.1) -> None:
        self.now = 0.0
        self.seconds = {"network": network, "part": part}
        self.timed: Counter[str] = Counter()
        self.refused = ""

    def perf_counter(self) -> float:
        return self.now

    def timed_net(self, net: Any, input_size: Any, kind: Any, device: str) -> float:
        what = "part" if type(net).__name__ == "Sequential" else "network"
        if self.refused == what:
            raise UserError("no such operation.")
        self.now += self.seconds[what]
        self.timed[what] += 1
        return 1e-9 * float(sum(p.numel() for p in net.parameters()))  # a nanosecond each


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Clock:
    found = Clock()
    monkeypatch.setattr(predicting, "time", found)
    monkeypatch.setattr(predicting, "timed_net", found.timed_net)
    monkeypatch.setattr(predicting, "DRAWN", 64)
    monkeypatch.setenv("MGIC_NAS_CACHE", str(tmp_path / "cache"))
    return found


def predicted(space: Any = SPACE, keep: bool = True, budgets: Any = (f"{KIND}=1s",)) -> Prediction:
    data = {"spec": "fake", "fingerprint": "f", "num_classes": 10, "input_size": [1, 14, 14]}
    config = make_config(space=space, data=data, budgets=list(budgets), gpus_per_trial=0)
    return Prediction(config, SearchProblem.of_run(config).feasible, keep)


def line(found: Prediction) -> str:
    (outlook,) = found.outlooks.values()
    return str(outlook)


def test_rows_are_timed_once_and_the_error_is_of_measured_networks(clock: Clock, tmp_path: Path) -> None:
    found = predicted()
    said = line(found)
    assert said.startswith(
        f"{KIND}: to measure all 2,048 networks would take 34 min (1 s each), more than 10 min, so it is predicted"
    )
    (predictor,) = found.predictors().values()
    assert (predictor.accuracy.fitted, predictor.accuracy.held_out) == (FITTED, HELD_OUT)
    assert predictor.accuracy.rank > 0.9
    parts = len(found.outlooks[KIND].parts)
    assert f"the times of {parts} rows (about " in said
    assert clock.timed["part"] == parts
    assert FITTED + HELD_OUT <= clock.timed["network"] <= FITTED + HELD_OUT + 1
    (again,) = predicted().predictors().values()  # as the next search, or the same one resumed
    assert clock.timed["part"] == parts
    assert clock.timed["network"] <= FITTED + HELD_OUT + 2  # one, to know how long it takes
    assert again.accuracy == predictor.accuracy


def test_a_plan_keeps_nothing(clock: Clock, tmp_path: Path) -> None:
    """``--dry-run`` writes nothing, and says what the search will do."""
    assert "so it is predicted" in line(predicted(keep=False))
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(("stages", "seconds"), [(1, 30.0), (3, 0.1)])
def test_what_can_be_measured_is_not_predicted(clock: Clock, stages: int, seconds: float) -> None:
    """16 networks of half a minute each, and 2,048 of a tenth of a second, are less than ten minutes."""
    clock.seconds["network"] = seconds
    widths = {"choices": [0.25 * n for n in range(1, 17)]} if stages == 1 else WIDTHS
    found = predicted({**SPACE, "params": {"width_mult": widths}})
    assert not found.outlooks
    assert not found.predictors()


def test_rows_that_take_too_long_are_not_timed(clock: Clock) -> None:
    """A compiler takes half a minute for each: nobody waits hours for the first training."""
    clock.seconds = {"network": 30.0, "part": 10.0}
    found = predicted()
    assert line(found).endswith("so would timing their rows: each candidate is measured before it is trained")
    assert not found.predictors()


def test_networks_that_are_no_rows_are_measured_and_it_is_said(clock: Clock) -> None:
    space = {"model": "mgicify:resnet18", "params": {"s_g": {"low": 1, "high": 256}, "s_c": {"low": 1, "high": 256}}}
    clock.seconds["network"] = 20.0
    found = predicted(space)
    assert line(found).endswith(
        "and they are no lists of rows from which to predict it: each candidate is measured before it is trained"
    )
    assert not found.predictors()
    assert clock.timed == {"network": 1}


def test_networks_that_cannot_be_timed_give_no_predictor(clock: Clock) -> None:
    clock.refused = "network"
    assert not predicted().outlooks
    clock.refused = ""
    found = predicted()
    clock.refused = "network"
    assert not found.predictors()
    assert clock.timed["part"] > 0


def test_budgets_on_counts_alone_time_nothing(clock: Clock) -> None:
    assert not predicted(budgets=["1G"]).outlooks
    assert not clock.timed

"""A search within a budget on latency, from the call to the report, on trainings of a few images."""

import csv
from pathlib import Path
from typing import Any

import pytest

import mgic_nas
from mgic_nas import UserError, load_run, search

SPACE = {
    "model": "mgic_resnet20",
    "kwargs": {"depths": 1},
    "params": {"s_g": {"choices": [4, 8]}, "s_c": {"choices": [8, 16]}, "width_mult": {"choices": [0.25, 0.5]}},
}


def small(out: Path, **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {"trials": 2, "epochs": 1, "executor": "local", "sampler": "random", "concurrent": 1}
    space = mgic_nas.SearchSpace.from_dict(SPACE)
    return {"space": space, "data": "fashion?train=80&val=60", "out": out, "progress": False, **values, **changes}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_latency_is_measured_told_and_chosen_by(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Milliseconds stand wherever the other costs do, with how they were measured; a resumed run has the same ones."""
    budgets = ["1M", "params=50k", "latency=10s"]
    run = search(**small(tmp_path / "run", budgets=budgets))
    assert "one image of 1x14x14 at a time on 1 thread of" in capsys.readouterr().err
    trials = run.trials()
    assert (trials["latency_ms"] > 0).all()
    assert list(trials.columns).index("latency_ms") == list(trials.columns).index("activations") + 1
    winner = run.best(macs=1e6, params=5e4, latency="10s")
    winner.create_model()
    assert run.best(latency=10.0).row["number"] == run.winners()["latency=10000ms"].row["number"]  # type: ignore[union-attr]
    with open(run.folder / "budgets.csv") as stream:
        rows = {row["budget"]: row for row in csv.DictReader(stream)}
    assert float(rows["latency=10000ms"]["latency_ms"]) > 0
    assert "ms" in str(run)
    for page in ("report.md", "report.html"):
        assert "1 thread of" in (run.folder / page).read_text()
    before = dict(zip(trials["arch_id"], trials["latency_ms"]))
    again = search(**small(tmp_path / "run", budgets=budgets, trials=3)).trials()
    assert before.items() <= dict(zip(again["arch_id"], again["latency_ms"])).items()
    assert len((run.folder / "latency.csv").read_text().splitlines()) == 1 + len(again)


@pytest.mark.timeout(300)
def test_budget_that_nothing_is_fast_enough_for_is_one_line_with_the_fastest(tmp_path: Path) -> None:
    """Exit code 2, after seconds, and with the network that came nearest."""
    with pytest.raises(UserError, match=r"too slow for latency=0\.001ms; the fastest takes .* ms, one image") as caught:
        search(**small(tmp_path / "run", budgets=["latency=1us"]))
    assert "\n" not in str(caught.value)
    assert 'timm.create_model("mgic_resnet20"' in str(caught.value)
    assert load_run(tmp_path / "run").trials().empty

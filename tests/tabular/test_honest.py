"""The yardstick without luck: what is judged by trainings that were seen in the choice looks better than it is."""

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes.table import make_table

from mgic_nas._files import read_csv
from mgic_nas.cli import main
from mgic_nas.tabular import text, to_dict
from mgic_nas.tabular.compare import compare
from mgic_nas.tabular.denoised import by_the_others, denoised, design
from mgic_nas.tabular.honest import _LeftOut, handed_over, unseen, worth
from mgic_nas.tabular.replay import Truth, drawn
from mgic_nas.tabular.table import CURVES_CSV, Table, write_curves


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_table(tmp_path_factory.mktemp("tables") / "noisy", seeds=3, noise=2.0)


def test_denoised_accuracies_are_nearer_to_the_truth_than_means(noisy: Path) -> None:
    table = Table(noisy)
    formula = [40 + 4 * math.log(a.cost["macs"]) - 1.5 * (a.setting["s_g"] == 16) for a in table.architectures]
    real, columns, rng = np.array(formula), design(table), np.random.default_rng(0)
    errors = []
    for _ in range(20):
        final = real[:, None] + rng.normal(0, 2, (len(real), 3))
        errors.append([np.mean((values - real) ** 2) for values in (denoised(final, columns), final.mean(1))])
    better, mean = np.mean(errors, axis=0)
    assert better < 0.7 * mean


def test_where_trainings_agree_their_mean_stays(tmp_path: Path) -> None:
    """Architectures that a linear model does not foresee are not pulled towards it: their trainings show them."""
    table = Table(make_table(tmp_path / "quiet", seeds=3, noise=0.0))
    rng = np.random.default_rng(0)
    real = rng.normal(80, 3, len(table.architectures))
    final = real[:, None] + rng.normal(0, 0.05, (len(real), 3))
    assert denoised(final, design(table)) == pytest.approx(final.mean(1), abs=0.05)


def test_predictions_do_not_know_what_they_predict() -> None:
    rng = np.random.default_rng(1)
    columns, values = rng.normal(size=(30, 3)), rng.normal(size=30)
    columns -= columns.mean(0)
    before = by_the_others(columns, values)
    moved = values.copy()
    moved[4] += 1e-3  # so little that the same penalty is best
    assert by_the_others(columns, moved)[4] == pytest.approx(before[4], abs=1e-6)


def test_unseen_trainings_are_those_that_the_replay_does_not_draw(noisy: Path) -> None:
    truth = Truth(Table(noisy))
    judged, chosen = unseen(truth, 5), drawn(truth, 5)
    for row in (0, 7, 20):
        others = np.delete(truth.final[row], chosen[row])
        assert judged[row] == pytest.approx(others.mean())


def test_everything_handed_over_is_judged_even_where_it_disappoints(noisy: Path) -> None:
    """A front whose networks do worse on other trainings is worth less: its failures are not hidden by its others."""
    truth = Truth(Table(noisy))
    floor = truth.reference[0]
    front = handed_over(truth.acc, truth.macs, floor)
    assert worth(front, truth.acc, truth) == pytest.approx(truth.best)
    worse = truth.acc.copy()
    worse[front[-1]] = floor - 2
    assert worth(front, worse, truth) < worth(front[:-1], truth.acc, truth) - 1e-6


def test_the_page_the_csv_and_the_json_have_both_yardsticks(noisy: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    command = ["replay", str(noisy), "--sampler", "random", "--sampler", "cost", "--seeds", "3", "--out", str(out)]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "denoised truth" in printed
    assert "regret of the winner on unseen trainings" in (out / "README.md").read_text()
    found = json.loads((out / "replay.json").read_text())
    assert found["table"]["honest"]["by_denoised"]["rmse"] < found["table"]["honest"]["by_mean"]["rmse"]
    mine = next(c for c in found["contestants"] if c["name"] == "cost")["honest"]
    rows = list(csv.DictReader((out / "replay.csv").open()))
    values = [
        row["value"]
        for row in rows
        if (row["contestant"], row["measure"], row["at"]) == ("cost", "epochs, denoised truth", "0.95")
    ]
    assert [float(v) if v else None for v in values] == mine["epochs"]["0.95"]
    # The luck of three trainings: what the mean claims for its front is more than it is worth on another one.
    assert found["table"]["honest"]["by_mean"]["claimed"] > found["table"]["honest"]["by_mean"]["kept"]


def test_a_table_with_one_training_says_that_luck_cannot_be_told(tmp_path: Path, capsys) -> None:
    table = make_table(tmp_path / "one", seeds=1)
    said: list[str] = []
    found = compare(table, ["random"], seeds=2, say=said.append)
    assert any("one training only" in line for line in said)
    assert found.facts["honest"] is None
    assert found.standings[0].honest is None
    assert main(["replay", str(table), "--sampler", "random", "--seeds", "2"]) == 0
    assert "luck cannot be told from worth" in capsys.readouterr().out


def small(path: Path, *accuracies: tuple[float, ...]) -> Path:
    """Somebody's table of few architectures, each dearer than the one before."""
    names = ",".join(f"acc.{n}" for n in range(len(accuracies[0])))
    rows = [f"{w},{1000 + 500 * w},{','.join(map(str, accs))}" for w, accs in enumerate(accuracies)]
    path.write_text("\n".join([f"w,macs,{names}", *rows]) + "\n")
    return path


def strict(written: str) -> Any:
    """JSON, in which NaN and infinity are no numbers."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return json.loads(written, parse_constant=refuse)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_where_no_architecture_is_above_the_reference_there_is_no_nan(tmp_path: Path, capsys) -> None:
    """With one training left out, the denoised other may be above the reference nowhere: nothing to be distant of."""
    table = small(tmp_path / "t.csv", (58, 42), (48, 43))
    command = ["replay", str(table), "--sampler", "random", "--seeds", "1"]
    assert main([*command, "--json"]) == 0
    found = strict(capsys.readouterr().out)
    assert math.isfinite(found["table"]["honest"]["by_mean"]["rmse"])
    assert main(command) == 0
    assert "nan" not in capsys.readouterr().out


def test_what_no_training_says_is_null_and_left_out(noisy: Path) -> None:
    assert _LeftOut(claimed=[1.0], kept=[0.5]).means() == {"rmse": None, "claimed": 1.0, "kept": 0.5}
    found = compare(noisy, ["random"], seeds=1)
    for name in ("by_mean", "by_denoised"):
        found.facts["honest"][name]["rmse"] = None
    assert "points (rms)" not in text(found)
    assert "left out in turn: the front by the mean claims" in text(found)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_every_number_of_the_json_is_one(tmp_path: Path) -> None:
    """Also where the table does not know its seconds, and of one seed, whose estimates have no error."""
    folder = make_table(tmp_path / "t")
    write_curves(folder, [{**row, "cpu_seconds": ""} for row in read_csv(folder / CURVES_CSV)])
    found = to_dict(compare(folder, ["random"], seeds=1, trials=3))
    assert found["table"]["cpu_seconds"] is None
    assert found["contestants"][0]["median_epochs"]["0.99"] is None
    json.dumps(found, allow_nan=False)


def test_a_denoised_truth_above_the_recorded_one_shows_no_luck(tmp_path: Path) -> None:
    found = compare(small(tmp_path / "t.csv", (10, 13), (12, 10), (14, 15)), ["random"], seeds=1)
    assert found.facts["honest"]["luck"] < 0
    assert "no smaller than the recorded 0.1" in text(found)
    assert "is luck" not in text(found)

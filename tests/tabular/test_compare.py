"""`mgic-nas replay`: samplers compared in seconds."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes.table import make_table

from mgic_nas.cli import main
from mgic_nas.errors import UserError
from mgic_nas.tabular import text, to_dict
from mgic_nas.tabular.compare import _rank_correlation, compare


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_table(tmp_path_factory.mktemp("tables") / "fake")


@pytest.fixture(scope="module")
def found(table: Path):
    return compare(table, ["cost+halving", "stratified", "nsga2"], seeds=3)


def test_every_share_is_reached_later_than_the_one_below(found) -> None:
    for standing in found.standings:
        for nine, more, most in zip(*(standing.epochs[s] for s in (0.90, 0.95, 0.99)), strict=True):
            assert nine <= more <= most
        middle = [band[1] for band in standing.curve]
        assert middle == sorted(middle)
        assert all(low <= median <= high for low, median, high in standing.curve)


def test_nobody_beats_the_one_who_knows_the_truth(found) -> None:
    for share, bound in found.bounds["knows the truth"].items():
        assert all(standing.median(share) >= bound for standing in found.standings)


def test_who_knows_less_needs_more(found) -> None:
    assert list(found.bounds) == ["knows the truth", "foresees every training", "knows what features tell"]
    for bound in found.bounds.values():
        assert bound[0.90] <= bound[0.95] <= bound[0.99]
    for share, fewest in found.bounds["knows the truth"].items():
        assert all(bound[share] >= fewest for bound in found.bounds.values())


def test_regret_is_what_the_winner_lacks(found) -> None:
    for standing in found.standings:
        for label, best in found.facts["best_within"].items():
            regrets = [r for r in standing.regret[label] if r is not None]
            assert all(r >= -1e-9 for r in regrets)
            winner = standing.winners[label]
            assert winner is None or winner <= best + 1e-9


def test_the_same_arguments_give_the_same_numbers(table: Path, found) -> None:
    again = compare(table, ["cost+halving", "stratified", "nsga2"], seeds=3)
    assert json.dumps(to_dict(again)) == json.dumps(to_dict(found))


def test_the_page_says_what_was_compared(found) -> None:
    page = text(found)
    for words in ("cost+halving", "knows the truth", "noise of one training", "MACs at 1x14x14", "regret"):
        assert words in page
    assert not math.isnan(found.facts["noise"])


def test_the_command_writes_a_page_with_a_picture(table: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    assert main(["replay", str(table), "--sampler", "random", "--seeds", "2", "--out", str(out), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((out / "replay.json").read_text())
    assert (out / "replay.png").read_bytes().startswith(b"\x89PNG")
    assert "| random |" in (out / "README.md").read_text()


def never(*args: Any, **options: Any) -> Any:
    raise AssertionError("it was searched")


@pytest.mark.parametrize("names", [["README.md"], ["run.yaml", "study.db"], ["table.yaml", "replay.json"]])
def test_a_folder_of_something_else_is_left_alone(
    table: Path, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch, names: list[str]
) -> None:
    monkeypatch.setattr("mgic_nas.tabular.compare.compare", never)
    for name in names:
        (tmp_path / name).write_text("mine")
    assert main(["replay", str(table), "--sampler", "random", "--seeds", "1", "--out", str(tmp_path)]) == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    assert f"({names[0]}, ...): name another folder" in line
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(names, "mine")


@pytest.mark.parametrize("out", ["file/below", "file", "no\0name"])
def test_a_folder_that_cannot_be_is_refused_before_the_searches(
    table: Path, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    monkeypatch.setattr("mgic_nas.tabular.compare.compare", never)
    (tmp_path / "file").write_text("mine")
    assert main(["replay", str(table), "--sampler", "random", "--seeds", "1", "--out", str(tmp_path / out)]) == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    assert "cannot be made" in line


def test_numbers_are_told_where_they_cannot_be_written(table: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mgic_nas.tabular.write.write_atomic", full)
    out = tmp_path / "out"
    assert main(["replay", str(table), "--sampler", "random", "--seeds", "1", "--out", str(out)]) == 2
    told = capsys.readouterr()
    assert "epochs trained to" in told.out
    assert "cannot be written: No space left on device" in told.err


def test_an_earlier_comparison_is_written_again(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ["replay", str(table), "--sampler", "random", "--seeds", "1", "--out", str(out)]
    assert main(command) == 0
    (out / "sampler.py").write_text("mine")
    (out / "README.md").unlink()
    assert main(command) == 0
    assert (out / "README.md").exists()
    assert (out / "sampler.py").read_text() == "mine"


def test_wrong_input_is_one_line(table: Path, tmp_path: Path, capsys) -> None:
    for arguments, words in (
        ([str(table), "--sampler", "hyperband"], "Unknown sampler 'hyperband'"),
        ([str(table), "--sampler", "cost+asha"], "Unknown rungs 'asha'"),
        ([str(tmp_path)], "not a recorded table"),
        ([str(table), "--budget", "10"], "the cheapest of the table has"),
        ([str(table), "--seeds", "0"], "seeds must be a whole number"),
    ):
        assert main(["replay", *arguments]) == 2
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert words in error


def test_a_budget_is_the_limit_of_every_search(table: Path) -> None:
    found = compare(table, ["random"], seeds=2, budgets=["0.5M", "1M"])
    assert found.facts["reference"]["macs"] == 1e6
    with pytest.raises(UserError, match="budgets on MACs only"):
        compare(table, ["random"], seeds=1, budgets=["params=1M"])


def test_ties_share_their_rank() -> None:
    """Ranks in order of appearance would make a correlation of two columns that have nothing in common."""
    nan = math.nan
    assert _rank_correlation(np.array([[1.0, 3], [2, 3], [2, 4], [3, 3]])) == pytest.approx(0.0)
    assert _rank_correlation(np.array([[1.0, 1], [2, 2], [2, 2], [9, 3], [nan, 8]])) == pytest.approx(1.0)
    assert _rank_correlation(np.array([[1.0, 1], [2, 2], [nan, 3]])) is None
    assert _rank_correlation(np.array([[1.0, 5], [2, 5], [3, 5]])) is None
    assert _rank_correlation(np.array([[1.0], [2], [3]])) is None

"""Tables that hold less than their space: an interrupted recording, a budget on something else than MACs."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest
from fakes.table import make_table

from mgic_nas._files import read_csv
from mgic_nas.cli import main
from mgic_nas.engine.samplers.registry import SAMPLERS
from mgic_nas.errors import UserError
from mgic_nas.tabular.compare import compare
from mgic_nas.tabular.part import Part
from mgic_nas.tabular.replay import Truth, replay
from mgic_nas.tabular.table import CURVES_CSV, Table, write_architectures, write_curves


def interrupted(folder: Path, trained: int, acc: str | None = None) -> Path:
    """A table of which so many architectures are trained, each once; every third, as records go at random."""
    make_table(folder)
    names = [a.arch_id for a in Table(folder).architectures]
    kept = [*names[::3], *names[1::3]][:trained]
    rows = [row for row in read_csv(folder / CURVES_CSV) if row["arch_id"] in kept and row["seed"] == "0"]
    write_curves(folder, [row if acc is None else {**row, "val_acc": acc} for row in rows])
    return folder


def of_few_params(folder: Path) -> Path:
    """A table that was recorded within a budget on parameters."""
    rows = Table(make_table(folder)).architectures
    middle = statistics.median(a.cost["params"] for a in rows)
    write_architectures(folder, [a for a in rows if a.cost["params"] <= middle])
    return folder


@pytest.fixture(scope="module")
def holed(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    return Truth(Table(interrupted(tmp_path_factory.mktemp("tables") / "holed", trained=12)))


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_what_is_not_trained_is_left_out_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = interrupted(tmp_path / "holed", trained=12)
    everything = len(read_csv(folder / "architectures.csv"))
    assert main(["replay", str(folder), "--sampler", "cost", "--sampler", "tpe", "--seeds", "2"]) == 0
    told = capsys.readouterr()
    assert f"left out: {everything - 12} of {everything} architectures, without a whole training" in told.err
    assert "holed: 12 architectures of" in told.out


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_every_sampler_searches_in_what_is_there(holed: Truth, sampler: str) -> None:
    trace = replay(holed, sampler, seed=0, enough=1.1)
    assert sorted(trace.rows.tolist()) == [*range(12)]


@pytest.mark.parametrize(("trained", "words"), [(0, "holds no training yet"), (1, "1 of {n} architectures is trained")])
def test_too_little_is_one_line_that_says_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], trained: int, words: str
) -> None:
    folder = interrupted(tmp_path / "t", trained)
    everything = len(read_csv(folder / "architectures.csv"))
    assert main(["replay", str(folder), "--sampler", "random", "--seeds", "1"]) == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    assert words.format(n=everything) in line
    assert "go on with `mgic-nas record`" in line


def test_equal_ones_are_told_with_what_is_trained(tmp_path: Path) -> None:
    folder = interrupted(tmp_path / "t", trained=2, acc="70.0")
    with pytest.raises(UserError, match=r"no architecture is better.*2 of \d+ architectures are trained: go on"):
        compare(folder, ["random"], seeds=1)


@pytest.mark.parametrize("sampler", ["cost+thaw", "random", "tpe"])
def test_a_table_within_a_budget_on_parameters_is_searched(tmp_path: Path, sampler: str) -> None:
    folder = of_few_params(tmp_path / "t")
    truth = Truth(Table(folder))
    assert isinstance(truth.space, Part)
    found = compare(folder, [sampler], seeds=2)
    assert max(found.standings[0].trials[0.9]) <= len(truth.macs)


def test_a_budget_above_what_was_recorded_leads_to_nothing_else(tmp_path: Path) -> None:
    rows = Table(make_table(tmp_path / "t")).architectures
    write_architectures(tmp_path / "t", rows[: len(rows) // 2])
    assert not isinstance(Truth(Table(tmp_path / "t")).space, Part)  # as within its own budget on MACs
    found = compare(tmp_path / "t", ["random", "cost"], seeds=2, budgets=["100M"])
    assert found.facts["architectures"] == len(rows) // 2


def test_a_whole_table_is_searched_as_its_space(tmp_path: Path) -> None:
    table = Table(make_table(tmp_path / "t"))
    assert Truth(table).space is table.space
    assert not table.notes

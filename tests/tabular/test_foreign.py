"""`mgic-nas replay` on tables of other people: read by their columns' names or by a YAML, or refused with one line."""

from __future__ import annotations

import gzip
import itertools
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest

from mgic_nas.cli import main
from mgic_nas.errors import UserError
from mgic_nas.tabular import text
from mgic_nas.tabular.compare import _limits, compare
from mgic_nas.tabular.foreign import ForeignTable
from mgic_nas.tabular.ranking import difference, mean_ranks, ranks
from mgic_nas.tabular.replay import Truth

SHIPPED = Path(__file__).parents[2] / "runs" / "nas_bench"


def frame(**changed: Any) -> pd.DataFrame:
    """75 networks whose accuracy rises with their cost, and with one of three operations."""
    rows = []
    for number, (width, depth, op) in enumerate(itertools.product((8, 16, 24, 32, 40), range(1, 6), "abc")):
        acc = 60 + 8 * math.log(width * depth) / 5 + {"a": 0, "b": 2, "c": 4}[op]
        rows.append(
            {
                "width": width,
                "depth": depth,
                "op": op,
                "macs": width * depth * 1e4 + number,
                "acc.0": acc + 0.1 * math.sin(number),
                "acc.1": acc - 0.1 * math.sin(number) if number % 7 else math.nan,
            }
        )
    return pd.DataFrame(rows).assign(**changed)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("foreign") / "theirs.csv.gz"
    frame().to_csv(path, index=False)
    return path


def test_a_file_is_read_as_it_lies(plain: Path) -> None:
    table = ForeignTable(plain)
    assert len(table.architectures) == 75
    assert (table.seeds, table.config.epochs, len(table.missing)) == (2, 1, 11)
    assert table.space.params["op"] == ("a", "b", "c")
    assert table.space.params["width"] == ("16", "24", "32", "40", "8")  # choices without an order
    assert list(table.cost("macs")) == sorted(frame()["macs"])
    [note] = table.notes
    assert "width, depth, op" in note
    assert "acc.0, acc.1" in note
    for architecture in table.architectures[:3]:
        assert table.arch_id(table.space.config(architecture.setting)) == architecture.arch_id


def test_a_yaml_says_what_columns_are(tmp_path: Path) -> None:
    theirs = frame().rename(columns={"macs": "cost"}).assign(comment="x")
    theirs[["acc.0", "acc.1"]] /= 100
    theirs.to_parquet(tmp_path / "t.parquet")
    (tmp_path / "t.yaml").write_text(
        "name: Theirs\nfile: t.parquet\nsettings: [width, depth, op]\nordered: [width, depth]\n"
        "costs: {macs: cost}\nunit: share\ninput_size: [1, 28, 28]\n"
    )
    table = ForeignTable(tmp_path / "t.yaml")
    assert table.name == "Theirs"
    assert not table.notes
    assert table.config.input_size == (1, 28, 28)
    assert table.space.params["width"] == (8, 16, 24, 32, 40)
    assert np.nanmax(table.curves("val_acc")) == pytest.approx(np.nanmax(frame()[["acc.0", "acc.1"]]))


def test_curves_are_epochs(tmp_path: Path) -> None:
    theirs = frame()
    theirs["acc.0"] = [json.dumps([acc - 20, acc - 5, acc]) for acc in theirs["acc.0"]]
    theirs = theirs.drop(columns="acc.1")
    theirs.to_csv(tmp_path / "c.csv", index=False)
    found = compare(tmp_path / "c.csv", ["cost+thaw", "random"], seeds=4, trials=30)
    assert found.facts["epochs"] == 3
    assert all(math.isfinite(e) for e in found.standings[0].epochs[0.9])
    assert any(end % 3 for end in found.standings[0].ends)  # some training was paused and left there
    assert not any(end % 3 for end in found.standings[1].ends)


def test_a_search_in_it_trains_only_its_rows_and_finds_the_best(plain: Path) -> None:
    found = compare(plain, ["cost", "tpe", "optuna.samplers:RandomSampler"], seeds=4, first_seed=10)
    truth = Truth(ForeignTable(plain))
    assert found.bounds["knows the truth"][0.95] == truth.fewest(0.95)
    cost, tpe, outside = found.standings
    assert cost.median(0.95) <= min(tpe.median(0.95), outside.median(0.95))
    assert max(cost.ends) <= 75
    assert ranks(found)["cost"] < 2.5
    assert set(mean_ranks([found, found])) == {"cost", "tpe", "optuna.samplers:RandomSampler"}
    slower = difference(found, "tpe", "cost")
    assert slower is not None
    assert slower.mean == pytest.approx(np.mean(np.subtract(tpe.epochs[0.95], cost.epochs[0.95])))


def test_other_seeds_are_other_searches(plain: Path) -> None:
    first, same, other = (compare(plain, ["random"], seeds=2, first_seed=s, trials=20) for s in (0, 0, 2))
    assert first.standings == same.standings
    assert first.standings != other.standings
    assert max(first.standings[0].ends) <= 20


class Outside(optuna.samplers.RandomSampler):
    """A sampler from outside, whose factory takes what ours take."""

    @classmethod
    def make(cls, seed: int, pool: Any, problem: Any) -> Outside:
        assert len(pool().settings)
        return cls(seed)


def test_several_tables_are_one_page(plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    yaml = plain.with_name("theirs.yaml")
    yaml.write_text(f"name: Theirs <ordered>\nfile: {plain.name}\nordered: [width]\n")
    command = ["replay", str(plain), str(yaml), "--sampler", "cost", "--sampler", "random", "--seeds", "2"]
    assert main([*command, "--trials", "25", "--out", str(tmp_path / "page"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told["mean_ranks_at_0.95"]) == {"cost", "random"}
    page = (tmp_path / "page" / "README.md").read_text()
    assert "--trials 25" in page
    assert "mean rank" in page
    assert "## Theirs <ordered>" in page
    assert {"replay-1.png", "replay-2.png", "replay.json"} <= {p.name for p in (tmp_path / "page").iterdir()}


@pytest.mark.parametrize("name", ["nas_bench_macro_cifar10", "nas_bench_201_cifar10"])
def test_the_shipped_ones_are_read(name: str) -> None:
    path = SHIPPED / f"{name}.csv.gz"
    table = ForeignTable(path)
    with gzip.open(path, "rt") as file:
        assert len(table.architectures) == sum(1 for _ in file) - 1
    assert len(table.space.params) in (6, 8)


WRONG: dict[str, tuple[Any, str]] = {
    "no costs": (lambda: frame().drop(columns="macs"), "no column macs"),
    "no accuracy": (lambda: frame().drop(columns=["acc.0", "acc.1"]), "no column acc"),
    "no settings": (lambda: frame().drop(columns=["width", "depth", "op"]), "no columns of settings"),
    "empty accuracies": (lambda: frame(**{"acc.0": math.nan, "acc.1": math.nan}), "has no accuracy in acc.0, acc.1"),
    "a cost of nothing": (lambda: frame(macs=0), "macs 0, but a cost must be positive"),
    "a cost below nothing": (lambda: frame(macs=-24000), "macs -24000, but a cost must be positive"),
    "a cost in a large unit": (lambda: frame(macs=0.024), "a smaller unit (multiply the column)"),
    "a cost in words": (lambda: frame(macs="5M"), "a cost is 1 or more"),
    "shares": (lambda: frame(**{"acc.0": 0.5, "acc.1": 0.4}), "unit: share"),
    "accuracies beyond 100": (lambda: frame(**{"acc.0": 400.0}), "0 to 100"),
    "an accuracy in words": (lambda: frame(**{"acc.0": "good"}), "no accuracy"),
    "an accuracy with a comma": (lambda: frame(**{"acc.0": "67,5"}), "decimals behind a '.', not a ','"),
    "twins": (lambda: pd.concat([frame(), frame()]), "the same settings"),
    "an empty setting": (lambda: frame(op=[None, *frame()["op"][1:]]), "is empty"),
    "one row": (lambda: frame()[:1], "rows"),
    "curves of two lengths": (lambda: frame(**{"acc.0": ["[1, 2]", "[1]"] + ["[3, 4]"] * 73}), "one length"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_table_is_one_line(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make, expected = WRONG[case]
    make().to_csv(tmp_path / "t.csv", index=False)
    assert main(["replay", str(tmp_path / "t.csv"), "--sampler", "random", "--seeds", "1"]) == 2
    *_, line = capsys.readouterr().err.splitlines()
    assert expected in line
    assert str(tmp_path) in line


@pytest.mark.parametrize("unit", ["percent", "share"])
def test_a_described_table_without_an_accuracy_is_one_line(tmp_path: Path, unit: str) -> None:
    frame(**{"acc.0": math.nan, "acc.1": math.nan}).to_csv(tmp_path / "t.csv", index=False)
    (tmp_path / "t.yaml").write_text(f"file: t.csv\nunit: {unit}\n")
    with pytest.raises(UserError, match=r"has no accuracy in acc\.0, acc\.1"):
        ForeignTable(tmp_path / "t.yaml")


@pytest.mark.parametrize(("separator", "decimal"), [(";", "."), (";", ","), ("\t", "."), ("\t", ","), ("|", ".")])
def test_another_separator_is_named(separator: str, decimal: str, tmp_path: Path) -> None:
    """With decimal commas some rows have more fields than others, and all have more than the header."""
    frame().to_csv(tmp_path / "t.csv.gz", index=False, sep=separator, decimal=decimal)
    named = "tabs" if separator == "\t" else f"'{separator}'"
    with pytest.raises(UserError, match=re.escape(f"separated by {named}: save it with ','")):
        ForeignTable(tmp_path / "t.csv.gz")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "does not describe a table"),
        ("file: ../t.csv\n", "in the same folder"),
        ("file: gone.csv\n", "no file"),
        ("file: t.csv\nfoo: 1\n", "unknown key"),
        ("file: t.csv\nsettings: width\n", "list of columns"),
        ("file: t.csv\nsettings: [widht]\n", "widht"),
        ("file: t.csv\nordered: [op]\n", "other things than numbers"),
        ("file: t.csv\nordered: [acc.0]\n", "none of the settings"),
        ("file: t.csv\ncosts: {macs: acc.9}\n", "acc.9"),
        ("file: t.csv\ncosts: {joules: macs}\n", "joules"),
        ("file: t.csv\nunit: per mille\n", "percent or share"),
        ("file: t.csv\ninput_size: [32]\n", "three numbers"),
        ("file: t.csv\n  bad: [\n", "line"),
    ],
)
def test_a_wrong_yaml_is_one_line(text: str, expected: str, tmp_path: Path) -> None:
    frame().to_csv(tmp_path / "t.csv", index=False)
    (tmp_path / "t.yaml").write_text(text)
    with pytest.raises(UserError, match=expected) as caught:
        ForeignTable(tmp_path / "t.yaml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\x1f\x8bnot gzip", b"\xff\xfe\x00"])
def test_a_broken_file_is_one_line(content: bytes, tmp_path: Path) -> None:
    for name in ("t.csv", "t.csv.gz", "t.parquet"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError) as caught:
            ForeignTable(tmp_path / name)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("sampler", ["nowhere.at_all:make", "json:dumb", "json:__doc__", ":x", "x:"])
def test_a_sampler_that_is_not_there_is_one_line(sampler: str, plain: Path) -> None:
    with pytest.raises(UserError, match="sampler"):
        compare(plain, [sampler], seeds=1)


def failing(seed: int, pool: Any, problem: Any) -> Any:
    return {}["nothing"]


class Exhausted(optuna.samplers.RandomSampler):
    """As Optuna's BruteForceSampler is once it has tried everything."""

    def after_trial(self, study: optuna.Study, *args: Any) -> None:
        study.stop()


def no_sampler(seed: int, pool: Any, problem: Any) -> Any:
    return seed


@pytest.mark.parametrize(
    ("sampler", "expected"),
    [
        ("optuna.samplers:GridSampler", "cannot be made: TypeError"),
        ("optuna.samplers:CmaEsSampler", "failed in a search: ValueError"),
        (f"{__name__}:Exhausted", "failed in a search: RuntimeError"),
        ("os:getcwd", "cannot be made: TypeError"),
        (f"{__name__}:failing", "cannot be made: KeyError"),
        (f"{__name__}:no_sampler", "makes a int"),
    ],
)
def test_a_sampler_that_cannot_search_is_one_line(sampler: str, expected: str, plain: Path) -> None:
    with pytest.raises(UserError, match=expected) as caught:
        compare(plain, [sampler], seeds=1)
    assert sampler in str(caught.value)


def test_budgets_by_default_are_inside_a_narrow_range(tmp_path: Path) -> None:
    for number, (low, high) in enumerate(((10.40e6, 10.449e6), (1.11, 1.9), (1e6, 1e6))):
        path = tmp_path / f"{number}.csv"
        theirs = frame(macs=np.linspace(low, high, 75))
        theirs.to_csv(path, index=False)
        limits = _limits(ForeignTable(path), ())
        assert all(low <= limit <= high * 1.001 + 1 for limit in limits.values())
        assert max(limits.values()) >= high
        assert len(limits) == 4 or low == high


def test_the_header_is_of_what_the_budget_allows(plain: Path) -> None:
    found = compare(plain, ["random"], seeds=1, trials=10, budgets=["200k", "0.3M"])
    inside = frame()[frame()["macs"] <= 300_000]
    means = inside[["acc.0", "acc.1"]].mean(axis=1)
    assert found.facts["accuracy"] == pytest.approx([means.min(), means.max()])
    assert found.facts["front"] == int(np.sum(np.maximum.accumulate(np.r_[0, means])[:-1] < means))
    assert found.facts["within"] == {"macs": 300_000, "architectures": len(inside)}
    assert f"{len(inside)} of them within" in text(found)
    everything = compare(plain, ["random"], seeds=1, trials=10)
    assert everything.facts["within"] is None
    assert "of them within" not in text(everything)


def only_one(worth: float) -> pd.DataFrame:
    return frame(**{"acc.0": [worth, *[60.0] * 74], "acc.1": [worth, *[60.0] * 74]})


@pytest.mark.parametrize(
    ("make", "budget", "expected"),
    [
        (frame, "80001", "give a larger --budget"),
        (lambda: frame(**{"acc.0": 60.0, "acc.1": 60.0}), "10M", "no architecture is better"),
        (lambda: only_one(50.0), "10M", "no architecture is better"),
    ],
)
def test_where_there_is_nothing_to_find_is_one_line(
    make: Any, budget: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make().to_csv(tmp_path / "t.csv", index=False)
    assert main(["replay", str(tmp_path / "t.csv"), "--sampler=random", "--seeds=1", f"--budget={budget}"]) == 2
    *_, line = capsys.readouterr().err.splitlines()
    assert expected in line

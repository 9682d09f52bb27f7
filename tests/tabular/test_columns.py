"""What cells and names of somebody's table are taken for: what they mean, said where it is a guess, or refused."""

from __future__ import annotations

import gzip
import itertools
import lzma
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mgic_nas.errors import UserError
from mgic_nas.tabular.foreign import ForeignTable
from mgic_nas.tabular.replay import Truth, replay


def frame(**changed: Any) -> pd.DataFrame:
    """24 networks, trained twice each."""
    rows = [
        {
            "width": width,
            "depth": depth,
            "kind": kind,
            "macs": width * depth * 1000 + number,
            "acc.0": 60 + number / 3,
            "acc.1": 60.5 + number / 3,
        }
        for number, (width, depth, kind) in enumerate(itertools.product((8, 16, 24, 32), (1, 2, 3), "ab"))
    ]
    return pd.DataFrame(rows).assign(**changed)


def read(rows: pd.DataFrame | list[str], path: Path) -> ForeignTable:
    """Of a frame or of lines, as a csv."""
    path.write_text("\n".join(rows) if isinstance(rows, list) else rows.to_csv(index=False))
    return ForeignTable(path)


def lines() -> list[str]:
    return frame().to_csv(index=False).splitlines()


def one_column_first() -> list[str]:
    """Whose first column would be a good index."""
    return frame().assign(width=range(24)).to_csv(index=False).splitlines()


@pytest.mark.parametrize("make", [lines, one_column_first])
@pytest.mark.parametrize("ending", [",", ",,"])
def test_commas_at_the_end_of_rows_shift_nothing(make: Any, ending: str, tmp_path: Path) -> None:
    head, *rows = make()
    plain = read([head, *rows], tmp_path / "plain.csv")
    table = read([head, *(row + ending for row in rows)], tmp_path / "commas.csv")
    assert table.architectures == plain.architectures
    assert np.array_equal(table.curves("val_acc"), plain.curves("val_acc"))
    both = read([line + "," for line in [head, *rows]], tmp_path / "both.csv")
    assert both.architectures == plain.architectures
    assert "empty" in both.notes[1]


@pytest.mark.parametrize("make", [lines, one_column_first])
@pytest.mark.parametrize("first", ["{}", "row{}", "row{},x"])
def test_fields_without_a_name_are_refused(make: Any, first: str, tmp_path: Path) -> None:
    head, *rows = make()
    with pytest.raises(UserError, match="more fields than the header"):
        read([head, *(f"{first.format(number)},{row}" for number, row in enumerate(rows))], tmp_path / "t.csv")


def test_costs_keep_their_decimals(tmp_path: Path) -> None:
    """Milliseconds: rounded, half of these networks would cost the same."""
    plain = Truth(read(frame(), tmp_path / "plain.csv"))
    less = Truth(read(frame(macs=frame()["macs"] / 7500), tmp_path / "ms.csv"))
    assert less.macs == pytest.approx(plain.macs / 7500)
    assert less.best == pytest.approx(plain.best)
    assert less.front.tolist() == plain.front.tolist()
    limit = 5.25
    narrow = Truth(less.table, limit)
    trace = replay(narrow, "random", seed=0, enough=2)
    assert sorted(trace.rows) == np.flatnonzero(narrow.macs <= limit).tolist()


def test_two_decimals_are_exact(tmp_path: Path) -> None:
    table = read(frame(macs=[f"{4 + number / 100:.2f}" for number in range(24)]), tmp_path / "t.csv")
    truth = Truth(table, 4.2)
    assert truth.searched == "4.2"
    assert len(replay(truth, "random", seed=0, enough=2).rows) == 21


def metrics() -> pd.DataFrame:
    return frame(
        train_acc=70.0,
        valLoss=frame()["width"] / 3,
        loss_std=0.5,
        latency_ms=1.5,
        flops=frame()["macs"] * 2,
        id=range(24),
        arch=[f"|conv~{number}|" for number in range(24)],
        seed=3,
        note=None,
    )


def test_results_costs_and_names_are_no_settings(tmp_path: Path) -> None:
    table = read(metrics(), tmp_path / "t.csv")
    assert [*table.space.params] == ["width", "depth", "kind"]
    note = table.notes[1]
    assert note.startswith("left out: ")
    for column in ("train_acc", "valLoss", "loss_std", "latency_ms", "flops", "id", "arch", "seed", "note"):
        assert column in note


def test_a_choice_of_losses_is_a_setting(tmp_path: Path) -> None:
    table = read(frame().rename(columns={"kind": "loss", "width": "loss_weight"}), tmp_path / "t.csv")
    assert [*table.space.params] == ["loss_weight", "depth", "loss"]


def test_words_for_nothing_are_choices_and_that_is_said(tmp_path: Path) -> None:
    table = read(frame(kind=frame()["kind"].replace({"a": "None"})), tmp_path / "t.csv")
    assert table.space.params["kind"] == ("None", "b")
    assert "None in kind" in table.notes[1]


def test_a_row_without_anything_is_left_out(tmp_path: Path) -> None:
    rows = frame().astype(object)
    rows.loc[3, ["macs", "acc.0", "acc.1"]] = None
    rows.loc[5, ["acc.0", "acc.1"]] = "NA"
    table = read(rows, tmp_path / "t.csv")
    assert len(table.architectures) == 22
    assert "2 rows without an accuracy" in table.notes[1]


def nullable(**changed: Any) -> pd.DataFrame:
    return frame(**changed).convert_dtypes()


def test_parquet_of_other_types_is_the_same_table(tmp_path: Path) -> None:
    found = []
    decimals = {name: [Decimal(f"{value:.6f}") for value in frame()[name]] for name in ("acc.0", "acc.1")}
    lacking = frame()
    lacking.loc[4, "acc.1"] = math.nan
    for number, rows in enumerate((frame(), nullable(), frame(**decimals), lacking, lacking.convert_dtypes())):
        path = tmp_path / f"{number}.parquet"
        rows.to_parquet(path)
        found.append(ForeignTable(path).curves("val_acc"))
    for other in found[1:3]:
        assert other == pytest.approx(found[0], abs=1e-5)
    assert np.isnan(found[3]).sum() == np.isnan(found[4]).sum() == 1


def lacking(column: str, value: Any) -> pd.DataFrame:
    rows = nullable()
    rows.loc[4, column] = value
    return rows


PARQUET = {
    "a nullable setting": (lambda: lacking("width", pd.NA), "width is empty in row 4"),
    "a nullable cost": (lambda: lacking("macs", pd.NA), "row 4 has an accuracy but no macs"),
    "an index": (lambda: frame().set_index(["width", "depth"]), "reset_index"),
}


@pytest.mark.parametrize("case", PARQUET)
def test_a_wrong_parquet_is_one_line(case: str, tmp_path: Path) -> None:
    make, expected = PARQUET[case]
    make().to_parquet(tmp_path / "t.parquet")
    with pytest.raises(UserError, match=expected):
        ForeignTable(tmp_path / "t.parquet")


def two_of(one: str, other: str) -> pd.DataFrame:
    return frame().rename(columns={"acc.0": one, "acc.1": other})


WRONG = {
    "a cost beyond counting": (lambda: frame(macs=1e20), "larger unit"),
    "a cost below one": (lambda: frame(macs=0.5), "multiply the column"),
    "thousands": (lambda: frame(macs=[f"{m:,}" for m in frame()["macs"]]), "'8,000'.*separators"),
    "no macs": (lambda: frame(macs=[math.nan, *frame()["macs"][1:]]), "row 0 has an accuracy but no macs"),
    "a sign": (lambda: frame(**{"acc.0": "60.1%"}), r"row 0 has acc.0 '60.1%'.*without a sign"),
    "a row a training": (lambda: pd.concat([frame(seed=0), frame(seed=1)]), "same settings, which differ in seed"),
    "two kinds": (lambda: two_of("val_acc", "test_acc"), r"accuracies: \[val_acc\]"),
    "top-1 and top-5": (lambda: two_of("acc1", "acc5"), "top-5"),
    "a mean beside": (lambda: two_of("acc", "acc.0"), "mean"),
    "names alone": (
        lambda: metrics().drop(columns=["width", "depth", "kind"]),
        "the only setting arch is another text in every row",
    ),
    "errors": (lambda: two_of("error", "val_loss"), "100 - error"),
    "two units": (lambda: frame(**{"acc.1": frame()["acc.1"] / 100}), "no accuracy of acc.1 is above 1"),
    "nothing but results": (lambda: metrics()[["train_acc", "macs", "acc.0"]], "left out: train_acc"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_may_be_meant_otherwise_is_refused(case: str, tmp_path: Path) -> None:
    make, expected = WRONG[case]
    with pytest.raises(UserError, match=expected) as caught:
        read(make(), tmp_path / "t.csv")
    assert "t.csv" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("accuracies: [acc.0, acc.0]", "twice in accuracies"),
        ("accuracies: [[acc.0]]", "no column's name"),
        ("accuracies: []", "list of columns"),
        ("settings: [width, width]", "twice in settings"),
        ("settings: [[width]]", "no column's name"),
        ("settings: [null]", "no column's name"),
        ("settings: [width, acc.0]", "acc.0 is an accuracy"),
        ("settings: [width, macs]", "in costs and in settings"),
        ("costs: {macs: [macs]}", "no column's name"),
        ("costs: {macs: acc.0}", "acc.0 is an accuracy"),
        ("costs: {macs: macs, params: macs}", "twice in costs"),
        ("costs: {macs: width}\nsettings: [width]", "in costs and in settings"),
        ("accuracies: [width]\nsettings: [width]", "in accuracies and in settings"),
        ("accuracies: [error]", "100 - error"),
        ("unit: share", "row 0 has acc.0 60"),
        ('file: ""', "in the same folder"),
        ('file: ".."', "in the same folder"),
    ],
)
def test_a_wrong_description_is_one_line(text: str, expected: str, tmp_path: Path) -> None:
    frame(error=40.0).to_csv(tmp_path / "t.csv", index=False)
    (tmp_path / "t.yaml").write_text(text if text.startswith("file") else f"file: t.csv\n{text}\n")
    with pytest.raises(UserError, match=expected):
        ForeignTable(tmp_path / "t.yaml")


def test_a_description_has_the_last_word(tmp_path: Path) -> None:
    """What a name alone would have refused or left out."""
    frame(val_acc=70, test_acc=71, latency=1.5).to_csv(tmp_path / "t.csv", index=False)
    (tmp_path / "t.yaml").write_text("file: t.csv\naccuracies: [test_acc]\nordered: [latency]\n")
    table = ForeignTable(tmp_path / "t.yaml")
    assert [*table.space.params] == ["width", "depth", "kind", "latency"]
    assert "acc.0, acc.1, val_acc" in table.notes[0]
    frame(**{"acc.0": 0.5, "acc.1": 60.0}).to_csv(tmp_path / "t.csv", index=False)
    (tmp_path / "t.yaml").write_text("file: t.csv\nunit: percent\n")
    assert ForeignTable(tmp_path / "t.yaml").seeds == 2


@pytest.mark.parametrize(("name", "pack"), [("t.csv.gz", gzip.compress), ("t.csv.xz", lzma.compress)])
def test_a_damaged_file_is_one_line(name: str, pack: Any, tmp_path: Path) -> None:
    whole = pack("\n".join(lines()).encode())
    for content in (whole[:60] + b"x" * 40 + whole[100:], whole[:-30], "\n".join(lines()).encode()):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match="cannot be read as a table") as caught:
            ForeignTable(tmp_path / name)
        assert "\n" not in str(caught.value)

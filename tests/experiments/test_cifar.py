"""The command behind runs/cifar_rows, on a few images."""

import csv
from pathlib import Path
from typing import Any

import pytest

from mgic_nas import load_run
from mgic_nas.cost.count import count
from mgic_nas.experiments import _rows, cifar, shapes
from mgic_nas.tasks import load_data

SMALL = "fashion?test=40"


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(_rows, "SECONDS", 0.1)
    monkeypatch.setattr(_rows, "RUNTIMES_SHOWN", ("torch",))
    monkeypatch.setattr(cifar, "VALIDATION", 20)
    return ["--data", SMALL, "--out", str(tmp_path), "--size", "8", "--train", "32", "--depth", "8", "--epochs", "1",
            "--recipe", "quick", "--concurrent", "1", "--rows", "plain", "MGIC s_c=16 s_g=8"]  # fmt: skip


def test_it_leaves_tables_a_page_and_a_picture_and_goes_on(tmp_path: Path, command: list[str]) -> None:
    assert cifar.main([*command, "--seeds", "1"]) == 0
    before = (tmp_path / "results.csv").read_text()
    assert cifar.main([*command, "--seeds", "2"]) == 0
    text = (tmp_path / "results.csv").read_text()
    assert text.startswith(before)
    assert [(row["row"], row["seed"]) for row in csv.DictReader(text.splitlines())] == [
        (name, seed) for seed in "01" for name in command[-2:]
    ]
    assert (tmp_path / "accuracy.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "README.md").read_text()
    assert "| MGIC s_c=16 s_g=8 | " in page
    assert "4 trainings" in page
    assert (
        "--size 8 --train 32 --depth 8 --epochs 1 --rows plain 'MGIC s_c=16 s_g=8' --recipe quick` makes this folder."
        in page
    )


@pytest.mark.parametrize(
    ("rows_of", "model", "data"),
    [(cifar.ROWS, "mgic_resnet20", "fashion?size=16"), (shapes.ROWS, shapes.MODEL, "segmentation:shapes")],
)
def test_rows_are_counted_as_they_are_built(rows_of: dict[str, _rows.Shown], model: str, data: str) -> None:
    info = load_data(data).info
    about = _rows.Comparison(rows_of, "", "", [], "")
    rows = _rows.networks(about, list(rows_of), model, {}, info)
    counted = {name: count(_rows.build(row, info), info.input_size) for name, row in rows.items()}
    assert {name: (row.macs, row.params) for name, row in rows.items()} == {
        name: (cost.macs, cost.params) for name, cost in counted.items()
    }
    assert len({row.arch_id for row in rows.values()}) == len(rows)


def test_masks_are_scored_by_miou(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_rows, "RUNTIMES_SHOWN", ())
    data = "segmentation:shapes?train=8&val=4&test=4"
    options = ["--seeds", "1", "--epochs", "1", "--concurrent", "1", "--rows", "plain", "MGIC s_c=16 s_g=16"]
    assert shapes.main(["--data", data, "--out", str(tmp_path), *options]) == 0
    page = (tmp_path / "README.md").read_text()
    assert "test mIoU %" in page
    assert "| MGIC s_c=16 s_g=16 | 440,530 | 4.07 | " in page
    assert "2 trainings" in page


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--rows", "plane"], "no row 'plane'. Did you mean plain?"),
        (["--depth", "21"], "6 n + 2"),
        (["--depth", "2"], "6 n + 2"),
        (["--recipe", "fast"], "no recipe 'fast'"),
    ],
)
def test_wrong_input_is_one_line(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], change: list[str], message: str
) -> None:
    assert cifar.main([*command, *change]) == 2
    said: Any = capsys.readouterr().err.strip().splitlines()
    assert message in said[-1]
    assert not (tmp_path / "README.md").exists()


def test_winners_of_a_search_are_trained_as_rows(tmp_path: Path, command: list[str]) -> None:
    """The recorded run has winners for three budgets, two of them the same network."""
    run = Path(__file__).parents[2] / "runs" / "cifar10_small"
    labels = list(load_run(run).winners())
    smallest = [f"MGIC s_c=16 s_g={s_g}" for s_g in (8, 4)]
    options = [*command[:-2], *smallest, "--seeds", "1", "--winners", str(run)]
    assert cifar.main(options) == 0
    rows = {row["row"]: row for row in csv.DictReader((tmp_path / "results.csv").open())}
    twins = [name for name in rows if name.endswith(", without levels")]
    searched = [name for name in rows if name.startswith("searched, ") and name not in twins]
    assert sorted(label for name in searched for label in name.removeprefix("searched, ").split(" and ")) == sorted(
        labels
    )
    for name, shown in _rows.winners(run).items():  # their own depths, not those of the rows
        assert shown.arguments.get("depths") != 1
        assert int(rows[name]["macs"]) > 0
    page = (tmp_path / "README.md").read_text()
    assert "## What the search found" in page
    assert "../cifar10_small/report.md" in page
    assert page.count("- searched, ") == len(searched) + len(twins)
    assert len({rows[name]["arch_id"] for name in (*searched, *twins)}) == len(searched) + len(twins)
    assert all(int(rows[twin]["macs"]) > int(rows[twin.removesuffix(", without levels")]["macs"]) for twin in twins)
    assert twins

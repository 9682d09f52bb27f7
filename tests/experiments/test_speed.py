"""The command behind runs/speed, on small networks."""

import csv
from pathlib import Path

import pytest

from mgic_nas.experiments import speed


def test_it_leaves_a_table_and_a_page_and_measures_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = {"mgic_resnet20": speed.Shown("MGIC", 172, 0.311), "mgic_resnet32": speed.Shown("another", 140)}
    monkeypatch.setattr(speed, "NETWORKS", shown)
    monkeypatch.setattr(speed, "SIZE", (3, 16, 16))
    monkeypatch.setattr(speed, "SECONDS", 0.1)
    monkeypatch.setattr(speed, "WAYS", (("torch", "infer"), ("torch", "train")))
    assert speed.main(["--out", str(tmp_path)]) == 0
    rows = list(csv.DictReader((tmp_path / "times.csv").open()))
    assert [(row["network"], row["mode"]) for row in rows] == [(n, m) for m in ("infer", "train") for n in shown]
    assert float(rows[0]["ratio"]) == 1
    page = (tmp_path / "README.md").read_text()
    assert f"| MGIC | {int(rows[0]['params']):,} | " in page
    assert "140 ms (0.81)" in page
    before = (tmp_path / "times.csv").read_text()
    monkeypatch.setattr(speed, "alternate", None)
    assert speed.main(["--out", str(tmp_path)]) == 0
    assert (tmp_path / "times.csv").read_text() == before

"""The command behind runs/coarse, on the embedded images and a few steps."""

import csv
from pathlib import Path

import pytest
import torch

from mgic_nas.experiments import coarse
from mgic_nas.models.coarse import CoarseRepresentation

TINY = ["--data", "fashion?train=256&val=32&test=32", "--epochs", "1", "--steps", "3", "--images", "16", "--seeds", "1"]


def test_it_leaves_tables_and_pictures_and_trains_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert coarse.main(["--out", str(tmp_path), *TINY]) == 0
    rows = list(csv.DictReader((tmp_path / "results.csv").open()))
    assert [(row["s_g"], row["params"]) for row in rows] == [("32", "3328"), ("16", "1792"), ("8", "896"), ("4", "448")]
    assert all(float(row["mse"]) < float(row["initial_mse"]) for row in rows)
    for name in ("mse.png", "maps.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert "3,328" in (tmp_path / "README.md").read_text()

    def never(*args: object, **kwargs: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(coarse, "train_cnn", never)
    monkeypatch.setattr(coarse, "fit", never)
    assert coarse.main(["--out", str(tmp_path), *TINY]) == 0
    assert coarse.main(["--out", str(tmp_path), *TINY, "--seed", "1"]) == 2  # another network's maps


def test_no_representation_is_below_the_best_linear_map() -> None:
    """The dotted line of mse.png is a bound: the principal components reach it and nothing of rank 8 is below."""
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(4, 64, 6, 6, generator=generator).relu()
    bound = coarse.best_linear(maps, 8)
    vectors = maps.transpose(0, 1).flatten(1)
    axes = torch.linalg.svd(vectors, full_matrices=False)[0][:, :8]
    assert (vectors - axes @ (axes.T @ vectors)).square().mean().item() == pytest.approx(bound, rel=1e-4)
    assert coarse.error(CoarseRepresentation(64, 32, 8), maps) > bound

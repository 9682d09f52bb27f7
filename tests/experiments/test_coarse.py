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
    monkeypatch.setattr(coarse, "ADAM_STEPS", 3)
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


def test_the_loss_by_second_moments_is_the_error_over_all_pixels() -> None:
    """R and P never see the maps while they are trained: what they see instead must be the same error."""
    maps = torch.randn(6, 64, 5, 5, generator=torch.Generator().manual_seed(0)).relu()
    net = coarse.build(16, seed=0)
    second = coarse.moments(maps.split(4))
    assert coarse.loss_of(net.double(), second).item() == pytest.approx(coarse.error(net.float(), maps), rel=1e-5)


def test_wide_groups_reach_the_best_linear_map() -> None:
    """A first-order training stops on plateaus of too low a rank, the wider the groups the sooner: Table 1 reversed."""
    generator = torch.Generator().manual_seed(0)
    scale = torch.logspace(0, -1.5, 64)
    maps = (torch.randn(8, 64, 8, 8, generator=generator) * scale[:, None, None]).transpose(1, 3)
    maps = (maps @ torch.randn(64, 64, generator=generator)).transpose(1, 3)
    net = coarse.build(32, seed=0)
    reached, taken = coarse.fit(net, coarse.moments([maps]), 1000)
    assert taken > 10
    assert reached == pytest.approx(coarse.best_linear(maps, 8), rel=0.02)
    assert coarse.error(net, maps) == pytest.approx(reached, rel=1e-3)

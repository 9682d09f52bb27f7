"""The command behind runs/implicit, on a few steps."""

import contextlib
import csv
from pathlib import Path
from typing import Any

import pytest
import torch

from mgic_nas.experiments import implicit
from mgic_nas.models.implicit import NETWORKS
from mgic_nas.models.mgic import MGICBlock

TINY = ["--c-max", "32", "--steps", "2", "--batch-size", "16", "--data", "functions:waves?val=64&train=64"]


def test_it_leaves_a_table_a_page_and_a_picture_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert implicit.main(["--out", str(tmp_path), *TINY, "--seeds", "1"]) == 0
    trained: list[int] = []
    fit = implicit.fit

    def watched(*args: Any, seed: int, **kwargs: Any) -> Any:
        trained.append(seed)
        return fit(*args, seed=seed, **kwargs)

    monkeypatch.setattr(implicit, "fit", watched)
    assert implicit.main(["--out", str(tmp_path), *TINY, "--seeds", "2"]) == 0
    assert trained == [11] * 4
    rows = list(csv.DictReader((tmp_path / "results.csv").open()))
    assert [(row["network"], row["start"], row["seed"]) for row in rows] == [
        (curve.network, curve.start, seed) for seed in ("10", "11") for curve in implicit.CURVES
    ]
    assert (tmp_path / "mse.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "README.md").read_text()
    assert all(count in page for count in ("20,241", "11,441", "18,001"))


def test_another_recipe_in_the_same_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert implicit.main(["--out", str(tmp_path), *TINY, "--seeds", "1"]) == 0
    assert implicit.main(["--out", str(tmp_path), *TINY, "--seeds", "1", "--lr", "0.5"]) == 2
    assert "lr=0.01, not 0.5" in capsys.readouterr().err


def test_curves_are_the_networks_with_the_starts_that_are_named() -> None:
    assert {curve.network for curve in implicit.CURVES} == set(NETWORKS)
    first, now = (implicit.build(curve, 64, 16, 16, seed=0) for curve in implicit.CURVES[-2:])
    for net, scale in ((first, 1.0), (now, 0.0)):
        weights = [block.norm[-1].weight for block in net.modules() if isinstance(block, MGICBlock) and block.norm]
        assert weights
        assert {float(weight.detach().unique()) for weight in weights} == {scale}


def test_norms_are_fixed_in_the_last_part_of_the_steps() -> None:
    data = implicit.load_data("functions:waves?val=64&train=64")
    kept = []
    for fixed in (0.0, 0.5, 1.0):
        net = implicit.build(implicit.CURVES[0], 32, 16, 16, seed=0)
        implicit.fit(net, data, steps=4, batch_size=16, lr=0.01, fixed_norms=fixed, seed=0)
        kept.append(int(net.stem[0].bn.num_batches_tracked))
    assert kept == [4, 2, 0]


@pytest.mark.parametrize("curve", implicit.CURVES, ids=str)
def test_the_fast_way_through_1x1_convs_computes_the_same(curve: implicit.Curve) -> None:
    net = implicit.build(curve, 64, 16, 16, seed=0)
    x = torch.randn(1, 5, 40, 1)
    results = []
    for mode in (implicit._Pointwise(), contextlib.nullcontext()):
        net.zero_grad()
        with mode:
            output = net(x)
        output.square().sum().backward()
        results.append([output.detach(), *(p.grad for p in net.parameters())])
    for fast, plain in zip(*results):
        torch.testing.assert_close(fast, plain, rtol=1e-3, atol=1e-3)

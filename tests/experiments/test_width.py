"""The comparison of widths."""

import csv
from pathlib import Path
from typing import Any

import pytest
import torch

from mgic_nas.cost.count import count
from mgic_nas.experiments import _runtimes, width


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(width, "WIDTHS", (32, 128))
    monkeypatch.setattr(width, "GROUP_SIZES", (8, 16))
    monkeypatch.setattr(_runtimes, "LEAST_ROUNDS", 2)


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


def test_it_goes_on_where_it_was_stopped(small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed at any comparison it makes the rest; a runtime that is missing is said and comes with a later command."""
    monkeypatch.setattr(width, "missing", lambda runtime: runtime in ("onnxruntime", "openvino"))
    real, made = width.alternate, []

    def killed(works: Any, seconds: float) -> Any:
        made.append(list(works))
        if len(made) == 3:
            raise KeyboardInterrupt
        return real(works, seconds)

    monkeypatch.setattr(width, "alternate", killed)
    command = ["--out", str(tmp_path), "--seconds", "0.001"]
    assert width.main(command) == 130
    first = rows(tmp_path / "times.csv")
    assert first
    assert width.main(command) == 0
    assert rows(tmp_path / "times.csv")[: len(first)] == first
    assert len(made) == 7  # three kinds that have levels, inference and training, one of them twice
    assert width.main(command) == 0
    assert len(made) == 7
    text = (tmp_path / "README.md").read_text()
    assert "left out: onnxruntime, OpenVINO" in text
    assert (tmp_path / "widths.png").stat().st_size > 10_000
    assert "| bottleneck | torch, training |" in text
    assert width.main(["--out", str(tmp_path), "--seconds", "0"]) == 2


def test_counts_are_those_of_the_blocks_that_are_timed(small: None) -> None:
    for kind in width.kinds():
        for s_g in (width.PLAIN, *kind.group_sizes()):
            net = width.build(kind, s_g)
            cost = count(net, (kind.width, kind.side, kind.side))
            assert width.counts(kind.row(s_g), kind.side) == (cost.params, cost.macs)
    plain, mgic = (width.counts(width.Kind("bottleneck", 1024).row(s_g), 7)[0] for s_g in (0, 16))
    assert plain == 2 * 1024 * 256 + 9 * 256 * 256 + 2 * (2 * 256 + 1024)
    assert mgic < plain


@pytest.mark.parametrize("runtime", ["torch", "onnxruntime", "openvino"])
def test_every_runtime_runs_the_block(runtime: str) -> None:
    """That they compute it is tested in tests/cost/test_runtimes.py."""
    if _runtimes.missing(runtime):
        pytest.skip(f"{runtime} is not installed")
    net = width.build(width.Kind("basic", 64), 16)
    assert _runtimes.inference(net, torch.randn(1, 64, 6, 6), runtime)() is not None
    assert _runtimes.version(runtime)[0].isdigit()


def test_ratios_are_those_of_the_same_round() -> None:
    """A machine that slows down between two rounds does not change them."""
    assert _runtimes.ratio([2.0, 20.0, 2.2], [1.0, 10.0, 1.0]) == 2.0

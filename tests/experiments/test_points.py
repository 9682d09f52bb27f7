"""The recorded training of point networks: a folder that can be continued and believed."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from mgic_nas import search
from mgic_nas.experiments import points


@pytest.fixture
def file(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)

    def part(role: str, count: int) -> dict[str, np.ndarray]:
        labels = np.arange(count) % 2
        clouds = rng.normal(size=(count, 40, 3)) * np.where(labels == 1, 1.0, 0.1)[:, None, None] ** [1, 1, 0]
        return {f"{role}_points": clouds.astype(np.float32), f"{role}_labels": labels}

    np.savez(tmp_path / "shapes.npz", classes=np.array(["stick", "ball"]), **part("train", 40), **part("test", 10))
    return tmp_path / "shapes.npz"


def command(file: Path, out: Path, *more: str) -> int:
    options = ["--points", "16", "--epochs", "2", "--batch-size", "12", *more]
    return points.main(["--data", str(file), "--out", str(out), *options])


def rows(out: Path) -> list[dict[str, str]]:
    with open(out / "results.csv", newline="") as stream:
        return list(csv.DictReader(stream))


def test_all_are_recorded_beside_the_paper(file: Path, tmp_path: Path) -> None:
    assert command(file, tmp_path / "out") == 0
    found = rows(tmp_path / "out")
    assert [row["network"] for row in found] == list(points.TRAINED)
    for row in found:
        assert (row["seed"], row["epochs"], row["points"], row["train"]) == ("0", "2", "16", "36")
        assert 0 <= float(row["test_acc"]) <= 100
        assert row["cpu"]
        assert row["torch"] == torch.__version__
    page = (tmp_path / "out" / "README.md").read_text()
    assert "| MGIC-diffGCN | " in page
    assert "| diffGCN, residual | " in page
    assert "0.11 / 13.7 / 92.9" in page
    assert str(tmp_path) not in page
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["README.md", "accuracy.png", "results.csv"]


def test_a_searchs_winners_are_trained_beside_them(file: Path, tmp_path: Path) -> None:
    space = tmp_path / "space.yaml"
    space.write_text("model: mgic_diffgcn\nkwargs: {s_g: 4, s_c: 8}\nparams:\n  width: {choices: [16, 32]}\n")
    search(space, data=f"points:{file}?points=16", budgets=["1M"], trials=2, epochs=1, executor="local",
           out=tmp_path / "run")  # fmt: skip
    more = ("--networks", "mgic_diffgcn", "--seeds", "0", "1", "--winners", str(tmp_path / "run"))
    assert command(file, tmp_path / "out", *more) == 0
    assert [row["network"] for row in rows(tmp_path / "out")] == [
        *("mgic_diffgcn", "searched, 1M", "searched, 1M, without levels"),
    ] * 2
    page = (tmp_path / "out" / "README.md").read_text()
    assert "| searched, 1M | " in page
    assert " ± " in page
    assert "searched, 1M: `mgic_diffgcn(" in page
    assert str(tmp_path) not in page


def test_a_killed_training_goes_on_as_if_it_had_not_been(file: Path, tmp_path: Path, monkeypatch) -> None:
    only = ("--networks", "mgic_diffgcn", "--seeds", "3")
    assert command(file, tmp_path / "whole", *only) == 0
    train = points.Training._train_epoch
    seen: list[int] = []

    def killed(self: points.Training) -> None:
        if self.epoch == 1 and not seen:
            seen.append(1)
            raise KeyboardInterrupt
        train(self)

    monkeypatch.setattr(points.Training, "_train_epoch", killed)
    assert command(file, tmp_path / "halves", *only) == 130
    torch.rand(7)
    assert command(file, tmp_path / "halves", *only) == 0
    whole, halves = rows(tmp_path / "whole")[0], rows(tmp_path / "halves")[0]
    for name in ("train_loss", "val_acc", "test_acc"):
        assert whole[name] == halves[name]


def test_what_is_there_is_not_trained_again(file: Path, tmp_path: Path, monkeypatch) -> None:
    only = ("--networks", "diffgcn")
    assert command(file, tmp_path / "out", *only) == 0
    monkeypatch.setattr(points.Training, "run", None)
    assert command(file, tmp_path / "out", *only) == 0


def test_another_recipe_does_not_continue_a_folder(file: Path, tmp_path: Path, capsys) -> None:
    only = ("--networks", "diffgcn")
    assert command(file, tmp_path / "out", *only) == 0
    assert command(file, tmp_path / "out", "--epochs", "3") == 2
    assert "epochs=2, not 3" in capsys.readouterr().err
    assert command(file, tmp_path / "out", "--networks", "dgcn") == 2
    assert "Did you mean dgcnn" in capsys.readouterr().err
    assert command(tmp_path / "none.npz", tmp_path / "out") == 2

"""What a search says before its first training, and what it chooses where nothing is said."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mgic_nas import UserError
from mgic_nas.cli import main
from mgic_nas.planning import STEPS, default_epochs
from mgic_nas.run import plan
from mgic_nas.train import get_recipe

QUICK = get_recipe("quick")


def photographs(folder: Path, side: int = 160, each: int = 8) -> Path:
    """Images of two classes that are too large to be trained on at their own size."""
    rng = np.random.default_rng(0)
    for number, name in enumerate(("cats", "dogs")):
        (folder / name).mkdir(parents=True)
        for i in range(each):
            pixels = rng.integers(0, 128, (side, side, 3), dtype=np.uint8) + 100 * number
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{i}.png")
    return folder


def test_the_data_line_and_the_notes_agree_on_what_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = photographs(tmp_path / "pets", side=16)
    (folder / "cats" / "x.heic").write_bytes(b"no image")
    line = plan("quickstart", str(folder), ["0.5M"]).lines[0]
    assert "1 file with another ending left out" in capsys.readouterr().err
    assert "what is left out is said in the notes" in line
    assert "nothing left out" not in line


@pytest.mark.parametrize(("images", "epochs"), [(60, 240), (200, 80), (5_000, 4), (6_400, 3), (1_000_000, 3)])
def test_few_images_are_seen_often_enough_to_learn_from(images: int, epochs: int) -> None:
    assert default_epochs(images, QUICK) == epochs
    assert epochs * max(1, images // QUICK.batch_size) >= STEPS


def test_five_lines_say_what_a_search_will_do_and_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    planned = plan("quickstart", "fashion?train=500&val=700", ["0.5M", "1M"])
    data, size, space, training, cost = planned.lines
    assert "500 images to train on, 700 to validate, 1,000 to test, never read; 10 classes" in data
    assert "the smallest " in data
    assert "nothing left out" in data
    assert "1x14x14 (the images' own)" in size
    assert "96 distinct networks; within 0.5M 24, 1M 49" in space
    assert "16 trials of 35 epochs, 245 steps of 64" in training
    assert " of training in all (" in cost
    assert planned.estimate is not None
    assert 0 < planned.estimate.low <= planned.estimate.middle <= planned.estimate.high
    assert planned.seconds is not None
    assert planned.seconds >= planned.estimate.middle
    assert not list(tmp_path.iterdir())


def test_a_program_that_plans_a_search_draws_the_random_numbers_that_it_would_draw_without() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    assert plan("quickstart", "fashion?train=500&val=700", "1M", concurrent=1).estimate is not None
    assert torch.equal(torch.rand(3), expected)


def test_no_more_trials_are_promised_than_networks_fit() -> None:
    few = plan("quickstart", "fashion?train=500&val=700", "0.3M", trials=1_000, concurrent=1)
    assert few.trials < 16
    assert f"{few.trials} trials, all that fit (of 1,000 asked for)" in str(few)
    assert str(few.trials) == re.search(r"within 0.3M (\d+)", str(few)).group(1)  # type: ignore[union-attr]


def test_fewer_trials_where_fewer_networks_fit() -> None:
    assert plan("quickstart", "fashion?train=500&val=700", "0.3M", concurrent=1).trials < 16


def test_dry_run_of_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """A number for programs, lines for people, nothing on disk; and a warning about few validation images."""
    monkeypatch.chdir(tmp_path)
    arguments = ["search", "quickstart", "--data", "fashion?train=200&val=100", "--budget", "1M", "--dry-run"]
    assert main([*arguments, "--epochs", "2"]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 5
    assert "16 trials of 2 epochs" in out
    assert "warning: 100 validation images tell networks apart badly" in err
    assert main([*arguments, "--trials", "4", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["trials_left"] == 4
    assert not list(tmp_path.iterdir())


def test_a_budget_that_photographs_of_this_size_exceed_names_the_size_that_does_not(tmp_path: Path) -> None:
    """The first thing that happens with own photographs: at 224 pixels no network of the space is within 2M."""
    folder = photographs(tmp_path / "my photos")
    with pytest.raises(UserError) as refused:
        plan("quickstart", str(folder), "2M")
    said = str(refused.value)
    assert "\n" not in said
    assert "at 3x224x224" in said
    assert f"--data '{folder}?size=32'" in said
    assert plan("quickstart", f"{folder}?size=32&val=4", "2M", concurrent=1).trials == 12  # all that fit


def test_no_size_is_named_where_none_helps_or_none_can_be_chosen(tmp_path: Path) -> None:
    folder = photographs(tmp_path / "photos")
    for data, budget in ((str(folder), "100"), ("fashion", "100"), ("points:nowhere.npz", "1M")):
        with pytest.raises(UserError) as refused:
            plan("quickstart", data, budget)
        assert "?size=" not in str(refused.value)


@pytest.mark.parametrize(
    ("space", "data"),
    [("quickstart", "segmentation:shapes?train=8&val=4&test=4"), ("quickstart", "points"), ("timm_resnet", "points")],
)
def test_a_space_of_other_data_is_refused_before_anything_is_made(
    space: str, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Networks of images on point clouds or masks: --dry-run says it as the search does, in one line."""
    if data == "points":
        rng, labels = np.random.default_rng(0), np.arange(12) % 2
        clouds = {f"{part}_points": rng.normal(size=(12, 16, 3)).astype(np.float32) for part in ("train", "test")}
        np.savez(tmp_path / "some.npz", classes=["a", "b"], train_labels=labels, test_labels=labels, **clouds)
        data = f"points:{tmp_path / 'some.npz'}"
    for more in ([], ["--dry-run"]):
        assert main(["search", space, "--data", data, "--budget", "500M", "--out", str(tmp_path / "run"), *more]) == 2
        said = capsys.readouterr().err.strip().splitlines()
        assert len(said) == 1
        assert "does not fit" in said[0]
    assert not (tmp_path / "run").exists()

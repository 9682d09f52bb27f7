"""What a search says before its first training, and what it chooses where nothing is said."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mgic_nas import SearchSpace, UserError, load_run, search
from mgic_nas.cli import main
from mgic_nas.planning import STEPS, default_epochs
from mgic_nas.preparation import Given, prepare
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


WIDTHS = {"width": [16, 32, 64, 128], "depth": [1, 2]}


def macs(setting: dict[str, Any]) -> int:
    return 1_000 * int(setting["width"]) * int(setting["depth"])


def score(setting: dict[str, Any], epochs: int, report: Any) -> float:
    return 50.0 + setting["depth"]


def functions(folder: Path, **changes: Any) -> dict[str, Any]:
    """Options of a search of which a function does the trainings."""
    values: dict[str, Any] = {"budgets": ["1M"], "trials": 5, "sampler": "random", "executor": "local"}
    space = SearchSpace(WIDTHS, cost=macs)
    return {"space": space, "train": score, "epochs": 1, "concurrent": 1, "out": folder, **values, **changes}


@pytest.mark.parametrize("trials", [9, "auto"])
def test_trials_outside_a_smaller_budget_take_nothing_from_those_that_fit(tmp_path: Path, trials: Any) -> None:
    options = functions(tmp_path / "run")
    run = search(**options, progress=False)
    options |= {"budgets": ["40k"], "trials": trials}  # three networks
    tried = int((run.trials()["macs"] <= 40_000).sum())
    planned = plan(**options)
    assert planned.trials == 3 - tried
    assert f"{8 - tried} trials" in str(planned)
    assert len(search(**options, progress=False).trials()) == 8 - tried


def test_networks_that_a_csv_lacks_or_calls_too_slow_are_not_promised(tmp_path: Path) -> None:
    space = SearchSpace.from_yaml("quickstart").started_as(None)
    ids = list(dict.fromkeys(space.arch_id(setting) for setting in space.settings()))[:4]
    rows = [f"{arch_id},{ms}" for arch_id, ms in zip(ids, (1, 2, 2.5, 9))]
    (tmp_path / "jetson.csv").write_text("\n".join(["arch_id,latency_ms", *rows, f"{ids[0]},6"]))
    options: dict[str, Any] = {"latencies": tmp_path / "jetson.csv", "concurrent": 1, "out": tmp_path / "run"}
    for trials in (10, None):
        planned = plan("quickstart", "fashion?train=200&val=100", "latency-jetson=3ms", trials=trials, **options)
        assert planned.trials == 2  # of rows for one network the median counts: 1 and 6 ms are 3.5
        assert "within latency-jetson=3ms 2 of 4 in the csv" in str(planned)
        assert "measured in the search" not in str(planned)


def test_rows_of_one_network_that_differ_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space = SearchSpace.from_yaml("quickstart").started_as(None)
    arch_id = space.arch_id(next(iter(space.settings())))
    options: dict[str, Any] = {"latencies": tmp_path / "jetson.csv", "concurrent": 1, "out": tmp_path / "run"}
    for second, said in (("6", True), ("1.1", True), ("1.001", False)):
        (tmp_path / "jetson.csv").write_text(f"arch_id,latency_ms\n{arch_id},1\n{arch_id},{second}\n")
        plan("quickstart", "fashion?train=200&val=100", "latency-jetson=4ms", **options)
        words = f"rows of one network differ by up to {second} times: the median counts"
        assert (words in capsys.readouterr().err) == said


def limits(options: dict[str, Any], **changes: Any) -> tuple[int, float | None, float | None]:
    config = prepare(Given(**{"data": None, **options, **changes}), keep=False).config
    return config.trials, config.worth, config.hours


def test_what_is_not_named_stays_where_a_run_goes_on(tmp_path: Path) -> None:
    options = functions(tmp_path / "run", trials=3, hours=1, worth=0.5)
    search(**options, progress=False)
    for name in ("trials", "hours", "worth"):
        del options[name]
    assert limits(options) == (3, 0.5, 1)
    assert limits(options, worth=0.2) == (3, 0.2, 1)
    assert limits(options, hours=2) == (3, 0.5, 2)
    assert limits(options, trials=5) == (5, 0.5, 1)
    assert limits(options, trials="auto") == (8, 0.5, 1)
    said = str(plan(**options, worth=0.2, trials=6))
    assert "ends after 1 hour or once another 8 are expected to add less than 0.2 points" in said


def test_a_limit_that_ended_a_search_does_not_end_the_trials_that_are_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = SearchSpace({"width": list(range(1, 41))}, cost=lone)
    options = functions(tmp_path / "run", space=space, train=flat, trials="auto", worth=20, hours=1)
    run = search(**options, progress=False)
    ended = len(run.trials())
    assert ended < 40
    for name in ("trials", "worth", "hours"):
        del options[name]
    assert limits(options, trials=ended - 5) == (ended - 5, 20, 1)  # nothing more is asked for
    assert capsys.readouterr().err == ""
    run = search(**options, trials=ended + 3, progress=False)
    assert len(run.trials()) == ended + 3
    assert (run.config.worth, run.config.hours) == (None, 1)
    assert f"ended with --worth 20, which --trials {ended + 3} takes the place of" in capsys.readouterr().err
    assert "(--worth)" not in str(run)


def lone(setting: dict[str, Any]) -> int:
    return 1_000 * int(setting["width"])


def flat(setting: dict[str, Any], epochs: int, report: Any) -> float:
    return 50.0 + 0.01 * setting["width"]


def test_numpy_numbers_are_numbers(tmp_path: Path) -> None:
    options = functions(
        tmp_path / "run",
        trials=np.int64(2),
        epochs=np.int64(1),
        concurrent=np.int32(1),
        seed=np.int64(3),
        worth=np.float64(0.5),
        hours=np.float32(1),
        budgets=np.float64(1e6),
        enqueue={"width": np.int64(16), "depth": 2},
    )
    run = search(**options, progress=False)
    assert (run.config.trials, run.config.worth, run.config.hours) == (2, 0.5, 1.0)
    assert load_run(run.folder).config == run.config
    assert run.trials()["p.width"].iloc[0] == 16
    values = {"worth": np.float64(0.5), "trials": np.int64(4)}
    dataclasses.replace(run.config, **values).save(tmp_path / "run")
    assert load_run(run.folder).config.worth == 0.5


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

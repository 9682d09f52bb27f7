"""The data set of the quickstart: what a first search trains on, without a download."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mgic_nas.tasks import embedded, load_data
from mgic_nas.tasks.embedded import make_fashion

SOURCE = Path("/usr/share/datasets/fashion-mnist")  # Debian's dataset-fashion-mnist


def test_a_first_search_finds_its_data() -> None:
    data = load_data("fashion")
    info = data.info
    assert (info.name, info.num_classes, info.input_size, info.in_chans) == ("fashion", 10, (1, 14, 14), 1)
    assert info.sizes == {"train": 5000, "val": 2000, "test": 1000}
    assert info.classes[0] == "T-shirt/top"
    assert (info.crop_pct, info.interpolation) == (1.0, "bicubic")
    assert data.spec == "fashion"
    assert data.test is not None
    for split in (data.train, data.val, data.test):
        assert np.bincount(split.labels).tolist() == [len(split) // 10] * 10


def test_no_image_is_both_trained_on_and_scored_on() -> None:
    data = load_data("fashion")
    assert data.test is not None
    seen = [{x.numpy().tobytes() for x in next(iter(s.batches(5000)))[0]} for s in (data.train, data.val, data.test)]
    assert len(seen[0] | seen[1] | seen[2]) == 8000


def test_the_search_reads_no_test_image(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    original = embedded.load_fashion
    monkeypatch.setattr(embedded, "load_fashion", lambda part: read.append(part) or original(part))
    data = load_data("fashion")
    list(data.train.batches(512, augment=True))
    list(data.val.batches(512))
    assert read == ["train"]
    assert data.test is data.test
    assert read == ["train", "test"]


def test_the_package_stays_small_and_carries_the_notice() -> None:
    folder = embedded.sheet_path("train").parent
    assert sum(embedded.sheet_path(part).stat().st_size for part in embedded.PER_CLASS) < 1_200_000
    notice = (folder / "LICENSE-fashion-mnist").read_text()
    assert "Zalando SE" in notice
    assert "Permission is hereby granted" in notice


def test_a_sheet_holds_the_images_it_was_made_of() -> None:
    images = np.random.default_rng(0).integers(0, 256, (200, 14, 14), dtype=np.uint8)
    sheet = embedded.to_sheet(images)
    assert sheet.shape == (28, 1400)
    assert (sheet[14:, :14] == images[100]).all()
    assert (embedded.from_sheet(sheet) == images).all()


def test_pooling_is_the_rounded_mean() -> None:
    images = np.array([[[0, 1, 255, 255], [0, 1, 255, 255]]], dtype=np.uint8)
    assert make_fashion.pool(images).tolist() == [[[1, 255]]]  # 0.5 rounds up


@pytest.mark.skipif(not SOURCE.is_dir(), reason="Fashion-MNIST itself is not on this machine")
def test_the_script_that_made_it_makes_it_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_fashion.main([str(SOURCE), "--out", str(tmp_path)])
    assert "fashion-train.png" in capsys.readouterr().out
    for part in embedded.PER_CLASS:
        with (
            Image.open(tmp_path / embedded.sheet_path(part).name) as made,
            Image.open(embedded.sheet_path(part)) as kept,
        ):
            assert (np.asarray(made) == np.asarray(kept)).all()

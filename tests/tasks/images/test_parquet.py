"""Parquet folders: CIFAR-10 and anything else that comes from Hugging Face."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fakes.tasks import encoded, picture, refused, write_parquet
from PIL import Image

from mgic_nas.tasks import load_data
from mgic_nas.tasks.images.tensors import TensorSplit

LABELS = [0, 1, 2] * 20
SHARED = Path(os.environ.get("MGIC_NAS_DATA", Path(__file__).parents[4] / "shared" / "data"))
CIFAR = SHARED / "cifar10"


def test_a_hub_layout_is_read_with_its_class_names(tmp_path: Path) -> None:
    names = ["ape", "bee", "cat"]
    write_parquet(tmp_path / "data" / "train-00000-of-00002.parquet", LABELS[:31], names=names)
    write_parquet(tmp_path / "data" / "train-00001-of-00002.parquet", LABELS[31:], names=names, row_group_size=4)
    write_parquet(tmp_path / "data" / "test-00000-of-00001.parquet", LABELS[:9], names=names)
    data = load_data(str(tmp_path))
    assert data.info.classes == ("ape", "bee", "cat")
    assert data.info.input_size == (3, 8, 8)
    assert data.info.sizes == {"train": 54, "val": 6, "test": 9}
    assert data.info.name == tmp_path.name
    assert data.test is not None
    assert data.test.labels.tolist() == LABELS[:9]
    assert isinstance(data.train, TensorSplit)


def test_pixels_and_labels_belong_together(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train.parquet", LABELS)
    write_parquet(tmp_path / "test.parquet", LABELS)
    data = load_data(f"{tmp_path}?val=6")
    assert data.test is not None
    for index, (image, label) in enumerate(data.test.as_dataset()):  # type: ignore[misc,arg-type]
        assert label == LABELS[index]
        assert np.array_equal(np.asarray(image), np.asarray(picture(label, index)))
        if index == 59:
            break
    x, _ = next(iter(data.test.batches(60)))
    scaled = np.stack([np.asarray(picture(label, row)) for row, label in enumerate(LABELS)]) / 255
    expected = (scaled - np.array(data.info.mean)) / np.array(data.info.std)
    assert np.allclose(x.permute(0, 2, 3, 1), expected, atol=1e-5)


def test_the_sets_own_validation_part_is_used(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train.parquet", LABELS)
    write_parquet(tmp_path / "validation.parquet", LABELS[:15])
    assert load_data(str(tmp_path)).info.sizes == {"train": 60, "val": 15, "test": 0}
    assert load_data(f"{tmp_path}?val=6&train=0.5").info.sizes == {"train": 30, "val": 6, "test": 0}
    assert load_data(str(tmp_path)).test is None
    assert "more than the 15" in refused(load_data, f"{tmp_path}?val=16")
    assert load_data(f"{tmp_path}?test=5").info.sizes == {"train": 55, "val": 15, "test": 5}  # cut from train


@pytest.mark.parametrize("size", [(8, 8), (150, 140)])
def test_moving_the_folder_keeps_the_fingerprint_and_changing_an_image_does_not(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    for name in ("a", "b", "c"):
        images = [encoded(picture(label, row + (name == "c" and row == 3), size)) for row, label in enumerate(LABELS)]
        write_parquet(tmp_path / name / "train.parquet", LABELS, images=images)
    first, moved, changed = (load_data(str(tmp_path / name)).info.fingerprint for name in ("a", "b", "c"))
    assert first == moved
    assert first != changed


def test_grey_stays_grey_and_one_coloured_image_makes_all_coloured(tmp_path: Path) -> None:
    write_parquet(tmp_path / "grey" / "train.parquet", LABELS, mode="L")
    assert load_data(str(tmp_path / "grey")).info.input_size == (1, 8, 8)
    assert load_data(f"{tmp_path}/grey?chans=3").info.input_size == (3, 8, 8)
    labels = [0, 1] * 2000
    images = [encoded(picture(label, 0, mode="L")) for label in labels]
    images[1] = encoded(picture(1, 0))  # off the sampled rows
    write_parquet(tmp_path / "mixed" / "train.parquet", labels, images=images)
    assert load_data(f"{tmp_path}/mixed?val=2").info.input_size == (3, 8, 8)
    assert load_data(f"{tmp_path}/mixed?val=2&chans=1").info.input_size == (1, 8, 8)


def test_column_names_may_be_given_and_labels_may_be_words(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train.parquet", LABELS, image="photo", label="fine_label")
    assert "its columns are photo, fine_label" in refused(load_data, str(tmp_path))
    assert "Did you mean photo" in refused(load_data, f"{tmp_path}?image=foto")
    assert load_data(f"{tmp_path}?image=photo&label=fine_label").info.num_classes == 3
    table = pq.read_table(tmp_path / "train.parquet")
    words = pa.array([["dog", "cat", "ape"][label] for label in LABELS])
    pq.write_table(table.set_column(1, "label", words).rename_columns(["image", "label"]), tmp_path / "train.parquet")
    data = load_data(str(tmp_path))
    assert data.info.classes == ("ape", "cat", "dog")


def test_images_of_differing_size_need_a_size(tmp_path: Path) -> None:
    images = [encoded(picture(label, row, (8, 8) if row != 7 else (10, 8))) for row, label in enumerate(LABELS)]
    write_parquet(tmp_path / "train.parquet", LABELS, images=images)
    message = refused(load_data, str(tmp_path))
    assert "row 7 of" in message
    assert "?size=" in message
    assert load_data(f"{tmp_path}?size=6x12").info.input_size == (3, 6, 12)


@pytest.mark.parametrize(("labels", "part"), [([0, 2] * 20, "of 3 classes"), ([0] * 9, "one class"), ([], "no images")])
def test_a_class_without_training_images_is_refused(tmp_path: Path, labels: list[int], part: str) -> None:
    write_parquet(tmp_path / "train.parquet", labels)
    assert part in refused(load_data, str(tmp_path))


def test_a_declared_class_without_training_images_is_refused(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train.parquet", LABELS, names=["ape", "bee", "cat", "dog"])
    assert "(dog)" in refused(load_data, str(tmp_path))


def test_labels_that_train_lacks_are_refused_where_they_are(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train.parquet", LABELS)
    write_parquet(tmp_path / "val.parquet", [0, 1, 2, 3])
    assert "row 3 of" in refused(load_data, str(tmp_path))


def test_missing_and_negative_labels_are_refused(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train.parquet", [0, 1, None, 1], images=[encoded(picture(0, 0))] * 4)
    assert "row 2" in refused(load_data, str(tmp_path))
    write_parquet(tmp_path / "train.parquet", [0, 1, -1, 1], images=[encoded(picture(0, 0))] * 4)
    assert "label -1" in refused(load_data, str(tmp_path))


def test_an_unreadable_image_is_named_by_its_row(tmp_path: Path) -> None:
    good = encoded(picture(0, 0, (32, 32)), "JPEG")
    for broken in (b"no image", good[:300], b"", None):
        images = [good] * len(LABELS)
        images[40] = broken  # type: ignore[call-overload]
        write_parquet(tmp_path / "one" / "train-1.parquet", LABELS[:30], images=images[:30])
        write_parquet(tmp_path / "one" / "train-2.parquet", LABELS[30:], images=images[30:])
        message = refused(load_data, str(tmp_path / "one"))
        assert "row 10 of" in message
        assert "train-2.parquet" in message


def test_sixteen_bit_images_are_scaled_and_not_clipped(tmp_path: Path) -> None:
    deep = encoded(Image.fromarray(np.repeat(np.array([[146 * 256 + 64], [166 * 256 + 64]], np.uint16), 8, 1)))
    write_parquet(tmp_path / "train.parquet", LABELS, images=[deep] * len(LABELS))
    data = load_data(str(tmp_path))
    assert data.info.mean == (round(156 / 255, 4),)
    assert any("16 bits" in note for note in data.info.notes)


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train.parquet", LABELS)
    content = (tmp_path / "train.parquet").read_bytes()
    for broken in (
        content[: len(content) // 2],
        b"",
        b"PAR1 and then nothing",
        content[:40] + b"\0" * 900 + content[940:],
    ):
        (tmp_path / "train.parquet").write_bytes(broken)
        assert "train.parquet" in refused(load_data, str(tmp_path))


def test_a_folder_without_a_training_file_or_with_several_sets_is_refused(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a" / "test.parquet", LABELS)
    assert "train.parquet" in refused(load_data, str(tmp_path))
    write_parquet(tmp_path / "b" / "train.parquet", LABELS)
    assert "name one" in refused(load_data, str(tmp_path))


def test_a_column_that_holds_no_images_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": ["a.png", "b.png"], "label": [0, 1]}), tmp_path / "train.parquet")
    assert "not images" in refused(load_data, str(tmp_path))
    pq.write_table(pa.table({"image": [{"bytes": b""}], "label": [0.5]}), tmp_path / "train.parquet")
    assert "not class numbers" in refused(load_data, str(tmp_path))


@pytest.mark.skipif(not CIFAR.exists(), reason=f"no {CIFAR}; MGIC_NAS_DATA names its folder")
def test_cifar10_is_read_as_it_was_by_earlier_versions() -> None:
    """Else their runs could not be resumed, nor compared with those of today."""
    data = load_data(f"{CIFAR}?train=1000&val=500")
    assert data.info.fingerprint == "0669a2bdf32494aa"
    assert data.info.classes[:3] == ("airplane", "automobile", "bird")
    assert data.info.sizes == {"train": 1000, "val": 500, "test": 10_000}
    assert data.info.notes == ()

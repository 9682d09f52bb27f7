"""Folders of images with masks as people have them: layouts, names, broken, turned and doubled files."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes.masks import square, write_masks
from fakes.tasks import refused
from PIL import Image

from mgic_nas.tasks import load_data
from mgic_nas.tasks.images import check


def info(root: Path, options: str = "") -> Any:
    return load_data(f"segmentation:{root}?val=2{options}").info


def write_splits(root: Path, *names: str, below: bool = False) -> Path:
    """Splits of 6, 5, 4, ... pairs that all differ: ``<name>/images``, or ``images/<name>`` with ``below``."""
    for number, name in enumerate(names):
        write_masks(root / name, square(0, 1), 6 - number, first=10 * number)
        if below:
            for folder in ("images", "masks"):
                (root / folder).mkdir(exist_ok=True)
                (root / name / folder).rename(root / folder / name)
            (root / name).rmdir()
    return root


def move(root: Path, **names: str) -> Path:
    for old, new in names.items():
        (root / new).parent.mkdir(exist_ok=True, parents=True)
        (root / old).rename(root / new)
    return root


@pytest.mark.parametrize("below", [False, True])
@pytest.mark.parametrize(
    "names", [("train", "val", "test"), ("Train", "Valid", "Test"), ("training_set", "dev", "holdout")]
)
def test_splits_are_known_by_their_usual_names(tmp_path: Path, names: tuple[str, ...], below: bool) -> None:
    """Images of the test part below images/ must never be trained on."""
    data = load_data(f"segmentation:{write_splits(tmp_path, *names, below=below)}")
    assert data.info.sizes == {"train": 6, "val": 5, "test": 4}
    assert data.test is not None
    assert len(data.test) == 4


@pytest.mark.parametrize(
    "names",
    [
        {"images": "Images", "masks": "Masks"},
        {"images": "JPEGImages", "masks": "SegmentationClass"},
        {"images": "img", "masks": "Labels"},
        {"images": "data/images", "masks": "data/annotations"},
    ],
)
def test_folders_have_usual_names_in_any_case(tmp_path: Path, names: dict[str, str]) -> None:
    write_masks(tmp_path, square(0, 1))
    assert sum(info(move(tmp_path, **names)).sizes.values()) == 10


@pytest.mark.parametrize("tail", ["_mask", "_gtFine_labelIds", "_L", "-mask", "_seg", ".png"])
def test_masks_may_be_named_after_their_images(tmp_path: Path, tail: str) -> None:
    write_masks(tmp_path, square(0, 1), tail=tail)
    data = load_data(f"segmentation:{tmp_path}?val=2")
    write_masks(tmp_path / "plain", square(0, 1))
    assert data.info.fingerprint == info(tmp_path / "plain").fingerprint
    assert data.info.notes == ()


def test_cityscapes(tmp_path: Path) -> None:
    for split, city, first in (("train", "ulm", 0), ("val", "bonn", 20), ("test", "jena", 40)):
        write_masks(tmp_path / "raw", square(0, 1), 5, first=first)
        for folder, target, tail in (
            ("images", "leftImg8bit", "_leftImg8bit"),
            ("masks", "gtFine", "_gtFine_labelIds"),
        ):
            (tmp_path / target / split / city).mkdir(parents=True)
            for path in (tmp_path / "raw" / folder).iterdir():
                path.rename(tmp_path / target / split / city / f"{city}_{path.stem}{tail}.png")
        for mask in (tmp_path / "gtFine" / split / city).glob("*labelIds.png"):
            Image.new("RGB", (8, 8)).save(str(mask).replace("labelIds", "color"))
            Path(str(mask).replace("labelIds.png", "polygons.json")).write_text("{}")
    shutil.rmtree(tmp_path / "raw")
    found = info(tmp_path)
    assert found.sizes == {"train": 5, "val": 2, "test": 5}
    assert any(note.startswith("train: 5 masks have no image and are left out") for note in found.notes)
    assert any(".json (5)" in note for note in found.notes)


def plain(root: Path) -> None:
    write_masks(root, square(0, 1))


def twins(root: Path) -> None:
    plain(root)
    shutil.copy(root / "images" / "3.png", root / "images" / "3.bmp")


def mask_twins(root: Path) -> None:
    plain(root)
    shutil.copy(root / "masks" / "3.png", root / "masks" / "3.gif")


def two_masks(root: Path) -> None:
    plain(root)
    shutil.copy(root / "masks" / "3.png", root / "masks" / "3_mask.png")


def shared_mask(root: Path) -> None:
    plain(root)
    shutil.copy(root / "images" / "3.png", root / "images" / "3_img.png")


def no_masks(root: Path) -> None:
    plain(root)
    shutil.rmtree(root / "masks")


def other_names(root: Path) -> None:
    plain(root)
    for path in (root / "masks").iterdir():
        path.rename(path.with_stem(f"m{path.stem}"))


def two_mask_folders(root: Path) -> None:
    plain(root)
    shutil.copytree(root / "masks", root / "labels")


def both_layouts(root: Path) -> None:
    plain(root)
    write_masks(root / "test", square(0, 1))


def deep_splits(root: Path) -> None:
    write_splits(root, "train", "test", below=True)
    move(root, images="x/2020", masks="y/2020")
    move(root, x="images", y="masks")


def lists(root: Path) -> None:
    plain(root)
    (root / "test.txt").write_text("3\n4\n")


def nested_lists(root: Path) -> None:
    plain(root)
    (root / "ImageSets" / "Segmentation").mkdir(parents=True)
    (root / "ImageSets" / "Segmentation" / "val.txt").write_text("3\n4\n")


def arrays(root: Path) -> None:
    plain(root)
    for path in (root / "masks").iterdir():
        path.rename(path.with_suffix(".npy"))


def flat_splits(root: Path) -> None:
    plain(root)
    move(root, images="train", masks="train_masks")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (twins, "have the same name but for the ending"),
        (mask_twins, "have the same name but for the ending"),
        (two_masks, "1 images have several masks"),
        (shared_mask, "could be the mask of several images"),
        (no_masks, "no masks/ beside it"),
        (other_names, "no image of"),
        (two_mask_folders, "labels/ and masks/, which could both hold the masks"),
        (both_layouts, "images/ and test/ side by side"),
        (deep_splits, "has a folder test/ deeper inside"),
        (nested_lists, "ImageSets/Segmentation/val.txt, which may list images that are not for training"),
        (arrays, "has no masks (only files with the endings .npy): write them as PNG"),
        (lists, "test.txt, which may list images that are not for training"),
        (flat_splits, "has no images/ and masks/"),
        (lambda root: write_splits(root, "test", "val"), "no train/ beside it"),
        (lambda root: write_splits(root, "test", "val", below=True), "no train/ beside it"),
        (lambda root: write_splits(root, "train", "dev", "val"), "two folders that could be the val part"),
        (lambda root: write_splits(root, "train", "dev", "val", below=True), "two folders that could be the val part"),
        (lambda root: write_splits(root, "train", "extra", below=True), "extra/ beside train/"),
        (lambda root: write_splits(root, "a", "b"), "a, b each hold the same folders"),
        (lambda root: write_splits(root, "train", "unlabeled"), "no name of a split"),
        (lambda root: root.joinpath("a").mkdir(), "neither images/ and masks/ nor"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(tmp_path: Path, make: Any, said: str) -> None:
    make(tmp_path)
    assert said in refused(info, tmp_path)


def test_test_images_without_masks_are_not_used_and_this_is_said(tmp_path: Path) -> None:
    write_splits(tmp_path, "train", "val", "test")
    shutil.rmtree(tmp_path / "test" / "masks")
    found = info(tmp_path)
    assert found.sizes["test"] == 0
    assert "test/ has no masks and is not used" in found.notes
    shutil.rmtree(tmp_path / "val" / "masks")
    assert "no masks/ beside it" in refused(info, tmp_path)


def test_hidden_files_are_not_there(tmp_path: Path) -> None:
    write_masks(tmp_path, square(0, 1))
    before = info(tmp_path)
    write_masks(tmp_path / "images" / ".trash", square(0, 1), 2)
    shutil.copytree(tmp_path / "images", tmp_path / "masks" / "__MACOSX")
    (tmp_path / "images" / "._3.png").write_bytes(b"x")
    (tmp_path / "images" / "Thumbs.db").write_bytes(b"x")
    after = info(tmp_path)
    assert (after.fingerprint, after.notes) == (before.fingerprint, ())


def spoil(root: Path) -> None:
    """Eight of ten pairs that cannot be used, each for another reason, and one that can."""
    (root / "images" / "0.png").write_bytes(b"")
    image = root / "images" / "1.png"
    image.write_bytes(image.read_bytes()[:-30])
    (root / "masks" / "2.png").write_text("<html>")
    (root / "masks" / "3.png").unlink()
    Image.new("L", (8, 9)).save(root / "masks" / "4.png")
    (root / "masks" / "5.png").unlink()
    Image.new("L", (8, 8)).save(root / "masks" / "5.jpg")
    (root / "masks" / "6.png").unlink()
    (root / "masks" / "6.png").symlink_to("nowhere")
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(root / "masks" / "7.png")


@pytest.mark.parametrize("limit", [2**28, 0])
def test_all_that_cannot_be_used_is_named_at_once_or_left_out(
    tmp_path: Path, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "DECODED_BYTES", limit)
    write_masks(tmp_path, square(0, 1), 14)
    spoil(tmp_path)
    message = refused(info, tmp_path)
    assert "8 of 14 images or masks cannot be used" in message
    assert "?bad=skip" in message
    data = load_data(f"segmentation:{tmp_path}?val=2&bad=skip")
    assert data.info.sizes == {"train": 4, "val": 2, "test": 0}
    assert data.info.left_out == 8
    assert any("left out by ?bad=skip: 8" in note for note in data.info.notes)
    assert data.info.fingerprint == load_data(data.spec).info.fingerprint


def test_what_is_wrong_with_the_test_part_is_named_when_it_is_read(tmp_path: Path) -> None:
    write_splits(tmp_path, "train", "val", "test")
    for number in (20, 21):
        (tmp_path / "test" / "masks" / f"{number}.png").write_bytes(b"x")
    data = load_data(f"segmentation:{tmp_path}")
    assert "2 of 4 images or masks cannot be used" in refused(lambda: data.test)
    skipping = load_data(f"segmentation:{tmp_path}?bad=skip").test
    assert skipping is not None
    assert len(skipping) == 2


def test_all_images_of_another_size_are_counted(tmp_path: Path) -> None:
    write_masks(tmp_path, square(0, 1), 5)
    write_masks(tmp_path, square(0, 1, size=10), 4, first=5)
    assert "4 of 9 images differ in size from the first one, 8x8" in refused(info, tmp_path)
    assert info(tmp_path, "&size=8").input_size == (3, 8, 8)


def test_images_that_are_in_two_splits_are_said(tmp_path: Path) -> None:
    write_splits(tmp_path, "train", "val", "test")
    assert info(tmp_path).notes == ()
    shutil.copy(tmp_path / "train/images/0.png", tmp_path / "val/images/10.png")
    shutil.copy(tmp_path / "train/images/1.png", tmp_path / "test/images/20.png")
    notes = " ".join(load_data(f"segmentation:{tmp_path}").info.notes)
    assert "1 of the val images are also in train" in notes
    assert "1 of the test images are also in train" in notes


#: What makes a picture upright, by EXIF's orientation.
UPRIGHT: dict[int, Any] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def photograph(root: Path, number: int, orientation: int, masked: str, size: tuple[int, int] = (12, 8)) -> None:
    """A picture whose red channel is 200 where its mask is 1; the mask is of the "stored" or the "upright" picture."""
    mask = Image.fromarray((np.random.RandomState(number).rand(size[1], size[0]) < 0.5).astype(np.uint8))
    exif = Image.Exif()
    exif[0x112] = orientation
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    image = np.repeat(200 * np.asarray(mask)[:, :, None], 3, 2)
    Image.fromarray(image).save(root / "images" / f"{number}.png", exif=exif)
    if masked == "upright" and orientation > 1:
        mask = mask.transpose(UPRIGHT[orientation])
    mask.save(root / "masks" / f"{number}.png")


def fits(root: Path, options: str = "") -> bool:
    """Whether every image is bright where its mask is 1."""
    data = load_data(f"segmentation:{root}?val=1&size=8x12{options}")
    mean, std = data.info.mean[0], data.info.std[0]
    return all(
        bool(((255 * (x[:, 0] * std + mean)).round().long() == 200 * y).all())
        for split in (data.train, data.val)
        for x, y in split.batches(4)
    )


@pytest.mark.parametrize("masked", ["stored", "upright"])
def test_a_mask_stays_on_its_picture_however_exif_turns_it(tmp_path: Path, masked: str) -> None:
    """Of sizes that tell, one by one; of an upside-down or mirrored picture, as the others of the data set tell."""
    for orientation in range(1, 9):
        size = (12, 8) if masked == "stored" or orientation < 5 else (8, 12)
        photograph(tmp_path, orientation, orientation, masked, size)
    assert fits(tmp_path)
    notes = " ".join(load_data(f"segmentation:{tmp_path}?val=1").info.notes)
    assert ("7 images turned upright" if masked == "upright" else "7 images not turned as EXIF says") in notes


def test_where_nothing_tells_whether_a_mask_is_turned_the_user_says_it(tmp_path: Path) -> None:
    for number, orientation in enumerate((1, 1, 3, 2)):
        photograph(tmp_path, number, orientation, "stored")
    message = refused(info, tmp_path)
    assert "2 of 4 images or masks cannot be used" in message
    assert "say ?exif=apply or ?exif=ignore" in message
    assert fits(tmp_path, "&exif=ignore")
    assert not fits(tmp_path, "&exif=apply")
    square_ones = tmp_path / "square"
    for number in range(4):
        photograph(square_ones, number, 6, "upright", (8, 8))
    assert "does not tell" in refused(info, square_ones)
    assert load_data(f"segmentation:{square_ones}?val=1&exif=apply").info.sizes["train"] == 3


def test_the_fingerprint_of_large_data_holds_how_images_are_turned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mgic_nas.tasks.segmentation.masks.SMALL_BYTES", 0)
    for number in range(4):
        photograph(tmp_path, number, 3, "stored")
    options = ("&exif=apply", "&exif=ignore")
    assert len({info(tmp_path, option).fingerprint for option in options}) == 2
    assert fits(tmp_path, "&exif=ignore")


def test_many_masks_are_read_in_part_and_this_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mgic_nas.tasks.segmentation.survey.CHECKED_FILES", 4)
    write_masks(tmp_path, square(0, 1), 10)
    found = info(tmp_path, "&classes=2")
    assert any("not every image and mask was read" in note for note in found.notes)
    assert found.smallest_class is None
    assert info(tmp_path).num_classes == 2  # without classes=, all of them are read
    (tmp_path / "masks" / "3.png").write_bytes(b"x")
    assert "3.png is not a readable image" in refused(info, tmp_path, "&classes=2")
    assert info(tmp_path, "&classes=2&bad=skip").left_out == 1

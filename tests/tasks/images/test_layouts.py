"""Folders as people have them: splits and classes under many names, every format, broken and doubled files."""

import os
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fakes.tasks import picture, refused, write_folder
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from timm.utils.misc import natural_key as timms_key

from mgic_nas.tasks import load_data
from mgic_nas.tasks.images import check
from mgic_nas.tasks.images.decode import decode, in_channels, suffixes
from mgic_nas.tasks.layout import natural_key, role_of

CLASSES = ("cat", "dog")


def write_splits(root: Path, *names: str, classes: tuple[str, ...] = CLASSES) -> Path:
    """Splits of different sizes whose images all differ."""
    for split, name in enumerate(names):
        for label, kind in enumerate(classes):
            (root / name / kind).mkdir(parents=True)
            for number in range(10 - split):
                picture(label, 100 * split + number).save(root / name / kind / f"{number}.png")
    return root


@pytest.mark.parametrize(
    ("role", "names"),
    [
        ("train", "train Train TRAINING training_set train-images TrainData trainset train2017 Train(1) trn"),
        ("val", "val valid Validation dev dev_set development eval val2017 ValidationSet validate dev_files"),
        ("test", "test Testing test_set TestImages holdout hold-out held_out tst test_data"),
        (None, "trainers contest testimony valley devices trains trainval train_test train_extra unlabeled 2019 data"),
    ],
)
def test_a_splits_name_is_matched_by_whole_words(role: str | None, names: str) -> None:
    assert {name: role_of(name) for name in names.split()} == dict.fromkeys(names.split(), role)


@pytest.mark.parametrize(
    "names",
    [
        ("Train", "Val", "Test"),
        ("training_set", "dev_set", "test_set"),
        ("TRAIN", "VALID", "HOLDOUT"),
        ("train2017", "val2017", "test2017"),
        ("archive/train", "archive/val", "archive/test"),
    ],
)
def test_splits_are_known_by_their_usual_names(tmp_path: Path, names: tuple[str, ...]) -> None:
    assert load_data(str(write_splits(tmp_path, *names))).info.sizes == {"train": 20, "val": 18, "test": 16}


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("A", "B", "C"), "A, B, C each hold the same folders"),
        (("fold_0", "fold_1"), "fold_0, fold_1 each hold"),
        (("train", "unlabeled"), "unlabeled holds the same class folders as train/"),
        (("train", "training"), "two folders that could be the train part"),
        (("train", "val", "dev"), "two folders that could be the val part"),
        (("trainval", "test"), "no train/ beside it"),
        (("2019/train", "2019/test", "2020/train", "2020/test"), "2019 holds test/, train/ itself"),
        (("cat/train", "cat/test", "dog/train", "dog/test"), "cat holds test/, train/ itself"),
    ],
)
def test_folders_that_may_be_splits_are_refused_and_named(tmp_path: Path, names: tuple[str, ...], said: str) -> None:
    assert said in refused(load_data, str(write_splits(tmp_path, *names)))


def test_a_class_may_be_called_like_a_split_and_this_is_said(tmp_path: Path) -> None:
    write_folder(tmp_path, ["bus", "car", "train"], 10)
    info = load_data(str(tmp_path)).info
    assert info.classes == ("bus", "car", "train")
    assert any("taken for a class" in note for note in info.notes)
    shutil.rmtree(tmp_path / "bus")
    assert "?layout=classes" in refused(load_data, str(tmp_path))
    assert load_data(f"{tmp_path}?layout=classes").info.classes == ("car", "train")


def test_the_class_is_the_first_folder_and_files_may_lie_deeper(tmp_path: Path) -> None:
    write_splits(tmp_path / "a", "train/cat", "train/dog", classes=("2021", "2022"))
    assert load_data(f"{tmp_path}/a").info.classes == ("cat", "dog")
    for name in ("barn", "church/outdoor", "flat/outdoor"):
        write_folder(tmp_path / "b", [name], 10)
    assert load_data(f"{tmp_path}/b").info.classes == ("barn", "church", "flat")


@pytest.mark.parametrize("names", [("1", "2", "10"), ("②", "²"), ("m3", "m²"), ("犬", "🐈"), ("__bg__", "fg")])
def test_any_folder_name_is_a_class(tmp_path: Path, names: tuple[str, ...]) -> None:
    write_folder(tmp_path, names, 10)
    assert set(load_data(str(tmp_path)).info.classes) == set(names)


@given(st.lists(st.text("abAB019_ ./", min_size=1), unique_by=str.lower))
def test_the_order_is_timms(names: list[str]) -> None:
    """And where timm's key is the same for two ("0" and "00"), that of the names, as it was for recorded runs."""
    assert sorted(names, key=natural_key) == sorted(sorted(names), key=timms_key)


def test_accents_are_the_same_however_they_are_stored(tmp_path: Path) -> None:
    write_splits(tmp_path, "train", classes=("é", "z"))
    write_folder(tmp_path / "val", [unicodedata.normalize("NFD", "é"), "z"], 3)
    assert load_data(str(tmp_path)).info.sizes["val"] == 6
    write_folder(tmp_path / "train", [unicodedata.normalize("NFD", "é")], 3)
    assert "differ in how accents are stored" in refused(load_data, str(tmp_path))


def test_hidden_files_and_folders_are_not_there(tmp_path: Path) -> None:
    write_folder(tmp_path, CLASSES, 10)
    fingerprint = load_data(str(tmp_path)).info.fingerprint
    write_folder(tmp_path, [".Trash", "__MACOSX", "cat/.ipynb_checkpoints", "dog/@eaDir"], 3)
    picture(0, 9).save(tmp_path / "cat" / "._0.png")
    (tmp_path / "cat" / "Thumbs.db").write_text("")
    os.symlink("..", tmp_path / "cat" / ".loop")
    info = load_data(str(tmp_path)).info
    assert (info.fingerprint, info.classes, info.notes) == (fingerprint, CLASSES, ())


@pytest.mark.parametrize(
    "name", ["x.JPG", "x.jfif", "x.webp", "x.bmp", "x.tif", "x.gif", "x.ppm", "x.jp2", "x.tga", "x.pcx"]
)
def test_every_still_format_counts(tmp_path: Path, name: str) -> None:
    write_folder(tmp_path, CLASSES, 10)
    picture(0, 77).save(tmp_path / "cat" / name, "JPEG" if name.endswith(("jfif", "JPG")) else None)
    assert sum(load_data(str(tmp_path)).info.sizes.values()) == 21


def test_other_files_are_counted_and_none_starts_a_program(tmp_path: Path) -> None:
    assert not {".eps", ".ps", ".pdf", ".wmf", ".mpg"} & suffixes()
    write_folder(tmp_path, CLASSES, 10)
    for name in ("a.heic", "b.heic", "c.txt"):
        (tmp_path / "cat" / name).write_bytes(b"1")
    picture(0, 5).save(tmp_path / "cat" / "d.eps")
    note = "train: 4 files with other endings left out: .heic (2), .txt (1), .eps (1)"
    assert note in load_data(str(tmp_path)).info.notes
    (tmp_path / "bird").mkdir()
    (tmp_path / "bird" / "a.heic").write_bytes(b"1")
    assert "bird has no images, only other files (.heic 1)" in refused(load_data, str(tmp_path))
    shutil.copy(tmp_path / "cat" / "d.eps", tmp_path / "cat" / "e.png")
    shutil.rmtree(tmp_path / "bird")
    assert "unknown format" in refused(load_data, str(tmp_path))


def spoil(folder: Path) -> None:
    (folder / "0.png").write_bytes(b"")
    (folder / "1.png").write_text("<html>")
    for number, share in ((2, 3), (3, 10)):
        path = folder / f"{number}.png"
        path.write_bytes(path.read_bytes()[: -path.stat().st_size // share])
    os.symlink("nowhere", folder / "z.png")


@pytest.mark.parametrize("size", [(8, 8), (150, 140)])
@pytest.mark.parametrize("limit", [2**28, 0])
def test_broken_files_are_all_found_at_once_or_left_out(
    tmp_path: Path, size: tuple[int, int], limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "DECODED_BYTES", limit)
    write_folder(tmp_path, CLASSES, 10, size=size)
    spoil(tmp_path / "cat")
    message = refused(load_data, f"{tmp_path}?size=8" if size == (8, 8) else str(tmp_path))
    assert "5 of 21 images cannot be read" in message
    assert "?bad=skip" in message
    data = load_data(f"{tmp_path}?bad=skip")
    assert data.info.left_out == 5
    assert sum(data.info.sizes.values()) == 16
    assert any("bad=skip: 5" in note for note in data.info.notes)


def test_a_bomb_is_one_line(tmp_path: Path) -> None:
    write_folder(tmp_path, CLASSES, 10)
    Image.new("1", (10_000, 10_000)).save(tmp_path / "cat" / "big.png")
    assert "more pixels than" in refused(load_data, str(tmp_path))


def file(image: Image.Image, path: Path, **options: object) -> Image.Image:
    image.save(path, **options)  # type: ignore[arg-type]
    return decode(path.read_bytes(), str(path))


def test_a_photograph_is_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x112] = 6
    image = picture(1, 0, (12, 8))
    for kind in ("png", "webp", "tif"):
        options = {"lossless": True} if kind == "webp" else {}
        read = in_channels(file(image, tmp_path / f"x.{kind}", exif=exif, **options), 3, "x")
        assert np.array_equal(np.asarray(read), np.asarray(image.rotate(-90, expand=True))), kind


def test_turned_images_have_another_fingerprint_than_before(tmp_path: Path) -> None:
    for folder, exif in (("a", {}), ("b", {0x112: 3})):
        write_folder(tmp_path / folder, CLASSES, 10, size=(200, 200))
        tags = Image.Exif()
        tags.update(exif)
        picture(0, 0, (200, 200)).save(tmp_path / folder / "cat" / "0.jpg", exif=tags)
    info = load_data(f"{tmp_path}/b").info
    assert any("upright" in note for note in info.notes)
    assert info.fingerprint != load_data(f"{tmp_path}/a").info.fingerprint


def icon(alpha: Image.Image) -> Image.Image:
    image = Image.new("RGBA", alpha.size)
    image.putalpha(alpha)
    return image


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (lambda: Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8)), "no value above 255"),
        (lambda: Image.fromarray(np.eye(8, dtype=np.float32)), "F image"),
        (lambda: icon(picture(0, 0, mode="L")), "in its transparency"),
    ],
)
def test_pixels_without_a_known_meaning_are_refused(
    tmp_path: Path, image: Callable[[], Image.Image], said: str
) -> None:
    write_folder(tmp_path, CLASSES, 10)
    image().save(tmp_path / "cat" / "x.tif")
    assert said in refused(load_data, str(tmp_path))


def test_conversions_are_counted(tmp_path: Path) -> None:
    write_folder(tmp_path, CLASSES, 10)
    folder = tmp_path / "cat"
    picture(0, 50).convert("CMYK").save(folder / "a.jpg")
    Image.fromarray(np.full((8, 8), 999, np.uint16)).save(folder / "b.png")
    picture(0, 51).save(folder / "c.gif", save_all=True, append_images=[picture(0, 52)])
    picture(0, 53).quantize(4).save(folder / "d.png", transparency=bytes(4))
    notes = " ".join(load_data(str(tmp_path)).info.notes)
    for word in ("1 image of CMYK", "1 image of 16 bits", "1 image of several frames", "1 image with transparency"):
        assert word in notes


@pytest.mark.parametrize("size", [(8, 8), (150, 140)])
def test_images_that_are_there_twice_are_said(tmp_path: Path, size: tuple[int, int]) -> None:
    for offset, split in enumerate(("train", "val", "test")):
        write_folder(tmp_path / split, CLASSES, 4, size=size)
        for label, name in enumerate(CLASSES):
            for number in range(4):
                picture(label, 50 * offset + number, size).save(tmp_path / split / name / f"{number}.png")
    assert load_data(str(tmp_path)).info.notes == ()
    shutil.copy(tmp_path / "train/cat/0.png", tmp_path / "val/cat/x.png")
    shutil.copy(tmp_path / "train/cat/1.png", tmp_path / "test/dog/x.png")
    info = load_data(str(tmp_path)).info
    notes = " ".join(info.notes)
    assert "1 of the val images are also in train" in notes
    assert "1 of the test images are also in train" in notes
    assert "images under two classes: 1" in notes
    assert info.smallest_class == ("cat", 4)

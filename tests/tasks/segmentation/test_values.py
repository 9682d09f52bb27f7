"""What the numbers in masks mean: read as their author meant them, and this is said, or refused."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes.masks import square, write_masks
from fakes.tasks import refused
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mgic_nas.errors import UserError
from mgic_nas.tasks import load_data
from mgic_nas.tasks.segmentation.read import Mask
from mgic_nas.tasks.segmentation.survey import Seen
from mgic_nas.tasks.segmentation.values import find_values
from mgic_nas.tasks.spec import Spec


def info(root: Path, options: str = "") -> Any:
    return load_data(f"segmentation:{root}?val=2{options}").info


def labels(root: Path, options: str = "") -> set[int]:
    return set(np.unique(load_data(f"segmentation:{root}?val=2{options}").train.labels).tolist())


@pytest.mark.parametrize(
    ("values", "options", "classes", "found", "note"),
    [
        ((0, 255), "", ("background", "foreground"), {0, 1}, "0 and 255 alone"),
        ((0, 255), "&classes=2", ("background", "foreground"), {0, 1}, "0 and 255 alone"),
        ((0, 255), "&classes=2&ignore=254", ("background", "foreground"), {0, 1}, "0 and 255 alone"),
        ((0, 255), "&values=0,255", ("0", "1"), {0, 1}, ""),
        ((0, 255), "&values=255,0", ("0", "1"), {0, 1}, ""),
        ((0, 128, 255), "&ignore=128", ("background", "foreground"), {0, 1, 255}, "0 and 255 alone"),
        ((0, 128, 255), "&values=0,128", ("0", "1"), {0, 1, 255}, ""),
        ((0, 128, 255), "&values=0,128,255", ("0", "1", "2"), {0, 1, 2}, ""),
        ((1, 2, 3), "&values=1,2,3", ("0", "1", "2"), {0, 1, 2}, ""),
        ((1, 2, 3), "&values=1-3", ("0", "1", "2"), {0, 1, 2}, ""),
        ((0, 1, 2, 3), "&values=1-3&ignore=0", ("0", "1", "2"), {0, 1, 2, 255}, ""),
        ((0, 1, 255), "", ("0", "1"), {0, 1, 255}, "255 (33 % of the pixels) is taken for no class"),
        ((0, 1, 255), "&ignore=255", ("0", "1"), {0, 1, 255}, ""),
        ((0, 1), "", ("0", "1"), {0, 1}, ""),
    ],
)
def test_numbers_are_classes_as_their_author_meant(
    tmp_path: Path, values: tuple[int, ...], options: str, classes: tuple[str, ...], found: set[int], note: str
) -> None:
    write_masks(tmp_path, square(*values, size=9))
    data = load_data(f"segmentation:{tmp_path}?val=2{options}")
    assert data.info.classes == classes
    assert set(np.unique(data.train.labels).tolist()) == found
    assert note in " ".join(data.info.notes)
    assert bool(data.info.notes) == bool(note)
    mask, written = data.train.labels[0], square(*values, size=9)(0)
    assert len(np.unique(np.stack([mask, written]).reshape(2, -1), axis=1).T) == len(values)  # one class a number


@pytest.mark.parametrize(
    ("values", "options", "said"),
    [
        ((0, 255), "&ignore=255", "hold the value 0 alone"),
        ((0, 255), "&classes=2&ignore=255", "the class '1' (1) has no pixel in the training masks (255 is no class)"),
        ((0, 255), "&classes=3", "2 of 3 classes, '1' (1), '2' (2) has no pixel"),
        ((0, 128), "", "?values=0,128"),
        ((0, 128, 255), "", "?values=0,128"),
        ((0, 254, 255), "&classes=2", "has the value 254"),
        ((1, 2, 3), "", "which do not count from 0"),
        ((7,), "", "the value 7 alone"),
        ((0, 1, 2, 3), "&ignore=0", "hold the values 1-3, which do not count from 0"),
        (
            (0, 1, 2, 3),
            "&ignore=0&classes=4",
            "has no pixel in the training masks (0 is no class): add images of it, or",
        ),
        ((0, 4, 5, 9), "", "?values=0,4,5,9, or"),
        ((0, 1), "&values=1-0", "two or more different numbers"),
        ((0, 1), "&values=0-999", "two or more different numbers"),
        ((255,), "", "no class at all"),
        (tuple(range(70)), "", "70 different values, as lossy or smoothed"),
        ((0, 1, 2, 3), "&classes=3", "10 of 10 masks have values of no class"),
        ((0, 1), "&classes=3", "the class '2' (2) has no pixel"),
        ((0, 1), "&values=0,1,2", "the class '2' (2) has no pixel"),
        ((0, 1), "&values=0,1&classes=3", "2 values for 3 classes"),
        ((0, 1), "&values=0,1&ignore=1", "ignore=1 is one of the classes"),
        ((0, 1), "&values=0", "two or more different numbers"),
        ((0, 1), "&values=0,0", "two or more different numbers"),
        ((0, 1), "&values=0,x", "two or more different numbers"),
        ((0, 1), "&colours=000000,ff0000&ignore=3", "'ignore' does not apply"),
    ],
)
def test_numbers_that_no_rule_explains_are_refused(
    tmp_path: Path, values: tuple[int, ...], options: str, said: str
) -> None:
    write_masks(tmp_path, square(*values, size=max(9, len(values))))
    assert said in refused(info, tmp_path, options)


@given(st.lists(st.frozensets(st.sampled_from([0, 1, 2, 3, 5, 128, 254, 255]), min_size=1), min_size=1, max_size=4))
def test_no_number_is_lost_or_taken_for_another_without_a_word(masks: list[frozenset[int]]) -> None:
    """Whatever numbers masks hold: each is a class of its own, or it is 255 and a note says that it is none."""
    seen = [
        (Path(f"{number}.png"), Seen((8, 8), (8, 8), counts=dict.fromkeys(sorted(values), 1)))
        for number, values in enumerate(masks)
    ]
    every = sorted(frozenset().union(*masks))
    try:
        values, classes, notes = find_values(Spec("masks", {}, {}), (), seen)
    except UserError:
        return
    labels = values.classes(Mask(np.array([every], dtype=np.uint8)), Path("all.png"))[0].tolist()
    if 255 in labels:
        assert every[labels.index(255)] == 255
        assert any("255" in note and "no class" in note for note in notes)
        labels.remove(255)
    assert labels == list(range(len(classes)))


def test_masks_of_0_and_255_among_masks_of_0_and_1_are_refused(tmp_path: Path) -> None:
    """Read as "no class", half of the foreground would be lost without a word."""
    write_masks(tmp_path, square(0, 255), 5)
    write_masks(tmp_path, square(0, 1), 5, first=5)
    assert "hold 255 beside 0 alone, others such as" in refused(info, tmp_path)
    assert labels(tmp_path, "&ignore=255") == {0, 1, 255}


def test_a_class_that_only_validates_is_refused_and_one_that_is_never_validated_is_said(tmp_path: Path) -> None:
    write_masks(tmp_path / "train", square(0, 1, 3))
    write_masks(tmp_path / "val", square(0, 1, 2), 3, first=20)
    message = refused(load_data, f"segmentation:{tmp_path}?classes=4")
    assert "the class '2' (2) has no pixel in the training masks, only in validation ones" in message
    write_masks(tmp_path / "train", square(2, 3), 1, first=40)
    found = load_data(f"segmentation:{tmp_path}?classes=4").info
    assert "no validation pixel of the class 3: the mIoU is without it" in found.notes
    assert found.smallest_class == ("2", 1)
    write_masks(tmp_path / "val", square(0, 9), 1, first=30)
    assert "30.png has the value 9: classes are 0 to 3" in refused(load_data, f"segmentation:{tmp_path}?classes=4")


def test_a_class_that_the_cut_leaves_to_validation_is_refused(tmp_path: Path) -> None:
    write_masks(tmp_path, square(0, 1), 9)
    write_masks(tmp_path, square(0, 2), 1, first=9)
    cuts = {}
    for seed in range(20):
        try:
            cuts[seed] = str(load_data(f"segmentation:{tmp_path}?val=2&seed={seed}").info.num_classes)
        except UserError as error:
            cuts[seed] = str(error)
    said = {text for text in cuts.values() if text != "3"}
    assert "3" in cuts.values()
    assert len(said) == 1
    assert "only in validation ones: say ?seed=1 for another cut" in said.pop()


def test_the_test_part_is_held_to_the_same_values(tmp_path: Path) -> None:
    for number, split in enumerate(("train", "val", "test")):
        write_masks(tmp_path / split, square(0, 255), 4, first=10 * number)
    data = load_data(f"segmentation:{tmp_path}")
    assert data.test is not None
    assert set(np.unique(data.test.labels)) == {0, 1}
    write_masks(tmp_path / "test", square(0, 7), 2, first=30)
    assert "2 of 6 masks have values of no class" in refused(lambda: load_data(f"segmentation:{tmp_path}").test)


def saved(
    root: Path, make: Callable[[np.ndarray], Image.Image], values: tuple[int, ...] = (0, 1), **options: Any
) -> Path:
    """Ten pairs whose masks ``make`` gives, saved with ``options``."""
    write_masks(root, square(*values))
    ending = options.pop("ending", "png")
    for path in (root / "masks").iterdir():
        mask = make(np.asarray(Image.open(path)))
        path.unlink()
        mask.save(path.with_suffix(f".{ending}"), **options)
    return root


def palette(mask: np.ndarray, colours: list[int] | None = None) -> Image.Image:
    image = Image.fromarray(mask).convert("P")
    image.putpalette(colours or [0, 0, 0, 128, 0, 0, 0, 128, 0])
    return image


READ: dict[str, tuple[Callable[[np.ndarray], Image.Image], dict[str, Any]]] = {
    "one bit": (lambda m: Image.fromarray(m * 255).convert("1"), {}),
    "one bit tiff": (lambda m: Image.fromarray(m * 255).convert("1"), {"ending": "tif"}),
    "palette": (palette, {}),
    "palette bmp": (palette, {"ending": "bmp"}),
    "16 bits": (lambda m: Image.fromarray(m.astype(np.uint16)), {}),
    "32 bits": (lambda m: Image.fromarray(m.astype(np.int32)), {"ending": "tif"}),
    "grey gif": (Image.fromarray, {"ending": "gif"}),
    "lossless webp": (lambda m: Image.fromarray(m).convert("RGB"), {"ending": "webp", "lossless": True}),
    "equal channels": (lambda m: Image.fromarray(m).convert("RGB"), {}),
    "opaque": (lambda m: Image.fromarray(m).convert("RGBA"), {}),
    "grey, opaque": (lambda m: Image.fromarray(m).convert("LA"), {}),
    "pgm": (Image.fromarray, {"ending": "pgm"}),
}


@pytest.mark.parametrize("kind", READ)
def test_every_lossless_form_of_a_mask_is_read(tmp_path: Path, kind: str) -> None:
    make, options = READ[kind]
    data = load_data(f"segmentation:{saved(tmp_path, make, **dict(options))}?val=2")
    assert data.info.num_classes == 2
    assert data.train.labels[0].tolist() == square(0, 1)(0).tolist()


def coloured(mask: np.ndarray) -> Image.Image:
    return Image.fromarray(np.array([[0, 0, 0], [255, 0, 16]], np.uint8)[mask])


def clear(mask: np.ndarray) -> Image.Image:
    image = Image.fromarray(mask).convert("LA")
    image.putalpha(Image.fromarray(mask * 255))
    return image


REFUSED: dict[str, tuple[Callable[[np.ndarray], Image.Image], dict[str, Any], str]] = {
    "jpeg": (Image.fromarray, {"ending": "jpg"}, "a lossy JPEG mask"),
    "jpeg called png": (Image.fromarray, {"format": "JPEG"}, "a lossy JPEG mask"),
    "webp": (lambda m: Image.fromarray(m).convert("RGB"), {"ending": "webp"}, "a lossy WEBP mask"),
    "jpeg in tiff": (Image.fromarray, {"ending": "tif", "compression": "jpeg"}, "a lossy TIFF mask"),
    "colours": (coloured, {}, "?colours=000000,ff0010"),
    "colours in a gif": (coloured, {"ending": "gif"}, "colours in a GIF"),
    "alpha": (clear, {}, "transparency that varies"),
    "fractions": (lambda m: Image.fromarray(m.astype(np.float32)), {"ending": "tif"}, "fractions"),
    "cmyk": (lambda m: coloured(m).convert("CMYK"), {"ending": "tif"}, "colours (CMYK)"),
    "depth": (
        lambda m: Image.fromarray(np.arange(400, dtype=np.uint16).reshape(20, 20)),
        {},
        "400 different values",
    ),
    "pages": (
        Image.fromarray,
        {"ending": "tif", "save_all": True, "append_images": [Image.new("L", (8, 8))]},
        "2 pages",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_masks_that_hold_something_else_are_refused_all_at_once(tmp_path: Path, kind: str) -> None:
    make, options, said = REFUSED[kind]
    message = refused(info, saved(tmp_path, make, **dict(options)))
    assert said in message
    assert "10 of 10 images or masks cannot be used" in message


def test_smoothed_masks_are_refused(tmp_path: Path) -> None:
    """A mask that was scaled with interpolation, or was a JPEG before, has values between its classes."""
    saved(tmp_path, lambda m: Image.fromarray(m * 255).resize((64, 64), Image.Resampling.BICUBIC).resize((8, 8)))
    assert "do not count from 0" in refused(info, tmp_path)


def test_colours_are_classes_where_they_are_named(tmp_path: Path) -> None:
    saved(tmp_path, coloured)
    assert labels(tmp_path, "&colours=000000,ff0010") == {0, 1}
    assert labels(tmp_path, "&colours=%23ff0010,000000") == {0, 1}
    assert "has the value 000000: classes are ffffff,ff0010" in refused(info, tmp_path, "&colours=ffffff,ff0010")
    saved(tmp_path / "palette", palette)
    assert labels(tmp_path / "palette", "&colours=800000,000000") == {0, 1}


def test_palettes_that_differ_are_refused(tmp_path: Path) -> None:
    """A program that made a palette for each file numbered the colours in each file otherwise."""
    saved(tmp_path, palette)
    palette(square(0, 1)(0).astype(np.uint8), [128, 0, 0, 0, 0, 0]).save(tmp_path / "masks" / "3.png")
    assert "palette images in which 0 is 000000 and 800000" in refused(info, tmp_path)
    assert labels(tmp_path, "&values=0,1") == {0, 1}
    turned = load_data(f"segmentation:{tmp_path}?val=1&colours=000000,800000")
    whole = np.concatenate([turned.train.labels, turned.val.labels])
    assert any(mask.tolist() == (1 - square(0, 1)(0)).tolist() for mask in whole)


def test_one_bit_masks_beside_masks_of_0_and_255_mean_the_same(tmp_path: Path) -> None:
    write_masks(tmp_path, square(0, 255))
    Image.fromarray(square(0, 255)(4).astype(np.uint8)).convert("1").save(tmp_path / "masks" / "4.png")
    data = load_data(f"segmentation:{tmp_path}?val=1")
    assert all((mask == 1).mean() == 0.5 for mask in data.train.labels)


CLASSES: dict[str, tuple[bytes, tuple[str, ...] | str]] = {
    "plain": (b"road\nhouse\n", ("road", "house")),
    "no end": (b"road\nhouse", ("road", "house")),
    "windows": (b"road\r\nhouse\r\n\r\n  \r\n", ("road", "house")),
    "old mac": (b"road\rhouse\r", ("road", "house")),
    "mark": ("road\nhouse\n".encode("utf-8-sig"), ("road", "house")),
    "umlauts": ("Straße\nGebäude\n".encode(), ("Straße", "Gebäude")),
    "odd line ends": ("a\u2028b\nc\x0b d\n".replace("\x0b", " ").encode(), ("a\u2028b", "c  d")),
    "numbered": (b"0: road\n1: house\n", ("0: road", "1: house")),
    "cp1252": ("road\nGebäude\n".encode("cp1252"), "line 2"),
    "utf-16": ("road\nhouse\n".encode("utf-16"), "UTF-16"),
    "utf-16 without a mark": ("road\nhouse\n".encode("utf-16-le"), "control characters"),
    "utf-32": ("road\nhouse\n".encode("utf-32"), "save it as UTF-8"),
    "binary": (struct.pack("<8i", *range(8)), "control characters"),
    "empty": (b"\n \n", "is empty"),
    "gap": (b"road\n\nhouse\n", "no name in line 2"),
    "twice": (b"road\nhouse\nroad \n", "'road' in the lines 1 and 3"),
    "three": (b"road\nhouse\ncar\n", "the class 'car' (2) has no pixel"),
    "one": (b"road\n", "2 to 255"),
    "other order": (b"1 road\n0 house\n", "numbers its lines 1, 0"),
    "from 1": (b"1\troad\n2\thouse\n", "numbers its lines 1, 2"),
}


@pytest.mark.parametrize("kind", CLASSES)
def test_the_file_of_class_names(tmp_path: Path, kind: str) -> None:
    content, expected = CLASSES[kind]
    write_masks(tmp_path, square(0, 1))
    (tmp_path / "classes.txt").write_bytes(content)
    if isinstance(expected, tuple):
        assert info(tmp_path).classes == expected
    else:
        assert expected in refused(info, tmp_path)


def test_a_file_of_class_names_that_cannot_be_read_is_not_passed_over(tmp_path: Path) -> None:
    write_masks(tmp_path, square(0, 1))
    (tmp_path / "Classes.TXT").mkdir()
    assert "cannot read" in refused(info, tmp_path)
    (tmp_path / "Classes.TXT").rmdir()
    (tmp_path / "classes.txt").symlink_to("nowhere")
    assert "cannot read" in refused(info, tmp_path)


def test_the_fingerprint_of_large_data_holds_what_values_mean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mgic_nas.tasks.segmentation.masks.SMALL_BYTES", 0)
    write_masks(tmp_path, square(0, 1, 255))
    options = ["", "&values=1,0", "&values=0,1,255", "&ignore=254&values=0,1,255"]
    prints = {options: info(tmp_path, options).fingerprint for options in options}
    assert len(set(prints.values())) == 4

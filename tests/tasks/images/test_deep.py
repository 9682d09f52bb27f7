"""Images of 16 bits a channel: scaled to 8, which is said, and refused where next to nothing of them would be left."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fakes.tasks import png16, refused, write_folder
from PIL import Image

from mgic_nas.tasks import load_data
from mgic_nas.tasks.images.decode import decode, in_channels

CLASSES = ["ape", "bee"]


def write_deep(root: Path, highest: int, channels: tuple[int, ...], count: int = 10, side: int = 8) -> None:
    rng = np.random.default_rng(0)
    for label, name in enumerate(CLASSES):
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            values = rng.integers(0, (highest + 1) // (1 + label), (side, side, *channels))
            values[0, 0] = highest
            (root / name / f"deep{number}.png").write_bytes(png16(values))


@pytest.mark.parametrize("channels", [(), (2,), (3,), (4,)])
@pytest.mark.parametrize("size", [8, 150])  # in a tensor, and through timm's loader
def test_they_are_counted(tmp_path: Path, channels: tuple[int, ...], size: int) -> None:
    write_deep(tmp_path, 65535, channels, side=size)
    notes = load_data(str(tmp_path)).info.notes
    assert "20 images of 16 bits, scaled to 8" in notes
    assert not any("without a value above" in note for note in notes)


@pytest.mark.parametrize("channels", [(), (2,), (3,), (4,)])
def test_values_that_are_in_the_low_bits_alone_are_refused(tmp_path: Path, channels: tuple[int, ...]) -> None:
    write_deep(tmp_path, 255, channels)
    for where in (tmp_path, f"{tmp_path}?size=4"):
        message = refused(load_data, str(where))
        assert "no value above 255" in message
        assert "save them with 8 bits a channel" in message


def test_a_tiff_of_colours_in_the_low_bits_is_refused_and_a_black_image_is_not() -> None:
    black = np.zeros((8, 8, 3), int)
    image = decode(png16(black), "x.png")
    assert np.asarray(in_channels(image, 3, "x.png")).max() == 0
    colours = np.random.default_rng(0).integers(0, 255, (8, 8, 3))
    assert "no value above 255" in refused(in_channels, decode(tiff16(colours), "x.tif"), 3, "x.tif")
    assert np.array_equal(np.asarray(in_channels(decode(tiff16(256 * colours), "x.tif"), 3, "x.tif")), colours)


def tiff16(colours: np.ndarray) -> bytes:
    """An uncompressed TIFF of 16 bits a channel, as PIL writes none."""
    height, width, channels = colours.shape
    pixels = colours.astype("<u2").tobytes()
    bits = 8 + len(pixels)
    tags = [
        *((256, 3, 1, width), (257, 3, 1, height), (258, 3, 3, bits), (259, 3, 1, 1), (262, 3, 1, 2)),
        *((273, 4, 1, 8), (277, 3, 1, channels), (278, 3, 1, height), (279, 4, 1, len(pixels))),
    ]
    entries = b"".join(np.array(tag[:2], "<u2").tobytes() + np.array(tag[2:], "<u4").tobytes() for tag in tags)
    start = np.array([42], "<u2").tobytes() + np.array([bits + 6], "<u4").tobytes()
    table = np.array([len(tags)], "<u2").tobytes() + entries + bytes(4)
    return b"II" + start + pixels + np.array([16, 16, 16], "<u2").tobytes() + table


@pytest.mark.parametrize("channels", [(), (3,)])
@pytest.mark.parametrize("size", [8, 150])
@pytest.mark.parametrize("highest", [1023, 4095, 8191])
def test_ten_to_thirteen_bits_in_sixteen_are_refused(
    tmp_path: Path, channels: tuple[int, ...], size: int, highest: int
) -> None:
    write_deep(tmp_path, highest, channels, side=size)
    message = refused(load_data, str(tmp_path))
    assert "none of" in message
    assert "value above 8,191: at most 32 of 256 levels are left: scale the values to all of 16 bits" in message


def test_a_few_among_others_are_said(tmp_path: Path) -> None:
    write_folder(tmp_path, CLASSES, 30)
    write_deep(tmp_path, 4095, (3,))
    some = "images of 16 bits without a value above 8,191: at most 32 of 256 levels are left"
    assert f"20 {some}" in load_data(str(tmp_path)).info.notes
    (tmp_path / "ape" / "deep0.png").write_bytes(png16(np.arange(0, 65536, 1024).reshape(8, 8)))
    notes = load_data(str(tmp_path)).info.notes
    assert f"19 {some}" in notes
    assert "20 images of 16 bits, scaled to 8" in notes


def test_dark_images_among_bright_ones_of_16_bits_are_not_refused(tmp_path: Path) -> None:
    write_deep(tmp_path, 4095, ())
    write_deep(tmp_path, 65535, (), count=1)
    assert any(note.startswith("18 images of 16 bits without") for note in load_data(str(tmp_path)).info.notes)


def test_segmentation_refuses_them_too(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    rng = np.random.default_rng(0)
    for number in range(10):
        (tmp_path / "images" / f"{number}.png").write_bytes(png16(rng.integers(0, 4096, (8, 8, 3))))
        Image.fromarray(rng.integers(0, 3, (8, 8), dtype=np.uint8)).save(tmp_path / "masks" / f"{number}.png")
    assert "none of 10 images of 16 bits" in refused(load_data, f"segmentation:{tmp_path}")


@pytest.mark.parametrize(
    "write",
    [
        lambda path: Image.new("RGB", (8, 8), (7, 7, 7)).save(path),
        lambda path: path.write_bytes(png16(np.full((8, 8), 40_000))),
        lambda path: Image.new("RGB", (150, 140), (0, 9, 9)).save(path),
    ],
)
def test_training_images_of_one_colour_are_refused(tmp_path: Path, write: Callable[[Path], None]) -> None:
    for name in CLASSES:
        (tmp_path / name).mkdir()
        for number in range(10):
            write(tmp_path / name / f"{number}.png")
    assert "are of one colour" in refused(load_data, str(tmp_path))


def test_a_turned_tiff_is_counted(tmp_path: Path) -> None:
    write_folder(tmp_path, CLASSES, 10, size=(6, 4))
    tags = Image.Exif()
    tags[0x112] = 6
    values = np.random.default_rng(0).integers(0, 255, (6, 4, 3), dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "ape" / "t.tif", exif=tags)
    assert "1 image turned upright as TIFF's orientation says" in load_data(str(tmp_path)).info.notes

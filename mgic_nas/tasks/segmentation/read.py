"""The file of a mask to whole numbers, one a pixel, and what is refused on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ..images.decode import DEEP, Unreadable, decode, frame_count, read_file

#: Formats that give back the numbers that were written; of the others some are lossy.
LOSSLESS = ("PNG", "BMP", "DIB", "TIFF", "GIF", "PPM", "WEBP", "TGA", "PCX", "SGI", "ICO", "IM", "QOI")
#: A mask of more values holds something else than classes.
MAX_DISTINCT = 256
#: What a user should know of how a mask is read, in words that follow a number of masks.
EQUAL_CHANNELS = "saved with three equal channels, of which one is read"
OPAQUE = "with an alpha channel, which is the same everywhere and is dropped"


@dataclass(frozen=True)
class Mask:
    """The numbers of a mask.

    Attributes:
        values: whole numbers (H, W), as the file has them: 0 and 1 where it has one bit, 0xRRGGBB where colours are
            meant.
        one_bit: whether the file has one bit a pixel.
        palette: value -> 0xRRGGBB of a palette image's values that occur, else None.
        traits: what a user should know.
    """

    values: np.ndarray
    one_bit: bool = False
    palette: Mapping[int, int] | None = None
    traits: tuple[str, ...] = ()


def read_mask(path: Path, coloured: bool = False) -> Mask:
    """The mask in a file.

    Args:
        path: of the file.
        coloured: colours are meant, so that a palette's number of a colour does not matter.

    Raises:
        Unreadable: it cannot be decoded, is lossy, has colours, varying transparency, fractions or several pages.
    """
    content = read_file(path)
    where = str(path)
    image = decode(content, where)
    if _lossy(image, content):
        raise _wrong(where, f"a lossy {image.format} mask", "lossy images change the numbers: save masks as PNG")
    if frame_count(image) > 1:
        raise _wrong(where, f"{frame_count(image)} pages", "a mask has one: save it as PNG")
    found: list[str] = []
    image = _opaque(image, where, found)
    if coloured:
        if image.mode not in ("1", "L", "P", "RGB"):
            raise _wrong(where, f"a mask of the mode {image.mode}", "save it as PNG with 8 bits a channel")
        return Mask(_packed(np.asarray(image.convert("RGB"))), traits=tuple(found))
    if image.mode == "RGB":
        return Mask(_one_of_three(np.asarray(image), where), traits=(*found, EQUAL_CHANNELS))
    if image.mode == "P":
        return _of_palette(image, where, found)
    if image.mode not in ("1", "L", "I", *DEEP):
        reason = "fractions" if image.mode == "F" else f"colours ({image.mode})"
        raise _wrong(where, f"{reason}, not one number a pixel", "write class numbers")
    values = np.asarray(image)
    values = values.astype(np.uint8) if image.mode == "1" else values
    _refuse_measurements(values, where)
    return Mask(values, one_bit=image.mode == "1", traits=tuple(found))


def counts(values: np.ndarray) -> dict[int, int]:
    """Value -> number of pixels."""
    if values.min() >= 0 and values.max() < 256:  # ten times as fast as unique
        numbers = np.bincount(values.ravel(), minlength=256)
        return {int(value): int(numbers[value]) for value in np.flatnonzero(numbers)}
    found, numbers = np.unique(values, return_counts=True)
    return dict(zip(found.tolist(), numbers.tolist()))


def _lossy(image: Image.Image, content: bytes) -> bool:
    if image.format == "WEBP":
        return not _is_lossless_webp(content)
    return image.format not in LOSSLESS or str(image.info.get("compression", "")).startswith(("jpeg", "webp"))


def _is_lossless_webp(content: bytes) -> bool:
    at = 12
    while at + 8 <= len(content):  # a chunk's name, its length, its content
        if (name := content[at : at + 4]) in (b"VP8L", b"VP8 "):
            return name == b"VP8L"
        length = int.from_bytes(content[at + 4 : at + 8], "little")
        at += 8 + length + length % 2
    return False


def _opaque(image: Image.Image, where: str, found: list[str]) -> Image.Image:
    """Without its alpha channel, where that says nothing."""
    if image.mode not in ("LA", "RGBA", "La", "RGBa", "PA"):
        return image
    low, high = image.getchannel(image.getbands()[-1]).getextrema()
    if low != high or image.mode not in ("LA", "RGBA"):
        raise _wrong(where, "transparency that varies", "save the mask without an alpha channel")
    found.append(OPAQUE)
    return image.convert(image.mode[:-1])


def _packed(pixels: np.ndarray) -> np.ndarray:
    """int64 (H, W): 0xRRGGBB of uint8 (H, W, 3)."""
    red, green, blue = (pixels[..., channel].astype(np.int64) for channel in range(3))
    return red << 16 | green << 8 | blue


def _one_of_three(pixels: np.ndarray, where: str) -> np.ndarray:
    if not (pixels == pixels[..., :1]).all():
        colours = np.unique(_packed(pixels))
        some = ",".join(map(hexadecimal, colours[:6])) + (",..." if len(colours) > 6 else "")
        reason = f"colours ({len(colours):,}: {some}), not one number a pixel"
        raise _wrong(where, reason, "write class numbers, or name the classes' colours in order by ?colours=" + some)
    return pixels[..., 0]


def _of_palette(image: Image.Image, where: str, found: list[str]) -> Mask:
    """The numbers in the palette; of GIF, whose writers renumber colours, their grey."""
    values = np.asarray(image)
    colours = np.zeros((256, 3), dtype=np.int64)
    table = np.array(image.getpalette("RGB") or [], dtype=np.int64).reshape(-1, 3)
    colours[: len(table)] = table
    used = np.unique(values)
    if image.format != "GIF":
        packed = _packed(colours[used][None])[0]
        return Mask(values, palette=dict(zip(used.tolist(), packed.tolist())), traits=tuple(found))
    if not (colours[used] == colours[used][:, :1]).all():
        raise _wrong(where, "colours in a GIF, which are numbered by chance", "save the mask as PNG")
    return Mask(colours[:, 0][values], traits=tuple(found))


def _refuse_measurements(values: np.ndarray, where: str) -> None:
    if values.min() < 0:
        raise _wrong(where, f"the value {values.min()}", "classes count from 0")
    if values.max() >= MAX_DISTINCT and len(np.unique(values)) > MAX_DISTINCT:
        raise _wrong(where, f"{len(np.unique(values)):,} different values", "a mask has one number for each class")


def hexadecimal(colour: int) -> str:
    """``ff0000``."""
    return f"{colour:06x}"


def _wrong(where: str, reason: str, remedy: str) -> Unreadable:
    verb = "is" if reason.startswith("a ") else "has"
    return Unreadable(f"{where} {verb} {reason}: {remedy}", where, reason)

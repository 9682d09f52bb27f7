"""Files of images to PIL images, and what is refused on the way. Everything that decodes goes through here."""

from __future__ import annotations

import functools
import io
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from ...errors import UserError

#: What PIL decodes itself, the usual ones first. Others start programs (EPS), are films or need another library.
FORMATS = (
    *("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "JPEG2000", "AVIF", "DIB", "ICO", "TGA", "PCX", "SGI", "PSD"),
    *("QOI", "ICNS", "DDS", "XBM", "XPM", "MSP", "SUN", "DCX", "PIXAR", "BLP", "IM", "FITS"),
)
#: 16 bits a channel; the high byte is used, as PIL itself does for colours.
DEEP = ("I;16", "I;16L", "I;16B", "I;16N")
GREY = ("1", "L", "LA", "I", *DEEP)
COLOUR = ("P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "PA", "RGBX", "RGBa", "La")
#: What turns an image by EXIF's orientation, by format; TIFF is turned by PIL.
_TURNED_FORMATS = ("JPEG", "MPO", "WEBP", "AVIF")
_ORIENTATION = 0x0112
#: The keys of ``image.info`` under which :func:`decode` notes that an image was turned, has several frames, or has
#: colours of 16 bits, and whether all of these are in the low ones.
_TURNED = "mgic_nas turned"
_FRAMES = "mgic_nas frames"
_COLOURS_16 = "mgic_nas 16 bits"
_TOO_LOW = "mgic_nas low bits"
#: The trait that an earlier version lacked, and which a fingerprint therefore holds.
TURNED = "turned upright as EXIF says"
#: The same of a TIFF, which every version turned.
TURNED_TIFF = "turned upright as TIFF's orientation says"
#: What the high byte of 16 bits is at most where they hold 13 bits or fewer (of a camera, a scanner, ...).
_DARK = 31
DEEP_TRAIT = "of 16 bits, scaled to 8"
DARK_TRAIT = f"of 16 bits without a value above {256 * _DARK + 255:,}: at most {_DARK + 1} of 256 levels are left"
_opening = threading.Lock()  # the filters of warnings belong to all threads


class Unreadable(UserError):
    """An image that cannot be used.

    Attributes:
        where: the place of the image.
        reason: what is wrong with it, in a few words.
    """

    def __init__(self, message: str, where: str = "", reason: str = "") -> None:
        super().__init__(message)
        self.where = where or message
        self.reason = reason

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        return type(self), (str(self), self.where, self.reason)


@functools.cache
def suffixes() -> frozenset[str]:
    """The endings of files, such as ".png", that are images which PIL decodes itself."""
    extensions = Image.registered_extensions()
    return frozenset(
        ending for ending, kind in extensions.items() if kind == "MPO" or (kind in FORMATS and kind in Image.OPEN)
    )


def read_file(path: str | Path) -> bytes:
    """The bytes of a file; UserError where it cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise unopened(path, error) from None


def unopened(path: str | Path, error: OSError) -> Unreadable:
    """What is said of a file that cannot be read."""
    return Unreadable(f"cannot read {path}: {error.strerror}", str(path), str(error.strerror))


def _open(file: io.BytesIO | str) -> Image.Image:
    """What PIL opens, no image of more pixels than PIL thinks safe."""
    with _opening, warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return Image.open(file, formats=FORMATS)


def decode(content: bytes, where: str) -> Image.Image:
    """The image in the bytes of a file, its first frame, wholly decoded and upright as EXIF says.

    Raises:
        Unreadable: it cannot be decoded.
    """
    try:
        image = _open(io.BytesIO(content))
        frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)  # asked before load closes the file
        raw, turned = _raw_mode(image), image.format == "TIFF" and _is_turned(image)
        image.load()
        image.info |= {_FRAMES: frames, _TURNED: TURNED_TIFF if turned else ""}
        if ";16" in raw and image.mode not in (*DEEP, "I"):
            image.info |= {_COLOURS_16: True, _TOO_LOW: not _peak(image) and _has_low_bytes(content, raw)}
        if _is_turned(image):
            ImageOps.exif_transpose(image, in_place=True)
            image.info[_TURNED] = TURNED
    except Exception as error:  # PIL raises OSError, SyntaxError, ValueError, struct.error, ... by format
        raise _unreadable(where, error, not content) from None
    return image


def _is_turned(image: Image.Image) -> bool:
    return image.getexif().get(_ORIENTATION, 1) in range(2, 9)


def _raw_mode(image: Image.Image) -> str:
    """How PIL calls the pixels in the file, such as "RGB;16B": of colours it keeps the high bytes alone."""
    args = image.tile[0].args if getattr(image, "tile", None) else ""  # type: ignore[attr-defined]
    first = args[0] if isinstance(args, tuple) and args else args
    return first if isinstance(first, str) else ""


def _has_low_bytes(content: bytes, raw: str) -> bool:
    """Whether an image of 16-bit colours that is black in the high bytes is not in the low ones."""
    order = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
    other = "RGBA" if raw == "LA;16B" else raw[:-1] + order.get(raw[-1], "")  # grey with alpha: each byte a channel
    image: Any = _open(io.BytesIO(content))
    args = [(other, *tile.args[1:]) if isinstance(tile.args, tuple) else other for tile in image.tile]
    image.tile = [tile._replace(args=new) for tile, new in zip(image.tile, args)]
    try:
        image.load()
    except (ValueError, OSError, SystemError):  # no such raw mode
        return False
    return bool(image.getchannel(1).getextrema()[1] if raw == "LA;16B" else _peak(image))


def _peak(image: Image.Image) -> int:
    """The highest value of an image without its alpha; of 16 bits of their high byte."""
    if image.mode in (*DEEP, "I"):
        return int(np.asarray(image).max()) >> 8
    return max(int(image.getchannel(band).getextrema()[1]) for band in image.getbands() if band not in "Aa")  # type: ignore[arg-type]


def header(file: io.BytesIO | str, where: str) -> tuple[tuple[int, int], str]:
    """((width, height), PIL mode) of the upright image, from the first bytes of an image.

    Raises:
        Unreadable: it is no image.
    """
    try:
        with _open(file) as image:
            width, height = image.size
            known = image.format in _TURNED_FORMATS or "exif" in image.info
            if known and image.getexif().get(_ORIENTATION, 1) in range(5, 9):
                width, height = height, width
            return (width, height), image.mode
    except Exception as error:
        raise _unreadable(where, error) from None


def orientation(path: str) -> int:
    """EXIF's orientation of an image file, 1 (as it is) to 8, by which :func:`decode` turns it upright.

    Raises:
        Unreadable: it is no image.
    """
    try:
        with _open(path) as image:
            known = image.format in (*_TURNED_FORMATS, "TIFF") or "exif" in image.info
            found = image.getexif().get(_ORIENTATION, 1) if known else 1
            return int(found) if found in range(2, 9) else 1
    except Exception as error:
        raise _unreadable(path, error) from None


def frame_count(image: Image.Image) -> int:
    """The frames or pages of the file that :func:`decode` read an image from."""
    return int(image.info.get(_FRAMES, 1))


def traits(image: Image.Image) -> list[str]:
    """What a user should know of how a decoded image is read, in words that follow a number of images."""
    found = []
    if image.info.get(_TURNED):
        found.append(image.info[_TURNED])
    if image.mode in ("LA", "RGBA", "PA", "La", "RGBa") or "transparency" in image.info:
        found.append("with transparency, which is dropped")
    if image.mode in (*DEEP, "I") or image.info.get(_COLOURS_16):
        found.append(DEEP_TRAIT)
        if _peak(image) <= _DARK:
            found.append(DARK_TRAIT)
    if image.mode == "CMYK":
        found.append("of CMYK colours, converted to RGB")
    if image.info.get(_FRAMES, 1) > 1:
        found.append("of several frames or pages, of which the first is used")
    return found


def _unreadable(where: str, error: Exception, empty: bool = False) -> Unreadable:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    reason = "unknown format" if "cannot identify image file" in text else text
    if isinstance(error, Image.DecompressionBombWarning | Image.DecompressionBombError):
        reason = "more pixels than PIL thinks safe: make it smaller"
    elif isinstance(error, OSError) and error.strerror:
        reason = error.strerror
    elif empty:
        reason = "an empty file"
    return Unreadable(f"{where} is not a readable image ({reason}): replace or remove it", where, reason)


def in_channels(image: Image.Image, channels: int, where: str) -> Image.Image:
    """The image as 8-bit grey (1 channel) or RGB (3). Transparency is dropped; of 16 bits the high ones are taken.

    Raises:
        Unreadable: its values have no known range, or its picture is in the transparency alone.
    """
    deep = image.mode in DEEP or (image.mode == "I" and image.format == "PPM")
    if not deep and (image.mode == "I" or image.mode not in GREY + COLOUR):
        reason = f"a {image.mode} image"
        raise Unreadable(f"{where} is {reason}: convert it to 8 bits a channel", where, reason)
    if image.info.get(_TOO_LOW) or (deep and 0 < np.asarray(image).max() < 256):
        reason = "16 bits a channel, but no value above 255"
        raise Unreadable(f"{where} has {reason}: save it with 8 bits a channel", where, reason)
    if deep:
        values = np.asarray(image)
        image = Image.fromarray((values >> 8).astype(np.uint8))
    mode = "L" if channels == 1 else "RGB"
    if image.mode == mode:
        return image
    opaque = image
    if "transparency" in image.info:  # PIL warns where it is a table, and would only carry it along
        opaque = image.copy()
        opaque.info.pop("transparency")
    converted = opaque.convert(mode)
    if image.has_transparency_data and _flat(converted) and not _flat(image.convert("RGBA").getchannel("A")):
        reason = "one colour, with the picture in its transparency"
        raise Unreadable(f"{where} is {reason}: put it on a background", where, reason)
    return converted


def _flat(image: Image.Image) -> bool:
    extremes: Any = image.getextrema()
    return all(low == high for low, high in (extremes if isinstance(extremes[0], tuple) else [extremes]))

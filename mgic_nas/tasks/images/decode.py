"""Files of images to PIL images, and what is refused on the way. Everything that decodes goes through here."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from ...errors import UserError

GREY = ("1", "L", "LA")
COLOUR = ("P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "PA", "RGBX", "RGBa", "La")


def read_file(path: str | Path) -> bytes:
    """The bytes of a file; UserError where it cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None


def decode(content: bytes, where: str) -> Image.Image:
    """The image in the bytes of a file, wholly decoded.

    Raises:
        UserError: it cannot be decoded.
    """
    try:
        image = Image.open(io.BytesIO(content))
        image.load()
    except Exception as error:  # PIL raises OSError, SyntaxError, ValueError, struct.error, ... by format
        raise _unreadable(where, error) from None
    return image


def header(file: io.BytesIO | str, where: str) -> tuple[tuple[int, int], str]:
    """((width, height), PIL mode) from the first bytes of an image.

    Raises:
        UserError: it is no image.
    """
    try:
        with Image.open(file) as image:
            return image.size, image.mode
    except Exception as error:
        raise _unreadable(where, error) from None


def _unreadable(where: str, error: Exception) -> UserError:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    reason = "unknown format" if "cannot identify image file" in text else text
    return UserError(f"{where} is not a readable image ({reason}): replace or remove it")


def in_channels(image: Image.Image, channels: int, where: str) -> Image.Image:
    """The image as 8-bit grey (1 channel) or RGB (3).

    Raises:
        UserError: it has more than 8 bits a channel, which PIL would silently clip.
    """
    if image.mode not in GREY and image.mode not in COLOUR:
        raise UserError(f"{where} is a {image.mode} image: convert it to 8 bits a channel")
    mode = "L" if channels == 1 else "RGB"
    return image if image.mode == mode else image.convert(mode)

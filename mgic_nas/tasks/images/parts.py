"""What a source of images gives: parts of labelled images, read one at a time."""

import io
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ...errors import UserError

if TYPE_CHECKING:
    from PIL import Image

GREY = ("1", "L", "LA")
COLOUR = ("P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "PA", "RGBX", "RGBa", "La")


class Part(ABC):
    """The images and labels of one original split, undecoded where the source allows it."""

    #: int64 (N,), indices into the source's classes.
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def where(self, index: int) -> str:
        """The place of an image, for messages: "row 12 of train.parquet"."""

    @abstractmethod
    def content(self, index: int) -> bytes:
        """The bytes that determine the image: its file, or its pixels."""

    def identity(self, index: int) -> str:
        """What tells an image apart without reading it (for data sets too large to be read for a fingerprint)."""
        return str(index)

    def image(self, index: int) -> "Image.Image":
        """The decoded image.

        Raises:
            UserError: it cannot be decoded.
        """
        return decode(self.content(index), self.where(index))

    def header(self, index: int) -> tuple[tuple[int, int], str]:
        """((width, height), PIL mode), without decoding the pixels.

        Raises:
            UserError: it is no image.
        """
        return header(io.BytesIO(self.content(index)), self.where(index))


class DecodedPart(Part):
    """Images that come decoded: a subclass says how one is had, and this what follows from it."""

    @abstractmethod
    def image(self, index: int) -> "Image.Image":
        """The image."""

    def content(self, index: int) -> bytes:
        return self.image(index).tobytes()

    def header(self, index: int) -> tuple[tuple[int, int], str]:
        image = self.image(index)
        return image.size, image.mode


class Source(Protocol):
    """One data set, whatever it is stored as."""

    name: str
    classes: tuple[str, ...]
    #: Images, or their fraction, that are cut from train where there is no validation part and no ``val`` option.
    default_val: int | float
    #: Whether images that differ in size are usual here (photographs in folders) or a mistake (a table).
    mixed_sizes: bool

    def part(self, role: str) -> Part | None:
        """The "train", "val" or "test" part, or None where there is none."""

    def test_count(self) -> int:
        """The number of test images, found without reading one."""


def decode(content: bytes, where: str) -> "Image.Image":
    """The image in the bytes of a file, wholly decoded."""
    from PIL import Image

    try:
        image = Image.open(io.BytesIO(content))
        image.load()
    except Exception as error:  # PIL raises OSError, SyntaxError, ValueError, struct.error, ... by format
        raise UserError(f"{where} is not a readable image ({_reason(error)}): replace or remove it") from None
    return image


def header(file: io.BytesIO | str, where: str) -> tuple[tuple[int, int], str]:
    """((width, height), mode) from the first bytes of an image."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            return image.size, image.mode
    except Exception as error:
        raise UserError(f"{where} is not a readable image ({_reason(error)}): replace or remove it") from None


def _reason(error: Exception) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return "unknown format" if "cannot identify image file" in text else text


def in_channels(image: "Image.Image", channels: int, where: str) -> "Image.Image":
    """The image as 8-bit grey or RGB.

    Raises:
        UserError: it has more than 8 bits a channel, which PIL would silently clip.
    """
    if image.mode not in GREY and image.mode not in COLOUR:
        raise UserError(f"{where} is a {image.mode} image: convert it to 8 bits a channel")
    mode = "L" if channels == 1 else "RGB"
    return image if image.mode == mode else image.convert(mode)


def class_names(labels: np.ndarray, names: tuple[str, ...] | None, where: str) -> tuple[str, ...]:
    """The classes of a training part whose labels are numbers, and the check that each one occurs.

    Raises:
        UserError: a negative label, or a class without an image.
    """
    if not len(labels):
        raise UserError(f"{where} has no images")
    if labels.min() < 0:
        row = int(np.argmax(labels < 0))
        raise UserError(f"{where}: row {row} has the label {labels[row]}; labels count from 0")
    count = max(len(names) if names else 0, int(labels.max()) + 1)
    if count > 1_000_000:
        raise UserError(f"{where} has the label {count - 1:,}: labels count the classes from 0")
    names = tuple(names[i] if names and i < len(names) else str(i) for i in range(count))
    missing = np.flatnonzero(np.bincount(labels, minlength=count) == 0)
    if len(missing):
        some = ", ".join(names[i] for i in missing[:3])
        raise UserError(
            f"{where}: {len(missing)} of {count} classes have no training image ({some}): add some or renumber"
        )
    if count < 2:
        raise UserError(f"{where} has one class only, {names[0]!r}: there is nothing to tell apart")
    return names

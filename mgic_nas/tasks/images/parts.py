"""What a source of images gives: parts of labelled images, read one at a time."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from typing import Protocol

import numpy as np
from PIL import Image

from ...errors import UserError
from .decode import decode, header

#: More classes than this are a column that holds something else than classes.
MAX_CLASSES = 1_000_000


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

    def length(self, index: int) -> int | None:
        """The bytes of its file, known without reading it; None where images are no files."""
        return None

    def ends(self, index: int) -> tuple[bytes, bytes]:
        """The first and the last eight bytes of :meth:`content`."""
        content = self.content(index)
        return content[:8], content[-8:]

    def image(self, index: int) -> Image.Image:
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
    """Images that come decoded; a subclass has ``image``.

    Args:
        name: of the data set and the split, for messages.
        labels: int64 (N,).
    """

    def __init__(self, name: str, labels: np.ndarray) -> None:
        self.name = name
        self.labels = labels

    def where(self, index: int) -> str:
        return f"image {index} of {self.name}"

    @abstractmethod
    def image(self, index: int) -> Image.Image:
        """The image."""

    def content(self, index: int) -> bytes:
        return self.image(index).tobytes()

    def header(self, index: int) -> tuple[tuple[int, int], str]:
        image = self.image(index)
        return image.size, image.mode


class ArrayPart(DecodedPart):
    """Grey images uint8 (N, H, W) in memory."""

    def __init__(self, name: str, images: np.ndarray, labels: np.ndarray) -> None:
        super().__init__(name, labels)
        self._images = images

    def image(self, index: int) -> Image.Image:
        return Image.fromarray(self._images[index])


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
    if count > MAX_CLASSES:
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

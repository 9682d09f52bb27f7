"""Images with masks, read from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from ...errors import UserError
from ..images.decode import decode, header, in_channels, read_file
from .shapes import IGNORE

MASK_MODES = ("1", "L", "P", "I", "I;16")


def file_size(path: Path) -> tuple[int, int]:
    """(width, height) of an image file, from its header."""
    return header(str(path), str(path))[0]


class Pairs:
    """Images and masks read from files, brought to ``size`` (height, width): bilinear and nearest.

    Args:
        files: (image, mask) of each item.
        size: of every item.
        strict: an item of another size is refused rather than resized.
        classes: a mask may hold the values below it, and ``ignore``. None: any value.
        ignore: the mask's value for pixels of no class; it becomes :data:`IGNORE`.
    """

    def __init__(
        self,
        files: list[tuple[Path, Path]],
        size: tuple[int, int],
        strict: bool,
        classes: int | None,
        ignore: int = IGNORE,
    ) -> None:
        self.files = files
        self._size = size
        self._strict = strict
        self._classes = classes
        self._ignore = ignore

    def __len__(self) -> int:
        return len(self.files)

    def check(self, most: int) -> None:
        """Reads the headers of the first ``most`` items, so that a wrong one is found before training.

        Raises:
            UserError: a file that is no image, or sizes that do not fit.
        """
        for image, mask in self.files[:most]:
            self._check_sizes(image, file_size(image), file_size(mask))

    def _check_sizes(self, path: Path, image: tuple[int, int], mask: tuple[int, int]) -> None:
        height, width = self._size
        if image != mask:
            raise UserError(f"{path} is {_by(image)} and its mask {_by(mask)}: make them the same size")
        if self._strict and image != (width, height):
            raise UserError(f"{path} is {_by(image)}, the first one {width}x{height}: say ?size=HEIGHTxWIDTH")

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Image uint8 (3, H, W) and mask uint8 (H, W).

        Raises:
            UserError: a file that cannot be read, sizes that do not fit, or a mask that is none.
        """
        image_path, mask_path = self.files[index]
        image, mask = in_channels(_open(image_path), 3, str(image_path)), _open(mask_path)
        height, width = self._size
        self._check_sizes(image_path, image.size, mask.size)
        labels = Image.fromarray(self._labels(mask, mask_path))
        if image.size != (width, height):
            image = image.resize((width, height), Image.Resampling.BILINEAR)
            labels = labels.resize((width, height), Image.Resampling.NEAREST)
        return np.array(image).transpose(2, 0, 1), np.array(labels)  # copies: torch wants them writable

    def _labels(self, mask: Image.Image, path: Path) -> np.ndarray:
        if mask.mode not in MASK_MODES:
            raise UserError(f"{path} has colours ({mask.mode}), not one number a pixel: write class numbers")
        values = np.asarray(mask).astype(np.int64)
        ignored = values == self._ignore
        allowed = IGNORE if self._classes is None else self._classes
        wrong = ~ignored & ((values < 0) | (values >= allowed))
        if wrong.any():
            value = int(values[wrong][0])
            raise UserError(f"{path} has the value {value}: classes are 0 to {allowed - 1}, {self._ignore} is ignored")
        values[ignored] = IGNORE
        return values.astype(np.uint8)


def _open(path: Path) -> Image.Image:
    return decode(read_file(path), str(path))


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"

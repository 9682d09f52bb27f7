"""Images with masks, read from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from ...errors import UserError
from ..images.decode import decode, in_channels, read_file
from .read import read_mask
from .survey import Survey
from .values import Values

#: EXIF's orientation -> what undoes the turn by which an image is made upright.
_BACK = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


class Pairs:
    """Images and masks read from files, brought to ``size`` (height, width): bilinear and nearest.

    Args:
        survey: what was seen of them; it says which images are used as they are stored.
        size: of every item.
        values: which number of a mask is which class.
    """

    def __init__(self, survey: Survey, size: tuple[int, int], values: Values) -> None:
        self.files = survey.files
        self.seen = survey.seen
        self._size = size
        self._values = values

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Image uint8 (3, H, W) and mask uint8 (H, W).

        Raises:
            UserError: a file that cannot be read, or that has changed since it was looked at.
        """
        image, labels = self._image(index), self._labels(index)
        if image.size != labels.size:
            path = self.files[index][0]
            raise UserError(
                f"{path} is {image.width}x{image.height} and its mask {labels.width}x{labels.height}: make them the "
                "same size"
            )
        height, width = self._size
        if image.size != (width, height):
            image = image.resize((width, height), Image.Resampling.BILINEAR)
            labels = labels.resize((width, height), Image.Resampling.NEAREST)
        return np.array(image).transpose(2, 0, 1), np.array(labels)  # copies: torch wants them writable

    def _image(self, index: int) -> Image.Image:
        path, seen = self.files[index][0], self.seen[index]
        image = in_channels(decode(read_file(path), str(path)), 3, str(path))
        return image.transpose(_BACK[seen.orientation]) if seen.as_stored else image

    def _labels(self, index: int) -> Image.Image:
        path: Path = self.files[index][1]
        return Image.fromarray(self._values.classes(read_mask(path, self._values.coloured), path))

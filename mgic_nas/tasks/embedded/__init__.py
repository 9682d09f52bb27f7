"""The data set that comes with the package, so that a first search needs no download.

``fashion``: 8,000 images of Fashion-MNIST, 14x14 grey, 10 classes, 800 each. ``fashion-train.png`` holds 700 a
class from the original training set, ``fashion-test.png`` 100 a class from the original test set.
:mod:`.make_fashion` made both files; LICENSE-fashion-mnist is their MIT notice.

Each file is a sheet of 14x14 tiles, 100 in a row, the classes one after another. Sheets open in any image viewer
and compress as well as purpose-made formats do (937 kB; lzma reaches 895).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
SIDE = 14
TILES_IN_A_ROW = 100
PER_CLASS = {"train": 700, "test": 100}
#: Images of the training file that become the validation part where the spec names no other number.
VALIDATION = 2000


def sheet_path(part: str) -> Path:
    """The file that holds ``part`` ("train" or "test")."""
    return Path(__file__).with_name(f"fashion-{part}.png")


def to_sheet(images: np.ndarray) -> np.ndarray:
    """Tiles (N, 14, 14), N a multiple of 100, laid out as one picture."""
    rows = images.reshape(-1, TILES_IN_A_ROW, SIDE, SIDE).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(rows).reshape(-1, TILES_IN_A_ROW * SIDE)


def from_sheet(sheet: np.ndarray) -> np.ndarray:
    """The inverse of :func:`to_sheet`: uint8 (N, 14, 14)."""
    rows = sheet.reshape(-1, SIDE, TILES_IN_A_ROW, SIDE).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(rows).reshape(-1, SIDE, SIDE)


def load_fashion(part: str) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (N, 14, 14) and labels int64 (N,) of ``part`` ("train" or "test")."""
    with Image.open(sheet_path(part)) as sheet:
        images = from_sheet(np.asarray(sheet, dtype=np.uint8))
    return images, np.repeat(np.arange(len(CLASSES), dtype=np.int64), PER_CLASS[part])

"""Folders of small images with masks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Values = Callable[[int], np.ndarray]


def square(*values: int, size: int = 8) -> Values:
    """Masks (size, size) with these values in vertical stripes, at another place in each."""
    return lambda number: np.roll(np.resize(np.repeat(values, -(-size // len(values))), (size, size)), number, 1)


def write_masks(
    root: Path,
    masks: Values,
    count: int = 10,
    *,
    ending: str = "png",
    tail: str = "",
    first: int = 0,
    dtype: Any = np.uint8,
    **options: Any,
) -> None:
    """``root/images/<number>.png``, all different, and ``root/masks/<number><tail>.<ending>``, of ``masks``."""
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        values = masks(number).astype(dtype)
        noise = np.random.RandomState(number).randint(0, 256, (*values.shape[:2], 3)).astype(np.uint8)
        Image.fromarray(noise).save(root / "images" / f"{number}.png")
        Image.fromarray(values).save(root / "masks" / f"{number}{tail}.{ending}", **options)

"""Discs, squares and triangles on a noisy ground, with a mask: a segmentation set that needs no file."""

from __future__ import annotations

import numpy as np

from ..base import mix

CLASSES = ("ground", "disc", "square", "triangle")
#: Pixels that belong to no class, as PASCAL VOC and Cityscapes mark them.
IGNORE = 255
#: Mean colour of each class. Colours scatter so widely that they help at first, and the form decides in the end.
_COLOURS = np.array([(115, 115, 115), (165, 100, 100), (100, 165, 100), (100, 100, 165)])
_SCATTER = 45


class Shapes:
    """``count`` images of ``size`` (height, width), each the same for the same ``seeds``, whatever ``count`` is."""

    def __init__(self, count: int, size: tuple[int, int], *seeds: int | str) -> None:
        self._count = count
        self._size = size
        self._seeds = seeds

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Image uint8 (3, H, W) and mask uint8 (H, W); the pixels along a border are :data:`IGNORE`."""
        if not 0 <= index < self._count:
            raise IndexError(index)
        # RandomState and not default_rng: numpy guarantees that its stream never changes.
        rng = np.random.RandomState(mix(*self._seeds, index) % 2**32)
        height, width = self._size
        y, x = np.mgrid[:height, :width]
        mask = np.zeros(self._size, dtype=np.uint8)
        image = np.broadcast_to(_colour(rng, 0), (height, width, 3)).copy()
        for _ in range(rng.randint(1, 5)):
            label = rng.randint(1, len(CLASSES))
            radius = rng.uniform(0.12, 0.25) * min(height, width)
            inside = _form(label, (x - rng.uniform(0, width)) / radius, (y - rng.uniform(0, height)) / radius)
            mask[inside], image[inside] = label, _colour(rng, label)
        image += rng.normal(0, 12, image.shape)
        mask[_borders(mask)] = IGNORE
        return image.clip(0, 255).round().astype(np.uint8).transpose(2, 0, 1), mask


def _colour(rng: np.random.RandomState, label: int) -> np.ndarray:
    return _COLOURS[label] + rng.normal(0, _SCATTER, 3)


def _form(label: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Where a form of radius 1 about the origin is."""
    if label == 1:
        return x**2 + y**2 < 1
    if label == 2:
        return np.maximum(abs(x), abs(y)) < 0.85
    return (y < 0.7) & (abs(x) < (y + 1.1) / 1.6)


def _borders(mask: np.ndarray) -> np.ndarray:
    """The pixels whose neighbour above or to the left has another class, and those neighbours."""
    border = np.zeros(mask.shape, dtype=bool)
    down, across = mask[1:] != mask[:-1], mask[:, 1:] != mask[:, :-1]
    border[1:] |= down
    border[:-1] |= down
    border[:, 1:] |= across
    border[:, :-1] |= across
    return border

"""Folders with the idx files that MNIST and its successors (Fashion-MNIST, KMNIST, ...) are published as."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from ...errors import UserError
from ..layout import idx_file, idx_name
from ..spec import Spec
from ..split import VALIDATION
from .parts import ArrayPart, Part, class_names


def read_idx(path: Path) -> np.ndarray:
    """The uint8 array in an idx file, gzipped or not.

    Raises:
        UserError: it is no idx file of bytes, or it is cut off.
    """
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except (OSError, EOFError) as error:
        raise UserError(f"{path} cannot be read ({error}): replace it") from None
    if len(content) < 4 or content[:3] != b"\0\0\x08" or len(content) < 4 + 4 * content[3]:
        raise UserError(f"{path} is not an idx file of bytes: replace it")
    shape = tuple(np.frombuffer(content, ">u4", count=content[3], offset=4).tolist())
    pixels = np.frombuffer(content, np.uint8, offset=4 + 4 * len(shape))
    if len(pixels) != np.prod(shape):
        raise UserError(f"{path} holds {len(pixels):,} bytes, not the {'x'.join(map(str, shape))} that it says")
    return pixels.reshape(shape)


def pool(images: np.ndarray, by: int = 2) -> np.ndarray:
    """Means of ``by`` x ``by`` blocks of uint8 (N, H, W), rounded half up: uint8 (N, H / by, W / by).

    Raises:
        UserError: the sides are no multiples of ``by``.
    """
    count, height, width = images.shape
    if height % by or width % by:
        raise UserError(f"pool={by} does not divide the images' {height}x{width} pixels")
    blocks = images.reshape(count, height // by, by, width // by, by).sum((2, 4), dtype=np.uint32)
    return ((blocks + by * by // 2) // (by * by)).astype(np.uint8)


class IdxSource:
    """``train-images-idx3-ubyte`` and its siblings; ``pool=2`` halves the sides by taking means of 2x2 pixels."""

    default_val: int | float = VALIDATION
    mixed_sizes = False

    def __init__(self, spec: Spec) -> None:
        spec.only_images("pool")
        self._folder = Path(spec.source)
        self._by = spec.get("pool", 1)
        self.name = self._folder.name
        self._train = self._read("train")
        self.classes = class_names(self._train.labels, None, str(self._folder))

    def part(self, role: str) -> Part | None:
        if role == "train":
            return self._train
        if role == "val" or idx_file(self._folder, "test", "images") is None:
            return None
        return self._read("test")

    def test_count(self) -> int:
        labels = idx_file(self._folder, "test", "labels")
        return 0 if labels is None else len(read_idx(labels))

    def _read(self, role: str) -> ArrayPart:
        paths = [idx_file(self._folder, role, what) for what in ("images", "labels")]
        for path, what in zip(paths, ("images", "labels")):
            if path is None:
                raise UserError(f"{self._folder} has no file {idx_name(role, what)}")
        images, labels = (read_idx(path) for path in paths if path)
        if images.ndim != 3 or labels.shape != images.shape[:1]:
            raise UserError(f"{paths[0]} and {Path(str(paths[1])).name} do not belong together")
        pooled = pool(images, self._by) if self._by > 1 else images
        return ArrayPart(f"{self._folder} ({role})", pooled, labels.astype(np.int64))

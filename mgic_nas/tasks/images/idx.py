"""Folders with the idx files that MNIST and its successors (Fashion-MNIST, KMNIST, ...) are published as."""

from __future__ import annotations

import gzip
import hashlib
import math
import zlib
from pathlib import Path

import numpy as np

from ...errors import UserError
from ..layout import idx_file, idx_name, visible
from ..spec import COMMON, Spec
from ..split import VALIDATION
from .parts import ArrayPart, Part, class_names

#: The third byte of an idx file -> what it holds.
_TYPES = {8: "bytes", 9: "signed bytes", 11: "short numbers", 12: "integers", 13: "floats", 14: "doubles"}


def read_idx(path: Path) -> np.ndarray:
    """The uint8 array in an idx file, gzipped or not; where it lies there in both forms, they must agree.

    Raises:
        UserError: it is no idx file of bytes, it is cut off, or its two forms differ.
    """
    content = _content(path)
    twin = path.with_name(path.name.removesuffix(".gz")) if path.suffix == ".gz" else path.with_name(f"{path.name}.gz")
    if twin.is_file() and _content(twin) != content:
        raise UserError(f"{path} and {twin.name} hold different data: remove one of them")
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _TYPES or len(content) < 4 + 4 * content[3]:
        raise UserError(f"{path} is not an idx file of bytes: replace it")
    if content[2] != 8:
        raise UserError(f"{path} is an idx file of {_TYPES[content[2]]}, not of bytes: convert it")
    shape = tuple(np.frombuffer(content, ">u4", count=content[3], offset=4).tolist())
    pixels = np.frombuffer(content, np.uint8, offset=4 + 4 * len(shape))
    if len(pixels) != math.prod(shape):
        raise UserError(f"{path} holds {len(pixels):,} bytes, not the {'x'.join(map(str, shape))} that it says")
    return pixels.reshape(shape)


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} cannot be read ({error}): replace it") from None


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
        spec.only({*COMMON, "size", "chans", "pool"}, "idx files")
        self._folder = Path(spec.source)
        self._by = spec.get("pool", 1)
        self.name = self._folder.name
        train = self._read("train")
        self._train = self._part("train", *train)
        self.classes = class_names(self._train.labels, None, str(self._folder))
        has_test = any(idx_file(self._folder, "test", what) for what in ("images", "labels"))
        test = self._read("test") if has_test else None
        self._tests = 0 if test is None else len(test[1])
        if test is not None and test[1].size and test[1].max() >= len(self.classes):
            row = int((test[1] >= len(self.classes)).argmax())
            raise UserError(
                f"image {row} of {self._folder} (test) has the label {test[1][row]}, of which train has no images"
            )
        self.notes = tuple(self._notes(train[0], None if test is None else test[0]))

    def part(self, role: str) -> Part | None:
        if role == "train":
            return self._train
        return self._part("test", *self._read("test")) if role == "test" and self._tests else None

    def test_count(self) -> int:
        return self._tests

    def _part(self, role: str, images: np.ndarray, labels: np.ndarray) -> ArrayPart:
        pooled = pool(images, self._by) if self._by > 1 else images
        return ArrayPart(f"{self._folder} ({role})", pooled, labels.astype(np.int64))

    def _read(self, role: str) -> tuple[np.ndarray, np.ndarray]:
        """Images (N, H, W) and labels (N,) as the files have them."""
        paths = [idx_file(self._folder, role, what) for what in ("images", "labels")]
        for path, what in zip(paths, ("images", "labels")):
            if path is None:
                raise UserError(f"{self._folder} has no file {idx_name(role, what)}")
        images, labels = (read_idx(path) for path in paths if path)
        if images.ndim != 3 or labels.shape != images.shape[:1]:
            shapes = [" x ".join(f"{side:,}" for side in array.shape) for array in (images, labels)]
            raise UserError(
                f"{paths[0]} and {Path(str(paths[1])).name} do not belong together: they hold {shapes[0]} and "
                f"{shapes[1]} numbers, not images x height x width and as many labels"
            )
        return images, labels

    def _notes(self, train: np.ndarray, test: np.ndarray | None) -> list[str]:
        found = (idx_file(self._folder, role, what) for role in ("train", "test") for what in ("images", "labels"))
        read = {path.name.removesuffix(".gz") for path in found if path}
        files = sorted(path.name for path in self._folder.glob("*-ubyte*") if visible(path))
        others = [name for name in files if name.removesuffix(".gz") not in read]
        notes = [f"idx files that are not read: {', '.join(others[:4])}"] if others else []
        if test is None:
            return notes
        if len(test) > len(train):
            notes.append(f"{len(test):,} test images and only {len(train):,} to train on: are train and t10k swapped?")
        first: dict[bytes, int] = {}
        for row, image in enumerate(train):
            first.setdefault(hashlib.sha256(image.tobytes()).digest(), row)
        digests = [hashlib.sha256(image.tobytes()).digest() for image in test]
        twice = [(row, first[digest]) for row, digest in enumerate(digests) if digest in first]
        if twice and train.shape[1:] == test.shape[1:]:
            row, twin = twice[0]
            notes.append(f"{len(twice):,} of the test images are also in train: image {row} is image {twin} of train")
        return notes

"""Folders with the idx files that MNIST and its successors (Fashion-MNIST, KMNIST, ...) are published as."""

import gzip
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...errors import UserError
from ..spec import Spec
from .parts import DecodedPart, Part, class_names

if TYPE_CHECKING:
    from PIL import Image

STEMS = {"train": "train", "test": "t10k"}


def idx_file(folder: Path, role: str, what: str) -> Path | None:
    """The file of "images" or "labels" of a role ("train", "test"), gzipped or not; None where there is none."""
    stem = f"{STEMS[role]}-{what}-idx{3 if what == 'images' else 1}-ubyte"
    return next((path for path in (folder / stem, folder / f"{stem}.gz") if path.is_file()), None)


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


class IdxPart(DecodedPart):
    """Grey images and their class numbers, from one pair of files."""

    def __init__(self, folder: Path, role: str, by: int) -> None:
        self._role, self._folder = role, folder
        images, labels = (idx_file(folder, role, what) for what in ("images", "labels"))
        if images is None or labels is None:
            missing = "images" if images is None else "labels"
            raise UserError(f"{folder} has no file {STEMS[role]}-{missing}-idx{3 if images is None else 1}-ubyte")
        self._images = read_idx(images)
        self.labels = read_idx(labels).astype(np.int64)
        if self._images.ndim != 3 or self.labels.shape != self._images.shape[:1]:
            raise UserError(f"{images} and {labels.name} do not belong together")
        if by > 1:
            self._images = pool(self._images, by)

    def where(self, index: int) -> str:
        return f"image {index} of {self._folder} ({self._role})"

    def image(self, index: int) -> "Image.Image":
        from PIL import Image

        return Image.fromarray(self._images[index])


class IdxSource:
    """``train-images-idx3-ubyte`` and its siblings; ``pool=2`` halves the sides by taking means of 2x2 pixels."""

    default_val: int | float = 0.1
    mixed_sizes = False

    def __init__(self, spec: Spec) -> None:
        spec.only("pool")
        self._folder = Path(spec.source)
        self._by = spec.get("pool", 1)
        self.name = self._folder.name
        self._train = IdxPart(self._folder, "train", self._by)
        self.classes = class_names(self._train.labels, None, str(self._folder))

    def part(self, role: str) -> Part | None:
        if role == "train":
            return self._train
        if role == "val" or idx_file(self._folder, "test", "images") is None:
            return None
        return IdxPart(self._folder, "test", self._by)

    def test_count(self) -> int:
        labels = idx_file(self._folder, "test", "labels")
        return 0 if labels is None else len(read_idx(labels))

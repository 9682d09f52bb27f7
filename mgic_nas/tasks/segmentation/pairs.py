"""Folders of images with masks: ``images/`` beside ``masks/``, the same names in both."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...errors import UserError
from ..images.folder import ROLES
from ..images.parts import decode, header, in_channels
from .shapes import IGNORE

if TYPE_CHECKING:
    from PIL import Image

IMAGES = ("images", "image", "img")
MASKS = ("masks", "mask", "labels", "annotations")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")


def find_pairs(root: Path) -> dict[str, list[tuple[Path, Path]]]:
    """The (image, mask) files of each role that ``root`` has: "train" alone, or more where it has such folders.

    Raises:
        UserError: neither layout is there, or an image has no mask.
    """
    if not root.is_dir():
        raise UserError(f"there is no folder {root}: name one with images/ and masks/")
    found = {}
    for role, names in ROLES.items():
        folder = next((root / name for name in names if _side(root / name, IMAGES)), None)
        if folder is not None:
            found[role] = _pairs(folder)
    if not found and _side(root, IMAGES):
        found["train"] = _pairs(root)
    if "train" not in found:
        raise UserError(f"{root} has neither images/ and masks/ nor train/images/ and train/masks/")
    return found


def _side(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def _files(folder: Path) -> dict[str, Path]:
    """Name without suffix, below ``folder`` -> file."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in found}


def _pairs(folder: Path) -> list[tuple[Path, Path]]:
    images_folder, masks_folder = _side(folder, IMAGES), _side(folder, MASKS)
    assert images_folder is not None
    if masks_folder is None:
        raise UserError(f"{folder} has {images_folder.name}/ but no masks/ beside it")
    images, masks = _files(images_folder), _files(masks_folder)
    if not images:
        raise UserError(f"{images_folder} has no images")
    for name, path in images.items():
        if name not in masks:
            raise UserError(f"{path} has no mask of the same name in {masks_folder}: add it or remove the image")
    return [(images[name], masks[name]) for name in images]


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
            self._check_sizes(image, header(str(image), str(image))[0], header(str(mask), str(mask))[0])

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
        from PIL import Image

        image_path, mask_path = self.files[index]
        image, mask = in_channels(_open(image_path), 3, str(image_path)), _open(mask_path)
        height, width = self._size
        self._check_sizes(image_path, image.size, mask.size)
        labels = Image.fromarray(self._labels(mask, mask_path))
        if image.size != (width, height):
            image = image.resize((width, height), Image.Resampling.BILINEAR)
            labels = labels.resize((width, height), Image.Resampling.NEAREST)
        return np.array(image).transpose(2, 0, 1), np.array(labels)  # copies: torch wants them writable

    def _labels(self, mask: "Image.Image", path: Path) -> np.ndarray:
        if mask.mode not in ("1", "L", "P", "I", "I;16"):
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


def _open(path: Path) -> "Image.Image":
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    return decode(content, str(path))


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def first_size(files: list[tuple[Path, Path]]) -> tuple[int, int]:
    """(height, width) of the first image."""
    path = files[0][0]
    (width, height), _ = header(str(path), str(path))
    return height, width

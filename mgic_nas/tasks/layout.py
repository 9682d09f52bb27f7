"""Which files of a folder are a data set's, and which split each belongs to. Reads no file and imports nothing heavy.

What is said here holds for all kinds of storage: folders of images, parquet, idx, images with masks.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..errors import UserError

#: Role -> what its folder may be called, in the order of preference.
ROLES = {
    "train": ("train", "training"),
    "val": ("val", "validation", "valid", "eval", "evaluation"),
    "test": ("test", "testing"),
}
#: Role -> how the names of its parquet files begin.
PARQUET_ROLES = {"train": ("train",), "val": ("val", "validation", "valid"), "test": ("test",)}
IDX_STEMS = {"train": "train", "test": "t10k"}
IDX_KINDS = {"images": "images-idx3-ubyte", "labels": "labels-idx1-ubyte"}
#: The folders that torchvision's data sets make inside their root, and timm's names for them.
TORCHVISION_FOLDERS = {"cifar-10-batches-py": "torch/cifar10", "cifar-100-python": "torch/cifar100"}
IMAGE_FOLDERS = ("images", "image", "img")
MASK_FOLDERS = ("masks", "mask", "labels", "annotations")
PAIR_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")


def first_folder(root: Path, names: Iterable[str]) -> Path | None:
    """The first folder of these names in ``root``."""
    return next((root / name for name in names if (root / name).is_dir()), None)


def role_folders(root: Path) -> dict[str, Path | None]:
    """The folder of images of each role; training images lie in ``root`` itself where no role has a folder.

    Raises:
        UserError: there is a folder for another role but none to train on.
    """
    folders = {role: first_folder(root, names) for role, names in ROLES.items()}
    if folders["train"] is None:
        beside = next(filter(None, folders.values()), None)
        if beside is not None:
            raise UserError(f"{root} has a folder {beside.name}/ but no train/ beside it")
        folders["train"] = root
    return folders


def torchvision_root(folder: Path) -> tuple[Path, str] | None:
    """(root, timm's name) of a torchvision data set, whether ``folder`` is its root or its own folder."""
    for inner, name in TORCHVISION_FOLDERS.items():
        if folder.name == inner:
            return folder.parent, name
        if (folder / inner).is_dir():
            return folder, name
    return None


def idx_file(folder: Path, role: str, what: str) -> Path | None:
    """The file of "images" or "labels" of a role ("train", "test"), gzipped or not; None where there is none."""
    name = idx_name(role, what)
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def idx_name(role: str, what: str) -> str:
    """``train-images-idx3-ubyte``."""
    return f"{IDX_STEMS[role]}-{IDX_KINDS[what]}"


def parquet_folders(folder: Path) -> list[Path]:
    """Where parquet files lie: ``folder`` or, as on the hub, folders directly inside it."""
    return [folder] if any(folder.glob("*.parquet")) else sorted({path.parent for path in folder.glob("*/*.parquet")})


def parquet_files(folder: Path) -> dict[str, list[Path]]:
    """The shards of each role.

    Raises:
        UserError: several configurations side by side, or none to train on.
    """
    places = parquet_folders(folder)
    if len(places) > 1:
        raise UserError(
            f"{folder} has parquet files in several folders ({', '.join(p.name for p in places[:4])}): name one of them"
        )
    files: dict[str, list[Path]] = {role: [] for role in PARQUET_ROLES}
    for path in sorted(places[0].glob("*.parquet")):
        stem = path.stem.lower()
        for role, prefixes in PARQUET_ROLES.items():
            if any(
                stem == prefix or stem.startswith((f"{prefix}-", f"{prefix}_", f"{prefix}.")) for prefix in prefixes
            ):
                files[role].append(path)
    if not files["train"]:
        raise UserError(f"{places[0]} has parquet files but none is called train.parquet or train-*.parquet")
    return files


def mask_pairs(root: Path) -> dict[str, list[tuple[Path, Path]]]:
    """The (image, mask) files of each role that ``root`` has: "train" alone, or more where it has such folders.

    Raises:
        UserError: neither layout is there, or an image has no mask.
    """
    if not root.is_dir():
        raise UserError(f"there is no folder {root}: name one with images/ and masks/")
    found = {}
    for role, names in ROLES.items():
        folder = next((root / name for name in names if first_folder(root / name, IMAGE_FOLDERS)), None)
        if folder is not None:
            found[role] = _pairs(folder)
    if not found and first_folder(root, IMAGE_FOLDERS):
        found["train"] = _pairs(root)
    if "train" not in found:
        raise UserError(f"{root} has neither images/ and masks/ nor train/images/ and train/masks/")
    return found


def _pairs(folder: Path) -> list[tuple[Path, Path]]:
    images_folder, masks_folder = first_folder(folder, IMAGE_FOLDERS), first_folder(folder, MASK_FOLDERS)
    assert images_folder is not None
    if masks_folder is None:
        raise UserError(f"{folder} has {images_folder.name}/ but no masks/ beside it")
    images, masks = _by_stem(images_folder), _by_stem(masks_folder)
    if not images:
        raise UserError(f"{images_folder} has no images")
    for name, path in images.items():
        if name not in masks:
            raise UserError(f"{path} has no mask of the same name in {masks_folder}: add it or remove the image")
    return [(images[name], masks[name]) for name in images]


def _by_stem(folder: Path) -> dict[str, Path]:
    """Name without suffix, below ``folder`` -> file."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PAIR_SUFFIXES)
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in found}

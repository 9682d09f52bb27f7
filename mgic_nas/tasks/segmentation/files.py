"""Which files of a folder are images and which their masks, and which split each pair belongs to. Reads no pixel."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import UserError
from ..images.decode import suffixes
from ..layout import role_folders, role_of, visible, walk

#: Names of the folders, in any case.
IMAGE_FOLDERS = ("images", "image", "imgs", "img", "jpegimages", "leftimg8bit")
MASK_FOLDERS = (
    *("masks", "mask", "labels", "label", "annotations", "segmentation", "segmentationclass", "gtfine", "groundtruth"),
    *("ground_truth", "gt"),
)
#: Where lists of the images of a split lie, beside the data set's own folder, and how their names end.
LIST_FOLDERS = ("imagesets", "splits", "split", "lists")
LIST_ENDINGS = (".txt", ".csv", ".lst", ".json")
#: What may follow the common part of the two names.
IMAGE_TAILS = ("_leftImg8bit", "_image", "_img", "_rgb", "_sat")
MASK_TAILS = (
    *("_gtFine_labelTrainIds", "_gtFine_labelIds", "_gtCoarse_labelTrainIds", "_gtCoarse_labelIds", "_segmentation"),
    *("_groundtruth", "_ground_truth", "_annotation", "_labels", "_label", "_masks", "_mask", "-mask", "_seg", "_gt"),
    "_L",
)
_NAMED = 3

Pair = tuple[Path, Path]


@dataclass
class Found:
    """The (image, mask) files of each role: "train", and where they are there "val" and "test".

    ``unmasked`` are the images that have no mask; ``notes`` say what was left out.
    """

    pairs: dict[str, list[Pair]] = field(default_factory=dict)
    unmasked: dict[str, list[Path]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def find_pairs(root: Path) -> Found:
    """The pairs below ``root``, in one of three layouts.

    ``images/`` and ``masks/``; the same below ``train/``, ``val/`` and ``test/``; or ``train/``, ``val/`` and
    ``test/`` below each of ``images/`` and ``masks/``. Names of folders in any case, of splits as for folders of
    classes.

    Raises:
        UserError: none of them, one that could be read in two ways, or files that do not belong together.
    """
    if not root.is_dir():
        raise UserError(f"there is no folder {root}: name one with images/ and masks/")
    found = Found()
    images = _only(root, IMAGE_FOLDERS, "images")
    if images is None:
        _split_above(root, found)
    else:
        masks = _only(root, MASK_FOLDERS, "masks")
        if masks is None:
            raise UserError(f"{root} has {images.name}/ but no masks/ beside it")
        beside = [child.name for child in _folders(root) if role_of(child.name)]
        if beside:
            raise UserError(f"{root} has {images.name}/ and {beside[0]}/ side by side: keep one of the two layouts")
        _split_below(images, masks, found)
    return found


def _split_above(root: Path, found: Found) -> None:
    """``train/images`` and ``train/masks``, and so on."""
    inside = {child: _only(child, IMAGE_FOLDERS, "images") for child in _folders(root)}
    bare = next((child for child in inside if role_of(child.name) in ("train", "val") and not inside[child]), None)
    if bare is not None:
        raise UserError(f"{bare} has no images/ and masks/: put the images and masks of this split into them")
    if not any(inside.values()):
        raise UserError(f"{root} has neither images/ and masks/ nor train/images/ and train/masks/")
    roles = role_folders(root)
    found.notes += roles.notes
    train = roles.folders["train"]
    if train is not None and role_of(train.name) is None:  # the folder of the data set itself, in an archive's folder
        if train == root:
            raise UserError(f"{root} has neither images/ and masks/ nor train/images/ and train/masks/")
        inner = find_pairs(train)
        found.pairs, found.unmasked = inner.pairs, inner.unmasked
        found.notes += inner.notes
        return
    for role, folder in roles.folders.items():
        if folder is None:
            continue
        images = _only(folder, IMAGE_FOLDERS, "images")
        if images is None:
            if role == "test":
                found.notes.append(f"{folder.name}/ has no images/ and masks/ and is not used")
                continue
            raise UserError(f"{folder} has no images/ and masks/: put the images and masks of this split into them")
        masks = _only(folder, MASK_FOLDERS, "masks")
        if masks is not None:
            _match(role, images, masks, found)
        elif role == "test":
            found.notes.append(f"{folder.name}/ has no masks and is not used")
        else:
            raise UserError(f"{folder} has {images.name}/ but no masks/ beside it")


def _split_below(images: Path, masks: Path, found: Found) -> None:
    """``images/train`` and ``masks/train``, and so on; or no splits at all."""
    roles = _by_role(images)
    if not roles:
        _refuse_lists(images.parent)
        _match("train", images, masks, found)
        return
    masks_of = _by_role(masks)
    if "train" not in roles:
        raise UserError(f"{images} has a folder {next(iter(roles.values())).name}/ but no train/ beside it")
    for role, folder in roles.items():
        if role in masks_of:
            _match(role, folder, masks_of[role], found)
        elif role == "test":
            found.notes.append(f"{images.name}/{folder.name}/ has no masks and is not used")
        else:
            raise UserError(f"{folder} has no masks: there is no {folder.name}/ in {masks}")


def _refuse_lists(root: Path) -> None:
    """Refuses files that seem to say which images are not for training."""
    places = [root, *(child for child in _folders(root) if child.name.casefold() in LIST_FOLDERS)]
    files = [path for place in places for path in (place.iterdir() if place == root else map(Path, walk(place)))]
    lists = sorted(
        path.relative_to(root).as_posix()
        for path in files
        if visible(path) and path.suffix.lower() in LIST_ENDINGS and role_of(path.stem) in ("val", "test")
    )
    if lists:
        raise UserError(
            f"{root} has {', '.join(lists[:_NAMED])}, which may list images that are not for training and is not read: "
            "put the splits into folders train/, val/, test/, or move it away"
        )


def _by_role(folder: Path) -> dict[str, Path]:
    """Role -> folder below ``folder``; empty where none is named after a split."""
    children = _folders(folder)
    found: dict[str, Path] = {}
    for child in children:
        role = role_of(child.name)
        if role is None:
            continue
        if role in found:
            raise UserError(
                f"{folder} has two folders that could be the {role} part, {found[role].name} and {child.name}: keep one"
            )
        found[role] = child
    others = [child.name for child in children if role_of(child.name) is None]
    if found and (others or any(_is_image(path) for path in folder.iterdir())):
        what = f"{others[0]}/" if others else "images"
        raise UserError(
            f"{folder} holds {what} beside {next(iter(found.values())).name}/: put all of it into train/, val/, test/"
        )
    return found


def _match(role: str, images: Path, masks: Path, found: Found) -> None:
    """Pairs the images of one split with its masks."""
    of_image, of_mask = _by_name(images, found), _by_name(masks, found)
    if not of_image:
        raise UserError(f"{images} has no images{_others(images)}")
    if not of_mask:
        raise UserError(f"{masks} has no masks{_others(masks)}: write them as PNG")
    for name in of_image:
        split = next((part for part in Path(name).parts[:-1] if role_of(part)), None)
        if split:
            raise UserError(f"{images} has a folder {split}/ deeper inside: name the folder above it as the data set")
    claims = {name: _candidates(name, path, of_mask) for name, path in of_image.items()}
    several = [name for name, those in claims.items() if len(those) > 1]
    if several:
        first = ", ".join(str(of_mask[name]) for name in claims[several[0]])
        raise UserError(f"{len(several):,} images have several masks, {of_image[several[0]]} has {first}: keep one")
    users = Counter(those[0] for those in claims.values() if those)
    shared = next((name for name, count in users.items() if count > 1), None)
    if shared:
        some = ", ".join(str(of_image[name]) for name, those in claims.items() if those == [shared])
        raise UserError(f"{of_mask[shared]} could be the mask of several images ({some}): keep one")
    pairs = [(of_image[name], of_mask[those[0]]) for name, those in claims.items() if those]
    unmasked = [of_image[name] for name, those in claims.items() if not those]
    if not pairs:
        raise UserError(f"no image of {images} has a mask of its name in {masks}: name them alike, {unmasked[0].name}")
    found.pairs[role] = pairs
    found.unmasked[role] = unmasked
    spare = [path for name, path in of_mask.items() if name not in users]
    if spare:
        what = "mask has no image and is" if len(spare) == 1 else "masks have no image and are"
        found.notes.append(f"{role}: {len(spare):,} {what} left out, such as {spare[0]}")


def _others(folder: Path) -> str:
    """`` (only files with the endings .npy)`` of a folder without images."""
    endings = sorted({Path(path).suffix.lower() or "no ending" for path in walk(folder)})
    return f" (only files with the endings {', '.join(endings[:_NAMED])})" if endings else ""


def _candidates(image: str, path: Path, masks: dict[str, Path]) -> list[str]:
    """The names of the masks that an image of this name may have; ``cat.jpg.png`` is one of ``cat.jpg``."""
    folder, _, name = image.rpartition("/")
    stems = {name, path.name} | {name.removesuffix(tail) for tail in IMAGE_TAILS}
    names = [stem + tail for stem in sorted(stems) for tail in ("", *MASK_TAILS)]
    return [key for key in dict.fromkeys(f"{folder}/{mask}" if folder else mask for mask in names) if key in masks]


def _by_name(folder: Path, found: Found) -> dict[str, Path]:
    """The images below ``folder``, by their path in it without the ending."""
    files: dict[str, Path] = {}
    left_out: Counter[str] = Counter()
    for path in sorted(map(Path, walk(folder))):
        if path.suffix.lower() not in suffixes():
            left_out[path.suffix.lower() or "no ending"] += 1
            continue
        name = unicodedata.normalize("NFC", path.relative_to(folder).with_suffix("").as_posix())
        twin = files.setdefault(name, path)
        if twin != path:
            raise UserError(f"{twin} and {path.name} have the same name but for the ending: keep one of them")
    if left_out:
        counts = ", ".join(f"{ending} ({count:,})" for ending, count in left_out.most_common(5))
        found.notes.append(f"{folder.name}/: files with other endings left out: {counts}")
    return files


def _only(folder: Path, names: tuple[str, ...], what: str) -> Path | None:
    """The folder of one of these names in ``folder`` that holds an image, or the only one of such a name."""
    named = [child for child in _folders(folder) if child.name.casefold() in names]
    if len(named) > 1:
        named = [child for child in named if any(map(_is_image, map(Path, walk(child))))] or named[:1]
    if len(named) > 1:
        some = " and ".join(f"{child.name}/" for child in named[:_NAMED])
        raise UserError(f"{folder} has {some}, which could both hold the {what}: move one of them away")
    return named[0] if named else None


def _is_image(path: Path) -> bool:
    return visible(path) and path.suffix.lower() in suffixes() and path.is_file()


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if visible(path) and path.is_dir())
    except OSError as error:
        raise UserError(f"cannot read the folder {folder}: {os.strerror(error.errno or 0)}") from None

"""Which files of a folder are a data set's, and which split each belongs to. Reads no file and imports nothing heavy.

What is said here holds for all kinds of storage: folders of images, parquet, idx; images with masks ask it too.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import UserError

#: Role -> what its folder may be called, in the order of preference.
ROLES = {
    "train": ("train", "training"),
    "val": ("val", "validation", "valid", "eval", "evaluation"),
    "test": ("test", "testing"),
}
#: Word -> role, beside the names above. What is held out is for the end: it is tested on, never trained or chosen on.
_ROLE_OF_WORD = {
    **{word: role for role, words in ROLES.items() for word in words},
    **dict.fromkeys(("trn",), "train"),
    **dict.fromkeys(("validate", "validating", "dev", "devel", "develop", "development", "evaluate"), "val"),
    **dict.fromkeys(("tst", "holdout", "heldout"), "test"),
}
#: Words that say nothing about the role.
FILLERS = (
    *("set", "sets", "split", "part", "images", "image", "imgs", "img", "pics", "pictures", "photos", "data"),
    *("dataset", "datas", "folder", "dir", "samples", "file", "files"),
    *("parts", "shard", "shards", "chunk", "chunks", "batch", "batches"),
)
#: Names of files and folders that file managers and archives leave behind; hidden ones begin with a dot.
JUNK = ("__MACOSX", "__pycache__", "Thumbs.db", "desktop.ini", "@eaDir", "lost+found", "$RECYCLE.BIN")
IDX_STEMS = {"train": "train", "test": "t10k"}
IDX_KINDS = {"images": "images-idx3-ubyte", "labels": "labels-idx1-ubyte"}
#: The folders that torchvision's data sets make inside their root, and timm's names for them.
TORCHVISION_FOLDERS = {"cifar-10-batches-py": "torch/cifar10", "cifar-100-python": "torch/cifar100"}
PAIR_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class RoleFolders:
    """The folder of each role, and what a user should know of how they were found: one line a note."""

    folders: dict[str, Path | None]
    notes: tuple[str, ...] = ()


def visible(path: Path) -> bool:
    """Whether a file or folder is a person's, and not hidden or left there by a file manager."""
    return not path.name.startswith(".") and path.name not in JUNK


def role_of(name: str) -> str | None:
    """The role ("train", "val", "test") that a folder or split is named after, or None.

    Whole words in any case: ``Train``, ``training_set``, ``TestImages``, ``val2017`` have one; ``trainers`` has none.
    """
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).casefold()
    words = [word for word in re.split(r"[\W\d_]+", apart) if word and word not in FILLERS]
    word = "".join(words)  # "hold out" is one word
    for ending in ("", *FILLERS):
        if word.endswith(ending) and (role := _ROLE_OF_WORD.get(word.removesuffix(ending))):
            return role
    return None


def role_folders(root: Path, classes_at_top: bool = False) -> RoleFolders:
    """The folder of images of each role; training images lie in ``root`` itself where no role has a folder.

    Args:
        root: the data set's folder.
        classes_at_top: the folders in ``root`` are classes, whatever they are called.

    Raises:
        UserError: two folders of one role, a role but none to train on, or folders that look like splits but are called
            by names that nobody knows.
    """
    notes: list[str] = []
    if classes_at_top:
        return RoleFolders({"train": root, "val": None, "test": None})
    root = _unwrapped(root, notes)
    inside = {child: _folders_in(child) for child in _folders_in(root)}
    named = {child: role for child in inside if (role := role_of(child.name))}
    flat = [child for child in named if not inside[child]]
    others = [child for child in inside if child not in named]
    if flat and len(flat) == len(named) == 1 and len(others) > 1:
        notes.append(f"{flat[0].name}/ holds no folders and is taken for a class, not for a split")
        named = {}
    if not named:
        _refuse_unknown_splits(inside)
        return RoleFolders({"train": root, "val": None, "test": None}, tuple(notes))

    folders: dict[str, Path | None] = dict.fromkeys(ROLES)
    for child, role in named.items():
        first = folders[role]
        if first is not None:
            raise UserError(
                f"{root} has two folders that could be the {role} part, {first.name} and {child.name}: "
                "keep one, or name the parts train, val, test"
            )
        folders[role] = child
    train = folders["train"]
    if train is None:
        beside = next(iter(named))
        hint = "" if inside[beside] else "; if it is a class, say ?layout=classes"
        raise UserError(f"{root} has a folder {beside.name}/ but no train/ beside it{hint}")
    if others and not inside[train]:
        raise UserError(
            f"{train} has no class folders: put its images into one folder for each class; if it is a class itself, "
            "say ?layout=classes"
        )
    classes = {_name(path) for path in inside[train]}
    for child in others:
        if len(classes & {_name(path) for path in inside[child]}) >= min(2, len(classes)) > 0:
            raise UserError(
                f"{child} holds the same class folders as {train.name}/, but {child.name!r} is no name of a split: "
                "rename it val or test, or move it away"
            )
    if others:
        notes.append(f"not read, being no split: {_listed([f'{child.name}/' for child in others])}")
    for role, names in ROLES.items():
        folder = folders[role]
        if folder is not None and folder.name.casefold() not in (role, *names):
            notes.append(f"{folder.name}/ is taken for the {role} part")
    return RoleFolders(folders, tuple(notes))


def _unwrapped(root: Path, notes: list[str]) -> Path:
    """``root``, or the folder that it wraps where it holds nothing but one folder of folders, as archives make it."""
    for _ in range(3):
        entries = [path for path in _entries(root) if path.is_dir()]
        if len(entries) != 1 or role_of(entries[0].name) or len(_folders_in(entries[0])) < 2:
            break
        root = entries[0]
        notes.append(f"the data set is the folder {root.name}/ in it")
    return root


def _refuse_unknown_splits(inside: dict[Path, list[Path]]) -> None:
    """Refuses folders that look like splits of the same classes, and splits that lie in what looks like classes."""
    holders: dict[str, list[Path]] = {}
    for child, folders in inside.items():
        for path in folders:
            holders.setdefault(_name(path), []).append(child)
        roles = sorted({path.name for path in folders if role_of(path.name)})
        if len({role_of(name) for name in roles}) > 1:
            raise UserError(
                f"{child} holds {_listed([f'{name}/' for name in roles])} itself: name it as the data set, or put the "
                "folders train, val, test above the class folders"
            )
    common = {name: children for name, children in holders.items() if len(children) > 1}
    shares = Counter(child for children in common.values() for child in children)
    alike = sorted(child.name for child, count in shares.items() if count > 1)
    if len(alike) > 1:
        raise UserError(
            f"the folders {_listed(alike)} each hold the same folders ({_listed(sorted(common), 3)}), so they look "
            "like parts of a data set: rename them train, val, test or name one of them; if they are the classes, say "
            "?layout=classes"
        )


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if visible(path))
    except OSError as error:
        raise UserError(f"cannot read the folder {folder}: {error.strerror}") from None


def _folders_in(folder: Path) -> list[Path]:
    return [path for path in _entries(folder) if path.is_dir()]


def _name(path: Path) -> str:
    """A folder's name, the same whether accents are written as one character or (macOS) as two."""
    return unicodedata.normalize("NFC", path.name)


def _listed(names: list[str], most: int = 5) -> str:
    """The first ``most`` names and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")


def natural_key(name: str) -> tuple[list[str | int], str]:
    """By which names are ordered: numbers by their value, without regard to case, as timm's readers do."""
    # timm's own key fails for names such as "m²", whose isdigit() is true and which are no int.
    parts = re.split(r"(\d+)", name.lower())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], name


@dataclass
class ClassFiles:
    """The image files below the class folders of a part.

    Attributes:
        files: absolute, in :func:`natural_key`'s order of their path in the part.
        classes: the class of each: the first folder below the part.
        left_out: ending -> number of the other files.
    """

    files: list[str] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def note(self) -> str:
        """``120 files with other endings left out: .heic (100), .txt (20)``; nothing where none was left out."""
        total = sum(self.left_out.values())
        counts = [f"{ending} ({count:,})" for ending, count in self.left_out.most_common()]
        what = "file with another ending" if total == 1 else "files with other endings"
        return f"{total:,} {what} left out: {_listed(counts)}" if total else ""


def class_files(folder: Path, suffixes: Collection[str]) -> ClassFiles:
    """The image files of ``folder``'s class folders, at any depth; hidden files and folders are not there.

    Raises:
        UserError: an image beside the class folders, a class folder without images, or nothing at all.
    """
    found = ClassFiles()
    rows: list[tuple[tuple[list[str | int], str], str, str]] = []
    strays: list[str] = []
    seen: dict[str, str] = {}
    empty: list[tuple[Path, Counter[str]]] = []
    for child in _entries(folder):
        if not child.is_dir():
            if child.suffix.lower() in suffixes:
                strays.append(str(child))
            continue
        twin = seen.setdefault(_name(child), child.name)
        if twin != child.name:
            raise UserError(
                f"{folder} has two folders called {twin!r} that differ in how accents are stored: merge them"
            )
        left_out: Counter[str] = Counter()
        before = len(rows)
        for path in walk(child):
            ending = os.path.splitext(path)[1].lower()
            if ending in suffixes:
                rows.append((natural_key(os.path.relpath(path, folder)), path, child.name))
            else:
                left_out[ending or "no ending"] += 1
        found.left_out += left_out
        if len(rows) == before:
            empty.append((child, left_out))
    if strays:
        count = f" (and {len(strays) - 1:,} more)" if len(strays) > 1 else ""
        if rows:
            raise UserError(f"{strays[0]}{count} lies beside the class folders: move it into its class's folder")
        raise UserError(f"{strays[0]}{count} lies in no class folder: put the images into one folder for each class")
    if not rows:
        note = f" ({found.note()})" if found.left_out else ""
        raise UserError(f"{folder} has no images{note}: put them into one folder for each class")
    if empty:
        child, left_out = empty[0]
        note = f", only other files ({_listed([f'{e} {n:,}' for e, n in left_out.most_common()])})" if left_out else ""
        raise UserError(f"the class folder {child} has no images{note}: add some or remove it")
    rows.sort()
    found.files = [path for _, path, _ in rows]
    found.classes = [name for _, _, name in rows]
    return found


def walk(folder: Path) -> list[str]:
    """The visible files below a folder, links followed, each folder once."""
    files: list[str] = []

    def refuse(error: OSError) -> None:
        raise UserError(f"cannot read the folder {error.filename}: {error.strerror}")

    ancestors = {str(folder): frozenset({os.path.realpath(folder)})}
    for place, folders, names in os.walk(folder, followlinks=True, onerror=refuse):
        above = ancestors.pop(place)
        kept = []
        for name in folders:
            path = os.path.join(place, name)
            real = os.path.realpath(path)
            if visible(Path(name)) and real not in above:  # a link to a folder above it has no end
                ancestors[path] = above | {real}
                kept.append(name)
        folders[:] = kept
        files += [os.path.join(place, name) for name in names if visible(Path(name))]
    return files


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
    names = (name, name.replace("-idx", ".idx"))  # some programs unpack to the latter
    return next((path for base in names for path in (folder / base, folder / f"{base}.gz") if path.is_file()), None)


def idx_name(role: str, what: str) -> str:
    """``train-images-idx3-ubyte``."""
    return f"{IDX_STEMS[role]}-{IDX_KINDS[what]}"

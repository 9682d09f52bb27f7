"""Which parquet files of a folder belong to which split, in the layouts that hubs and other tools write. Reads no file.

- ``train.parquet``, ``train-1.parquet`` or ``train-00000-of-00002.parquet`` (a hash may follow), in the folder itself
  or in one folder, such as ``data/``, below it
- ``train/0000.parquet``, ``test/0000.parquet``: a folder for each split, whatever its files are called
- either of them below ``<configuration>/``, where there is one configuration

A split's name is matched whole, as for folders of images: ``train-extra.parquet`` belongs to no split.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import UserError
from ..layout import PAIR_SUFFIXES, ROLES, role_of, visible

#: A compression may be named before the ending (Spark) or after it (pandas).
_ENDING = re.compile(
    r"(\.(snappy|gz|gzip|zst|zstd|lz4|br|brotli))?\.(parquet|parq|pq)(\.(snappy|gz|gzip|zst|zstd|br|brotli))?$",
    re.IGNORECASE,
)
#: How far below the folder files are looked for: a hub's cache is <name>/snapshots/<revision>/data.
DEPTH = 4
#: Hugging Face's table of captions or boxes beside the images of a folder.
_METADATA = "metadata.parquet"
#: The hub's own conversion calls files 0000.parquet, 0001.parquet, ...; 2017.parquet is none of them.
_HUBS_DIGITS = 4
_SHARD = re.compile(
    r"(?P<name>.*?)[-_. ]*(?P<index>\d+)[-_]of[-_](?P<total>\d+)(?P<hash>-[0-9a-f]{6,})?", re.IGNORECASE
)
_NUMBERED = re.compile(r"(?P<name>.*?)[-_. ]*(?P<index>\d+)")


@dataclass(frozen=True)
class ParquetFiles:
    """The files of each role ("train", "val", "test"), in order, and what a user should know of how they were found."""

    files: dict[str, list[Path]]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Shard:
    """A file and what its name says: the split, its number, and of how many."""

    path: Path
    name: str
    index: int | None = None
    total: int | None = None

    @classmethod
    def of(cls, path: Path) -> _Shard:
        stem = _stem(path)
        if found := _SHARD.fullmatch(stem):
            return cls(path, found["name"], int(found["index"]), int(found["total"]))
        if found := _NUMBERED.fullmatch(stem):
            return cls(path, found["name"], int(found["index"]))
        return cls(path, stem)

    @property
    def set(self) -> tuple[str, int | bool]:
        """What the files of one set have in common."""
        return self.name.casefold(), self.total if self.total is not None else self.index is not None

    def sibling(self, index: int) -> str:
        """The name of the shard of another number in the same set."""
        stem = _stem(self.path)
        found = (_SHARD if self.total is not None else _NUMBERED).fullmatch(stem)
        assert found is not None
        start, end = found.span("index")
        end_of_set = found.end("total") if self.total is not None else end
        ending = self.path.name[len(stem) :]
        return f"{stem[:start]}{index:0{end - start}}{stem[end:end_of_set]}{ending}"


@dataclass(frozen=True)
class _Listing:
    """What lies in a folder, as far as it matters here."""

    path: Path
    files: list[Path] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    images: bool = False


@dataclass(frozen=True)
class _Place:
    """A folder with parquet files in it or in its splits' folders.

    Attributes:
        sets: (role, what it is called, its files): the candidates of each role.
        unread: the names of parquet files that belong to no split.
    """

    listing: _Listing
    sets: list[tuple[str, str, list[Path]]]
    unread: list[str]

    @property
    def folder(self) -> Path:
        return self.listing.path


def parquet_folders(root: Path) -> list[Path]:
    """The folders at or below ``root`` that look like a data set of parquet files; several are configurations.

    Raises:
        UserError: a folder cannot be read.
    """
    return [place.folder for place in _places(root)]


def parquet_files(root: Path) -> ParquetFiles:
    """The files of each role.

    Raises:
        UserError: none to train on, several configurations, two sets of files for one role, or a shard that is missing.
    """
    places = _places(root)
    named = [place for place in places if place.sets]
    if len(named) > 1:
        raise UserError(
            f"{root} holds several data sets (configurations), {_some(place.folder.name for place in named)}: name one "
            f"of them, for example {named[0].folder}"
        )
    if not named:
        raise _no_split(root, places)
    [place] = named
    files: dict[str, list[Path]] = {role: [] for role in ROLES}
    notes, missing = [], []
    for role in ROLES:
        sets = [(name, paths) for part, name, paths in place.sets if part == role]
        if len(sets) > 1:
            raise UserError(
                f"{place.folder} has two sets of files that could be the {role} part, {sets[0][0]} and {sets[1][0]}: "
                "keep one, or name the parts train, val, test"
            )
        for name, paths in sets:
            if name.endswith("/"):
                _check_split(place.folder / name, role, paths)
            missing += [f"{name if name.endswith('/') else ''}{shard}" for shard in _missing(paths)]
            files[role] = paths
            split = _stem(Path(name)) if name.endswith("/") else _Shard.of(paths[0]).name
            if split.casefold() not in ROLES[role]:
                notes.append(f"{name} is taken for the {role} part")
    if not files["train"]:
        raise _no_split(root, [place])
    if missing:
        raise UserError(
            f"{place.folder} lacks {_some(missing)}, which the names of the other files count: copy what is missing, "
            "or rename the files to use those alone"
        )
    unread = [*place.unread, *(f"{other.folder.name}/" for other in places if other is not place)]
    read = {name for _, name, _ in place.sets}
    for child in place.listing.folders:
        # A split of another kind, such as a folder of test images, is not silently passed over.
        if f"{child.name}/" not in read and (_role(child) or _listing(child).files):
            unread.append(f"{child.name}/")
    if unread:
        notes.append(f"not read, being no split of parquet files: {_some(unread)}")
    return ParquetFiles(files, tuple(notes))


def _places(root: Path) -> list[_Place]:
    """The nearest folders with parquet files, all at one depth."""
    level = [root]
    for _ in range(DEPTH):
        listings = [_listing(folder) for folder in level]
        found = [place for listing in listings if (place := _place(listing))]
        if found:
            return found
        level = [child for listing in listings for child in listing.folders if not _role(child)]
    return []


def _listing(folder: Path) -> _Listing:
    files, folders, images = [], [], False
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir():
                    if visible(Path(entry.name)):
                        folders.append(Path(entry.path))
                elif _ENDING.search(entry.name) and visible(Path(entry.name)):
                    if not entry.name.startswith("_") and entry.name.casefold() != _METADATA:
                        files.append(Path(entry.path))
                else:
                    images = images or os.path.splitext(entry.name)[1].lower() in PAIR_SUFFIXES
    except OSError as error:
        raise UserError(f"cannot read the folder {folder}: {error.strerror}") from None
    return _Listing(folder, sorted(files), sorted(folders), images)


def _place(listing: _Listing) -> _Place | None:
    sets: dict[tuple[str, str, int | bool], list[Path]] = {}
    unread = []
    for path in listing.files:
        shard = _Shard.of(path)
        role = role_of(shard.name)
        if role is None:
            unread.append(path.name)
        else:
            sets.setdefault((role, *shard.set), []).append(path)
    found = [(role, paths[0].name, paths) for (role, _, _), paths in sets.items()]
    of_images = listing.images
    for child in listing.folders:
        role = _role(child)
        if role is not None:
            paths = _of_split(child)
            of_images = of_images or not paths
            if paths:
                found.append((role, f"{child.name}/", paths))
    if found or (unread and not of_images):  # a table beside folders of images is not the data set
        return _Place(listing, found, unread)
    return None


def _of_split(folder: Path) -> list[Path]:
    """The parquet files in a split's folder, or in the one folder that it holds; none where images or classes are."""
    listing = _listing(folder)
    for _ in range(DEPTH):
        if listing.files or len(listing.folders) != 1:
            break
        listing = _listing(listing.folders[0])
    shards = [_Shard.of(path) for path in listing.files]
    if listing.images or len(listing.folders) > 1:
        return [shard.path for shard in shards if shard.index is not None or role_of(shard.name)]
    return listing.files


def _check_split(folder: Path, role: str, paths: list[Path]) -> None:
    for path in paths:
        other = role_of(_Shard.of(path).name)
        if other not in (None, role):
            raise UserError(f"{path} lies in {folder.name}/ but is named after the {other} part: move or rename it")
    place = paths[0].parent
    nested = [child.name for child in _listing(place).folders if _listing(child).files]
    if nested:
        raise UserError(f"{place} holds parquet files and folders of them ({_some(nested)}): put all into one")


def _role(folder: Path) -> str | None:
    """The role of a split's folder; Spark and Dask write a folder ``train.parquet/``."""
    return role_of(_stem(folder))


def _stem(path: Path) -> str:
    return _ENDING.sub("", path.name)


def _missing(paths: list[Path]) -> list[str]:
    """The names of the shards that a role lacks.

    Raises:
        UserError: two files are the same shard, or belong to sets of different size.
    """
    shards = [_Shard.of(path) for path in paths]
    counted = [shard for shard in shards if shard.total is not None]
    first = shards[0]
    if counted:
        first = counted[0]
        other = next((shard for shard in shards if shard.set != first.set), None)
        if other is not None:
            raise UserError(f"{first.path} and {other.path.name} belong to different sets of files: keep one set")
    elif first.index is None or any(shard.set != first.set for shard in shards):
        return []  # names of any kind in a split's folder
    at: dict[int | None, _Shard] = {}
    for shard in shards:
        twin = at.setdefault(shard.index, shard)
        if twin is not shard:
            raise UserError(f"{twin.path} and {shard.path.name} are the same part of the set: keep one")
    numbers = sorted(index for index in at if index is not None)
    if first.total is not None:
        start = 1 if first.total in at and 0 not in at else 0
        beyond = next((index for index in numbers if index >= start + first.total), None)
        if beyond is not None:
            raise UserError(f"{at[beyond].path} is no part of a set of {first.total}: rename it")
        expected = range(start, start + first.total)
        return [first.sibling(index) for index in expected if index not in at]
    if not first.name and all(len(_stem(shard.path)) == _HUBS_DIGITS for shard in shards) and numbers[0] < 1000:
        return [first.sibling(index) for index in range(numbers[-1]) if index not in at]
    # Numbers such as years are names, and those that begin elsewhere were chosen by a person.
    running = numbers[0] <= 1 and numbers[-1] - numbers[0] < 2 * len(at)
    return [first.sibling(index) for index in range(numbers[0], numbers[-1]) if index not in at] if running else []


def _no_split(root: Path, places: list[_Place]) -> UserError:
    names = [name for place in places for name in [*place.unread, *(name for _, name, _ in place.sets)]]
    names += [f"{child.name}/" for place in places for child in place.listing.folders if _listing(child).files]
    names = list(dict.fromkeys(names))
    where = places[0].folder if len(places) == 1 else root
    if len(places) > 1:
        names = [f"{place.folder.name}/" for place in places]
    above = f", or name the folder above, {root.parent}" if role_of(root.name) else ""
    return UserError(
        f"{where} has parquet files ({_some(names)}) but none is called train.parquet or train-*.parquet, or lies in "
        f"train/: rename them after their splits{above}"
    )


def _some(names: Iterable[str], most: int = 4) -> str:
    """The first names and how many more there are."""
    listed = list(names)
    return ", ".join(listed[:most]) + (f" and {len(listed) - most:,} more" if len(listed) > most else "")

"""Folders of image files, one folder a class, found by timm's own reader."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from timm.data.readers.reader_image_folder import find_images_and_targets
from timm.utils.misc import natural_key

from ...errors import UserError
from ..layout import role_folders
from ..spec import Spec
from ..split import VALIDATION
from .decode import header, read_file
from .parts import Part


class FilesPart(Part):
    """Image files with the class that their folder names."""

    def __init__(self, root: Path, files: list[str], labels: np.ndarray) -> None:
        self._root = root
        self._files = files
        self.labels = labels

    def where(self, index: int) -> str:
        return self._files[index]

    def content(self, index: int) -> bytes:
        return read_file(self._files[index])

    def identity(self, index: int) -> str:
        path = self._files[index]
        return f"{Path(path).relative_to(self._root).as_posix()} {os.stat(path).st_size}"

    def header(self, index: int) -> tuple[tuple[int, int], str]:
        return header(self._files[index], self.where(index))


class FolderSource:
    """``train/<class>/*.jpg`` beside ``val/`` and ``test/``, or ``<class>/*.jpg`` alone."""

    default_val: int | float = VALIDATION
    mixed_sizes = True

    def __init__(self, spec: Spec) -> None:
        spec.only_images()
        self.name = Path(spec.source).name
        self._folders = role_folders(Path(spec.source))
        train = self._folders["train"]
        assert train is not None
        files, names = _read(train)
        self.classes = tuple(sorted(sorted(set(names)), key=natural_key))
        if len(self.classes) < 2:
            raise UserError(
                f"{train} has one class only, {self.classes[0]!r}: images go into one folder for each class"
            )
        self._train = self._part(train, files, names)

    def part(self, role: str) -> Part | None:
        if role == "train":
            return self._train
        folder = self._folders[role]
        return None if folder is None else self._part(folder, *_read(folder))

    def test_count(self) -> int:
        folder = self._folders["test"]
        return 0 if folder is None else len(_read(folder)[0])

    def _part(self, folder: Path, files: list[str], names: list[str]) -> FilesPart:
        numbers = {name: index for index, name in enumerate(self.classes)}
        unknown = sorted(set(names) - set(numbers))
        if unknown:
            raise UserError(
                f"{folder} has a class {unknown[0]!r} that the training folder lacks: add images of it there"
            )
        return FilesPart(folder, files, np.array([numbers[name] for name in names], dtype=np.int64))


def _read(folder: Path) -> tuple[list[str], list[str]]:
    """The image files below ``folder`` and the class (the innermost folder's name) of each."""
    samples, numbers = find_images_and_targets(str(folder))
    if not samples:
        raise UserError(f"{folder} has no images: put them into one folder for each class")
    if "" in numbers:
        stray = next(path for path, number in samples if number == numbers[""])
        raise UserError(f"{stray} lies beside the class folders: move it into its class's folder")
    names = {number: name for name, number in numbers.items()}
    files = [path for path, _ in samples]
    filled = {Path(path).relative_to(folder).parts[0] for path in files}
    for child in sorted(folder.iterdir()):
        if child.is_dir() and not child.name.startswith((".", "__")) and child.name not in filled:
            raise UserError(f"the class folder {child} has no images: add some or remove it")
    return files, [names[number] for _, number in samples]

"""Folders of image files: the class is the first folder below the part, as for torchvision and Hugging Face."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import numpy as np

from ...errors import UserError
from ..layout import ClassFiles, class_files, natural_key, role_folders
from ..spec import Spec
from ..split import VALIDATION
from .decode import header, read_file, suffixes, unopened
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
        return f"{Path(path).relative_to(self._root).as_posix()} {self.length(index)}"

    def length(self, index: int) -> int:
        try:
            return os.stat(self._files[index]).st_size
        except OSError:  # it is named when it is read
            return 0

    def ends(self, index: int) -> tuple[bytes, bytes]:
        try:
            with open(self._files[index], "rb") as file:
                first = file.read(8)
                file.seek(max(0, self.length(index) - 8))
                return first, file.read()
        except OSError as error:
            raise unopened(self._files[index], error) from None

    def header(self, index: int) -> tuple[tuple[int, int], str]:
        return header(self._files[index], self.where(index))


class FolderSource:
    """``train/<class>/**/*.jpg`` beside ``val/`` and ``test/``, or ``<class>/**/*.jpg`` alone."""

    default_val: int | float = VALIDATION
    mixed_sizes = True

    def __init__(self, spec: Spec) -> None:
        spec.only_images("layout")
        self.name = Path(spec.source).name
        found = role_folders(Path(spec.source), classes_at_top=spec.get("layout") == "classes")
        self._folders = found.folders
        self._found: dict[str, ClassFiles] = {}
        train = self._folders["train"]
        assert train is not None
        self.classes = tuple(sorted(set(self._read("train").classes), key=natural_key))
        if len(self.classes) < 2:
            raise UserError(
                f"{train} has one class only, {self.classes[0]!r}: images go into one folder for each class"
            )
        notes = [f"{role}: {note}" for role in ("train", "val") if (note := self._read(role).note())]
        self.notes = (*found.notes, *notes, *twin_notes(self.classes))

    def part(self, role: str) -> Part | None:
        folder = self._folders[role]
        if folder is None:
            return None
        found = self._read(role)
        # macOS stores accents as two characters, others as one.
        numbers = {unicodedata.normalize("NFC", name): index for index, name in enumerate(self.classes)}
        names = [unicodedata.normalize("NFC", name) for name in found.classes]
        unknown = sorted(set(names) - set(numbers))
        if unknown:
            raise UserError(
                f"{folder} has a class {unknown[0]!r} that the training folder lacks: add images of it there"
            )
        return FilesPart(folder, found.files, np.array([numbers[name] for name in names], dtype=np.int64))

    def test_count(self) -> int:
        return len(self._read("test").files)

    def _read(self, role: str) -> ClassFiles:
        """The files of a part, looked up once; none where it has no folder."""
        if role not in self._found:
            folder = self._folders[role]
            self._found[role] = ClassFiles() if folder is None else class_files(folder, suffixes())
        return self._found[role]


def twin_notes(classes: tuple[str, ...]) -> list[str]:
    """A note for classes that differ in case or spaces alone."""
    first: dict[str, str] = {}
    for name in classes:
        twin = first.setdefault(name.strip().casefold(), name)
        if twin != name:
            return [f"the classes {twin!r} and {name!r} differ in case or spaces alone: are they one?"]
    return []

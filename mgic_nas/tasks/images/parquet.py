"""Folders of parquet files, as Hugging Face's hub serves them: one row an image, its label in a column beside it."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...errors import UserError
from ..spec import Spec
from ..split import VALIDATION
from .check import HASHED_BYTES
from .decode import Unreadable, read_file
from .folder import twin_notes
from .parquet_classes import Classes, check_labels
from .parquet_files import parquet_files
from .parquet_table import FileImages, FileLabels, Footer, check_columns, choose_columns, footers, images_of, labels_of
from .parts import Part, class_names

#: Files are held in memory as they are; a larger set needs random access on disk, which Hugging Face's `datasets` has.
MAX_BYTES = 8 * 2**30


class ParquetPart(Part):
    """The rows of one role's files.

    Args:
        root: the data set's folder: files that rows name lie in it.
        files: the images.
        labels: int64 (N,) over all files.
    """

    def __init__(self, root: Path, files: Sequence[FileImages], labels: np.ndarray) -> None:
        self.labels = labels
        self._root = root
        self._files = files
        self._starts = np.cumsum([0, *map(len, files)]).tolist()

    def _row(self, index: int) -> tuple[FileImages, int]:
        number = bisect_right(self._starts, index) - 1
        return self._files[number], index - self._starts[number]

    def where(self, index: int) -> str:
        file, row = self._row(index)
        return f"row {row} of {file.path}"

    def identity(self, index: int) -> str:
        return f"{index} {self.length(index)}"

    def length(self, index: int) -> int:
        file, row = self._row(index)
        place = None if file.lengths[row] else self._place(file, row)
        try:
            return int(file.lengths[row]) if place is None else os.stat(place).st_size
        except OSError:  # it is named when it is read
            return 0

    def content(self, index: int) -> bytes:
        file, row = self._row(index)
        content = file.content[row].as_py()
        if content:
            return bytes(content)
        where = self.where(index)
        if content is not None or file.places is None or not file.places[row].as_py():
            raise Unreadable(f"{where} has no image bytes: replace or remove it", where, "no image bytes")
        place = self._place(file, row)
        if place is None:
            reason = f"the file {file.places[row].as_py()} is not in {self._root}"
            raise Unreadable(f"{where} has no image bytes, and {reason}: put it there", where, reason)
        try:
            return read_file(place)
        except Unreadable as error:
            raise Unreadable(f"{where}: {error}", where, error.reason) from None

    def _place(self, file: FileImages, row: int) -> str | None:
        """The file that a row without bytes names, beside the parquet file or in the data set's folder, or None."""
        name = None if file.places is None else file.places[row].as_py()
        if not name or "\0" in name:
            return None
        root = os.path.abspath(self._root)
        for folder in (os.path.abspath(file.path.parent), root):
            place = os.path.normpath(os.path.join(folder, name))
            if place.startswith(os.path.join(root, "")) and os.path.isfile(place):  # nothing outside is read
                return place
        return None


class ParquetSource:
    """A folder of parquet files."""

    default_val: int | float = VALIDATION
    mixed_sizes = True

    def __init__(self, spec: Spec) -> None:
        spec.only_images("image", "label")
        self._root = Path(spec.source)
        self.name = self._root.name
        found = parquet_files(self._root)
        self.notes = list(found.notes)
        sizes = {role: sum(map(_size, paths)) for role, paths in found.files.items()}
        if sizes["train"] + sizes["val"] > MAX_BYTES:
            size = (sizes["train"] + sizes["val"]) / 2**30
            raise UserError(
                f"{spec.source} holds {size:.0f} GiB, too much for memory: pip install datasets, and name it "
                f"hfds/{spec.source}"
            )
        #: Whether the test part is small enough to be compared with the others before a search.
        self.compares_test = sum(sizes.values()) <= HASHED_BYTES
        self._read_footers(spec, found.files)
        self._read_labels()
        images = images_of([*self._files["train"], *self._files["val"]], self._image)
        count = len(self._files["train"])
        self._train = ParquetPart(self._root, images[:count], self._labels["train"])
        self._val = ParquetPart(self._root, images[count:], self._labels["val"]) if self._files["val"] else None

    def part(self, role: str) -> Part | None:
        if role == "train":
            return self._train
        if role == "val":
            return self._val
        if not self.test_count():
            return None
        return ParquetPart(self._root, images_of(self._files["test"], self._image), self._labels["test"])

    def test_count(self) -> int:
        return len(self._labels["test"])

    def _read_footers(self, spec: Spec, paths: dict[str, list[Path]]) -> None:
        """Finds the files with rows and the two columns in them."""
        every = footers(path for role in paths for path in paths[role])
        by_path = {footer.path: footer for footer in every}
        self._files: dict[str, list[Footer]] = {}
        for role in paths:
            # A file without rows often has no types either.
            self._files[role] = [by_path[path] for path in paths[role] if by_path[path].rows]
            if not paths[role] or self._files[role]:
                continue
            if role != "test":
                raise UserError(f"{paths[role][0]} has no images: add some or remove the {role} files")
            self.notes.append("the test files have no rows and are left out")
        first = self._files["train"][0]
        self._image, self._label = choose_columns(first, spec.get("image"), spec.get("label"))
        tests = self._files["test"]
        if tests and not any(self._label in file.schema.names for file in tests):
            self.notes.append(f"the test part is left out: {tests[0].path.name} has no column {self._label!r}")
            self._files["test"] = []
        check_columns(
            (file for files in self._files.values() for file in files), (self._image, self._label), first.path
        )

    def _read_labels(self) -> None:
        """Reads the labels of all parts and gives each the number of its class."""
        order = [(role, footer) for role, files in self._files.items() for footer in files]
        read = labels_of([footer for _, footer in order], self._label)
        found: dict[str, list[FileLabels]] = {role: [] for role in self._files}
        for (role, _), labels in zip(order, read):
            found[role].append(labels)
        for role, files in found.items():
            if check_labels(role, files):
                continue
            if role != "test":
                raise UserError(
                    f"no row of the {role} files, such as {files[0].path}, has a label: label them, or move the files "
                    "away"
                )
            self.notes.append(
                f"the test part is left out: none of its {sum(len(f.codes) for f in files):,} rows has a label"
            )
            found[role] = []
        classes = Classes(found["train"], [*found["val"], *found["test"]])
        self._labels = {
            role: np.concatenate([np.zeros(0, np.int64), *(classes.numbers(file, role) for file in files)])
            for role, files in found.items()
        }
        self.classes = class_names(self._labels["train"], classes.names, str(found["train"][0].path))
        if 2 < len(self.classes) == len(self._labels["train"]):
            raise UserError(
                f"{found['train'][0].path}: the column {self._label!r} has another value in each row, such as "
                f"{self.classes[0]!r}, which is no class: name the label's column by ?label=NAME"
            )
        for file in (*found["val"], *found["test"]):
            if classes.names is None and file.codes.max() >= len(self.classes):
                row = int(np.argmax(file.codes >= len(self.classes)))
                raise UserError(
                    f"row {row} of {file.path} has the label {file.codes[row]}, of which train has no images"
                )
        self.notes += [*classes.notes, *twin_notes(self.classes)]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None

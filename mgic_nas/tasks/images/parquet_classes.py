"""Which class each row of several parquet files is of: by its name where files have names, else by its number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...errors import UserError, did_you_mean
from .parquet_table import NO_LABEL, FileLabels


class Classes:
    """The classes of a data set, from the labels of its files.

    Two files may list the same names in another order, as when splits were written apart: labels follow the names.
    The order is that of the first training file that lists names, then that of the alphabet for labels that are texts.

    Attributes:
        names: None where all labels are bare numbers.
        notes: one line for each thing that a user should know.

    Raises:
        UserError: some files have names, others bare numbers, and nothing says which number is which name.
    """

    def __init__(self, train: Sequence[FileLabels], others: Sequence[FileLabels]) -> None:
        self.notes: list[str] = []
        self.names: tuple[str, ...] | None = None
        self._assumed: tuple[str, ...] | None = None  # what bare numbers stand for beside files with names
        files = [file for file in (*train, *others) if len(file.codes) and file.codes.max() >= 0]
        named = [file for file in files if file.names is not None]
        bare = [file for file in files if file.names is None]
        if not named:
            return
        orders = list(dict.fromkeys(file.names for file in named if file.declared))
        if bare:
            if len(orders) != 1 or not all(file.declared for file in named):
                raise UserError(
                    f"{bare[0].path} has class numbers where {named[0].path} has class names: write both alike"
                )
            self._assumed = orders[0]
            self.notes.append(
                f"{_files(bare)}: class numbers without names, which are taken to count the names of "
                f"{_files(named[:1])}"
            )
        listed = [file.names or self._assumed or () for file in train if file.declared or file in bare]
        declared = dict.fromkeys(name for names in listed for name in names)
        texts = {name for file in train if not file.declared for name in file.names or ()}
        self.names = (*declared, *sorted(texts - declared.keys()))
        unclean = next((name for name in self.names if not name.isprintable()), None)
        if unclean is not None:  # it would end up in terminals, reports and tables
            raise UserError(
                f"{named[0].path} has a class {unclean!r} with invisible characters in it: clean the labels"
            )
        moved = [file for file in named if file.declared and _moved(file.names or (), self.names)]
        if moved:
            self.notes.append(f"{_files(moved)}: classes in another order, so labels are matched by their names")

    def numbers(self, file: FileLabels, role: str) -> np.ndarray:
        """The classes of a file's rows, int64 (N,); negative where a row has no label.

        Raises:
            UserError: a class that the training part lacks.
        """
        names = file.names or self._assumed
        if self.names is None or names is None:
            return file.codes
        place = {name: number for number, name in enumerate(self.names)}
        labelled = file.codes >= 0
        if len(file.codes) and file.codes.max() >= len(names):
            row = int(np.argmax(file.codes >= len(names)))
            raise UserError(
                f"row {row} of {file.path} has the label {file.codes[row]}, but there are names for {len(names)} "
                "classes only: correct it"
            )
        for code in np.unique(file.codes[labelled]):
            if names[code] not in place:
                row = int(np.argmax(file.codes == code))
                raise UserError(
                    f"row {row} of {file.path} ({role}) is of a class {names[code]!r} that the training part lacks: "
                    f"add images of it there, or remove it here.{did_you_mean(names[code], self.names)}"
                )
        numbers = np.array([place.get(name, NO_LABEL) for name in names], dtype=np.int64)
        found = file.codes.copy()
        found[labelled] = numbers[file.codes[labelled]]
        return found


def check_labels(role: str, files: Sequence[FileLabels]) -> bool:
    """Whether the rows of a part have labels: True, or False where none has, as in the test part of a competition.

    Raises:
        UserError: some have none.
    """
    total = sum(len(file.codes) for file in files)
    missing = sum(int((file.codes < 0).sum()) for file in files)
    if not missing:
        return True
    if missing == total and role != "train":
        return False
    file = next(file for file in files if (file.codes < 0).any())
    row = int(np.argmax(file.codes < 0))
    code = int(file.codes[row])
    what = "no label" if code == NO_LABEL else f"the label {code}, which is none: labels count from 0"
    raise UserError(
        f"row {row} of {file.path} has {what} ({missing:,} of the {total:,} {role} rows are like that): remove them or "
        "label them"
    )


def _moved(names: tuple[str, ...], classes: tuple[str, ...]) -> bool:
    place = {name: number for number, name in enumerate(classes)}
    return any(place.get(name, number) != number for number, name in enumerate(names))


def _files(files: Sequence[FileLabels]) -> str:
    some = ", ".join(f"{file.path.parent.name}/{file.path.name}" for file in files[:2])
    return some + (f" and {len(files) - 2:,} more files" if len(files) > 2 else "")

"""Parquet files as Hugging Face lays them out: ``train*.parquet``, ``test*.parquet``, images in a struct column."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import UserError, did_you_mean
from ..layout import parquet_files
from ..spec import Spec
from ..split import VALIDATION
from .parts import Part, class_names

try:  # pyarrow belongs to the extra "search"
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
except ImportError:
    raise UserError("reading parquet needs pyarrow: pip install 'mgic_nas[search]'") from None

IMAGE_COLUMNS = ("image", "img")
LABEL_COLUMNS = ("label", "labels")
#: Files are held in memory as they are; a larger set needs random access on disk, which Hugging Face's `datasets` has.
MAX_BYTES = 8 * 2**30


class ParquetPart(Part):
    """The rows of one role's shards."""

    def __init__(self, table: Any, image: str, labels: np.ndarray, starts: list[tuple[int, Path]]) -> None:
        self.labels = labels
        self._bytes = pc.struct_field(table.column(image), "bytes")
        self._starts = starts

    def where(self, index: int) -> str:
        start, path = next((start, path) for start, path in reversed(self._starts) if start <= index)
        return f"row {index - start} of {path}"

    def content(self, index: int) -> bytes:
        content = self._bytes[index].as_py()
        if not content:
            raise UserError(f"{self.where(index)} has no image bytes: replace or remove it")
        return bytes(content)


class ParquetSource:
    """A folder of parquet files."""

    default_val: int | float = VALIDATION
    mixed_sizes = False

    def __init__(self, spec: Spec) -> None:
        files = parquet_files(Path(spec.source))
        spec.only_images("image", "label")
        size = sum(path.stat().st_size for path in files["train"] + files["val"])
        if size > MAX_BYTES:
            raise UserError(
                f"{spec.source} holds {size / 2**30:.0f} GiB, too much for memory: pip install datasets, and name it "
                f"hfds/{spec.source}"
            )
        self.name = Path(spec.source).name
        self._files = files
        self._spec = spec
        self._image = self._label = ""
        self._names: tuple[str, ...] | None = None
        self._texts: dict[str, int] | None = None  # label text -> class, where labels are texts
        train = self._read("train")
        self.classes = class_names(train.labels, self._names, str(files["train"][0]))
        self._train = train

    def part(self, role: str) -> Part | None:
        if role == "train":
            return self._train
        return self._read(role) if self._files[role] else None

    def test_count(self) -> int:
        return sum(_open(path).metadata.num_rows for path in self._files["test"])

    def _read(self, role: str) -> ParquetPart:
        tables, starts, rows = [], [], 0
        for path in self._files[role]:
            file = _open(path)
            self._columns(path, file.schema_arrow)
            try:
                table = file.read(columns=[self._image, self._label])
            except (pa.ArrowException, OSError) as error:
                raise _corrupt(path, error) from None
            tables.append(table)
            starts.append((rows, path))
            rows += table.num_rows
        try:
            # Shards differ in metadata at most; a differing column type is the only thing that stops this.
            table = pa.concat_tables([table.replace_schema_metadata(None) for table in tables])
        except pa.ArrowException:
            raise UserError(f"the {role} files of {self._spec.source} differ in their columns' types") from None
        return ParquetPart(table, self._image, self._labels(table, role), starts)

    def _columns(self, path: Path, schema: Any) -> None:
        """Finds the two columns and the class names in the schema of a file."""
        self._image = _pick(path, schema, self._spec.get("image"), IMAGE_COLUMNS, "image")
        self._label = _pick(path, schema, self._spec.get("label"), LABEL_COLUMNS, "label")
        kind = schema.field(self._image).type
        if not (pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0):
            raise UserError(f"{path}: the column {self._image!r} is {kind}, not images (a struct with a field 'bytes')")
        kind = schema.field(self._label).type
        if not (pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise UserError(f"{path}: the column {self._label!r} is {kind}, not class numbers or names")
        try:
            described = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"][self._label]
            self._names = tuple(map(str, described["names"])) if described.get("_type") == "ClassLabel" else None
        except (KeyError, TypeError, ValueError):
            self._names = None  # written by another tool: the classes are then called by their numbers

    def _labels(self, table: Any, role: str) -> np.ndarray:
        column = table.column(self._label)
        if column.null_count:
            row = column.is_null().to_pylist().index(True)
            raise UserError(f"row {row} of the {role} part of {self._spec.source} has no label")
        values = column.to_numpy()
        if values.dtype.kind not in "iu":
            if self._texts is None:
                self._names = tuple(sorted(set(values.tolist())))
                self._texts = {text: index for index, text in enumerate(self._names)}
            unknown = set(values.tolist()) - set(self._texts)
            if unknown:
                raise UserError(f"the {role} part of {self._spec.source} has a class {min(unknown)!r} that train lacks")
            values = np.array([self._texts[value] for value in values.tolist()])
        return values.astype(np.int64)


def _open(path: Path) -> Any:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise _corrupt(path, error) from None


def _corrupt(path: Path, error: Exception) -> UserError:
    reason = str(error).splitlines()[0].rstrip(".")[:120] if str(error) else type(error).__name__
    return UserError(f"{path} is not a readable parquet file ({reason}): copy it again")


def _pick(path: Path, schema: Any, wanted: str | None, usual: tuple[str, ...], option: str) -> str:
    names = [str(name) for name in schema.names]
    if wanted is not None:
        if wanted not in names:
            raise UserError(f"{path} has no column {wanted!r}.{did_you_mean(wanted, names)}")
        return wanted
    for name in usual:
        if name in names:
            return name
    raise UserError(
        f"{path} has no column {' or '.join(map(repr, usual))}; its columns are {', '.join(names)}: add ?{option}=NAME"
    )

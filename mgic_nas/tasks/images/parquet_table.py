"""Parquet files as arrow arrays: which columns hold the images and the labels, each brought to one type."""

from __future__ import annotations

import contextlib
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ...errors import INSTALL, UserError, did_you_mean

try:  # pyarrow belongs to the extra "search"
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
except ImportError:
    raise UserError(f"reading parquet needs pyarrow: {INSTALL}.") from None

IMAGE_COLUMNS = ("image", "img")
LABEL_COLUMNS = ("label", "labels")
#: Other columns that may hold the label: with several of them a person has to choose.
_LIKE_LABELS = re.compile(r"(.*_)?labels?", re.IGNORECASE)
#: The code of a row whose label is missing.
NO_LABEL = int(np.iinfo(np.int64).min)
_NAMED = 5
_COLUMNS = 20
R = TypeVar("R")


@dataclass(frozen=True)
class Footer:
    """What the end of a file says of it."""

    path: Path
    schema: Any
    rows: int


@dataclass(frozen=True)
class FileLabels:
    """The labels of a file.

    Attributes:
        codes: int64 (N,), indices into ``names`` or, without names, the classes' numbers; :data:`NO_LABEL` where there
            is none, and any negative number that the file holds itself.
        names: the classes' names; None where the labels are bare numbers.
        declared: whether the names are listed in the file's schema (Hugging Face's ClassLabel), in an order that counts
            and perhaps with some that do not occur; else they were the labels.
    """

    path: Path
    codes: np.ndarray
    names: tuple[str, ...] | None = None
    declared: bool = False


@dataclass(frozen=True)
class FileImages:
    """The images of a file, undecoded.

    Attributes:
        content: binary (N,), null where there are no bytes.
        places: string (N,), file names in the place of missing bytes; None where no bytes are missing.
        lengths: int64 (N,), the bytes of each; 0 where there are none.
    """

    path: Path
    content: Any
    places: Any | None
    lengths: np.ndarray

    def __len__(self) -> int:
        return len(self.lengths)


def footers(paths: Iterable[Path]) -> list[Footer]:
    """The footers of files.

    Raises:
        UserError: some are broken; it names them all.
    """
    return _each(list(paths), _footer, lambda path: path)


def labels_of(files: Sequence[Footer], column: str) -> list[FileLabels]:
    """The labels of files.

    Raises:
        UserError: some files are broken (it names them all), or a column holds something else than classes.
    """
    return _each(files, lambda footer: _labels(footer, column), lambda footer: footer.path)


def images_of(files: Sequence[Footer], column: str) -> list[FileImages]:
    """The images of files, held in memory as they are.

    Raises:
        UserError: some files are broken (it names them all), or a column holds something else than images.
    """
    return _each(files, lambda footer: _images(footer, column), lambda footer: footer.path)


def choose_columns(footer: Footer, image: str | None, label: str | None) -> tuple[str, str]:
    """The columns of the images and of the labels: those that were asked for, or the only ones that may be meant.

    Raises:
        UserError: there is none, or there are several.
    """
    names = [str(name) for name in footer.schema.names]
    kinds = {name: footer.schema.field(index).type for index, name in enumerate(names)}
    features = _features(footer.schema).items()
    told = {name: described.get("_type") for name, described in features if isinstance(described, dict)}

    usual = [name for name in names if name.casefold() in IMAGE_COLUMNS]
    # Sound has the same type; what a struct without Hugging Face's description is, its fields say.
    sure = [name for name in names if told.get(name, "Image") == "Image" and pa.types.is_struct(kinds[name])]
    images = [name for name in names if name in (*usual, *sure) and _holds_images(kinds[name])] or usual

    sure = [name for name in names if name.casefold() in LABEL_COLUMNS or told.get(name) == "ClassLabel"]
    alike = [name for name in names if name in sure or _LIKE_LABELS.fullmatch(name)]
    several = alike if sure or len(alike) > 1 else []
    labels = [name for name in several if _holds_classes(kinds[name])] or sure
    return (
        _chosen(footer, names, image, images, IMAGE_COLUMNS, "image"),
        _chosen(footer, names, label, labels, LABEL_COLUMNS, "label"),
    )


def check_columns(files: Iterable[Footer], columns: Iterable[str], as_in: Path) -> None:
    """Checks that every file has the columns, each once.

    Raises:
        UserError: naming the first file that has not.
    """
    for footer in files:
        names = [str(name) for name in footer.schema.names]
        for column in columns:
            if names.count(column) > 1:
                raise UserError(f"{footer.path} has {names.count(column)} columns called {column!r}: rename one")
            if column not in names:
                raise UserError(
                    f"{footer.path} has no column {column!r}, as {as_in.name} has; its columns are {_listed(names)}: "
                    "give the files the same columns"
                )


def _chosen(
    footer: Footer, names: list[str], wanted: str | None, found: list[str], usual: tuple[str, ...], option: str
) -> str:
    if wanted is not None:
        if wanted not in names:
            raise UserError(f"{footer.path} has no column {wanted!r}.{did_you_mean(wanted, names)}")
        return wanted
    if len(found) > 1:
        raise UserError(
            f"{footer.path} has several columns that may hold the {option}, {_listed(found)}: say which, for example "
            f"?{option}={found[0]}"
        )
    if not found:
        raise UserError(
            f"{footer.path} has no column {' or '.join(map(repr, usual))}; its columns are {_listed(names)}: add "
            f"?{option}=NAME"
        )
    return found[0]


def _each(items: Sequence[Any], call: Callable[[Any], R], path_of: Callable[[Any], Path]) -> list[R]:
    """What ``call`` gives for each item, where none is broken."""
    results, broken = [], []
    for item in items:
        try:
            results.append(call(item))
        except (UserError, MemoryError):
            raise
        except (pa.ArrowException, OSError, ValueError, LookupError) as error:  # a broken name is a UnicodeDecodeError
            broken.append((path_of(item), _reason(path_of(item), error)))
    if len(broken) == 1:
        [(path, reason)] = broken
        raise UserError(f"{path} is not a readable parquet file ({reason}): copy it again")
    if broken:
        some = ", ".join(f"{path} ({reason})" for path, reason in broken[:_NAMED])
        more = "".join(f", {path.name}" for path, _ in broken[_NAMED:])
        raise UserError(f"{len(broken)} of {len(items)} files are not readable parquet: {some}{more}: copy them again")
    return results


def _reason(path: Path, error: Exception) -> str:
    """What is wrong with a file, in a few words; other things are often downloaded under its name."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    with contextlib.suppress(OSError), path.open("rb") as file:
        start = file.read(64).lstrip().lower()
        if not start:
            return "an empty file"
        if start.startswith(b"version https://git-lfs"):
            return "a pointer of git-lfs, so type git lfs pull where it was cloned"
        if start.startswith((b"<!doctype", b"<html")):
            return "a web page"
    return _line((str(error).splitlines() or [type(error).__name__])[0].rstrip("."))


def _footer(path: Path) -> Footer:
    with pq.ParquetFile(path) as file:
        return Footer(path, file.schema_arrow, file.metadata.num_rows)


def _read(footer: Footer, column: str) -> Any:
    """A column, with dictionaries and extension types replaced by what they stand for."""
    with pq.ParquetFile(footer.path, page_checksum_verification=True) as file:
        values = file.read(columns=[column]).column(column)
    if isinstance(values.type, pa.BaseExtensionType):
        values = pa.chunked_array([chunk.storage for chunk in values.chunks], values.type.storage_type)
    return values.cast(values.type.value_type) if pa.types.is_dictionary(values.type) else values


def _features(schema: Any) -> dict[str, Any]:
    """Column -> what Hugging Face's ``datasets`` wrote of it; empty for files of other tools."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return features if isinstance(features, dict) else {}
    except (KeyError, TypeError, ValueError):
        return {}


def _holds_images(kind: Any) -> bool:
    kind = _value_type(kind)
    if not pa.types.is_struct(kind):
        return _is_binary(kind)
    fields = {kind.field(index).name: kind.field(index).type for index in range(kind.num_fields)}
    content = fields.get("bytes", pa.null())
    return bool(fields.keys() & {"bytes", "path"}) and (_is_binary(content) or pa.types.is_null(content))


def _is_binary(kind: Any) -> bool:
    return str(kind) in ("binary", "large_binary", "binary_view") or bool(pa.types.is_fixed_size_binary(kind))


def _is_text(kind: Any) -> bool:
    return str(kind) in ("string", "large_string", "string_view")


def _is_number(kind: Any) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _holds_classes(kind: Any) -> bool:
    kind = _value_type(kind)
    return bool(
        _is_number(kind) or _is_text(kind) or _is_binary(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind)
    )


def _value_type(kind: Any) -> Any:
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _images(footer: Footer, column: str) -> FileImages:
    kind = footer.schema.field(column).type
    if not _holds_images(kind):
        raise UserError(
            f"{footer.path}: the column {column!r} is {_kind(kind)}, not images (encoded files as bytes, or a struct "
            "with a field 'bytes'): name another by ?image=NAME"
        )
    values = _read(footer, column)
    places = None
    if pa.types.is_struct(values.type):
        content = _field(values, "bytes")
        places = _field(values, "path") if content.null_count else None
    else:
        content = values
    if not (pa.types.is_binary(content.type) or pa.types.is_large_binary(content.type)):
        content = content.cast(pa.large_binary())
    lengths = pc.binary_length(content).fill_null(0).to_numpy().astype(np.int64)
    return FileImages(footer.path, content, places, lengths)


def _field(values: Any, name: str) -> Any:
    """A field of a struct, all null where there is none such."""
    if values.type.get_field_index(name) < 0:
        return pa.chunked_array([pa.nulls(len(values))])
    return pc.struct_field(values, name)


def _labels(footer: Footer, column: str) -> FileLabels:
    kind = footer.schema.field(column).type
    if not _holds_classes(kind):
        several = pa.types.is_nested(kind)
        what = "several labels a row, not class numbers or names" if several else "not class numbers or names"
        raise UserError(f"{footer.path}: the column {column!r} is {_kind(kind)}, {what}: name another by ?label=NAME")
    values = _read(footer, column)
    kind = values.type
    if pa.types.is_null(kind):
        return FileLabels(footer.path, np.full(len(values), NO_LABEL))
    if _is_number(kind):
        codes = _whole_numbers(footer, column, values)
        names = _declared(footer, column)
        if names and len(codes) and codes.max() >= len(names):
            row = int(np.argmax(codes >= len(names)))
            raise UserError(
                f"row {row} of {footer.path} has the label {codes[row]}, but the file names {len(names)} classes only: "
                "correct it, or name another column by ?label=NAME"
            )
        return FileLabels(footer.path, codes, names, declared=names is not None)
    try:
        codes, names = _texts(values.cast(pa.large_string()))
    except pa.ArrowInvalid:
        raise UserError(f"{footer.path}: the column {column!r} holds bytes that are no text: add ?label=NAME") from None
    return FileLabels(footer.path, codes, names)


def _whole_numbers(footer: Footer, column: str, values: Any) -> np.ndarray:
    if pa.types.is_floating(values.type):
        values = pc.if_else(pc.is_nan(values), None, values)
    try:
        return np.asarray(values.cast(pa.int64()).fill_null(NO_LABEL).to_numpy())
    except pa.ArrowInvalid as error:
        reason = _line(str(error).splitlines()[0].rstrip("."))
        raise UserError(
            f"{footer.path}: the column {column!r} is {_kind(values.type)}, not class numbers or names ({reason}): "
            "name another by ?label=NAME"
        ) from None


def _texts(values: Any) -> tuple[np.ndarray, tuple[str, ...]]:
    """(int64 (N,), names) of labels that are texts; a blank text is no label."""
    encoded = values.combine_chunks().dictionary_encode()
    texts = [unicodedata.normalize("NFC", text) for text in encoded.dictionary.to_pylist()]
    names = tuple(dict.fromkeys(text for text in texts if text.strip()))
    codes = {name: code for code, name in enumerate(names)}
    table = np.array([*(codes.get(text, NO_LABEL) for text in texts), NO_LABEL], dtype=np.int64)
    return table[encoded.indices.fill_null(len(texts)).to_numpy(zero_copy_only=False)], names


def _declared(footer: Footer, column: str) -> tuple[str, ...] | None:
    """The class names that the schema lists for a column.

    Raises:
        UserError: one of them twice.
    """
    described = _features(footer.schema).get(column)
    if not isinstance(described, dict) or described.get("_type") != "ClassLabel":
        return None
    names = described.get("names")
    if not isinstance(names, list) or not names:
        return None
    found = tuple(unicodedata.normalize("NFC", str(name)) for name in names)
    if len(set(found)) < len(found):
        twin = next(name for name in found if found.count(name) > 1)
        raise UserError(f"{footer.path} names the class {twin!r} twice: rename one")
    return found


def _line(text: str, most: int = 120) -> str:
    """A text that a stranger wrote, cut and without what a terminal would obey."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in text)
    return shown if len(shown) <= most else f"{shown[: most - 3]}..."


def _kind(kind: Any) -> str:
    return _line(str(kind), 80)


def _listed(names: Sequence[str]) -> str:
    shown = [_line(name, 40) for name in names[:_COLUMNS]]
    return ", ".join(shown) + (f" and {len(names) - _COLUMNS} more" if len(names) > _COLUMNS else "")

"""From a spec to the source that reads it: one light registry of the kinds of storage."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ..._registry import Registry
from ...errors import UserError, did_you_mean
from ..layout import idx_file, torchvision_root
from ..spec import NAMED, Spec, parse_spec
from .parquet_files import parquet_folders

if TYPE_CHECKING:
    from .parts import Source

EMBEDDED = ("fashion",)


@dataclass(frozen=True)
class SourceKind:
    """A kind of storage before anything heavy is imported.

    Attributes:
        recognises: whether a spec names one. It may look for files, but reads none.
        place: "module:attribute" of what opens it, ``(spec: Spec) -> Source``.
        is_path: whether the spec's source is a file or a folder; else it is a name.
    """

    recognises: Callable[[Spec], bool]
    place: str
    is_path: bool = True

    def open(self, spec: Spec) -> Source:
        module, _, attribute = self.place.partition(":")
        return cast("Source", getattr(importlib.import_module(module), attribute)(spec))


def _folder(check: Callable[[Path], object]) -> Callable[[Spec], bool]:
    """Recognises a folder for which ``check`` finds something."""
    return lambda spec: Path(spec.source).is_dir() and bool(check(Path(spec.source)))


_HERE = __name__.rpartition(".")[0]
#: Kind of storage by name. The latest is asked first, so that an addition is asked before those that take any folder.
#: From outside the package: ``SOURCES.register("lmdb", "my_package.lmdb:KIND")``, KIND a SourceKind.
SOURCES: Registry[SourceKind] = Registry(
    "data source",
    {
        "folder": SourceKind(_folder(lambda folder: True), f"{_HERE}.folder:FolderSource"),
        "parquet": SourceKind(_folder(parquet_folders), f"{_HERE}.parquet:ParquetSource"),
        "idx": SourceKind(_folder(lambda folder: idx_file(folder, "train", "images")), f"{_HERE}.idx:IdxSource"),
        "torchvision": SourceKind(_folder(torchvision_root), f"{_HERE}.named:from_torchvision_folder"),
        "named": SourceKind(lambda spec: spec.kind is not None, f"{_HERE}.named:NamedSource", is_path=False),
        "fashion": SourceKind(lambda spec: spec.source in EMBEDDED, f"{_HERE}.fashion:FashionSource", is_path=False),
    },
    home=f"{__name__}:SOURCES",
)


def _find(spec: Spec, *, is_path: bool) -> SourceKind | None:
    kinds = map(SOURCES.load, reversed(tuple(SOURCES)))
    return next((kind for kind in kinds if kind.is_path == is_path and kind.recognises(spec)), None)


def _is_name(spec: Spec) -> bool:
    return _find(spec, is_path=False) is not None


def checked_spec(text: str) -> Spec:
    """The parsed spec, if what it names is there.

    Raises:
        UserError: it is malformed, or nothing is there.
    """
    spec = parse_spec(text, is_name=_is_name)
    if _is_name(spec) or Path(spec.source).is_dir() or _find(spec, is_path=True):
        return spec
    path = Path(spec.source)
    if path.is_file():
        raise UserError(f"{path} is a file: name the folder that holds the data set")
    given = text.partition("?")[0]
    if "/" in given:
        raise UserError(f"no folder {path}: check the path (names of timm's data sets begin with {', '.join(NAMED)})")
    raise UserError(
        f"unknown data set {given!r}: neither embedded nor a folder.{did_you_mean(given, EMBEDDED)} "
        "Folders and names such as torch/cifar10?root=FOLDER work too"
    )


def find_source(spec: Spec) -> Source:
    """Opens what a :func:`checked_spec` names and reads its training labels.

    Raises:
        UserError: it is unreadable, or has no images or classes.
    """
    kind = _find(spec, is_path=False) or _find(spec, is_path=True)
    if kind is None:
        raise UserError(f"{spec.source} is gone: check the path")
    return kind.open(spec)

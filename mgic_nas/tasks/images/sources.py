"""From a spec to the source that reads it: a further kind of storage is one file, and one line in find_source."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...errors import UserError, did_you_mean
from .. import embedded
from ..spec import NAMED, Spec, parse_spec
from .parts import DecodedPart, Part, Source

if TYPE_CHECKING:
    from PIL import Image

EMBEDDED = ("fashion",)
#: The folders that torchvision's data sets make inside their root, and timm's names for them.
TORCHVISION_FOLDERS = {"cifar-10-batches-py": "torch/cifar10", "cifar-100-python": "torch/cifar100"}


class FashionPart(DecodedPart):
    """A part of the embedded data set."""

    def __init__(self, role: str) -> None:
        self._images, self.labels = embedded.load_fashion(role)
        self._role = role

    def where(self, index: int) -> str:
        return f"image {index} of fashion ({self._role})"

    def image(self, index: int) -> "Image.Image":
        from PIL import Image

        return Image.fromarray(np.asarray(self._images[index]))


class FashionSource:
    """The embedded data set."""

    name = "fashion"
    classes: tuple[str, ...] = embedded.CLASSES
    default_val: int | float = embedded.VALIDATION
    mixed_sizes = False

    def part(self, role: str) -> Part | None:
        return None if role == "val" else FashionPart(role)

    def test_count(self) -> int:
        return embedded.PER_CLASS["test"] * len(embedded.CLASSES)


def checked_spec(text: str) -> Spec:
    """The parsed spec, if what it names is there.

    Raises:
        UserError: it is malformed, or nothing is there.
    """
    spec = parse_spec(text, EMBEDDED)
    if spec.source in EMBEDDED or spec.kind is not None:
        return spec
    path = Path(spec.source)
    if path.is_dir():
        return spec
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
    """Opens what the spec names and reads its training labels.

    Raises:
        UserError: it is unreadable, or has no images or classes.
    """
    if spec.source in EMBEDDED:
        spec.only()
        return FashionSource()
    if spec.kind is not None:
        from .named import NamedSource

        return NamedSource(spec)
    folder = Path(spec.source)
    for inner, name in TORCHVISION_FOLDERS.items():
        if folder.name == inner or (folder / inner).is_dir():
            from .named import NamedSource

            spec.only()
            root = folder.parent if folder.name == inner else folder
            return NamedSource(dataclasses.replace(spec, source=name, options={**spec.options, "root": str(root)}))
    from .idx import IdxSource, idx_file

    if idx_file(folder, "train", "images") is not None:
        return IdxSource(spec)
    from .parquet import ParquetSource, parquet_files

    files = parquet_files(folder)
    if files:
        return ParquetSource(spec, files)
    from .folder import FolderSource

    return FolderSource(spec)

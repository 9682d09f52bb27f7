"""Data sets that timm's ``create_dataset`` reads by name: torch/, hfds/, hfids/, tfds/, wds/."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from huggingface_hub.constants import ENDPOINT
from PIL import Image
from timm.data import create_dataset
from torchvision.datasets import ImageFolder

from ...errors import UserError
from ..layout import role_of, torchvision_root
from ..spec import COMMON, Spec
from ..split import VALIDATION
from .hub import offline, reachable
from .parts import DecodedPart, Part, class_names

#: torchvision sets that have a training and a test split, and no other.
TRAIN_AND_TEST = ("cifar10", "cifar100", "mnist", "kmnist", "fashion_mnist", "qmnist")
STREAMS = ("hfids", "tfds", "wds")
#: Streams have no random access, so they are held decoded, up to this many bytes of pixels.
MAX_BYTES = 2**30


class TorchvisionPart(DecodedPart):
    """A torchvision data set: items are (PIL image, class number)."""

    def __init__(self, dataset: Any, name: str) -> None:
        self._dataset = dataset
        targets = getattr(dataset, "targets", None)
        if targets is None:
            targets = [dataset[index][1] for index in range(len(dataset))]
        labels = np.asarray(targets, dtype=np.int64)
        super().__init__(name, labels[:, 0] if labels.ndim == 2 else labels)  # QMNIST's first column is the digit

    def image(self, index: int) -> Image.Image:
        try:
            image: Image.Image = self._dataset[index][0]
            return image
        except (OSError, SyntaxError, ValueError) as error:
            raise UserError(f"{self.where(index)} is not readable ({_line(error)}): replace or remove it") from None


class ReaderPart(Part):
    """A timm reader with random access (hfds/): items are (open file, class number)."""

    def __init__(self, reader: Any, name: str) -> None:
        self._reader = reader
        self._name = name
        self.labels = np.fromiter(reader.iter_targets(), dtype=np.int64, count=len(reader))

    def where(self, index: int) -> str:
        return f"row {index} of {self._name}"

    def content(self, index: int) -> bytes:
        with self._reader[index][0] as file:
            return bytes(file.read())


class StreamPart(DecodedPart):
    """A stream, read to its end once and held decoded."""

    def __init__(self, dataset: Any, name: str) -> None:
        self._images: list[Image.Image] = []
        labels, held = [], 0
        for image, label in dataset:
            image.load()
            held += image.width * image.height * len(image.getbands())
            if held > MAX_BYTES:
                raise UserError(
                    f"{name} is a stream of more than {MAX_BYTES / 2**30:.0f} GiB of pixels, too much for memory: "
                    "use an image folder or hfds/, which are read from disk while training"
                )
            self._images.append(image)
            labels.append(int(label))
        stated = len(dataset)
        if len(labels) < stated:  # timm leaves out what it cannot read, with no more than a warning
            raise UserError(
                f"{name} gave {len(labels):,} of its {stated:,} images: replace or remove the unreadable ones"
            )
        super().__init__(name, np.array(labels, dtype=np.int64))

    def image(self, index: int) -> Image.Image:
        return self._images[index]


class NamedSource:
    """``prefix/name`` with ``root=`` and, where they are not the usual ones, the names of the splits."""

    default_val: int | float = VALIDATION
    mixed_sizes = True

    def __init__(self, spec: Spec) -> None:
        assert spec.kind is not None
        plain = spec.kind == "torch" and spec.source.rpartition("/")[2].lower() in TRAIN_AND_TEST
        # Arrays are not broken, and of streams timm itself leaves out what it cannot read, which is refused below.
        bad = () if plain or spec.kind in STREAMS else ("bad",)
        own = {*COMMON, "size", "chans", "root", "image", "label", "train_split", "val_split", "test_split"}
        spec.only({*own, *bad}, spec.source if plain else f"{spec.kind}/ names")
        self._spec = spec
        self._kind = spec.kind
        self.name = spec.source
        self.notes: list[str] = []
        if self._kind == "torch" and "root" not in spec.options:
            raise UserError(f"{spec.source} needs the folder where it lies: {spec.source}?root=FOLDER")
        if self._kind == "torch":
            for option in ("image", "label"):
                if option in spec.options:
                    raise UserError(f"{spec.source} has no columns: remove {option}=")
        self._splits = {
            "train": spec.get("train_split", "train"),
            "val": spec.get("val_split", "none" if plain else "validation"),
            "test": spec.get("test_split", "test" if plain or self._kind != "torch" else "none"),
        }
        self._refuse_wrong_splits(plain)
        self._folders: dict[str, str] = {}  # of torchvision's ImageFolder: folder -> role
        self._train_names: tuple[str, ...] | None = None
        train = self._open("train")
        names = self._train_names = self._names(train)
        part = self._part(train, "train")
        self.classes = class_names(part.labels, names, self.name)
        self._train = part

    def part(self, role: str) -> Part | None:
        if role == "train":
            return self._train
        dataset = self._open(role)
        return None if dataset is None else self._part(dataset, role)

    def test_count(self) -> int:
        dataset = self._open("test")
        return 0 if dataset is None else len(dataset)

    def _open(self, role: str) -> Any:
        """timm's data set of a role; None for a split named "none", or an assumed name that does not exist."""
        split = self._splits[role]
        if split == "none":
            return None
        options: dict[str, Any] = {"root": self._spec.get("root"), "split": split}
        if self._kind != "torch":
            options |= {"input_key": self._spec.get("image"), "target_key": self._spec.get("label")}
            options |= {"input_img_mode": None if self._kind == "hfds" else _mode(self._spec)}
        try:
            with offline() if self._unreachable else nullcontext():
                return self._checked(role, create_dataset(self._spec.source, **options))
        except UserError:
            raise
        except (ImportError, NameError, TypeError) as error:  # timm without the package behind the prefix
            raise UserError(f"{self.name} cannot be opened: {_line(error)}; {_needs(self._kind)}") from None
        except Exception as error:  # whatever the library behind the prefix raises
            if self._unreachable and isinstance(error, ConnectionError):
                raise UserError(
                    f"{self.name} is not in the cache, and {ENDPOINT} cannot be reached: check the network, or load it "
                    "once where there is one"
                ) from None
            absent = isinstance(error, (ValueError, RuntimeError, LookupError, FileNotFoundError, AssertionError))
            if absent and role != "train" and f"{role}_split" not in self._spec.options:
                return self._absent(role)
            raise UserError(
                f"{self.name} has no readable split {split!r}: {_line(error)}; {_needs(self._kind)}"
            ) from None

    @cached_property
    def _unreachable(self) -> bool:
        """Whether the data set is on a hub that does not answer."""
        on_hub = self._kind in ("hfds", "hfids") and not Path(self._spec.source.partition("/")[2]).is_dir()
        return on_hub and not reachable()

    def _refuse_wrong_splits(self, plain: bool) -> None:
        if plain:  # timm takes every name but train for the test part
            for role, split in self._splits.items():
                if split not in ("train", "test", "none"):
                    raise UserError(f"{self.name} has the splits train and test, and no {split!r}: mend {role}_split")
        roles: dict[str, str] = {}
        for role, split in self._splits.items():
            other = roles.setdefault(split, role)
            if other != role and split != "none":
                raise UserError(
                    f"{self.name}: the split {split!r} would be the {other} and the {role} part: say "
                    f"{role}_split=NAME, or {role}_split=none"
                )

    def _absent(self, role: str) -> None:
        """Notes once that a split which nobody named is not there."""
        what = "the validation part is cut from train" if role == "val" else "there is no test part"
        note = f"no split {self._splits[role]!r}: {what}"
        if note not in self.notes:
            self.notes.append(note)

    def _checked(self, role: str, dataset: Any) -> Any:
        """The data set of a role, if it is that role's and counts its classes as the training part does.

        Raises:
            UserError: it does not.
        """
        if isinstance(dataset, ImageFolder):
            folder = str(dataset.root)
            if folder == self._spec.get("root"):  # timm found no folder of the split, and took the whole
                inside = [name for name in dataset.classes if role_of(name)]
                if role != "train" and f"{role}_split" not in self._spec.options:
                    return self._absent(role)
                if role != "train" or inside:
                    beside = f" but {inside[0]}/" if inside else ""
                    raise UserError(f"{folder} has no folder of the split {self._splits[role]!r}{beside}: rename one")
            other = self._folders.setdefault(folder, role)
            if other != role:
                raise UserError(f"{folder} would be the {other} and the {role} part: say {role}_split=none")
        names = self._names(dataset) if role != "train" else None
        if names and self._train_names and names != self._train_names:
            pairs = zip_longest(names, self._train_names)
            index, (here, there) = next((i, pair) for i, pair in enumerate(pairs) if pair[0] != pair[1])
            raise UserError(
                f"{self.name}: class {index} is {here!r} in the split {self._splits[role]!r} and {there!r} in "
                f"{self._splits['train']!r}: give both the same classes"
            )
        return dataset

    def _names(self, dataset: Any) -> tuple[str, ...] | None:
        if self._kind == "torch":
            names = getattr(dataset, "classes", None)
            return tuple(name[0] if isinstance(name, tuple) else str(name) for name in names) if names else None
        numbers = getattr(dataset.reader, "class_to_idx", None)
        if not numbers:
            return None
        return tuple(str(name) for name, _ in sorted(numbers.items(), key=lambda item: item[1]))

    def _part(self, dataset: Any, role: str) -> Part:
        name = f"{self.name} ({self._splits[role]})"
        if self._kind == "torch":
            return TorchvisionPart(dataset, name)
        try:
            return StreamPart(dataset, name) if self._kind in STREAMS else ReaderPart(dataset.reader, name)
        except UserError:
            raise
        except Exception as error:
            raise UserError(f"{name} cannot be read: {_line(error)}") from None


def from_torchvision_folder(spec: Spec) -> NamedSource:
    """The source of a folder that torchvision made."""
    spec.only_images()
    found = torchvision_root(Path(spec.source))
    assert found is not None
    root, name = found
    return NamedSource(replace(spec, source=name, options={**spec.options, "root": str(root)}))


def _mode(spec: Spec) -> str:
    """What timm converts a stream's images to: nothing, so that grey stays grey; of tfds/ RGB or grey as asked for."""
    if spec.kind != "tfds":
        return ""
    return "L" if spec.get("chans") == 1 else "RGB"


def _needs(kind: str) -> str:
    package = {"hfds": "datasets", "hfids": "datasets", "tfds": "tensorflow-datasets", "wds": "webdataset"}.get(kind)
    check = "check the name, root= and train_split="
    return f"{check}, and that {package} is installed (pip install {package})" if package else check


def _line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__

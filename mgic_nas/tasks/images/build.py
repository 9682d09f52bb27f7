"""From chosen images to splits: in what shape, in one tensor or from files, with which statistics."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import torch
from timm.data import create_transform

from ...errors import UserError
from ..base import Split
from ..spec import Spec
from .check import check, duplicate_notes, refusal, refuse_dark, trait_notes
from .decode import GREY, TURNED, Unreadable, in_channels, traits
from .loader import ImageDataset, LoaderSplit
from .parts import Part, Source
from .tensors import TensorSplit, statistics

#: Images up to this side, and data sets up to this many bytes of uint8, live in one tensor.
SMALL_SIDE = 128
SMALL_BYTES = 2**30
#: The input side of images that are larger, as for ImageNet.
LARGE_INPUT = 224
#: Images from which shape and statistics are estimated where reading all of them would take minutes.
SAMPLE = 512
#: Most files whose headers are checked at the start, so that a broken one is found before training.
CHECKED_FILES = 20_000
INTERPOLATION = "bicubic"
#: Percent of an image: from so much on it is said that the crop to the input's shape cuts it off.
CUT = 10


@dataclass(frozen=True)
class Chosen:
    """The images of a part that are used."""

    part: Part
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def labels(self) -> np.ndarray:
        return np.array(self.part.labels[self.rows])  # a copy: torch wants it writable and contiguous

    def sample(self, count: int) -> list[int]:
        """At most ``count`` of the rows, evenly spread."""
        return [int(row) for row in self.rows[:: max(1, -(-len(self.rows) // count))]]


@dataclass(frozen=True)
class Shape:
    """What every image becomes and how it is held.

    Attributes:
        strict: each must have this size already.
        why: why it is this size, in words.
        cut: what is said where images have another shape.
    """

    input_size: tuple[int, int, int]
    in_memory: bool
    strict: bool
    why: str
    cut: str = ""


class _Coloured(Exception):
    """An image has colours where the sample had none."""


def find_shape(spec: Spec, source: Source, parts: list[Chosen]) -> Shape:
    """The shape that the options say, or else a sample of the images.

    Raises:
        UserError: the sizes differ and no option says which to use.
    """
    headers = [(chosen.part.header(row), chosen.part.where(row)) for chosen in parts for row in chosen.sample(SAMPLE)]
    channels = spec.get("chans") or (1 if all(mode in GREY for (_, mode), _ in headers) else 3)
    (first, _), first_place = headers[0]
    strict = False
    if "size" in spec.options:
        height, width = spec.options["size"]
        why = f"as ?size={spec.texts['size']} says"
    else:
        small = np.median([max(size) for (size, _), _ in headers]) <= SMALL_SIDE
        differing = next(((size, place) for (size, _), place in headers if size != first), None)
        if differing is not None and (small or not source.mixed_sizes):
            raise _sizes_differ(first, first_place, *differing)
        strict = small
        width, height = first if small else (LARGE_INPUT, LARGE_INPUT)
        why = (
            "the images' own" if small else f"as for ImageNet, since they are larger than {SMALL_SIDE}; or ?size=PIXELS"
        )
    count = sum(len(chosen) for chosen in parts)
    in_memory = max(height, width) <= SMALL_SIDE and count * channels * height * width <= SMALL_BYTES
    cut = _cut_note([size for (size, _), _ in headers], height, width)
    return Shape((channels, height, width), in_memory, strict, why, cut)


def _cut_note(sizes: list[tuple[int, int]], height: int, width: int) -> str:
    """What is said of images (width, height) of another shape than the input: their centre alone is seen."""
    aspects = [(w / h) / (width / height) for w, h in sizes]
    lost = [percent for aspect in aspects if (percent := round(100 * (1 - min(aspect, 1 / aspect)))) >= CUT]
    if not lost:
        return ""
    return (
        f"{len(lost):,} of {len(sizes):,} images that were looked at have another shape than the input, "
        f"{height}x{width}: they are centre-cropped to it, which cuts off up to {max(lost)} % of an image; a "
        "?size=HEIGHTxWIDTH nearer to theirs keeps more"
    )


def _sizes_differ(size: tuple[int, int], place: str, other: tuple[int, int], other_place: str) -> UserError:
    return UserError(
        f"the images differ in size: {place} is {size[0]}x{size[1]}, {other_place} is {other[0]}x{other[1]}; "
        "say which to train at with ?size=PIXELS"
    )


class Builder:
    """Makes the splits of one data set, and knows what all of them share."""

    def __init__(self, spec: Spec, source: Source, train: Chosen, val: Chosen) -> None:
        self._parts = {"train": train, "val": val}
        self._classes = source.classes
        self._traits: list[str] = []
        self._checked = True
        try:
            self._build(spec, source, train, val)
        except Unreadable:
            raise refusal(self._all_broken(), len(train) + len(val)) from None

    def _build(self, spec: Spec, source: Source, train: Chosen, val: Chosen) -> None:
        self.shape = find_shape(spec, source, [train, val])
        if self.shape.in_memory:
            try:
                pixels = {
                    role: self._read(chosen, guess="chans" not in spec.options) for role, chosen in self._parts.items()
                }
            except _Coloured:
                self._traits.clear()
                _, height, width = self.shape.input_size
                self.shape = replace(self.shape, input_size=(3, height, width), in_memory=True)
                pixels = {role: self._read(chosen) for role, chosen in self._parts.items()}
            refuse_dark(self._traits, len(train) + len(val))
            self.mean, self.std = statistics(pixels["train"])
            self._seen = tuple(self._traits)
            self.train, self.val = (self._tensors(chosen, pixels[role]) for role, chosen in self._parts.items())
        else:
            self._check_files()
            some = Chosen(train.part, np.array(train.sample(SAMPLE)))
            seen = tuple(self._traits)
            pixels_of_some = self._read(some)
            refuse_dark(self._traits[len(seen) :], len(some))
            self.mean, self.std = statistics(pixels_of_some)
            self._seen = seen or tuple(self._traits)  # of the sample, where not every image was decoded
            self.train, self.val = (self._files(chosen) for _, chosen in self._parts.items())

    def split(self, chosen: Chosen) -> Split:
        """A further split, prepared in the same way."""
        return self._tensors(chosen, self._read(chosen)) if self.shape.in_memory else self._files(chosen)

    def notes(self, test: Part | None) -> list[str]:
        """What a user should know of the images: how some are read, and which are there twice.

        Of test images only bytes are compared; none is decoded.
        """
        chosen = {role: (part.part, part.rows) for role, part in self._parts.items()}
        if test is not None and len(test) and test.length(0) is not None:
            chosen["test"] = (test, np.arange(len(test)))
        notes = [self.shape.cut] if self.shape.cut else []
        notes += trait_notes(self._seen) + duplicate_notes(chosen, self.shape.in_memory)
        if not self._checked:
            notes.append(f"more than {CHECKED_FILES:,} files: a broken one is found when it is read")
        return notes

    def fingerprint(self) -> str:
        """16 hex digits over what a network is trained and compared on: images, labels, cut, shape.

        Of images in memory the bytes count, of others the file's name in the data set and its size.
        """
        digest = hashlib.sha256(repr((self.shape.input_size, self.mean, self.std, self._classes)).encode())
        for role, chosen in self._parts.items():
            digest.update(f"{role} {len(chosen)}".encode())
            digest.update(chosen.labels.tobytes())
            for row in map(int, chosen.rows):
                part = chosen.part
                digest.update(part.content(row) if self.shape.in_memory else part.identity(row).encode())
        if TURNED in self._seen:  # earlier versions did not turn images
            digest.update(b"upright")
        return digest.hexdigest()[:16]

    def _read(self, chosen: Chosen, guess: bool = False) -> torch.Tensor:
        """All the images as uint8 (N, C, H, W). With ``guess``, colours among grey images raise :class:`_Coloured`."""
        channels, height, width = self.shape.input_size
        # timm's own, up to the uint8 tensor: what its loader does to a validation image.
        transform = create_transform(
            self.shape.input_size, is_training=False, interpolation=INTERPOLATION, crop_pct=1.0, use_prefetcher=True
        )
        pixels = np.empty((len(chosen), channels, height, width), dtype=np.uint8)
        for position, row in enumerate(map(int, chosen.rows)):
            place = chosen.part.where(row)
            image = chosen.part.image(row)
            self._traits += traits(image)
            if guess and channels == 1 and image.mode not in GREY:
                raise _Coloured
            if self.shape.strict and image.size != (width, height):
                raise _sizes_differ((width, height), "most of them", image.size, place)
            image = in_channels(image, channels, place)
            if image.size == (width, height):
                array = np.asarray(image)
                pixels[position] = array if channels == 1 else array.transpose(2, 0, 1)
            else:
                pixels[position] = transform(image)
        return torch.from_numpy(pixels)

    def _dataset(self, chosen: Chosen) -> ImageDataset:
        return ImageDataset(chosen.part, chosen.rows, self.shape.input_size[0])

    def _tensors(self, chosen: Chosen, pixels: torch.Tensor) -> Split:
        return TensorSplit(pixels, chosen.labels, self.mean, self.std, self._dataset(chosen))

    def _files(self, chosen: Chosen) -> Split:
        config = {
            "input_size": self.shape.input_size,
            "mean": self.mean,
            "std": self.std,
            "interpolation": INTERPOLATION,
            "crop_pct": 1.0,
            "crop_mode": "center",
        }
        return LoaderSplit(self._dataset(chosen), chosen.labels, config)

    def _check_files(self) -> None:
        """Looks at every file once, so that a broken one is found before training."""
        found: list[str] = []
        for chosen in self._parts.values():
            if len(chosen) > CHECKED_FILES:
                self._checked = False
                continue
            broken, some = check(chosen.part, chosen.rows)
            if broken:
                raise next(iter(broken.values()))
            found += some
        self._traits = found

    def _all_broken(self) -> list[Unreadable]:
        """Every image that cannot be used, where one could not."""
        found = [error for chosen in self._parts.values() for error in check(chosen.part, chosen.rows)[0].values()]
        return found or [
            error for chosen in self._parts.values() for error in check(chosen.part, chosen.rows, True)[0].values()
        ]

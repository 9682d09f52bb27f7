"""Semantic segmentation: a class for every pixel; cross-entropy and mean intersection over union (mIoU).

    data = load_data("segmentation:shapes")                                  # drawn while loading, needs no file
    data = load_data("segmentation:/data/cityscapes?size=512x1024&crop=512x512&classes=19")

The source is ``shapes`` (discs, squares and triangles) or a folder with ``images/`` and ``masks/``: the same names in
both (a mask's may end in ``_mask``, ``_gtFine_labelIds`` or the like), below ``train/``, ``val/`` and ``test/``, or
with these folders below ``images/`` and ``masks/``, or directly; then the validation part is cut from it. A mask has
one channel and holds the class of each pixel as a number, a palette image its index; 255 (or what ``ignore`` says) is
no class, and counts neither in the loss nor in the metric. Where all masks hold 0 and 255 alone, both are classes.
The classes are the lines of ``classes.txt`` in the folder, where there is one; each must have a pixel in training.

A network gets float32 (B, 3, H, W) and gives scores (B, classes, H, W). Training varies images by a random mirror
image and a random shift or crop, the mask with it; validation sees whole images.

Options, written ``?option=value&option=value``:

- ``size``: HEIGHTxWIDTH of every image (64 for shapes); images of other sizes are resized, their masks by nearest
- ``crop``: HEIGHTxWIDTH of the part of an image that is trained on
- ``classes``: how many; else the lines of classes.txt, else as many as there are values, if these count from 0
- ``values``: the masks' numbers of the classes, in order, where they do not count from 0: 0,255 or 1-150
- ``colours``: the colours of the classes, in order, where masks are coloured: 000000,ff0000
- ``ignore``: the masks' value for pixels of no class
- ``exif``: apply or ignore says whether masks belong to images as EXIF turns them, where their size does not tell it
- ``bad``: skip goes on without images and masks that cannot be used, and counts them; refuse, the default, names them
- ``train``, ``val``, ``test``: a number of images (200) or a fraction of them (0.1); of shapes 512, 128 and 128
- ``seed``: another cut, other shapes
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from ...errors import UserError
from ..base import Data, DataInfo, ItemScores, Split, evaluating
from ..images.check import duplicate_notes, refuse_dark
from ..images.decode import Unreadable
from ..images.folder import FilesPart
from ..images.parts import Part
from ..metrics import MIOU
from ..spec import BAD, COMMON, SIZE, Option, Spec, one_of, parse_spec, whole
from ..split import VALIDATION, choose, cut_parts
from . import shapes as _shapes
from .files import Found, Pair, find_pairs
from .masks import Items, MaskSplit
from .names import class_names
from .pairs import Pairs
from .shapes import IGNORE, Shapes
from .survey import Survey, fit_sizes, left_out_notes, look, notes_of, refuse_broken, refuse_sizes
from .values import check_classes, find_values, refuse_wrong

EMBEDDED = ("shapes",)
SHAPES = {"train": 512, "val": 128, "test": 128}
SHAPES_SIZE = (64, 64)
PIECE = 64  # images whose leaving out is computed at a time, which bounds memory
#: The largest value of a mask, which may have 16 bits.
MAX_VALUE = 2**16 - 1


class Segmentation:
    """A class for every pixel: cross-entropy, and the intersection over union of the classes, in the mean."""

    name = "segmentation"
    metric = MIOU.name

    def loss(self, output: torch.Tensor, target: torch.Tensor, smoothing: float = 0.0) -> torch.Tensor:
        """The mean over the pixels that have a class; 0 where none has."""
        total = F.cross_entropy(output, target, ignore_index=IGNORE, label_smoothing=smoothing, reduction="sum")
        return total / (target != IGNORE).sum().clamp(min=1)

    @torch.inference_mode()
    def evaluate(
        self, net: torch.nn.Module, split: Split, *, device: str | torch.device = "cpu", batch_size: int = 512
    ) -> dict[str, float]:
        """``{"val_acc": mIoU in percent, "val_loss": mean cross-entropy}`` over all pixels of the split together."""
        loss = torch.zeros((), dtype=torch.float64, device=device)
        counts: torch.Tensor | None = None
        with evaluating(net):
            for x, y in split.batches(batch_size, device=device):
                output = net(x).float()
                loss += F.cross_entropy(output, y, ignore_index=IGNORE, reduction="sum")
                now = confusion(output.argmax(1), y, output.shape[1])
                counts = now if counts is None else counts + now
        assert counts is not None
        return _scores(loss, counts)

    @torch.inference_mode()
    def evaluate_items(
        self, net: torch.nn.Module, split: Split, *, device: str | torch.device = "cpu", batch_size: int = 512
    ) -> ItemScores:
        """As :meth:`evaluate`, with the pixels of each image, which are held: N times the classes squared."""
        loss = torch.zeros((), dtype=torch.float64, device=device)
        parts = []
        with evaluating(net):
            for x, y in split.batches(batch_size, device=device):
                output = net(x).float()
                loss += F.cross_entropy(output, y, ignore_index=IGNORE, reduction="sum")
                pairs = zip(output.argmax(1), y)
                parts += [confusion(found, target, output.shape[1]).cpu() for found, target in pairs]
        counts = torch.stack(parts)
        total = counts.sum(0)
        without = torch.cat([class_iou(total - some).nanmean(1) for some in counts.split(PIECE)])
        return ItemScores(
            _scores(loss, total), without.numpy(), confusion=total.numpy(), by_class=class_iou(total).numpy()
        )


def _scores(loss: torch.Tensor, counts: torch.Tensor) -> dict[str, float]:
    """``val_acc`` and ``val_loss`` of a split, of the sum of its pixels' cross-entropies and :func:`confusion`."""
    labelled = int(counts.sum())
    if not labelled:
        raise UserError("no pixel to score: every mask is ignored throughout")
    return {"val_acc": float(class_iou(counts).nanmean()), "val_loss": float(loss) / labelled}


def confusion(prediction: torch.Tensor, target: torch.Tensor, classes: int) -> torch.Tensor:
    """int64 (classes, classes): pixels by true class (rows) and predicted one, those without a class left out."""
    labelled = target != IGNORE
    index = target[labelled] * classes + prediction[labelled]
    return torch.bincount(index, minlength=classes**2).view(classes, classes)


def class_iou(counts: torch.Tensor) -> torch.Tensor:
    """Intersection over union of each class in percent, (..., classes); nan where it never occurs.

    Args:
        counts: (..., classes, classes), see :func:`confusion`.
    """
    hits = counts.diagonal(dim1=-2, dim2=-1).double()
    return 100 * hits / (counts.sum(-2) + counts.sum(-1) - hits)


def resolve(spec: str) -> str:
    """The spec with an absolute path, its options checked and in a fixed order. Reads no image."""
    return str(_parse(spec))


@dataclass(frozen=True)
class _Loaded:
    """What a spec names, before splits are made of it: (items, which of them) of each part."""

    train: tuple[Items, np.ndarray]
    val: tuple[Items, np.ndarray]
    load_test: Callable[[], tuple[Items, np.ndarray] | None]
    tests: int
    classes: tuple[str, ...]
    size: tuple[int, int]
    facts: tuple[Any, ...] = ()  # further ones that a network is trained on, for the fingerprint
    notes: tuple[str, ...] = ()
    smallest: tuple[str, int] | None = None
    left_out: int = 0


def load(spec: str, *, seed: int = 0) -> Data:
    """Opens images with masks and cuts their validation part; see :func:`mgic_nas.tasks.load_data`.

    Raises:
        UserError: no such folder, a file that does not fit, or an option that does not.
    """
    parsed = _parse(spec).with_seed(seed)
    seed = parsed.get("seed", 0)
    found = _load_shapes(parsed, seed) if parsed.source in EMBEDDED else _load_folder(parsed, seed)
    size, crop = found.size, parsed.get("crop")
    if crop and (crop[0] > size[0] or crop[1] > size[1]):
        raise UserError(f"crop={crop[0]}x{crop[1]} is larger than the images, {size[0]}x{size[1]}: lower it")

    train = MaskSplit(*found.train, size, crop)
    val = MaskSplit(*found.val, size, None, train.mean, train.std)

    def load_test() -> MaskSplit | None:
        test = found.load_test()
        return test and MaskSplit(*test, size, None, train.mean, train.std)

    info = DataInfo(
        name=Path(parsed.source).name,
        num_classes=len(found.classes),
        input_size=(3, *size),
        mean=train.mean,
        std=train.std,
        classes=found.classes,
        interpolation="bilinear",
        crop_pct=1.0,
        fingerprint=_fingerprint(
            (size, crop, found.classes, train.mean, train.std, *found.facts), (train, found.train), (val, found.val)
        ),
        sizes={"train": len(train), "val": len(val), "test": found.tests},
        notes=found.notes,
        smallest_class=found.smallest,
        left_out=found.left_out,
        sized=f"as ?size={parsed.texts['size']} says" if "size" in parsed.texts else "the images' own",
    )
    return Data(
        spec=f"segmentation:{parsed}", info=info, task=Segmentation(), train=train, val=val, load_test=load_test
    )


def _load_shapes(spec: Spec, seed: int) -> _Loaded:
    size = spec.get("size", SHAPES_SIZE)

    def part(role: str) -> tuple[Items, np.ndarray]:
        default = SHAPES[role]
        wanted = spec.get(role, default)
        count = max(1, round(wanted * default)) if isinstance(wanted, float) else wanted
        return Shapes(count, size, seed, role), np.arange(count)

    return _Loaded(part("train"), part("val"), lambda: part("test"), len(part("test")[0]), _shapes.CLASSES, size)


def _load_folder(spec: Spec, seed: int) -> _Loaded:
    root = Path(spec.source)
    found = find_pairs(root)
    names = class_names(root)
    every = not (names or spec.options.keys() & {"classes", "values", "colours"})
    surveys: dict[str, Survey] = {
        role: _look(spec, found, role, every) for role in ("train", "val") if role in found.pairs
    }
    refuse_dark([trait for survey in surveys.values() for trait in survey.traits], sum(map(len, found.pairs.values())))
    exif = fit_sizes(list(surveys.values()), spec.get("exif"))
    left_out = _refuse_or_leave_out(spec, surveys)
    if "size" not in spec.options:
        refuse_sizes(list(surveys.values()))
    masks = [mask for survey in surveys.values() for mask in survey.masks]
    values, classes, value_notes = find_values(spec, names, masks)
    size = spec.get("size") or surveys["train"].seen[0].size[::-1]

    pairs = {role: Pairs(survey, size, values) for role, survey in surveys.items()}
    train, val = pairs["train"], pairs.get("val", pairs["train"])
    tests = found.pairs.get("test", [])
    val_labels = _one_class(val) if "val" in pairs else None
    train_rows, val_rows, test_count, test_rows = cut_parts(
        spec, _one_class(train), val_labels, lambda: len(tests), 1, VALIDATION
    )
    if not len(val_rows):
        raise UserError(f"{root} has too few images to validate on: add some, or say ?val=1")
    chosen = [[part.seen[row] for row in rows] for part, rows in ((train, train_rows), (val, val_rows))]
    smallest, class_notes = check_classes(values, classes, chosen[0], chosen[1], is_cut="val" not in pairs)

    def load_test() -> tuple[Items, np.ndarray] | None:
        if test_rows is not None:
            return train, test_rows
        if not test_count:
            return None
        survey = _look(spec, found, "test", every)
        fit_sizes([survey], spec.get("exif") or exif)
        _refuse_or_leave_out(spec, {"test": survey})
        refuse_wrong(values, survey.masks)
        if "size" not in spec.options:
            refuse_sizes([survey], size[::-1])
        test = Pairs(survey, size, values)
        return test, choose(_one_class(test), spec.get("test"), seed, "test")

    files = {"train": (train, train_rows), "val": (val, val_rows)}
    notes = [*found.notes, *left_out_notes(left_out), *value_notes, *class_notes, *notes_of(surveys)]
    return _Loaded(
        train=(train, train_rows),
        val=(val, val_rows),
        load_test=load_test,
        tests=test_count,
        classes=classes,
        size=size,
        facts=() if values.plain else (values,),
        notes=(*notes, *_doubled(files, tests)),
        smallest=smallest,
        left_out=len(left_out),
    )


def _look(spec: Spec, found: Found, role: str, every: bool) -> Survey:
    return look(
        found.pairs[role],
        found.unmasked[role],
        coloured="colours" in spec.options,
        every=every,
        skipping=spec.get("bad") == "skip",
    )


def _refuse_or_leave_out(spec: Spec, surveys: dict[str, Survey]) -> list[Unreadable]:
    """What cannot be used, where the spec says to go on without it."""
    if spec.get("bad") != "skip":
        refuse_broken(list(surveys.values()))
    for role, survey in surveys.items():
        if not survey.files:
            raise UserError(f"no image of the {role} part of {spec.source} can be used: {survey.broken[0]}")
    return [error for survey in surveys.values() for error in survey.broken]


def _one_class(items: Pairs) -> np.ndarray:
    """Labels for a cut that has nothing to stratify."""
    return np.zeros(len(items), dtype=np.int64)


def _doubled(parts: dict[str, tuple[Pairs, np.ndarray]], tests: list[Pair]) -> list[str]:
    """Notes on images that are there twice, byte for byte. Of test images only bytes are compared."""
    chosen: dict[str, tuple[Part, np.ndarray]] = {}
    for role, (pairs, rows) in parts.items():
        chosen[role] = _image_files(pairs.files), rows
    if tests:
        chosen["test"] = _image_files(tests), np.arange(len(tests))
    return duplicate_notes(chosen, in_memory=False)


def _image_files(pairs: list[Pair]) -> FilesPart:
    return FilesPart(Path("/"), [str(image) for image, _ in pairs], np.zeros(len(pairs), dtype=np.int64))


def _fingerprint(facts: tuple[Any, ...], *parts: tuple[MaskSplit, tuple[Items, np.ndarray]]) -> str:
    """16 hex digits over what a network is trained and compared on: contents, or names and sizes of large files.

    Of files also whether an image is turned: earlier versions turned all of them.
    """
    digest = hashlib.sha256(repr(facts).encode())
    for (split, (source, rows)), name in zip(parts, ("train", "val")):
        digest.update(f"{name} {len(split)}".encode())
        if split.memory is not None:
            for tensor in split.memory:
                digest.update(tensor.numpy().tobytes())
        elif isinstance(source, Pairs):
            for row in map(int, rows):
                digest.update(repr([(path.name, path.stat().st_size) for path in source.files[row]]).encode())
                if source.seen[row].orientation != 1:
                    digest.update(b"as stored" if source.seen[row].as_stored else b"upright")
    return digest.hexdigest()[:16]


def _numbers(text: str) -> tuple[int, ...]:
    """``0,3-5`` as 0, 3, 4, 5; ValueError where it is not that, for two or more different numbers."""
    numbers: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", part.strip(), re.ASCII)
        if match is None:
            raise ValueError
        numbers += range(int(match[1]), int(match[2] or match[1]) + 1)
    return _distinct(numbers, MAX_VALUE)


def _colours(text: str) -> tuple[int, ...]:
    """``000000,ff0000`` as 0xRRGGBB."""
    parts = [part.strip().removeprefix("#") for part in text.split(",")]
    if not all(re.fullmatch(r"[0-9a-fA-F]{6}", part) for part in parts):
        raise ValueError
    return _distinct([int(part, 16) for part in parts], 2**24 - 1)


def _distinct(numbers: list[int], highest: int) -> tuple[int, ...]:
    if len(set(numbers)) != len(numbers) or not 2 <= len(numbers) <= IGNORE or max(numbers) > highest:
        raise ValueError
    return tuple(numbers)


_OPTIONS: dict[str, Option] = {
    **COMMON,
    "size": SIZE,
    "crop": SIZE,
    "classes": (whole(2, IGNORE), f"a number of classes from 2 to {IGNORE}"),
    "ignore": (whole(0, MAX_VALUE), f"a whole number from 0 to {MAX_VALUE}"),
    "values": (_numbers, "two or more different numbers such as 0,255 or 1-150"),
    "colours": (_colours, "two or more different colours such as 000000,ff0000"),
    "exif": (one_of("apply", "ignore"), "apply or ignore"),
    "bad": BAD,
}


def _parse(spec: str) -> Spec:
    spec = spec.strip().removeprefix("segmentation:")
    if not spec.partition("?")[0]:
        raise UserError("no images named: name shapes or a folder, for example segmentation:shapes")
    parsed = parse_spec(spec, _OPTIONS, "segmentation", is_name=lambda found: found.source in EMBEDDED)
    if parsed.source in EMBEDDED:
        parsed.only({*COMMON, "size", "crop"}, parsed.source)
    if "colours" in parsed.options:
        parsed.only(_OPTIONS.keys() - {"values", "ignore"}, "masks whose colours are named")
    return parsed

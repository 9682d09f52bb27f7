"""Semantic segmentation: a class for every pixel; cross-entropy and mean intersection over union (mIoU).

    data = load_data("segmentation:shapes")                                  # drawn while loading, needs no file
    data = load_data("segmentation:/data/cityscapes?size=512x1024&crop=512x512&classes=19")

The source is ``shapes`` (discs, squares and triangles) or a folder with ``images/`` and ``masks/``: the same names in
both, below ``train/``, ``val/`` and ``test/``, or directly; then the validation part is cut from it. A mask has one
channel and holds the class of each pixel as a number; 255 (or what ``ignore`` says) is no class, and counts neither
in the loss nor in the metric. The classes are the lines of ``classes.txt`` in the folder, where there is one.

A network gets float32 (B, 3, H, W) and gives scores (B, classes, H, W). Training varies images by a random mirror
image and a random shift or crop, the mask with it; validation sees whole images.

Options, written ``?option=value&option=value``:

- ``size``: HEIGHTxWIDTH of every image (64 for shapes); images of other sizes are resized, their masks by nearest
- ``crop``: HEIGHTxWIDTH of the part of an image that is trained on
- ``classes``: how many; else the lines of classes.txt, else the largest value in the training masks and one
- ``ignore``: the masks' value for pixels of no class
- ``train``, ``val``, ``test``: a number of images (200) or a fraction of them (0.1); of shapes 512, 128 and 128
- ``seed``: another cut, other shapes
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from ...errors import UserError
from ..base import Data, DataInfo, Split, evaluating
from ..images.build import CHECKED_FILES
from ..layout import mask_pairs
from ..metrics import MIOU
from ..spec import COMMON, SIZE, Option, Spec, parse_spec, whole
from ..split import VALIDATION, choose, cut_parts
from . import shapes as _shapes
from .masks import Items, MaskSplit
from .pairs import Pairs, file_size
from .shapes import IGNORE, Shapes

EMBEDDED = ("shapes",)
SHAPES = {"train": 512, "val": 128, "test": 128}
SHAPES_SIZE = (64, 64)
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
    """Intersection over union of each class in percent, from :func:`confusion`; nan where it never occurs."""
    hits = counts.diag().double()
    return 100 * hits / (counts.sum(0) + counts.sum(1) - hits)


def resolve(spec: str) -> str:
    """The spec with an absolute path, its options checked and in a fixed order. Reads no image."""
    return str(_parse(spec))


def load(spec: str, *, seed: int = 0) -> Data:
    """Opens images with masks and cuts their validation part; see :func:`mgic_nas.tasks.load_data`.

    Raises:
        UserError: no such folder, a file that does not fit, or an option that does not.
    """
    parsed = _parse(spec).with_seed(seed)
    seed = parsed.get("seed", 0)
    if parsed.source in EMBEDDED:
        size = parsed.get("size", SHAPES_SIZE)
        items, rows, classes = _shape_parts(parsed, size, seed)
    else:
        items, rows, classes, size = _folder_parts(parsed, seed)
    crop = parsed.get("crop")
    if crop and (crop[0] > size[0] or crop[1] > size[1]):
        raise UserError(f"crop={crop[0]}x{crop[1]} is larger than the images, {size[0]}x{size[1]}: lower it")

    train = MaskSplit(items["train"], rows["train"], size, crop)
    val = MaskSplit(items["val"], rows["val"], size, None, train.mean, train.std)

    def load_test() -> MaskSplit | None:
        if not len(rows["test"]):
            return None
        return MaskSplit(items["test"], rows["test"], size, None, train.mean, train.std)

    info = DataInfo(
        name=Path(parsed.source).name,
        num_classes=len(classes),
        input_size=(3, *size),
        mean=train.mean,
        std=train.std,
        classes=classes,
        interpolation="bilinear",
        crop_pct=1.0,
        fingerprint=_fingerprint(
            (size, crop, classes, train.mean, train.std), (train, val), [items["train"], items["val"]], rows
        ),
        sizes={part: len(rows[part]) for part in ("train", "val", "test")},
    )
    return Data(
        spec=f"segmentation:{parsed}", info=info, task=Segmentation(), train=train, val=val, load_test=load_test
    )


Parts = tuple[dict[str, Items], dict[str, np.ndarray], tuple[str, ...]]


def _shape_parts(spec: Spec, size: tuple[int, int], seed: int) -> Parts:
    items: dict[str, Items] = {}
    for part, default in SHAPES.items():
        wanted = spec.get(part, default)
        count = max(1, round(wanted * default)) if isinstance(wanted, float) else wanted
        items[part] = Shapes(count, size, seed, part)
    return items, {part: np.arange(len(those)) for part, those in items.items()}, _shapes.CLASSES


def _folder_parts(spec: Spec, seed: int) -> tuple[*Parts, tuple[int, int]]:
    root = Path(spec.source)
    files = mask_pairs(root)
    size = spec.get("size") or file_size(files["train"][0][0])[::-1]
    ignore = spec.get("ignore", IGNORE)
    strict = "size" not in spec.options
    Pairs(files["train"] + files.get("val", []), size, strict, None, ignore).check(CHECKED_FILES)
    classes = _classes(spec, root, Pairs(files["train"], size, strict, None, ignore))
    items: dict[str, Items] = {part: Pairs(those, size, strict, len(classes), ignore) for part, those in files.items()}
    items.setdefault("val", items["train"])
    items.setdefault("test", Pairs([], size, strict, len(classes), ignore))

    one_class = {part: np.zeros(len(those), dtype=np.int64) for part, those in items.items()}  # nothing to stratify
    val_labels = one_class["val"] if "val" in files else None
    train, val, tests = cut_parts(spec, one_class["train"], val_labels, items["test"].__len__, 1, VALIDATION)
    test = choose(one_class["test"], tests, seed, "test") if tests else np.arange(0)
    if not len(val):
        raise UserError(f"{root} has too few images to validate on: add some, or say ?val=1")
    return items, {"train": train, "val": val, "test": test}, classes, size


def _classes(spec: Spec, root: Path, train: Pairs) -> tuple[str, ...]:
    """The names of the classes; their numbers where they have none."""
    listed = root / "classes.txt"
    names = tuple(listed.read_text().split("\n")) if listed.is_file() else ()
    while names and not names[-1].strip():
        names = names[:-1]
    count = spec.get("classes") or len(names)
    if not count:
        count = 1 + max(
            int(mask[mask != IGNORE].max(initial=0)) for _, mask in map(train.__getitem__, range(len(train)))
        )
    if names and len(names) != count:
        raise UserError(f"{listed} names {len(names)} classes, classes={count} says other: mend one of them")
    if not 2 <= count <= IGNORE:
        raise UserError(f"data {spec.source!r}: {count} classes; 2 to {IGNORE} can be told apart")
    return tuple(name.strip() for name in names) or tuple(map(str, range(count)))


def _fingerprint(
    facts: Any, splits: tuple[MaskSplit, MaskSplit], items: list[Items], rows: dict[str, np.ndarray]
) -> str:
    """16 hex digits over what a network is trained and compared on: contents, or names and sizes of large files."""
    digest = hashlib.sha256(repr(facts).encode())
    for split, source, part in zip(splits, items, ("train", "val")):
        digest.update(f"{part} {len(split)}".encode())
        if split.memory is not None:
            for tensor in split.memory:
                digest.update(tensor.numpy().tobytes())
        elif isinstance(source, Pairs):
            for row in map(int, rows[part]):
                digest.update(repr([(path.name, path.stat().st_size) for path in source.files[row]]).encode())
    return digest.hexdigest()[:16]


_OPTIONS: dict[str, Option] = {
    **COMMON,
    "size": SIZE,
    "crop": SIZE,
    "classes": (whole(2, IGNORE), f"a number of classes from 2 to {IGNORE}"),
    "ignore": (whole(0, MAX_VALUE), f"a whole number from 0 to {MAX_VALUE}"),
}


def _parse(spec: str) -> Spec:
    spec = spec.strip().removeprefix("segmentation:")
    if not spec.partition("?")[0]:
        raise UserError("no images named: name shapes or a folder, for example segmentation:shapes")
    parsed = parse_spec(spec, _OPTIONS, "segmentation", is_name=lambda found: found.source in EMBEDDED)
    if parsed.source in EMBEDDED:
        parsed.only({*COMMON, "size", "crop"}, parsed.source)
    return parsed

"""Image classification: which images, in what shape, in memory or from files; cross-entropy and top-1.

What a spec may name:

- ``fashion``: comes with the package (14x14 grey, 10 classes: 5,000 to train on, 2,000 to validate, 1,000 to test)
- a folder with parquet files as hubs serve them: ``train.parquet`` or ``train-00000-of-00002.parquet`` (in it or in its
  ``data/``) or ``train/0000.parquet``, each also below one ``<configuration>/``; validation and test files likewise
- a folder that holds torchvision's ``cifar-10-batches-py`` or ``cifar-100-python``
- a folder with MNIST's idx files (``train-images-idx3-ubyte.gz`` and its siblings), as Fashion-MNIST comes
- a folder of image files, ``train/<class>/``, ``val/<class>/``, ``test/<class>/`` (or names such as ``Training``,
  ``dev_set``), or ``<class>/`` alone; files may lie at any depth below the class
- a name that timm's ``create_dataset`` reads: ``torch/cifar10?root=FOLDER``, ``hfds/NAME``, ``wds/...``, ``tfds/...``

Options, written ``?option=value&option=value``, are part of the name, so that a run records what it was given:

- ``train``, ``val``, ``test``: a number of images (2000) or a fraction of them (0.1), stratified by class
- ``size``: pixels (32, or 28x32), resized and centre-cropped as timm does at crop_pct 1
- ``pool``: of idx files, the side of the blocks whose mean becomes a pixel (2 makes 14x14 of 28x28)
- ``chans``: 1 or 3; else what the images have
- ``seed``: another cut
- ``bad``: skip goes on without images that cannot be read, and counts them; refuse, the default, names them all. With
  skip every image is decoded once in each process (of more than 20,000 only headers and ends are looked at)
- ``layout``: classes says that the folders in a folder are classes and not splits, whatever they are called
- ``image``, ``label``: columns of parquet files, where they are not called so or several may be meant; of timm's names
- ``root``, ``train_split``, ``val_split``, ``test_split``: for timm's names

The validation part is the data set's own where it has one, else cut from train: a tenth unless ``val`` says other. A
test part is only cut where ``test`` says so; the validation part stays the same.
Images are upright as EXIF says; of several frames the first counts, transparency is dropped, of 16 bits the high ones
are used. Images of at most 128 pixels whose uint8 values fit 1 GiB live in one tensor; others go through timm's loader,
at 224 pixels unless ``size`` says other.
"""

from __future__ import annotations

import contextlib
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F

from ...errors import UserError
from ..base import Data, DataInfo, ItemScores, Split, evaluating
from ..metrics import TOP1
from ..spec import Spec
from ..split import absent_classes, choose, cut_parts
from .build import CHECKED_FILES, INTERPOLATION, Builder, Chosen
from .check import SomeRows, check
from .folder import FolderSource
from .parts import Part, Source
from .sources import checked_spec, find_source


class Classification:
    """One label an image: cross-entropy, and the percentage of images whose best class is right."""

    name = "images"
    metric = TOP1.name

    def loss(self, output: torch.Tensor, target: torch.Tensor, smoothing: float = 0.0) -> torch.Tensor:
        return F.cross_entropy(output, target, label_smoothing=smoothing)

    def evaluate(
        self, net: torch.nn.Module, split: Split, *, device: str | torch.device = "cpu", batch_size: int = 512
    ) -> dict[str, float]:
        """``{"val_acc": percent, "val_loss": mean cross-entropy}`` in float32; leaves the net in its mode."""
        scores, _ = self._evaluate(net, split, device, batch_size)
        return scores

    def evaluate_items(
        self, net: torch.nn.Module, split: Split, *, device: str | torch.device = "cpu", batch_size: int = 512
    ) -> ItemScores:
        """As :meth:`evaluate`, with what becomes of each image."""
        scores, (predicted, target, classes) = self._evaluate(net, split, device, batch_size)
        right, count = predicted == target, len(target)
        confusion = np.bincount(target * classes + predicted, minlength=classes**2).reshape(classes, classes)
        with np.errstate(invalid="ignore"):  # 0 / 0 is nan: none of that class
            by_class = 100 * confusion.diagonal() / confusion.sum(1)
        without = 100 * (right.sum() - right) / max(1, count - 1)
        return ItemScores(scores, without, right, confusion, by_class)

    @torch.inference_mode()
    def _evaluate(
        self, net: torch.nn.Module, split: Split, device: str | torch.device, batch_size: int
    ) -> tuple[dict[str, float], tuple[np.ndarray, np.ndarray, int]]:
        """The scores, and the predicted and the true class of each item, int64 (N,), with the number of classes."""
        losses, predicted, target, classes = [], [], [], 1
        with evaluating(net):
            for x, y in split.batches(batch_size, device=device):
                output = net(x).float()
                losses.append(F.cross_entropy(output, y, reduction="sum"))
                predicted.append(output.argmax(1))
                target.append(y)
                classes = output.shape[1]
        # Transfers at the end, so that a GPU is not waited for after every batch.
        loss = float(torch.stack(losses).cpu().double().sum()) / len(split)
        found, labels = (torch.cat(parts).cpu().numpy() for parts in (predicted, target))
        scores = {"val_acc": 100 * int((found == labels).sum()) / len(split), "val_loss": loss}
        return scores, (found, labels, classes)


def resolve(spec: str) -> str:
    """The spec with absolute paths, checked as far as that goes without reading data."""
    return str(checked_spec(spec))


def load(spec: str, *, seed: int = 0) -> Data:
    """Opens, cuts and, where it is small, decodes a data set.

    Raises:
        UserError: see :func:`mgic_nas.tasks.load_data`.
    """
    parsed = checked_spec(spec).with_seed(seed)
    source = find_source(parsed)
    classes = len(source.classes)

    train_part, train_bad = _usable(parsed, _part(source, "train"))
    assert train_part is not None
    val_part, val_bad = _usable(parsed, _part(source, "val"))
    val_labels = None if val_part is None else val_part.labels
    train_rows, val_rows, tests, test_rows = cut_parts(
        parsed, train_part.labels, val_labels, source.test_count, classes, source.default_val
    )
    built = Builder(parsed, source, Chosen(train_part, train_rows), Chosen(val_part or train_part, val_rows))

    test_part = _test_files(source)
    test_labels = train_part.labels[test_rows] if test_rows is not None else _chosen_labels(parsed, test_part)

    left_out = len(train_bad) + len(val_bad)
    notes = list(getattr(source, "notes", ()))
    notes += absent_classes(source.classes, built.val.labels, "validation")
    notes += absent_classes(source.classes, test_labels, "test")
    if left_out:
        notes.append(
            f"broken images left out by ?bad=skip: {left_out:,}, such as {', '.join((train_bad + val_bad)[:2])}"
        )
    counts = np.bincount(train_part.labels[train_rows], minlength=classes)
    smallest = int(counts.argmin())
    val_counts = np.bincount(built.val.labels, minlength=classes)
    info = DataInfo(
        name=source.name,
        num_classes=classes,
        input_size=built.shape.input_size,
        mean=built.mean,
        std=built.std,
        classes=source.classes,
        interpolation=INTERPOLATION,
        crop_pct=1.0,
        fingerprint=built.fingerprint(),
        sizes={"train": len(train_rows), "val": len(val_rows), "test": tests},
        notes=(*notes, *built.notes(test_part)),
        smallest_class=(source.classes[smallest], int(counts[smallest])),
        left_out=left_out,
        sized=built.shape.why,
        blind=round(100 * int(val_counts.max()) / len(val_rows), 2),
    )
    return Data(
        spec=str(parsed),
        info=info,
        task=Classification(),
        train=built.train,
        val=built.val,
        load_test=partial(_load_test, source, built, parsed)
        if test_rows is None
        else lambda: built.split(Chosen(train_part, test_rows)),
    )


def _part(source: Source, role: str) -> Part | None:
    part = source.part(role)
    if part is not None and not len(part):
        raise UserError(f"the {role} part of {source.name} has no images")
    if part is not None and (part.labels.min() < 0 or part.labels.max() >= len(source.classes)):
        row = int(((part.labels < 0) | (part.labels >= len(source.classes))).argmax())
        raise UserError(f"{part.where(row)} has the label {part.labels[row]}, of which train has no images")
    return part


def _usable(spec: Spec, part: Part | None) -> tuple[Part | None, list[str]]:
    """The part without the images that cannot be read, where the spec says so, and the places of those.

    Raises:
        UserError: none is left.
    """
    if part is None or spec.get("bad") != "skip":
        return part, []
    broken, _ = check(part, range(len(part)), whole=len(part) <= CHECKED_FILES)
    if not broken:
        return part, []
    rows = np.array([row for row in range(len(part)) if row not in broken], dtype=np.int64)
    if not len(set(part.labels[rows].tolist())) == len(set(part.labels.tolist())):
        raise UserError(f"{spec.source}: without its {len(broken):,} broken images a class is empty: add images of it")
    return SomeRows(part, rows), [error.where for error in broken.values()]


def _test_files(source: Source) -> Part | None:
    """The test part where its bytes may be compared. What is wrong with a folder of them is said when it is read."""
    if getattr(source, "compares_test", False):
        return _part(source, "test")
    with contextlib.suppress(UserError):
        return _part(source, "test") if isinstance(source, FolderSource) else None
    return None


def _load_test(source: Source, built: Builder, spec: Spec) -> Split | None:
    part, _ = _usable(spec, _part(source, "test"))
    if part is None:
        return None
    return built.split(Chosen(part, _chosen_test(spec, part)))


def _chosen_test(spec: Spec, part: Part) -> np.ndarray:
    return choose(part.labels, spec.get("test"), spec.get("seed", 0), "test")


def _chosen_labels(spec: Spec, test: Part | None) -> np.ndarray:
    """Labels of the test images that are used; none where they are not known yet."""
    return np.empty(0, dtype=np.int64) if test is None else test.labels[_chosen_test(spec, test)]

"""Image classification: which images, in what shape, in memory or from files; cross-entropy and top-1.

What a spec may name:

- ``fashion``: comes with the package (14x14 grey, 10 classes: 5,000 to train on, 2,000 to validate, 1,000 to test)
- a folder with ``train*.parquet`` and ``test*.parquet`` as Hugging Face writes them (CIFAR-10, for one)
- a folder that holds torchvision's ``cifar-10-batches-py`` or ``cifar-100-python``
- a folder with MNIST's idx files (``train-images-idx3-ubyte.gz`` and its siblings), as Fashion-MNIST comes
- a folder of image files, ``train/<class>/``, ``val/<class>/``, ``test/<class>/``, or ``<class>/`` alone
- a name that timm's ``create_dataset`` reads: ``torch/cifar10?root=FOLDER``, ``hfds/NAME``, ``wds/...``, ``tfds/...``

Options, written ``?option=value&option=value``, are part of the name, so that a run records what it was given:

- ``train``, ``val``, ``test``: a number of images (2000) or a fraction of them (0.1), stratified by class
- ``size``: pixels (32, or 28x32), resized and centre-cropped as timm does at crop_pct 1
- ``pool``: of idx files, the side of the blocks whose mean becomes a pixel (2 makes 14x14 of 28x28)
- ``chans``: 1 or 3; else what the images have
- ``seed``: another cut
- ``image``, ``label``: column names; ``root``, ``train_split``, ``val_split``, ``test_split``: for timm's names

The validation part is the data set's own where it has one, else cut from train: a tenth unless ``val`` says other.
Images of at most 128 pixels whose uint8 values fit 1 GiB live in one tensor; others go through timm's loader, at
224 pixels unless ``size`` says other.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F

from ...errors import UserError
from ..base import Data, DataInfo, Split, evaluating
from ..metrics import TOP1
from ..spec import Spec
from ..split import choose, cut_parts
from .build import INTERPOLATION, Builder, Chosen
from .parts import Part, Source
from .sources import checked_spec, find_source


class Classification:
    """One label an image: cross-entropy, and the percentage of images whose best class is right."""

    name = "images"
    metric = TOP1.name

    def loss(self, output: torch.Tensor, target: torch.Tensor, smoothing: float = 0.0) -> torch.Tensor:
        return F.cross_entropy(output, target, label_smoothing=smoothing)

    @torch.inference_mode()
    def evaluate(
        self, net: torch.nn.Module, split: Split, *, device: str | torch.device = "cpu", batch_size: int = 512
    ) -> dict[str, float]:
        """``{"val_acc": percent, "val_loss": mean cross-entropy}`` in float32; leaves the net in its mode."""
        losses, right = [], []
        with evaluating(net):
            for x, y in split.batches(batch_size, device=device):
                output = net(x).float()
                losses.append(F.cross_entropy(output, y, reduction="sum"))
                right.append((output.argmax(1) == y).sum())
        # One transfer at the end, so that a GPU is not waited for after every batch.
        loss = float(torch.stack(losses).cpu().double().sum()) / len(split)
        return {"val_acc": 100 * int(torch.stack(right).sum()) / len(split), "val_loss": loss}


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

    train_part = _part(source, "train")
    assert train_part is not None
    val_part = _part(source, "val")
    val_labels = None if val_part is None else val_part.labels
    train_rows, val_rows, tests = cut_parts(
        parsed, train_part.labels, val_labels, source.test_count, classes, source.default_val
    )
    built = Builder(parsed, source, Chosen(train_part, train_rows), Chosen(val_part or train_part, val_rows))

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
    )
    return Data(
        spec=str(parsed),
        info=info,
        task=Classification(),
        train=built.train,
        val=built.val,
        load_test=partial(_load_test, source, built, parsed),
    )


def _part(source: Source, role: str) -> Part | None:
    part = source.part(role)
    if part is not None and not len(part):
        raise UserError(f"the {role} part of {source.name} has no images")
    if part is not None and (part.labels.min() < 0 or part.labels.max() >= len(source.classes)):
        row = int(((part.labels < 0) | (part.labels >= len(source.classes))).argmax())
        raise UserError(f"{part.where(row)} has the label {part.labels[row]}, of which train has no images")
    return part


def _load_test(source: Source, built: Builder, spec: Spec) -> Split | None:
    part = _part(source, "test")
    if part is None:
        return None
    return built.split(Chosen(part, choose(part.labels, spec.get("test"), spec.get("seed", 0), "test")))

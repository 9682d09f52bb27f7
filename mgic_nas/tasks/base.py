"""What every task gives to the training loop. No torch here, so that the command line can import it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from .._text import size_text

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class DataInfo:
    """What a network, a cost and a report need to know of the data.

    ``mean`` and ``std`` are per channel, of images scaled to 0..1, from the training part alone, rounded to four
    decimals: a network sees ``(x / 255 - mean) / std`` in float32. With ``interpolation``, ``crop_pct`` and
    ``input_size`` they are timm's ``pretrained_cfg`` keys, by which timm's own loader sees the same numbers.
    ``fingerprint`` changes when the images, the labels, the cut or an option that shapes them changes, and not when
    the files move. ``sizes`` counts images by "train", "val" and "test" (0 where there is no test split).

    What was seen while reading, for a person, and no part of the fingerprint: ``notes`` (one line each: what was left
    out, converted or found twice), ``smallest_class`` (name and number of training images), ``left_out`` (broken
    images that ``?bad=skip`` goes on without), ``sized`` (why the input size is what it is) and ``blind`` (percent of
    the validation images in their most frequent class: what is right without looking at an image).
    """

    name: str
    num_classes: int
    input_size: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: tuple[str, ...]
    interpolation: str
    crop_pct: float
    fingerprint: str
    sizes: dict[str, int] = field(hash=False)
    notes: tuple[str, ...] = field(default=(), compare=False)
    smallest_class: tuple[str, int] | None = field(default=None, compare=False)
    left_out: int = field(default=0, compare=False)
    sized: str = field(default="", compare=False)
    blind: float | None = field(default=None, compare=False)

    @property
    def in_chans(self) -> int:
        return self.input_size[0]

    def data_config(self) -> dict[str, Any]:
        """The keys of timm's ``pretrained_cfg`` that say how an image becomes an input."""
        return {
            "input_size": self.input_size,
            "mean": self.mean,
            "std": self.std,
            "interpolation": self.interpolation,
            "crop_pct": self.crop_pct,
            "crop_mode": "center",
        }


@dataclass(frozen=True)
class Augment:
    """How training images are varied. The default is a random mirror image and a random shifted crop.

    ``flip`` mirrors every second image; ``pad`` is the largest shift in pixels, the border filled with black (None:
    an eighth of the image's side, so 4 at 32 pixels and 2 at 14). ``scale`` (smallest and largest share of the
    area), ``color_jitter`` and ``auto_augment`` are timm's and apply to images that go through timm's loader,
    where ``pad`` does not.
    """

    flip: bool = True
    pad: int | None = None
    scale: tuple[float, float] | None = None
    color_jitter: float = 0.0
    auto_augment: str | None = None

    def padding(self, side: int) -> int:
        """The largest shift in pixels for images of ``side`` pixels."""
        return round(side / 8) if self.pad is None else self.pad


class Split(Protocol):
    """A part of the data: training, validation or test."""

    @property
    def labels(self) -> np.ndarray:
        """int64 (N,), the class of each image, in order."""

    def __len__(self) -> int: ...

    def steps(self, batch_size: int) -> int:
        """The number of training batches in an epoch: the last, smaller one is dropped unless it is the only one."""

    def batches(
        self,
        batch_size: int,
        *,
        device: str | torch.device = "cpu",
        seed: int = 0,
        epoch: int = 0,
        augment: Augment | bool | None = None,
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Batches (x float32 normalised (B, C, H, W), y int64 (B,)) on ``device``.

        Without ``augment`` (None or False): every image once, in order, as it is. With it (True for the default):
        a training epoch, shuffled and varied, whose order and variations depend on (seed, epoch) alone.
        """

    def as_dataset(self) -> torch.utils.data.Dataset[Any]:
        """The same images as (PIL image, label), with a ``transform`` attribute: what timm's create_loader takes."""


class Task(Protocol):
    """Loss and metric of a kind of problem."""

    name: str
    #: What ``val_acc`` measures, in words, for reports ("top-1 accuracy"). In percent, higher is better.
    metric: str

    def loss(self, output: torch.Tensor, target: torch.Tensor, smoothing: float = 0.0) -> torch.Tensor:
        """The mean loss of a batch, a scalar. ``smoothing`` is label smoothing; a task without labels ignores it."""

    def evaluate(
        self,
        net: torch.nn.Module,
        split: Split,
        *,
        device: str | torch.device = "cpu",
        batch_size: int = 512,
    ) -> dict[str, float]:
        """``{"val_acc": percent, "val_loss": mean}`` over all of ``split``, in float32 and eval mode."""


@dataclass(frozen=True, eq=False)
class ItemScores:
    """An evaluation item by item, in the order of the split: what two networks are compared by on the same items.

    Attributes:
        scores: as :meth:`Task.evaluate` gives them.
        without: float64 (N,), percent: ``val_acc`` of all items but this one, for jackknife standard errors.
        right: bool (N,), which items are right; None where an item is neither right nor wrong.
        confusion: int64 (classes, classes), items or pixels by true class (rows) and predicted one; None without
            classes.
        by_class: float64 (classes,), percent: the part of each class that is right, or its intersection over union; nan
            where the split has none of it. None without classes.
    """

    scores: dict[str, float]
    without: np.ndarray
    right: np.ndarray | None = None
    confusion: np.ndarray | None = None
    by_class: np.ndarray | None = None


@runtime_checkable
class JudgesItems(Protocol):
    """A task that says what becomes of each item, too. All of this package are."""

    def evaluate_items(
        self,
        net: torch.nn.Module,
        split: Split,
        *,
        device: str | torch.device = "cpu",
        batch_size: int = 512,
    ) -> ItemScores:
        """As :meth:`Task.evaluate`, of every item."""


@dataclass(kw_only=True, eq=False, repr=False)
class Data:
    """Training, validation and test part of one data set, with the task they are for.

    ``spec`` is the text by which :func:`~mgic_nas.tasks.load_data` gives this very data again, from any folder.
    The test part is read the first time ``test`` is asked for; a search never does.
    """

    spec: str
    info: DataInfo
    task: Task
    train: Split
    val: Split
    load_test: Callable[[], Split | None]

    @cached_property
    def test(self) -> Split | None:
        """The test part, or None where the data set has none."""
        return self.load_test()

    def __repr__(self) -> str:
        size = size_text(self.info.input_size)
        counts = ", ".join(f"{part} {count:,}" for part, count in self.info.sizes.items())
        return f"Data({self.spec!r}: {self.info.num_classes} classes, {size}, {counts})"


@contextmanager
def evaluating(net: torch.nn.Module) -> Iterator[None]:
    """The network in eval mode within the block, and afterwards in the mode in which it was."""
    was_training = net.training
    net.eval()
    try:
        yield
    finally:
        net.train(was_training)


def mix(*parts: int | str) -> int:
    """A seed (0 .. 2**63 - 1) from several numbers by a hash, so that the seeds of (1, 2) and (2, 1) are unrelated."""
    text = "/".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8]) >> 1

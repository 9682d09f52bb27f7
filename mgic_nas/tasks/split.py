"""Splits: which images train and which validate (stratified, the same on every machine, nested), and their batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import torch
import torch.nn.functional as F

from ..errors import UserError
from .base import Augment, mix
from .spec import Spec

#: The share of the training items that validates, where a data set has no validation part and its spec says nothing.
VALIDATION = 0.1
Batches = Iterator[tuple[torch.Tensor, torch.Tensor]]
A = TypeVar("A")  # what says how training items are varied


def _shares(capacity: np.ndarray, total: int) -> np.ndarray:
    """``total`` items over classes in proportion to ``capacity``, never above it (largest remainders)."""
    if total == 0:
        return np.zeros_like(capacity)
    quota = capacity * (total / capacity.sum())
    shares = np.floor(quota).astype(np.int64)
    largest = np.argsort(shares - quota, kind="stable")
    shares[largest[: total - shares.sum()]] += 1
    return shares


def _by_class(labels: np.ndarray, classes: int, seed: int) -> list[np.ndarray]:
    """The indices of each class, shuffled by ``seed``."""
    # RandomState and not default_rng: numpy guarantees that its stream never changes, and the cut must not.
    rng = np.random.RandomState(seed)
    return [rng.permutation(np.flatnonzero(labels == label)) for label in range(classes)]


def amount(wanted: int | float | None, available: int, default: int, what: str) -> int:
    """How many of ``available`` images an option asks for: a number, a fraction, or ``default``.

    Raises:
        UserError: more than there are.
    """
    if wanted is None:
        return default
    if available == 0:
        raise UserError(f"{what}={wanted} asks for items where there are none: remove the option")
    count = max(1, round(wanted * available)) if isinstance(wanted, float) else wanted
    if count > available:
        raise UserError(f"{what}={wanted} asks for more than the {available:,} items that there are: lower it")
    return count


def choose(labels: np.ndarray, wanted: int | float | None, seed: int, what: str) -> np.ndarray:
    """A stratified subset of ``wanted`` images: sorted indices. All of them where ``wanted`` is None."""
    count = amount(wanted, len(labels), len(labels), what)
    if count == len(labels):
        return np.arange(count)
    groups = _by_class(labels, int(labels.max()) + 1, seed)
    shares = _shares(np.array([len(group) for group in groups]), count)
    return np.sort(np.concatenate([group[:share] for group, share in zip(groups, shares)]))


def cut(
    labels: np.ndarray,
    classes: int,
    train: int | float | None,
    val: int | float | None,
    default_val: int | float,
    seed: int,
    test: int | float | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sorted indices of the training, the validation and the test part, each with every class in its proportion.

    With one seed the validation images stay the same whatever ``train`` and ``test`` are, and a smaller part is a
    subset of a larger one: so subsets of growing size can be compared.

    Raises:
        UserError: the numbers do not fit the data.
    """
    groups = _by_class(labels, classes, seed)
    counts = np.array([len(group) for group in groups])
    spare = counts - 1  # each class keeps one image to train on
    val_count = amount(
        val, len(labels), round(default_val * len(labels)) if default_val < 1 else int(default_val), "val"
    )
    if val_count > spare.sum():
        raise UserError(f"val={val_count} leaves too few of the {len(labels):,} items to train on: lower val")
    val_shares = _shares(spare, val_count)
    spare = spare - val_shares
    test_count = amount(test, len(labels), 0, "test")
    if test_count > spare.sum():
        raise UserError(f"test={test_count} leaves too few of the {len(labels):,} items to train on: lower test")
    test_shares = _shares(spare, test_count)
    held = val_shares + test_shares
    left = counts - held
    train_count = amount(train, len(labels), int(left.sum()), "train")
    if train_count > left.sum():
        both = f"train={train_count} and val={val_count}" + (f" and test={test_count}" if test_count else "")
        raise UserError(f"{both} together exceed the {len(labels):,} training images: lower one")
    if train_count < classes:
        raise UserError(f"train={train_count} is fewer than the {classes} classes: raise train")
    train_shares = 1 + _shares(left - 1, train_count - classes)
    train_part = [group[len(group) - share :] for group, share in zip(groups, train_shares)]
    val_part = [group[:share] for group, share in zip(groups, val_shares)]
    test_part = [group[first:last] for group, first, last in zip(groups, val_shares, held)]
    return (*(np.sort(np.concatenate(part)) for part in (train_part, val_part, test_part)),)  # type: ignore[return-value]


class Cut(NamedTuple):
    """The images that a spec chooses: sorted indices into the original parts.

    ``tests`` counts the test images; ``test`` are their indices in the original training part where they are cut from
    it, and None where there is a test part of its own.
    """

    train: np.ndarray
    val: np.ndarray
    tests: int
    test: np.ndarray | None


def cut_parts(
    spec: Spec,
    train: np.ndarray,
    val: np.ndarray | None,
    count_test: Callable[[], int],
    classes: int,
    default_val: int | float,
) -> Cut:
    """The images that a spec's ``train``, ``val``, ``test`` and ``seed`` choose from original parts.

    Where there is no test part, ``test`` cuts one from the training part.

    Args:
        train, val: int64 labels of the original parts; without ``val`` the validation part is cut from ``train``.
        count_test: gives the number of images of the original test part.
        default_val: as in :func:`cut`.

    Raises:
        UserError: the numbers do not fit the data.
    """
    seed = spec.get("seed", 0)
    try:
        tests = count_test()
        new_test = None if tests else spec.get("test")
        if val is None:
            own = spec.get("val")
            train_rows, val_rows, test_rows = cut(train, classes, spec.get("train"), own, default_val, seed, new_test)
        else:
            train_rows, _, test_rows = cut(train, classes, spec.get("train"), None, 0, seed, new_test)
            val_rows = choose(val, spec.get("val"), seed, "val")
        if tests or new_test is None:
            return Cut(train_rows, val_rows, amount(spec.get("test"), tests, tests, "test"), None)
        return Cut(train_rows, val_rows, len(test_rows), test_rows)
    except UserError as error:
        raise UserError(f"data {spec.source!r}: {error}") from None


def absent_classes(classes: Sequence[str], labels: np.ndarray, role: str, items: str = "images") -> list[str]:
    """A note where a part holds nothing of some classes, so that nothing is known of these.

    Args:
        classes: their names.
        labels: int64 (N,) of the part; of none nothing is said.
        role: "validation" or "test".
        items: what there is none of.
    """
    missing = np.flatnonzero(np.bincount(labels, minlength=len(classes)) == 0)
    if not len(labels) or not len(missing):
        return []
    names = ", ".join(repr(classes[i]) for i in missing[:3]) + (", ..." if len(missing) > 3 else "")
    what = "networks are chosen by" if role == "validation" else "a score is of"
    return [f"{len(missing):,} of {len(classes):,} classes have no {role} {items} ({names}): {what} the others alone"]


class BaseSplit(ABC, Generic[A]):
    """What the splits of all tasks share: they fulfil :class:`~mgic_nas.tasks.Split`.

    A subclass draws everything random on the CPU from (seed, epoch), so that an epoch is the same on every device.
    """

    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def steps(self, batch_size: int) -> int:
        return max(1, len(self) // batch_size)

    def batches(
        self,
        batch_size: int,
        *,
        device: str | torch.device = "cpu",
        seed: int = 0,
        epoch: int = 0,
        augment: A | Augment | bool | None = None,
    ) -> Batches:
        """See :meth:`mgic_nas.tasks.Split.batches`; UserError for an augmentation that this split does not have."""
        device = torch.device(device)
        if not augment:
            return self._in_order(batch_size, device)
        return self._epoch(min(batch_size, len(self)), device, seed, epoch, self._augmentation(augment))

    def prepared(self, config: Mapping[str, Any]) -> BaseSplit[A]:
        """The same items, in order, prepared as the keys of timm's ``pretrained_cfg`` say; not for training.

        Raises:
            UserError: a split of this kind is always prepared in one way.
        """
        raise UserError("data of this kind cannot be prepared in another way than its own")

    def joined(self, other: Any) -> BaseSplit[A]:
        """This split with the items of another of its kind behind its own; both stay what they are.

        UserError where the task cannot do that.
        """
        raise UserError("the training and the validation part of these data cannot be joined: train without with_val.")

    @abstractmethod
    def as_dataset(self) -> torch.utils.data.Dataset[Any]:
        """The items one by one, as (input, label)."""

    @abstractmethod
    def _augmentation(self, augment: A | Augment | bool) -> A:
        """What ``augment`` means here; UserError where it does not apply."""

    @abstractmethod
    def _in_order(self, size: int, device: torch.device) -> Batches:
        """Every item once, in order, as it is."""

    @abstractmethod
    def _epoch(self, size: int, device: torch.device, seed: int, epoch: int, augment: A) -> Batches:
        """A training epoch of batches of exactly ``size`` items, at most ``len(self)``."""

    def _shuffled(self, size: int, seed: int, epoch: int) -> tuple[torch.Tensor, torch.Generator]:
        """An epoch's order, int64 (steps * size,), and the generator from which its variations are drawn next."""
        generator = torch.Generator().manual_seed(mix(seed, epoch, "batches"))
        return torch.randperm(len(self), generator=generator)[: self.steps(size) * size], generator


def flip_and_pad(augment: Augment | bool, refusal: str) -> Augment:
    """The augmentation of images that are held as tensors; UserError with ``refusal`` where it asks for more."""
    chosen = augment if isinstance(augment, Augment) else Augment()
    if chosen.scale or chosen.color_jitter or chosen.auto_augment:
        raise UserError(refusal)
    return chosen


def crop(
    images: torch.Tensor,
    size: tuple[int, int],
    pad: int,
    top: torch.Tensor,
    left: torch.Tensor,
    mirror: torch.Tensor,
    fill: int = 0,
) -> torch.Tensor:
    """(B, C, h, w): a window of ``size`` of each image of (B, C, H, W), framed by ``pad`` pixels of ``fill`` first.

    ``top`` and ``left``, int64 (B,), are its corner in the framed image; ``mirror``, bool (B,), flips it.

    One ``gather`` whose index is shared by the channels. On one thread of a 2020s server CPU it makes 150,000 images of
    3x32x32 a second; ``torch.take``, unfolded windows and advanced indexing made 74,000, 109,000 and 47,000.
    """
    batch, channels = images.shape[:2]
    framed = F.pad(images, (pad, pad, pad, pad), value=fill) if pad else images
    across = torch.arange(size[1], device=images.device)
    rows = (top[:, None] + torch.arange(size[0], device=images.device)) * framed.shape[3]
    columns = left[:, None] + torch.where(mirror[:, None], size[1] - 1 - across, across)
    index = (rows[:, :, None] + columns[:, None, :]).view(batch, 1, -1).expand(-1, channels, -1)
    return framed.reshape(batch, channels, -1).gather(2, index).view(batch, channels, *size)

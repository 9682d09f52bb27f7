"""Data sets too large for a tensor: timm's transforms and loader over the files."""

from __future__ import annotations

import contextlib
import copy
import multiprocessing
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from timm.data import create_loader, create_transform

from ...errors import UserError
from .._random import seeded
from ..base import Augment, mix
from ..split import BaseSplit, Batches
from .decode import in_channels
from .parts import Part

#: More loader processes than this gain nothing for one network.
MAX_WORKERS = 8
#: timm's random resized crop: smallest and largest share of the area, where the augmentation names none.
SCALE = (0.35, 1.0)


class ImageDataset(torch.utils.data.Dataset[Any]):
    """(PIL image, label) of chosen images of a part; the image goes through ``transform`` where it is set.

    timm's own ImageDataset puts the next image in the place of an unreadable one with a warning. Here that is an
    error: candidates that saw different images cannot be compared. With ``seed`` set, what the transform draws
    depends on (seed, index) alone and not on how many processes load.
    """

    def __init__(self, part: Part, indices: np.ndarray, channels: int) -> None:
        self._part = part
        self._indices = indices
        self._channels = channels
        self.transform: Any = None
        self.seed: int | None = None

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        part, row = self._place(index)
        label = int(part.labels[row])
        image: Any = in_channels(part.image(row), self._channels, part.where(row))
        if self.transform is not None:
            with seeded(mix(self.seed, index)) if self.seed is not None else contextlib.nullcontext():
                image = self.transform(image)
        return image, label

    def _place(self, index: int) -> tuple[Part, int]:
        return self._part, int(self._indices[index])

    def copy(self) -> ImageDataset:
        """The same images, without a transform."""
        made = copy.copy(self)
        made.transform = made.seed = None
        return made


class JoinedDataset(ImageDataset):
    """The images of one, and then those of another."""

    def __init__(self, first: ImageDataset, second: ImageDataset) -> None:
        super().__init__(first._part, first._indices, first._channels)
        self._second = second

    def __len__(self) -> int:
        return len(self._indices) + len(self._second)

    def _place(self, index: int) -> tuple[Part, int]:
        own = len(self._indices)
        return super()._place(index) if index < own else self._second._place(index - own)


class LoaderSplit(BaseSplit[Augment]):
    """Images that are read, decoded and varied while the network trains.

    Args:
        dataset: the images.
        labels: int64 (N,).
        config: the keys of timm's ``pretrained_cfg`` that say how an image becomes an input.
    """

    def __init__(self, dataset: ImageDataset, labels: np.ndarray, config: dict[str, Any]) -> None:
        self._dataset = dataset
        self.labels = labels
        self._config = config

    def joined(self, other: Any) -> LoaderSplit:
        dataset = JoinedDataset(self._dataset, other._dataset)
        return LoaderSplit(dataset, np.concatenate([self.labels, other.labels]), self._config)

    def as_dataset(self) -> torch.utils.data.Dataset[Any]:
        return self._dataset.copy()

    def prepared(self, config: Mapping[str, Any]) -> LoaderSplit:
        return LoaderSplit(self._dataset.copy(), self.labels, dict(config))

    def _augmentation(self, augment: Augment | bool) -> Augment:
        chosen = augment if isinstance(augment, Augment) else Augment()
        try:
            create_transform(self._config["input_size"], is_training=True, **_of_timm(chosen))
        except Exception as error:  # timm asserts what it knows, and fails on the rest
            raise UserError(
                f"timm makes no augmentation of auto_augment={chosen.auto_augment!r} ({type(error).__name__}: {error})"
                if str(error)
                else f"timm knows no augmentation auto_augment={chosen.auto_augment!r}; one is rand-m9-mstd0.5"
            ) from None
        return chosen

    def _in_order(self, size: int, device: torch.device) -> Batches:
        return self._load(self._dataset.copy(), size, device, torch.Generator().manual_seed(0))

    def _epoch(self, size: int, device: torch.device, seed: int, epoch: int, augment: Augment) -> Batches:
        dataset = self._dataset.copy()
        dataset.seed = mix(seed, epoch, "transforms")
        return self._load(
            dataset,
            size,
            device,
            torch.Generator().manual_seed(mix(seed, epoch, "order")),
            is_training=True,
            **_of_timm(augment),
        )

    def _load(
        self,
        dataset: ImageDataset,
        size: int,
        device: torch.device,
        generator: torch.Generator,
        is_training: bool = False,
        **options: Any,
    ) -> Batches:
        loader = create_loader(
            dataset,
            batch_size=size,
            is_training=is_training,
            num_workers=loader_workers(),
            persistent_workers=False,
            pin_memory=device.type == "cuda",
            device=device,
            **self._config,
            **options,
        )
        loader.loader.generator = generator  # create_loader has no argument for it
        if is_training:
            loader.loader.sampler.generator = generator
        with errors_of_workers():
            yield from loader


def _of_timm(augment: Augment) -> dict[str, Any]:
    """The arguments of timm's transform."""
    return {
        "scale": augment.scale or SCALE,
        "hflip": 0.5 if augment.flip else 0.0,
        "color_jitter": augment.color_jitter or None,
        "auto_augment": augment.auto_augment,
        # pad=0 and no flip is how a recipe says "as they are".
        "no_aug": augment == Augment(flip=False, pad=0),
    }


@contextlib.contextmanager
def errors_of_workers() -> Iterator[None]:
    """A UserError from a loader process arrives with that process's traceback; its message stands at the end."""
    try:
        yield
    except UserError as error:  # made one line: what is before the name of the exception is the traceback
        raise UserError(re.sub(r"^.*\bmgic_nas(\.\w+)+: ", "", str(error))) from None


def loader_workers() -> int:
    """Loader processes: as many as torch has threads, none in a process that may not have children."""
    if multiprocessing.current_process().daemon:
        return 0
    return min(MAX_WORKERS, torch.get_num_threads())

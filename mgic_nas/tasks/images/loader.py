"""Data sets too large for a tensor: timm's transforms and loader over the files."""

import contextlib
import multiprocessing
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from ...errors import UserError
from .._random import seeded
from ..base import Augment, mix
from .parts import Part, in_channels

#: More loader processes than this gain nothing for one network.
MOST_WORKERS = 8


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
        row = int(self._indices[index])
        label = int(self._part.labels[row])
        image: Any = in_channels(self._part.image(row), self._channels, self._part.where(row))
        if self.transform is not None:
            with seeded(mix(self.seed, index)) if self.seed is not None else contextlib.nullcontext():
                image = self.transform(image)
        return image, label

    def copy(self) -> "ImageDataset":
        return ImageDataset(self._part, self._indices, self._channels)


class LoaderSplit:
    """Images that are read, decoded and varied while the network trains."""

    def __init__(self, dataset: ImageDataset, labels: np.ndarray, config: dict[str, Any]) -> None:
        self._dataset = dataset
        self.labels = labels
        self._config = config

    def __len__(self) -> int:
        return len(self._dataset)

    def steps(self, batch_size: int) -> int:
        return max(1, len(self) // batch_size)

    def as_dataset(self) -> "torch.utils.data.Dataset[Any]":
        return self._dataset.copy()

    def batches(
        self,
        batch_size: int,
        *,
        device: str | torch.device = "cpu",
        seed: int = 0,
        epoch: int = 0,
        augment: Augment | bool | None = None,
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        from timm.data import create_loader

        device = torch.device(device)
        if augment is True:
            augment = Augment()
        options = dict(self._config)
        crop_mode = options.pop("crop_mode")
        dataset = self._dataset.copy()
        if augment:
            dataset.seed = mix(seed, epoch, "transforms")
            options |= {
                "scale": augment.scale or (0.35, 1.0),
                "hflip": 0.5 if augment.flip else 0.0,
                "color_jitter": augment.color_jitter or None,
                "auto_augment": augment.auto_augment,
                # pad=0 and no flip is how a recipe says "as they are".
                "no_aug": augment == Augment(flip=False, pad=0),
            }
        loader = create_loader(
            dataset,
            batch_size=min(batch_size, len(dataset)) if augment else batch_size,
            is_training=bool(augment),
            crop_mode=crop_mode,
            num_workers=_workers(),
            persistent_workers=False,
            pin_memory=device.type == "cuda",
            device=device,
            **options,
        )
        generator = torch.Generator().manual_seed(mix(seed, epoch, "order"))
        loader.loader.generator = generator  # create_loader has no argument for it
        if augment:
            loader.loader.sampler.generator = generator
        try:
            yield from loader
        except UserError as error:
            # From a loader process it arrives with that process's traceback; the message is the last line.
            raise UserError(str(error).strip().splitlines()[-1].removeprefix("mgic_nas.errors.UserError: ")) from None


def _workers() -> int:
    """Loader processes: as many as torch has threads, none in a process that may not have children."""
    if multiprocessing.current_process().daemon:
        return 0
    return min(MOST_WORKERS, torch.get_num_threads())

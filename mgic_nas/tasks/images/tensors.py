"""Small data sets: one uint8 tensor, augmented a batch at a time, on the GPU where there is one."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ...errors import UserError
from ..base import Augment
from ..split import BaseSplit, Batches, crop, flip_and_pad
from .loader import ImageDataset, JoinedDataset, LoaderSplit

#: Images whose values are counted at a time, which bounds memory.
_PIECE = 4096


class TensorSplit(BaseSplit[Augment]):
    """Images uint8 (N, C, H, W) with labels int64 (N,), both on the CPU; batches come from a copy on their device."""

    def __init__(
        self,
        images: torch.Tensor,
        labels: np.ndarray,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        dataset: ImageDataset,
    ) -> None:
        self.images = images
        self.labels = labels
        self._mean = torch.tensor(mean, dtype=torch.float32).view(1, -1, 1, 1)
        self._std = torch.tensor(std, dtype=torch.float32).view(1, -1, 1, 1)
        self._dataset = dataset
        # Kept from trial to trial: a worker trains many networks on one data set.
        self._copies: dict[str, tuple[torch.Tensor, ...]] = {}

    def as_dataset(self) -> torch.utils.data.Dataset[Any]:
        return self._dataset

    def prepared(self, config: Mapping[str, Any]) -> LoaderSplit:
        return LoaderSplit(self._dataset.copy(), self.labels, dict(config))

    def joined(self, other: Any) -> TensorSplit:
        both = copy.copy(self)
        both.images = torch.cat([self.images, other.images])
        both.labels = np.concatenate([self.labels, other.labels])
        both._dataset = JoinedDataset(self._dataset, other._dataset)
        both._copies = {}
        return both

    def _augmentation(self, augment: Augment | bool) -> Augment:
        return flip_and_pad(
            augment,
            "scale, color_jitter and auto_augment apply to large images; small ones take flip and pad: remove them",
        )

    def _on(self, device: torch.device) -> tuple[torch.Tensor, ...]:
        """Images, labels, mean and std on ``device``."""
        key = str(device)
        if key not in self._copies:
            tensors = (self.images, torch.from_numpy(self.labels), self._mean, self._std)
            self._copies[key] = tuple(tensor.to(device, non_blocking=True) for tensor in tensors)
        return self._copies[key]

    def _in_order(self, size: int, device: torch.device) -> Batches:
        images, labels, mean, std = self._on(device)
        for start in range(0, len(self), size):
            yield normalise(images[start : start + size], mean, std), labels[start : start + size]

    def _epoch(self, size: int, device: torch.device, seed: int, epoch: int, augment: Augment) -> Batches:
        images, labels, mean, std = self._on(device)
        count, (height, width) = len(self), images.shape[-2:]
        pad = augment.padding(min(height, width))
        # All at once: one copy to the device an epoch.
        order, generator = self._shuffled(size, seed, epoch)
        top = torch.randint(0, 2 * pad + 1, (count,), generator=generator)
        left = torch.randint(0, 2 * pad + 1, (count,), generator=generator)
        mirror = torch.randint(0, 2, (count,), generator=generator).bool() & augment.flip
        order, top, left, mirror = (drawn.to(device, non_blocking=True) for drawn in (order, top, left, mirror))
        for start in range(0, len(order), size):
            now = slice(start, start + size)
            chosen = order[now]
            batch = images.index_select(0, chosen)
            batch = crop(batch, (height, width), pad, top[now], left[now], mirror[now])
            yield normalise(batch, mean, std), labels.index_select(0, chosen)


def normalise(images: torch.Tensor, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """uint8 to ``(x / 255 - mean) / std`` in float32, in the order in which torchvision's transforms compute it."""
    return images.to(torch.float32).div_(255).sub_(mean).div_(std)


def statistics(images: torch.Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Per-channel mean and standard deviation of uint8 (N, C, H, W) as 0..1, rounded to four decimals.

    From histograms, so from whole numbers: the same on every machine. A constant channel gets std 1.

    Raises:
        UserError: every channel is constant.
    """
    values = np.arange(256) / 255
    means, stds = [], []
    for channel in range(images.shape[1]):
        counts = np.zeros(256)
        for chunk in images[:, channel].split(_PIECE):
            counts += np.bincount(chunk.numpy().ravel(), minlength=256)
        mean = (counts @ values) / counts.sum()
        std = round(float(np.sqrt((counts @ (values - mean) ** 2) / counts.sum())), 4)
        means.append(round(float(mean), 4))
        stds.append(std or 1.0)
    if all(std == 1.0 for std in stds):  # no values from 0 to 1 spread so far
        colour = ", ".join(f"{255 * mean:.0f}" for mean in means)
        raise UserError(
            f"all of {len(images):,} training images that were looked at are of one colour, {colour} of 255: look "
            "whether the files are what they should be; nothing can be learned of them"
        )
    return tuple(means), tuple(stds)

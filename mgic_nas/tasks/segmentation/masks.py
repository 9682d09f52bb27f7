"""A split of images with masks: in one tensor where that fits, else read by loader processes; varied by the batch."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch

from ...errors import UserError
from ..base import Augment
from ..images.loader import errors_of_workers, loader_workers
from ..images.tensors import normalise, statistics
from ..split import BaseSplit, Batches, crop, flip_and_pad
from .shapes import IGNORE

#: Splits of up to this many bytes are held in memory.
SMALL_BYTES = 2**30
#: Most pixels of a batch without augmentation, whatever batch size was asked for: scores of many classes are large.
PIXELS = 2**22
#: Images from which mean and std are estimated where a split is not held in memory.
SAMPLE = 128


class Items(Protocol):
    """Images with masks: item i is (uint8 (3, H, W), uint8 (H, W)), all of one size."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]: ...


class Chosen(torch.utils.data.Dataset[Any]):
    """Some of the items, as (image, mask) tensors."""

    def __init__(self, items: Items, rows: np.ndarray) -> None:
        self._items = items
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        image, mask = self._items[int(self._rows[index])]
        return torch.from_numpy(image), torch.from_numpy(mask)


class MaskSplit(BaseSplit[Augment]):
    """Images with masks: y is int64 (B, H, W), 255 where there is no class.

    In training each image is cut at a random place and mirrored, its mask with it; a shift over the edge
    (``Augment.pad``) brings in black pixels of no class. ``mean`` and ``std`` are those of this split where none are
    given.

    Args:
        items: where they come from.
        rows: int64 (N,), which of them.
        size: (height, width) of each.
        window: (height, width) of what is trained on; None: whole images.
        mean, std: per channel, of images scaled to 0..1.
    """

    def __init__(
        self,
        items: Items,
        rows: np.ndarray,
        size: tuple[int, int],
        window: tuple[int, int] | None = None,
        mean: tuple[float, ...] | None = None,
        std: tuple[float, ...] | None = None,
    ) -> None:
        self._dataset = Chosen(items, rows)
        self._window = window or size
        self._max_batch = max(1, PIXELS // (size[0] * size[1]))
        #: All images uint8 (N, 3, H, W) and masks uint8 (N, H, W), where they are held.
        self.memory: tuple[torch.Tensor, torch.Tensor] | None = None
        self._copies: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        if len(rows) * 4 * size[0] * size[1] <= SMALL_BYTES:
            images, masks = zip(*map(self._dataset.__getitem__, range(len(rows))))
            self.memory = torch.stack(images), torch.stack(masks)
        if mean is None or std is None:
            some = range(0, len(rows), max(1, -(-len(rows) // SAMPLE)))
            mean, std = statistics(self.memory[0] if self.memory else torch.stack([self._dataset[i][0] for i in some]))
        self.mean, self.std = mean, std

    def __len__(self) -> int:
        return len(self._dataset)

    def prepared(self, config: Mapping[str, Any]) -> MaskSplit:
        """The same images less another mean, by another std; UserError for another way to resize."""
        if (config["interpolation"], config["crop_pct"]) != ("bilinear", 1.0):
            raise UserError("images with masks are resized by bilinear, at crop_pct 1")
        other = copy.copy(self)
        other.mean, other.std = tuple(config["mean"]), tuple(config["std"])
        return other

    @property
    def labels(self) -> np.ndarray:  # type: ignore[override]
        """uint8 (N, H, W): the masks, 255 where a pixel has no class. Of a split that is not held, reads all of it."""
        if self.memory is not None:
            return self.memory[1].numpy()
        return np.stack([self._dataset[i][1].numpy() for i in range(len(self))])

    def as_dataset(self) -> torch.utils.data.Dataset[Any]:
        """The items as (image uint8 (3, H, W), mask uint8 (H, W))."""
        return self._dataset

    def _augmentation(self, augment: Augment | bool) -> Augment:
        return flip_and_pad(
            augment, "scale, color_jitter and auto_augment do not apply to segmentation; flip and pad do"
        )

    def _in_order(self, size: int, device: torch.device) -> Batches:
        for images, masks in self._read(torch.arange(len(self)), min(size, self._max_batch), device):
            yield self._normalised(images), masks.long()

    def _epoch(self, size: int, device: torch.device, seed: int, epoch: int, augment: Augment) -> Batches:
        order, generator = self._shuffled(size, seed, epoch)
        # In 0..1: where between the top left and the bottom right corner of the framed image.
        place = torch.rand(2, len(order), generator=generator)
        mirror = (torch.rand(len(order), generator=generator) < 0.5) & augment.flip
        pad = augment.padding(min(self._window))
        start = 0
        for images, masks in self._read(order, size, device):
            now = slice(start, start + size)
            start += size
            room = [side + 2 * pad - wanted + 1 for side, wanted in zip(images.shape[-2:], self._window)]
            top, left = ((share[now].to(device) * most).long() for share, most in zip(place, room))
            where = pad, top, left, mirror[now].to(device)
            x = crop(images, self._window, *where)
            y = crop(masks.unsqueeze(1), self._window, *where, fill=IGNORE)
            yield self._normalised(x), y.squeeze(1).long()

    def _normalised(self, images: torch.Tensor) -> torch.Tensor:
        mean, std = (torch.tensor(v, device=images.device).view(1, -1, 1, 1) for v in (self.mean, self.std))
        return normalise(images, mean, std)

    def _read(self, order: torch.Tensor, size: int, device: torch.device) -> Batches:
        """(images, masks) uint8 in ``order``, ``size`` at a time."""
        if self.memory is not None:
            if str(device) not in self._copies:  # kept from trial to trial
                self._copies[str(device)] = self.memory[0].to(device), self.memory[1].to(device)
            images, masks = self._copies[str(device)]
            for rows in order.to(device).split(size):
                yield images.index_select(0, rows), masks.index_select(0, rows)
            return
        loader = torch.utils.data.DataLoader(
            self._dataset, size, sampler=order.tolist(), num_workers=loader_workers(), pin_memory=device.type == "cuda"
        )
        with errors_of_workers():
            for images, masks in loader:
                yield images.to(device, non_blocking=True), masks.to(device, non_blocking=True)

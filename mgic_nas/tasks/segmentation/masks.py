"""A split of images with masks: in one tensor where that fits, else read by loader processes; varied by the batch."""

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F

from ...errors import UserError
from ..base import Augment, mix
from ..images.loader import _workers
from ..images.tensors import normalise, statistics
from .shapes import IGNORE

#: Splits of up to this many bytes are held in memory.
SMALL_BYTES = 2**30
#: Without augmentation a batch holds at most so many pixels, whatever was asked for: scores of many classes are large.
PIXELS = 2**22
#: Where a split is not held, so many images stand for all in mean and std.
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


class MaskSplit:
    """Images with masks. ``mean`` and ``std`` are those of this split where none are given.

    Args:
        items: where they come from.
        rows: which of them.
        size: (height, width) of each.
        crop: (height, width) of what is trained on; None: whole images.
        mean, std: per channel, of images scaled to 0..1.
    """

    def __init__(
        self,
        items: Items,
        rows: np.ndarray,
        size: tuple[int, int],
        crop: tuple[int, int] | None = None,
        mean: tuple[float, ...] | None = None,
        std: tuple[float, ...] | None = None,
    ) -> None:
        self._dataset = Chosen(items, rows)
        self._crop = crop or size
        self._most = max(1, PIXELS // (size[0] * size[1]))
        self._memory: tuple[torch.Tensor, torch.Tensor] | None = None
        self._copies: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        if len(rows) * 4 * size[0] * size[1] <= SMALL_BYTES:
            images, masks = zip(*map(self._dataset.__getitem__, range(len(rows))))
            self._memory = torch.stack(images), torch.stack(masks)
        if mean is None or std is None:
            some = range(0, len(rows), max(1, -(-len(rows) // SAMPLE)))
            mean, std = statistics(
                self._memory[0] if self._memory else torch.stack([self._dataset[i][0] for i in some])
            )
        self.mean, self.std = mean, std

    def __len__(self) -> int:
        return len(self._dataset)

    @property
    def memory(self) -> tuple[torch.Tensor, torch.Tensor] | None:
        """All images uint8 (N, 3, H, W) and masks uint8 (N, H, W), where they are held."""
        return self._memory

    @property
    def labels(self) -> np.ndarray:
        """uint8 (N, H, W): the masks, 255 where a pixel has no class. Of a split that is not held, reads all of it."""
        if self._memory is not None:
            return self._memory[1].numpy()
        return np.stack([self._dataset[i][1].numpy() for i in range(len(self))])

    def steps(self, batch_size: int) -> int:
        return max(1, len(self) // batch_size)

    def as_dataset(self) -> "torch.utils.data.Dataset[Any]":
        """The items as (image uint8 (3, H, W), mask uint8 (H, W))."""
        return self._dataset

    def batches(
        self,
        batch_size: int,
        *,
        device: str | torch.device = "cpu",
        seed: int = 0,
        epoch: int = 0,
        augment: Augment | bool | None = None,
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Batches (x float32 normalised (B, 3, H, W), y int64 (B, H, W), 255 where there is no class).

        With ``augment`` a training epoch: shuffled, and each image cut at a random place and mirrored, its mask with
        it. A shift over the edge (``Augment.pad``) brings in black pixels of no class.
        """
        if augment is True:
            augment = Augment()
        if augment and (augment.scale or augment.color_jitter or augment.auto_augment):
            raise UserError("scale, color_jitter and auto_augment do not apply to segmentation; flip and pad do")
        if not augment:
            return self._in_order(batch_size, torch.device(device))
        return self._train(batch_size, torch.device(device), seed, epoch, augment)

    def _in_order(self, size: int, device: torch.device) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for images, masks in self._read(torch.arange(len(self)), min(size, self._most), device):
            yield self._normalised(images), masks.long()

    def _train(
        self, size: int, device: torch.device, seed: int, epoch: int, augment: Augment
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        # Drawn on the CPU and all at once: the same numbers on every device.
        generator = torch.Generator().manual_seed(mix(seed, epoch, "batches"))
        size = min(size, len(self))
        order = torch.randperm(len(self), generator=generator)[: self.steps(size) * size]
        place = torch.rand(2, len(order), generator=generator)
        mirror = (torch.rand(len(order), generator=generator) < 0.5) & augment.flip
        pad = augment.padding(min(self._crop))
        start = 0
        for images, masks in self._read(order, size, device):
            now = slice(start, start + size)
            start += size
            where = place[:, now].to(device), mirror[now].to(device)
            x = _window(images, self._crop, pad, *where, fill=0)
            y = _window(masks.unsqueeze(1), self._crop, pad, *where, fill=IGNORE)
            yield self._normalised(x), y.squeeze(1).long()

    def _normalised(self, images: torch.Tensor) -> torch.Tensor:
        mean, std = (torch.tensor(v, device=images.device).view(1, -1, 1, 1) for v in (self.mean, self.std))
        return normalise(images, mean, std)

    def _read(
        self, order: torch.Tensor, size: int, device: torch.device
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """(images, masks) uint8 in ``order``, ``size`` at a time."""
        if self._memory is not None:
            if str(device) not in self._copies:  # kept from trial to trial
                self._copies[str(device)] = self._memory[0].to(device), self._memory[1].to(device)
            images, masks = self._copies[str(device)]
            for rows in order.to(device).split(size):
                yield images.index_select(0, rows), masks.index_select(0, rows)
            return
        loader = torch.utils.data.DataLoader(
            self._dataset, size, sampler=order.tolist(), num_workers=_workers(), pin_memory=device.type == "cuda"
        )
        try:
            for images, masks in loader:
                yield images.to(device, non_blocking=True), masks.to(device, non_blocking=True)
        except UserError as error:
            # From a loader process it arrives with that process's traceback; the message is the last line.
            raise UserError(str(error).strip().splitlines()[-1].removeprefix("mgic_nas.errors.UserError: ")) from None


def _window(
    images: torch.Tensor, size: tuple[int, int], pad: int, place: torch.Tensor, mirror: torch.Tensor, *, fill: int
) -> torch.Tensor:
    """A window of ``size`` of each image of (B, C, H, W), framed by ``pad`` pixels of value ``fill``.

    ``place`` (2, B) in 0..1 says where between the top left and the bottom right corner; mirrored where told.
    """
    batch, channels = images.shape[:2]
    framed = F.pad(images, (pad, pad, pad, pad), value=fill) if pad else images
    (height, width), (h, w) = framed.shape[-2:], size
    top = (place[0] * (height - h + 1)).long()
    left = (place[1] * (width - w + 1)).long()
    across = torch.arange(w, device=images.device)
    rows = (top[:, None] + torch.arange(h, device=images.device)) * width
    columns = left[:, None] + torch.where(mirror[:, None], w - 1 - across, across)
    index = (rows[:, :, None] + columns[:, None, :]).view(batch, 1, -1).expand(-1, channels, -1)
    return framed.reshape(batch, channels, -1).gather(2, index).view(batch, channels, h, w)

"""Whether a file gives what its network gives, on real inputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from ..tasks import Augment, Split

CHECKED = 512  # inputs at most on which outputs are compared
BATCH = 64
TOLERANCE = 1e-3  # of the largest output: float32 sums in another order differ by some 1e-6


@dataclass(frozen=True)
class Agreement:
    """Outputs of two networks on the same inputs.

    Attributes:
        inputs: how many.
        difference: the largest absolute one.
        scale: the largest absolute output of the first.
        same_class: percent of items (or pixels) with the same best class; None for one output.
        squared: the mean squared difference.
    """

    inputs: int
    difference: float
    scale: float
    same_class: float | None
    squared: float

    @property
    def close(self) -> bool:
        """Whether it is rounding alone."""
        return bool(np.isfinite(self.difference)) and self.difference <= TOLERANCE * max(self.scale, 1e-12)


@torch.inference_mode()
def agreement(first: nn.Module, second: nn.Module, inputs: torch.Tensor) -> Agreement:
    """Compares two networks on inputs (N, ...), float32 on the CPU."""
    difference = scale = squared = 0.0
    same = outputs = predictions = 0
    for x in inputs.split(BATCH):
        a, b = first(x).float(), second(x).float()
        apart = (a - b).abs()
        # A nan is no agreement, and max() of Python would lose it.
        difference = float(torch.maximum(torch.tensor(difference), apart.max()))
        scale = max(scale, float(a.abs().max()))
        squared += float(apart.double().square().sum())
        outputs += a.numel()
        if a.ndim > 1 and a.shape[1] > 1:
            best = a.argmax(1)
            same += int((best == b.argmax(1)).sum())
            predictions += best.numel()
    return Agreement(
        len(inputs), difference, scale, 100 * same / predictions if predictions else None, squared / max(1, outputs)
    )


def some_inputs(split: Split, count: int, *, shuffled: bool = False) -> torch.Tensor:
    """At most ``count`` inputs of a part, as a network gets them; ``shuffled`` draws them at random, without variation.

    A training part may be sorted by class, so that its first images are of one.
    """
    augment = Augment(flip=False, pad=0) if shuffled else None
    found, have = [], 0
    for x, _ in split.batches(min(BATCH, len(split)), augment=augment):
        found.append(x)
        have += len(x)
        if have >= count:
            break
    return torch.cat(found)[:count]

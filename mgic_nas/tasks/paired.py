"""The difference of two networks that were scored on the same items."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def paired_error(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """The standard error, in points of accuracy, of the difference of two networks' accuracies on the same items.

    Only the items on which they disagree count: with b of N right in the first alone and c in the second alone it is
    ``100 * sqrt(b + c - (b - c)**2 / N) / N``. Two networks on different items would have the root of the sum of both
    binomial variances instead, which is larger wherever they mostly fail on the same items.

    Args:
        first, second: (N,), whether each item was answered rightly.
    """
    items = len(first)
    if second.shape != first.shape or not items:
        raise ValueError(f"need answers to the same items, not {first.shape} and {second.shape}")
    gained, lost = int((second & ~first).sum()), int((first & ~second).sum())
    return 100 * math.sqrt(gained + lost - (gained - lost) ** 2 / items) / items

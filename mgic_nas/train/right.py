"""Which items of the validation split a trained network got right: a bit an item, beside its result.

Two networks are scored on the same items, so that their difference has a smaller standard error than two accuracies
on different items would: see :func:`mgic_nas.tasks.paired.paired_error`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .._files import write_atomic

FILE = "right.bits"


def packed(right: NDArray[np.bool_]) -> bytes:
    """(N,) as numpy's ``packbits`` has it, and nothing else."""
    return np.packbits(right).tobytes()


def unpacked(content: bytes, items: int) -> NDArray[np.bool_] | None:
    """bool (N,) of :func:`packed`; None where it is not of so many items."""
    if len(content) != -(-items // 8):
        return None
    return np.unpackbits(np.frombuffer(content, np.uint8), count=items).astype(bool)


def write_right(folder: Path, right: NDArray[np.bool_]) -> None:
    """Writes (N,) into the folder of an attempt.

    Raises:
        OSError: it cannot be written.
    """
    write_atomic(folder / FILE, packed(right))


def read_right(folder: Path, items: int, accuracy: float) -> NDArray[np.bool_] | None:
    """What :func:`write_right` wrote; None where there is no such file, or it is not of this result.

    Args:
        folder: of the attempt.
        items: N, the size of the validation split.
        accuracy: percent, of the result: a file that says anything else is not believed.
    """
    try:
        with open(folder / FILE, "rb") as stream:
            content = stream.read(items // 8 + 2)
    except OSError:
        return None
    right = unpacked(content, items)
    return right if right is not None and abs(100 * right.mean() - accuracy) < 1e-6 else None

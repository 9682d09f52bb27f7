"""Plain values: what may be saved, told and compared."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any


def trial_seed(seed: int, arch_id: str) -> int:
    """The seed that an architecture is trained with in a run of this seed."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{arch_id}".encode()).digest()[:4]) >> 1


def plain(value: Any) -> Any:
    """``value`` as JSON can hold it: numpy's scalars as Python's, NaN and infinities as None."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if hasattr(value, "item") and not isinstance(value, str | bytes):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)

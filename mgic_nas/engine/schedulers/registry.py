"""Early stopping for two objectives: who is trained further, and who waits.

The Controller asks; it hands out, pauses, continues from checkpoints and records. All that is needed to decide again
after a restart comes back through ``remember``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...errors import UserError, did_you_mean
from .base import NoRungs, Rungs
from .halving import Halving

if TYPE_CHECKING:
    from ..proposals.pool import PoolMaker

DEFAULT_RUNGS = "none"
RUNGS = ("none", "halving", "thaw")


def check_rungs(name: str) -> str:
    """``name`` where there are such rungs, else a UserError that names those there are."""
    if name not in RUNGS:
        hint = did_you_mean(str(name), RUNGS) or f" Known: {', '.join(RUNGS)}."
        raise UserError(f"Unknown rungs {name!r}.{hint}")
    return name


def make_rungs(name: str, epochs: int, pool: PoolMaker, budgets: Sequence[tuple[str, float]] = ()) -> Rungs:
    """Early stopping by name; UserError for an unknown one.

    Args:
        name: one of :data:`RUNGS`.
        epochs: of a whole training.
        pool: makes the architectures that might be begun instead; called only where they matter.
        budgets: (kind, limit).
    """
    if check_rungs(name) == "thaw":
        from ..surrogate.expected_gain import Scope
        from .freeze_thaw import Thaw

        candidates = pool()
        assert candidates is not None
        scope = Scope(float(candidates.macs.min()), float(candidates.macs.max()), epochs, budgets)
        return Thaw(candidates, scope)
    return Halving(epochs) if name == "halving" else NoRungs(epochs)

"""Early stopping for two objectives: who is trained further, and who waits.

The Controller asks; it hands out, pauses, continues from checkpoints and records. All that is needed to decide again
after a restart comes back through ``remember``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...errors import UserError, did_you_mean
from .base import NoEarlyStopping, Scheduler
from .halving import SuccessiveHalving

if TYPE_CHECKING:
    from ..proposals.pool import PoolMaker

DEFAULT_SCHEDULER = "none"
SCHEDULERS = ("none", "halving", "thaw")


def check_scheduler(name: str) -> str:
    """``name`` where there are such rungs, else a UserError that names those there are."""
    if name not in SCHEDULERS:
        hint = did_you_mean(str(name), SCHEDULERS) or f" Known: {', '.join(SCHEDULERS)}."
        raise UserError(f"Unknown rungs {name!r}.{hint}")
    return name


def make_scheduler(name: str, epochs: int, pool: PoolMaker, budgets: Sequence[tuple[str, float]] = ()) -> Scheduler:
    """Early stopping by name; UserError for an unknown one.

    Args:
        name: one of :data:`SCHEDULERS`.
        epochs: of a whole training.
        pool: makes the architectures that might be begun instead; called only where they matter.
        budgets: (kind, limit).
    """
    if check_scheduler(name) == "thaw":
        from ..surrogate.expected_gain import Objective
        from .freeze_thaw import FreezeThaw

        candidates = pool()
        assert candidates is not None
        scope = Objective(float(candidates.macs.min()), float(candidates.macs.max()), epochs, budgets)
        return FreezeThaw(candidates, scope)
    return SuccessiveHalving(epochs) if name == "halving" else NoEarlyStopping(epochs)

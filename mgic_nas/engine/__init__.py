"""Who is trained next, where, and what is remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_exports

if TYPE_CHECKING:
    from .controller import Controller
    from .samplers.registry import make_sampler
    from .storage.config import RunConfig
    from .storage.record import read_record, read_trials, write_trials_csv
    from .storage.winner import winner

__all__ = ["Controller", "RunConfig", "make_sampler", "read_record", "read_trials", "winner", "write_trials_csv"]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "Controller": ".controller",
        "RunConfig": ".storage.config",
        "make_sampler": ".samplers.registry",
        "read_record": ".storage.record",
        "read_trials": ".storage.record",
        "winner": ".storage.winner",
        "write_trials_csv": ".storage.record",
    },
)

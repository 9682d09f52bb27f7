"""Who is trained next, where, and what is remembered."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .config import RunConfig
    from .controller import Controller
    from .record import read_record, read_trials, write_trials_csv
    from .sampler import make_sampler

# Loaded when asked for: the command line's help must not wait for Optuna.
_NAMES = {
    "Controller": "controller",
    "RunConfig": "config",
    "make_sampler": "sampler",
    "read_record": "record",
    "read_trials": "record",
    "write_trials_csv": "record",
}
__all__ = ["Controller", "RunConfig", "make_sampler", "read_record", "read_trials", "write_trials_csv"]


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(import_module(f".{_NAMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""The events that a Controller reports to its observer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

# kinds of events
OPENED = "opened"  # the run is open; what was done earlier is in the counts
HANDED_OUT = "handed out"  # a job is given to a worker
EPOCH = "epoch"
FINISHED = "finished"
PAUSED = "paused"
STOPPED = "stopped"
FAILED = "failed"
RETRIED = "retried"  # its worker died; its job will be started again
HELD = "held"  # a fault that may not be the network's: the trial stays to be trained
REJECTED = "rejected"
EXHAUSTED = "exhausted"


@dataclass(frozen=True)
class Counts:
    """The state of a run. ``best``: the highest val_acc (percent) within each budget, by its label; None: none fits.

    ``outlook``: what another hour is expected to buy, in words; empty while that is not known.
    """

    trials: int
    started: int
    complete: int
    stopped: int
    failed: int
    paused: int
    running: int
    queued: int
    uniform: int
    rejected: Mapping[str, int] = field(default_factory=dict)
    best: Mapping[str, float | None] = field(default_factory=dict)
    outlook: str = ""

    @property
    def over(self) -> int:
        """Trials that will not be trained any further."""
        return self.complete + self.stopped + self.failed


@dataclass(frozen=True)
class Event:
    """One event. ``text`` is an error or a reason; ``result`` an epoch's metrics, or a finished trial's result."""

    kind: str
    counts: Counts
    number: int | None = None
    attempt: int | None = None
    cost: Mapping[str, int] = field(default_factory=dict)
    result: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""


Observer = Callable[[Event], None]

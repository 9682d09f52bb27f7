"""When to stop, and what going on would buy: of a search that ends by itself, and for every report."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._text import fixed, mega, rough_duration, size_text
from .storage.trial import COMPLETE, Trial
from .surrogate.choice import val_items
from .surrogate.forecast import Forecast, forecast

if TYPE_CHECKING:
    from .storage.config import RunConfig
    from .storage.record import Record

AHEAD = 8  # trainings: those that have to be worth it
LOOKED_AT = (0, 2, 4)  # trainings ago; the forecast has to have been low since, or a lull would end a search
HOUR = 3600.0


class Stopping:
    """Says why a search starts no further training: the next ones are not worth it, or its time is over.

    It depends on the complete trials alone, so that a search which was killed goes on as if it had not been.

    Args:
        config: of the run, with the ``worth`` and the ``hours`` that a user has set.
        trials: what earlier drivers have trained, which took a part of the hours.
    """

    def __init__(self, config: RunConfig, trials: Iterable[Trial] = ()) -> None:
        self._worth, self._hours = config.worth, config.hours
        self._budgets, self._items = config.parsed_budgets(), val_items(config)
        self._spent = trained_seconds(trials) if self._hours else 0.0
        self._began = time.monotonic()
        self._answer = 0, False  # complete trials, whether the next are not worth it

    def ended_before(self, why: str) -> bool:
        """Whether an earlier driver ended the search for the same reason, with the same limits."""
        return bool(why) and why in (self._too_little, self._too_late)

    def reason(self, trials: Mapping[int, Trial]) -> str:
        """Why no further training is to start; empty where one is."""
        if self._hours is not None and self._spent + time.monotonic() - self._began >= self._hours * HOUR:
            return self._too_late
        if self._worth is None:
            return ""
        complete = sum(trial.state == COMPLETE for trial in trials.values())
        if self._answer[0] != complete:
            self._answer = complete, self._not_worth_it([*trials.values()], self._worth)
        return self._too_little if self._answer[1] else ""

    def _not_worth_it(self, trials: Sequence[Trial], worth: float) -> bool:
        complete = sorted((t for t in trials if t.state == COMPLETE), key=lambda t: t.number)
        for ago in LOOKED_AT:
            found = forecast(complete[: len(complete) - ago], self._budgets, self._items, AHEAD)
            if found is None or found.worth >= worth:
                return False
        return True

    @property
    def _too_little(self) -> str:
        if self._worth is None:
            return ""
        return f"another {AHEAD} trainings are expected to add less than {self._worth:g} points (--worth)"

    @property
    def _too_late(self) -> str:
        return f"its time is over (--hours {self._hours:g})" if self._hours else ""


@dataclass(frozen=True)
class Outlook:
    """What another hour of training is expected to buy; of a faster search as many trainings as there were.

    Attributes:
        forecast: of them.
        seconds: that they take.
        size: of the images, at which MACs are counted.
    """

    forecast: Forecast
    seconds: float
    size: str

    def __str__(self) -> str:
        """``another hour (about 40 trainings): +0.12 points expected, mostly below 1.2M MACs at 3x32x32``."""
        found = self.forecast
        number = f"{found.trainings:,} training{'s' * (found.trainings != 1)}"
        hour = self.seconds >= 0.9 * HOUR
        what = f"another hour (about {number})" if hour else f"another {number} (about {rough_duration(self.seconds)})"
        sides = (("below", found.below), ("above", found.above))
        side = next((f", mostly {where} {mega(macs)}M MACs at {self.size}" for where, macs in sides if macs), "")
        return f"{what}: +{fixed(found.worth, 2)} points expected{side * (found.worth >= 0.005)}"


def outlook(trials: Sequence[Trial], config: RunConfig, times: str = "x") -> Outlook | None:
    """What another hour at the pace of the run so far would buy; None where too little is known, or nothing left."""
    took = [t.seconds for t in trials if t.state == COMPLETE and t.seconds]
    if not took or not (wall := trained_seconds(trials)):
        return None
    further = max(1, min(round(HOUR * len(took) / wall), len(took)))  # a doubling is all that the rule was tried on
    if config.worth is not None:  # of a small space, its trials are all that there are
        further = min(further, config.trials - len(trials))
    found = forecast(trials, config.parsed_budgets(), val_items(config), further) if further > 0 else None
    return Outlook(found, further * wall / len(took), size_text(config.input_size, times)) if found else None


def outlook_of(config: RunConfig, record: Record, times: str = "x") -> str:
    """The same of a run, in words; empty also where nothing is left to be trained. ``times``: between sides."""
    if record.ended and not Stopping(config).ended_before(record.ended):
        return ""
    return str(outlook(record.entries, config, times) or "")


def trained_seconds(trials: Iterable[Trial]) -> float:
    """How long anything was being trained: pauses between drivers do not count, simultaneous trainings count once."""
    spans = sorted((t.ended - t.seconds, t.ended) for t in trials if t.ended is not None and t.seconds)
    total, until = 0.0, float("-inf")
    for start, end in spans:
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total

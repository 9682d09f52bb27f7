"""Progress of a search on stderr: one line for each finished trial, and on a terminal a bar below them."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from . import report
from ._text import fixed, mega, rough_duration, size_text
from .engine import events
from .engine.events import Counts, Event, Observer

if TYPE_CHECKING:
    from .tasks import Metric


REFRESH_SECONDS = 300.0  # between two reports of a search under way
REFRESH_REST = 20.0  # times as long as building one took, at least, until the next


class Progress:
    """An observer of the Controller.

    Each finished trial is a line; on a terminal there is one bar below the lines, from the first training on. Both
    show the best so far within each budget, failures, and an estimate of the time left, extrapolated from the epochs
    trained since this driver began.

    Args:
        epochs: of each trial.
        input_size: (C, H, W), without which MACs mean nothing.
        metric: what the accuracies are; without it they are only percent.
        may_end: the search may end before its last trial.
        stream: where to write.
        bar: with a bar; None: where ``stream`` is a terminal and tqdm is installed.
    """

    def __init__(
        self,
        epochs: int,
        input_size: tuple[int, int, int],
        stream: TextIO | None = None,
        bar: bool | None = None,
        metric: Metric | None = None,
        may_end: bool = False,
    ) -> None:
        self._may_end = may_end
        self._epochs = epochs
        self._size = size_text(input_size)
        self._what = f"{metric.short} " if metric else ""
        self._loss = metric.loss if metric else ""
        self._stream = sys.stderr if stream is None else stream
        self._under_way: dict[int, int] = {}  # trial number -> epochs done
        self._epochs_done = 0  # by this driver
        self._began: float | None = None
        self._wants_bar = _has_width(self._stream) if bar is None else bar
        self._bar: Any = None

    def __call__(self, event: Event) -> None:
        """Counts an event and shows it."""
        self._count(event)
        counts = event.counts
        if event.kind == events.OPENED and counts.started:
            paused = f", {counts.paused} paused" if counts.paused else ""
            self._say(f"going on: {counts.over} of {counts.trials} trials are done{paused}")
        elif event.kind == events.FINISHED:
            self._say(self._finished(event))
        elif event.kind in (events.FAILED, events.RETRIED):
            again = ", trying again" if event.kind == events.RETRIED else ""
            self._say(f"trial {event.number} failed{again}: {event.text}")
        elif event.kind == events.STOPPED:
            self._say(f"{_of(counts)} trial {event.number} stopped early")
        elif event.kind == events.EXHAUSTED and counts.started:  # with none started the search raises an error itself
            self._say(f"{event.text}: the search ends after {counts.started} of {counts.trials} trials")
        if self._wants_bar and event.kind == events.HANDED_OUT and self._bar is None:
            self._bar = _make_bar(self._stream)
        if self._bar is not None and event.kind != events.REJECTED:
            self._draw(counts)

    def close(self) -> None:
        """Leaves the bar as it is; to be called once the search is over, however it ended."""
        if self._bar is not None:
            self._bar.close()

    def _count(self, event: Event) -> None:
        number = event.number
        if number is None:
            return
        if event.kind == events.HANDED_OUT:
            self._began = self._began or time.monotonic()
            self._under_way.setdefault(number, 0)
        elif event.kind == events.EPOCH:
            self._epochs_done += 1
            self._under_way[number] = int(event.result["epoch"])
        elif event.kind == events.RETRIED:
            self._under_way[number] = 0
        elif event.kind != events.PAUSED:
            self._under_way.pop(number, None)

    def _left(self, counts: Counts) -> str:
        """``about 4 min left``; empty before the first epoch."""
        if self._began is None or not self._epochs_done:
            return ""
        to_go = (counts.trials - counts.over) * self._epochs - sum(self._under_way.values())
        seconds = (time.monotonic() - self._began) / self._epochs_done * max(0, to_go)
        # Whether paused trials are resumed is not known yet, so with them it is an upper bound.
        return (
            f"{'at most' if counts.paused or self._may_end else 'about'} {rough_duration(seconds)} left"
            if to_go > 0
            else ""
        )

    def _finished(self, event: Event) -> str:
        result = event.result
        loss = f" ({self._loss} {result['val_loss']:.3g})" if self._loss and "val_loss" in result else ""
        took = rough_duration(result.get("seconds") or 0)
        parts = [
            f"{_of(event.counts)} trial {event.number}: {self._what}{fixed(result['val_acc'], 2)} %{loss} with "
            f"{mega(event.cost['macs'])}M MACs at {self._size}, trained in {took}",
            self._best(event.counts.best),
            self._left(event.counts),
            event.counts.outlook,
        ]
        return "; ".join(part for part in parts if part)

    def _best(self, best: Mapping[str, float | None]) -> str:
        """``best top-1 71.2 % within 0.5M, 78.0 % within 1M``."""
        known = [f"{fixed(value)} % within {label}" for label, value in best.items() if value is not None]
        return f"best {self._what}{', '.join(known)}" if known else ""

    def _say(self, line: str) -> None:
        if self._bar is not None:
            self._bar.write(line, file=self._stream)
        else:
            print(line, file=self._stream, flush=True)

    def _draw(self, counts: Counts) -> None:
        bar = self._bar
        bar.total = counts.trials
        bar.n = min(counts.trials, counts.over + sum(self._under_way.values()) / self._epochs)
        failed = f"{counts.failed} failed" if counts.failed else ""
        parts = [f"{counts.over}/{counts.trials} trials", self._best(counts.best), failed, self._left(counts)]
        bar.set_description_str("; ".join(part for part in parts if part), refresh=False)
        bar.refresh()


class Refreshed:
    """An observer that keeps a run's report and csv files up to date while it is searched.

    Args:
        folder: of the run.
        observers: others, called first with every event; one that raises is not called any more, which is said.
        every: seconds between two reports; more where building one takes long.
    """

    def __init__(self, folder: Path, *observers: Observer, every: float = REFRESH_SECONDS) -> None:
        self._folder = folder
        self._observers = list(observers)
        self._every = every
        self._next = time.monotonic() + every

    def __call__(self, event: Event) -> None:
        """Passes an event on, and builds the report where its time has come."""
        for observer in tuple(self._observers):
            try:
                observer(event)
            except Exception as error:  # a closed pipe, a server that does not answer
                self._observers.remove(observer)
                name = getattr(observer, "__name__", type(observer).__name__)
                warnings.warn(f"the observer {name} failed and is not called any more: {error!r}", stacklevel=2)
        begin = time.monotonic()
        if event.kind in (events.FINISHED, events.PAUSED, events.STOPPED, events.FAILED) and begin >= self._next:
            with contextlib.suppress(Exception):  # the one at the end says what is wrong
                report.build(self._folder)
            end = time.monotonic()
            self._next = end + max(self._every, REFRESH_REST * (end - begin))


def say(line: str) -> None:
    """A line on stderr, above a bar where there is one. A log on a full disk, or one that is closed, ends no search."""
    tqdm = getattr(sys.modules.get("tqdm"), "tqdm", None)
    with contextlib.suppress(OSError):
        if tqdm is not None:
            tqdm.write(line, file=sys.stderr)
        else:
            print(line, file=sys.stderr, flush=True)


def _of(counts: Counts) -> str:
    width = len(str(counts.trials))
    return f"[{counts.over:>{width}}/{counts.trials}]"


def _has_width(stream: TextIO) -> bool:
    """Whether this is a terminal whose width is known; without it tqdm draws nothing."""
    try:
        return stream.isatty() and os.get_terminal_size(stream.fileno()).columns > 0
    except (OSError, ValueError):
        return False


def _make_bar(stream: TextIO) -> Any:
    try:
        from tqdm import tqdm  # of the extra "search"
    except ImportError:
        return None
    return tqdm(total=0, file=stream, dynamic_ncols=True, bar_format="{percentage:3.0f}% {bar:16} {desc}", leave=True)

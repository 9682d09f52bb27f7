"""How Ctrl-C and SIGTERM end a search: as an exception, and never in the middle of a transaction."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from .errors import Interrupted

_ENDING = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Within the block SIGTERM, as clusters and batch systems send it, raises :class:`Interrupted`.

    Outside the main thread, or where the program has a handler of its own, nothing is changed.
    """
    if not _in_main_thread() or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise Interrupted("terminated; the same command goes on from here", 128 + number)

    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Delays Ctrl-C and SIGTERM to the end of the block, where the handlers that were there before get them.

    An exception inside a query leaves an open cursor, which SQLAlchemy reports with a traceback, and inside a commit
    it leaves open whether that happened. Outside the main thread there is nothing to delay.
    """
    before = {number: signal.getsignal(number) for number in _ENDING} if _in_main_thread() else {}
    previous = {number: handler for number, handler in before.items() if callable(handler)}
    caught: list[tuple[int, FrameType | None]] = []
    for number in previous:
        signal.signal(number, lambda number, frame: caught.append((number, frame)))
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        if caught:
            previous[signal.Signals(caught[0][0])](*caught[0])


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()

"""What benchmarks share: CPU time of alternating repeats, and a short table that also shows when tests pass.

Wall times of a shared machine mean nothing, and absolute times little: only ratios of two things measured in turns in
one run are asserted.
"""

import resource
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest


def per_item(work: Callable[[Any], object], items: Sequence[Any]) -> float:
    """CPU seconds of this process for one of some items."""
    begin = time.process_time()
    for item in items:
        work(item)
    return (time.process_time() - begin) / len(items)


def alternating(contestants: Mapping[str, Callable[[int], float]], rounds: int = 5) -> dict[str, float]:
    """Median over rounds of what each contestant gives for a round, in turns; the round before them warms up."""
    found: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(-1, rounds):
        for name, contestant in contestants.items():
            seconds = contestant(number)
            if number >= 0:
                found[name].append(seconds)
    return {name: statistics.median(seconds) for name, seconds in found.items()}


def peak_mb() -> float:
    """Resident memory of this process at most, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def show(capsys: pytest.CaptureFixture[str], title: str, heading: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A Markdown table on the terminal, whatever pytest captures."""
    widths = [max(len(cell) for cell in column) for column in zip(heading, *rows)]
    lines = [heading, ["-" * width for width in widths], *rows]
    with capsys.disabled():
        print(f"\n\n{title}\n")
        for line in lines:
            print(f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths))} |")

"""What a page of very many networks leaves out: a part of those that are not on the front, never one that is.

trials.csv has every one of them, and medians, fronts and counts are always of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from .data import Summary

Item = TypeVar("Item")

CLOUD = 2_000  # dominated networks in a figure of the front
PANEL = 1_000  # in the panel of a parameter, of which there are many ...
PANELS = 17_000  # ... and in all of them
CURVES = 40_000  # points of the learning curves of networks that are not on the front
STEPS = 2_000  # of the hypervolume
CELLS = 25_000  # of the table of all trials
CHOICES = 500  # networks of the front that the slider gives
ROWS = 100  # of the other tables


def evenly(items: Sequence[Item], most: int) -> Sequence[Item]:
    """At most so many, evenly spaced, the first and the last among them; all where there are no more."""
    if len(items) <= most:
        return items
    if most < 2:
        return items[:most]
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def panel(summary: Summary) -> int:
    """How many dominated networks a parameter's panel draws at most."""
    return max(ROWS, min(PANEL, PANELS // max(1, len(summary.parameters))))


def cloud(summary: Summary, most: int) -> frozenset[int]:
    """The numbers of the complete networks that a figure draws, evenly from all of the search; and the front's."""
    return frozenset(t.number for t in evenly(summary.complete, most)) | summary.front_numbers

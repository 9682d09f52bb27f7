"""A network as the parts of which it is timed: its rows at their resolutions, and the classifier.

Networks of a space share most of their parts, so that few measurements say something of all of them.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import NamedTuple

from timm.layers import SelectAdaptivePool2d
from torch import nn

from ._net import row_module
from .rows import CACHED_STAGES, NO_ROWS, Row, Rows, Stage


class Part(NamedTuple):
    """What is timed by itself: a row at a resolution, or what follows the last feature map.

    Attributes:
        row: None for the global pool, the rows after it (``head``) and the classifier.
        c_in, height, width: of its input.
        head: see ``row``.
        classes: of the classifier; 0 for a row.
    """

    row: Row | None
    c_in: int
    height: int
    width: int
    head: Stage = NO_ROWS
    classes: int = 0

    @property
    def digest(self) -> str:
        """The same on every machine: what its time is kept by."""
        return hashlib.sha256(repr(tuple(self)).encode()).hexdigest()[:16]

    @property
    def timed_size(self) -> tuple[int, int, int]:
        """(C, H, W) of the input of :meth:`timed`."""
        return 1, self.height, self.width

    def timed(self) -> nn.Module:
        """Its module between two that cost next to nothing, with random weights: what is timed.

        A feature map that leaves a runtime is brought into the plain order of its numbers, which takes OpenVINO up to
        ten times as long as the convolution that made it. Inside a network it stays as it is. So one channel comes in,
        widened by a 1x1 convolution, and a global average goes out.
        """
        widen = nn.Conv2d(1, self.c_in, 1)
        if self.row is not None:
            return nn.Sequential(widen, row_module(self.row), SelectAdaptivePool2d(pool_type="avg"))
        features = self.head[-1].c_out if self.head else self.c_in
        head = [SelectAdaptivePool2d(pool_type="avg"), *map(row_module, self.head), nn.Flatten(1)]
        return nn.Sequential(widen, *head, nn.Linear(features, self.classes))


@lru_cache(maxsize=CACHED_STAGES)
def stage_parts(stage: Stage, height: int, width: int) -> tuple[tuple[Part, ...], int, int]:
    """The parts of a stage in order of use, and the height and width of its output."""
    parts = []
    for row in stage:
        parts.append(Part(row, row.c_in, height, width))
        # A conv with padding kernel // 2 and a pooling round up.
        height, width = -(-height // row.stride), -(-width // row.stride)
    return tuple(parts), height, width


def tail_part(rows: Rows, height: int, width: int, num_classes: int) -> Part:
    """What follows the last feature map, of ``height`` and ``width``."""
    return Part(None, rows.num_features, height, width, rows.head, num_classes)


def parts_of(rows: Rows, input_size: tuple[int, int, int], num_classes: int) -> tuple[Part, ...]:
    """All parts of a network in order of use, for (C, H, W) images; ``rows`` are of a network with so many channels."""
    _, height, width = input_size
    found: list[Part] = []
    for stage in (rows.stem, *rows.stages):
        parts, height, width = stage_parts(stage, height, width)
        found += parts
    return (*found, tail_part(rows, height, width, num_classes))

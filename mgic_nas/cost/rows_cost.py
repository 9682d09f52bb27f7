"""The cost of a network from its rows: each stage is counted once for each resolution, then looked up."""

from __future__ import annotations

from itertools import groupby
from typing import NamedTuple

from ..models.mgic import row_convs
from ..models.rows import Cost, Row, Rows, Stage


def _stage_cost(stage: Stage, height: int, width: int) -> tuple[int, ...]:
    """(MACs, of these R and P, params, activations, height, width after the stage); kept with the stage."""
    key = height, width
    macs = transfers = params = activations = 0
    for row, repeated in groupby(stage):
        for convs in [row_convs(row)] * sum(1 for _ in repeated):
            # A conv with padding kernel // 2 and a pooling round up.
            before = height, width
            after = height, width = -(-height // row.stride), -(-width // row.stride)
            for conv in convs:
                size = before if conv.early else after
                n = conv.macs(*size)
                macs += n
                transfers += n if conv.transfer else 0
                params += conv.params
                activations += conv.activations(*size)
    found = stage.costs[key] = macs, transfers, params, activations, height, width
    return found


def rows_cost(rows: Rows, input_size: tuple[int, int, int], num_classes: int) -> Cost:
    """The cost of the network that is built from ``rows``, for one (C, H, W) image.

    The channels of ``input_size`` are those of the rows' stem already; only H and W are read.
    """
    _, height, width = input_size
    # The classifier, without norm: features x classes, and a bias.
    features = rows.head[-1].c_out if rows.head else rows.num_features
    macs, transfers = features * num_classes, 0
    params, activations = (features + 1) * num_classes, num_classes
    for stage in rows.parts:
        known = stage.costs.get((height, width))
        m, t, p, a, height, width = known or _stage_cost(stage, height, width)
        macs += m
        transfers += t
        params += p
        activations += a
    return Cost(macs, macs - transfers, params, activations)


class RowCost(NamedTuple):
    """What one row of a network costs, at the resolution that it has there."""

    part: int  # of ``Rows.parts``: 0 is the stem, the last one the head
    row: Row
    height: int  # of its output
    width: int
    macs: int
    transfers: int  # of the MACs, R and P


def cost_by_row(rows: Rows, input_size: tuple[int, int, int]) -> list[RowCost]:
    """What :func:`rows_cost` adds up, row by row and without the classifier."""
    _, height, width = input_size
    found = []
    for part, stage in enumerate(rows.parts):
        for row in stage:
            macs, transfers, _, _, height, width = _stage_cost(Stage((row,)), height, width)
            found.append(RowCost(part, row, height, width, macs, transfers))
    return found

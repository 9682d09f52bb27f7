"""A network is a list of rows, as in the paper's Tables 4 and 6.

Rows are plain hashable values: the constructors build their modules from them, the cost adds them up, and two
settings with equal rows are the same network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from timm.layers import make_divisible

from ..errors import UserError

CACHED_STAGES = 1 << 14  # a few KiB each: a search of a large space draws millions of them, and must not keep them all


class Conv(NamedTuple):
    """One convolution of a row: what the module is made from and what the cost counts."""

    c_in: int
    c_out: int
    kernel: int = 1
    groups: int = 1
    bias: bool = False
    norm: bool = True
    pooled: bool = False  # acts on a 1x1 map (squeeze-and-excitation, the head after the global pool)
    transfer: bool = False  # R or P: the paper's tables leave these out
    scale: bool = False  # followed by a trainable factor for each channel (ConvNeXt's layer scale)
    dilation: int = 1  # costs nothing
    early: bool = False  # before the stride of its row: its map has the resolution of the row's input

    @property
    def params(self) -> int:
        """Trainable numbers: weights, bias, the norm's scale and shift, layer scale."""
        weights = self.kernel**2 * (self.c_in // self.groups) * self.c_out
        return weights + self.c_out * (self.bias + 2 * self.norm + self.scale)

    def macs(self, height: int, width: int) -> int:
        """Multiply-accumulates where the output map is ``height`` x ``width``."""
        pixels = 1 if self.pooled else height * width
        return self.kernel**2 * (self.c_in // self.groups) * self.c_out * pixels

    def activations(self, height: int, width: int) -> int:
        """Elements of the output map."""
        return self.c_out * (1 if self.pooled else height * width)


class Level(NamedTuple):
    """One grid of the channel hierarchy: what the wrapped block looks like there."""

    channels: int  # of the tensors at this level
    mid: int  # inside the wrapped block
    groups: int  # of its convs; 1 on the coarsest level
    transfer_groups: int  # of R_j and P_j between this level and the next; 0 on the coarsest
    se: int = 0  # hidden width of squeeze-and-excitation, 0 for none


@dataclass(frozen=True)
class Cost:
    """What one image costs.

    Attributes:
        macs: multiply-accumulates of all conv and linear layers; what budgets mean.
        macs_without_transfers: the same without R and P, for comparison with the paper's tables.
        params: trainable numbers, BN included.
        activations: elements of all outputs of conv and linear layers.
    """

    macs: int
    macs_without_transfers: int
    params: int
    activations: int


#: How the input of a plain block that changes width or stride reaches its output: zeros for the new channels (option A
#: of He et al.), a 1x1 conv (option B), or not at all.
SHORTCUTS = ("pad", "project", "none")

# A field that came after the first version: at its default it stays out of arch_id, so that older ids hold.
LATER = {"later": True}


@dataclass(frozen=True)
class Row:
    """One line of a table of architecture: a plain conv, a pooling, or an MGIC block with its hierarchy resolved.

    ``levels`` replaces s_g and s_c, so settings that give the same hierarchy give equal rows.
    """

    block: str  # "conv", "maxpool", or a name in mgic_nas.models.blocks
    c_in: int
    c_out: int
    kernel: int = 3
    stride: int = 1
    groups: int = 1
    act: str = "relu"  # "" for none
    bias: bool = False
    norm: bool = True
    pooled: bool = False
    levels: tuple[Level, ...] = ()
    dilation: int = field(default=1, metadata=LATER)  # of the wrapped block's spatial convs
    shortcut: str = field(default="", metadata=LATER)  # around a plain block that changes width or stride: SHORTCUTS

    @property
    def changes(self) -> bool:
        """Whether a block gives another width or resolution than it gets: a plain block alone does."""
        return self.c_in != self.c_out or self.stride != 1


class Stage(tuple[Row, ...]):
    """A tuple of rows of which equal ones are mostly one object, with a hash that is computed once.

    Costs are looked up by stage, many thousand times a second: what is the same object need not be compared.

    Attributes:
        costs: by the height and width of its input, kept by :mod:`mgic_nas.cost.rows_cost`.
    """

    _hash: int
    costs: dict[tuple[int, int], tuple[int, ...]]

    def __new__(cls, rows: Iterable[Row] = ()) -> Stage:
        new = super().__new__(cls, rows)
        new.costs = {}
        if len(_STAGES) >= CACHED_STAGES:
            _STAGES.clear()
        return _STAGES.setdefault(new, new)

    def __hash__(self) -> int:
        try:
            return self._hash
        except AttributeError:
            self._hash = super().__hash__()
            return self._hash

    def __reduce__(self) -> tuple[Any, ...]:
        return Stage, (tuple(self),)  # without the hash, which another process computes differently


_STAGES: dict[Stage, Stage] = {}


NO_ROWS = Stage()


class Rows(NamedTuple):
    """A whole network but for its classifier."""

    stem: Stage
    stages: tuple[Stage, ...]
    head: Stage = NO_ROWS  # after the global pool
    taps: tuple[int, ...] = ()  # what ends a resolution, timm's feature levels: 0 is the stem, i is stages[i - 1]

    @property
    def parts(self) -> tuple[Stage, ...]:
        """Stem, stages and head in order of use."""
        return (self.stem, *self.stages, self.head)

    @property
    def num_features(self) -> int:
        """Channels of the last feature map."""
        return self.stages[-1][-1].c_out


# --- Algorithm 1's choices: how many levels, how many groups -----------------------------------------------


def coarsen(width: int, s_c: int, min_levels: int = 0) -> tuple[int, ...]:
    """The level widths w_0, w_1 = w_0 // 2, ... down to the first w_n <= s_c (sec. 3.1)."""
    widths = [width]
    while widths[-1] > 1 and (widths[-1] > s_c or len(widths) <= min_levels):
        widths.append(widths[-1] // 2)
    return tuple(widths)


@cache
def group_count(width: int, common: int, s_g: int, min_groups: int = 1) -> int:
    """The number of groups g of a grouped level: the smallest divisor of ``common`` with width / g <= s_g.

    Args:
        width: w_j, the narrow side.
        common: greatest common divisor of all widths that the wrapped block connects at this level.
        s_g: wished channels a group. Where no divisor gives so few, the groups stay wider: ``common`` of them.
        min_groups: 2 keeps a grouped level from being fully coupled, by cutting s_g to width // 2.
    """
    if min_groups == 2:
        s_g = min(s_g, max(1, width // 2))
    for groups in range(1, common + 1):
        if common % groups == 0 and width <= s_g * groups:
            return groups
    return common


def hierarchy(
    width: int,
    s_g: int,
    s_c: int,
    shape: Callable[[int, int], tuple[int, int]],
    *,
    min_levels: int = 0,
    min_groups: int = 1,
    se: int = 0,
) -> tuple[Level, ...]:
    """The levels of an MGIC block, finest first.

    Args:
        width: w_0, the width that is halved.
        shape: (j, w_j) -> channels of the tensors and of the wrapped block's inside at level j.
        min_levels: at least so many restrictions, even where w_0 <= s_c.
        se: hidden width of squeeze-and-excitation, which stands on the finest level alone.
    """
    widths = coarsen(width, s_c, min_levels)
    shapes = [shape(j, w) for j, w in enumerate(widths)]
    levels = []
    for j, (w, (channels, mid)) in enumerate(zip(widths, shapes)):
        groups = transfer_groups = 0
        if j + 1 < len(widths):
            groups = group_count(w, math.gcd(channels, mid), s_g, min_groups)
            transfer_groups = math.gcd(groups, shapes[j + 1][0])
        levels.append(Level(channels, mid, groups or 1, transfer_groups, se if j == 0 else 0))
    return tuple(levels)


# --- arguments that every family takes -----------------------------------------------------------------------


def positive_int(name: str, value: Any) -> int:
    """``value`` as an int >= 1, or a UserError that names the argument."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UserError(f"{name} must be an integer of at least 1, not {value!r}.")
    return value


def check_choices(s_g: Any, s_c: Any, min_levels: Any = 0, min_groups: Any = 1) -> None:
    """UserError that names the first of Algorithm 1's choices that is impossible; see :func:`hierarchy`."""
    positive_int("s_g", s_g), positive_int("s_c", s_c)
    if isinstance(min_levels, bool) or not isinstance(min_levels, int) or min_levels < 0:
        raise UserError(f"min_levels must be an integer of at least 0, not {min_levels!r}.")
    if isinstance(min_groups, bool) or min_groups not in (1, 2):
        raise UserError(f"min_groups must be 1 or 2, not {min_groups!r}.")


LEVELS = ("auto", "none")


def check_levels(levels: Any) -> bool:
    """Whether the blocks are plain: "none" for ``levels``, where "auto" is Algorithm 1. UserError for anything else."""
    if levels not in LEVELS:
        raise UserError(f"levels must be {' or '.join(LEVELS)}, not {levels!r}.")
    return bool(levels == "none")


TRANSITIONS = ("grouped", "plain")


def check_transition(transition: Any) -> bool:
    """Whether plain blocks change width and stride: "plain" for ``transition``; with "grouped" a conv before the block.

    UserError for anything else.
    """
    if transition not in TRANSITIONS:
        raise UserError(f"transition must be {' or '.join(TRANSITIONS)}, not {transition!r}.")
    return bool(transition == "plain")


_MOST = 10_000  # blocks of a stage, or times its width: a list of more is all that a typing error would give


def per_stage(name: str, value: Any, stages: int, kind: type = float) -> tuple[Any, ...]:
    """One number for every stage from one number or one per stage."""
    values = tuple(value) if isinstance(value, (list, tuple)) else (value,) * stages
    if len(values) != stages:
        raise UserError(f"{name} takes one number or {stages}, one per stage, not {len(values)}: {value!r}.")
    for v in values:
        if v.__class__ is kind and 0 < v <= _MOST:  # type: ignore[operator]
            continue
        if kind is int:
            positive_int(name, v)
        elif isinstance(v, bool) or not isinstance(v, (int, float)) or not 0 < v < math.inf:
            raise UserError(f"{name} must be a positive number, not {v!r}.")
        if v > _MOST:
            raise UserError(f"{name} must be at most {_MOST:,}, not {v!r}.")
    return values


@cache
def rounded(width: float, divisor: int) -> int:
    """timm's ``make_divisible``: the multiple of ``divisor`` nearest to a width, and at most a tenth below it."""
    return int(make_divisible(width, divisor))


def change_of_width(c_in: int, c_out: int, stride: int, act: str) -> tuple[Row, ...]:
    """The 3x3 conv before a block whose width or stride differs; nothing where neither does."""
    if c_in == c_out and stride == 1:
        return ()
    return (Row("conv", c_in, c_out, 3, stride, math.gcd(c_in, c_out), act),)

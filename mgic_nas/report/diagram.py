"""What a winner looks like, drawn from its rows: blocks, their levels with channels and groups, and where MACs go."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import markupsafe

from .. import _text as words
from ..cost.rows_cost import cost_by_row
from ..engine.storage.trial import Trial
from ..errors import UserError
from ..families import family
from ..families.rows import RowFamily
from ..models.parts import parts_of
from ..models.rows import Level, Row
from .data import Summary

WIDTH = 400  # of a drawing, in its own units: on a phone about pixels
_LEVELS = 236  # of which the widest level takes
_HEADING, _BAR, _GAP = 17, 8, 2.5  # heights
_MOST_GROUPS = 32  # drawn as such; more would be a grey bar


@dataclass(frozen=True)
class Block:
    """Equal neighbouring rows of a network.

    Attributes:
        place: ``stem``, ``stage 2``, ``head`` or ``classifier``.
        row: None for the classifier.
        times: how many rows.
        height, width: of their output.
        macs, transfers: of all of them; transfers are the MACs of R and P.
        seconds: of all of them, each timed by itself; the classifier's with the global pool and the rows of the head.
            None where they were not timed.
        other: whether the network that is compared with has something else here.
    """

    place: str
    row: Row | None
    times: int
    height: int
    width: int
    macs: int
    transfers: int
    channels: int
    other: bool = False
    seconds: float | None = None


def timed_kind(summary: Summary) -> str:
    """The kind of latency that is drawn: the first one by which the parts of the winners were timed; else nothing."""
    return next(iter(summary.row_latencies), "")


def blocks(summary: Summary, trial: Trial, against: Trial | None = None) -> list[Block]:
    """The blocks of a network, in order of use; none for a family that is not made of rows.

    Args:
        summary: the run.
        trial: the network.
        against: another one, to mark what differs.
    """
    channels, height, width = summary.config.input_size
    try:
        known = family(summary.config.model)
        if not isinstance(known, RowFamily):
            return []
        rows = known.rows(trial.config, channels)
        before = [row for part in known.rows(against.config, channels).parts for row in part] if against else []
    except UserError:  # a run of another version, or one that somebody changed
        return []
    *parts, tail = parts_of(rows, summary.config.input_size, summary.config.num_classes)
    times = summary.row_latencies.get(timed_kind(summary), {})
    last = len(rows.parts) - 1
    found, at = [], 0
    costs = cost_by_row(rows, (channels, height, width))
    for (part, row, h, w), equal in groupby(costs, key=lambda c: (c.part, c.row, c.height, c.width)):
        group = list(equal)
        place = "stem" if part == 0 else "head" if part == last else f"stage {part}"
        differs = bool(before) and before[at : at + len(group)] != [row] * len(group)
        seconds = [times.get(part.digest) for part in parts[at : at + len(group)]]
        at += len(group)
        macs, transfers = sum(c.macs for c in group), sum(c.transfers for c in group)
        found.append(Block(place, row, len(group), h, w, macs, transfers, row.c_out, differs, _sum(seconds)))
    features, classes = rows.head[-1].c_out if rows.head else rows.num_features, summary.config.num_classes
    found.append(Block("classifier", None, 1, 1, 1, features * classes, 0, classes, seconds=times.get(tail.digest)))
    # What was counted when it was trained, or the drawing is of another network.
    return found if sum(b.macs for b in found) == trial.macs else []


def _sum(seconds: Sequence[float | None]) -> float | None:
    known = [s for s in seconds if s is not None]
    return sum(known) if known and len(known) == len(seconds) else None


def widest(several: Sequence[Sequence[Block]]) -> int:
    """The channels of the widest level of some networks, to draw them to one scale."""
    return max((level.channels for found in several for b in found for level in _levels(b)), default=1)


def most_macs(several: Sequence[Sequence[Block]]) -> int:
    """The MACs of the costliest block of some networks, to draw them to one scale."""
    return max((b.macs for found in several for b in found), default=1) or 1


def drawing(found: Sequence[Block], scale: int, most: int) -> markupsafe.Markup:
    """A network as SVG.

    Args:
        found: its blocks.
        scale: :func:`widest` of all that are drawn beside each other.
        most: :func:`most_macs` of them.
    """
    total = sum(b.macs for b in found) or 1
    parts: list[str] = []
    y = 0.0
    place = ""
    for block in found:
        if block.place != place:
            place = block.place
            parts.append(f'<path class="rule" d="M0 {y + 1:g}H{WIDTH}"/>')
            y += 3
        if block.other:
            parts.append(f'<rect class="other" x="0" y="{y + 3:g}" width="3" height="{_height(block) - 8:g}"/>')
        parts.append(_text(8, y + 13, f"{block.place}", "place") + _text(78, y + 13, _what(block), "what"))
        share = f"{words.count(block.macs)}  {_share(block.macs / total)}"
        if block.seconds is not None:
            share += f"  {block.seconds * 1e3:.2g}{words.THIN}ms"
        parts.append(_text(WIDTH, y + 13, share, "what", "end"))
        top = y + _HEADING
        for level in _levels(block):
            parts.append(_level(level, 8, top, _LEVELS * level.channels / scale))
            top += _BAR + _GAP
        room = WIDTH - 300
        for macs, kind in ((block.macs, "macs"), (block.transfers, "transfers")):
            if macs:
                width = max(1.0, room * macs / most)
                parts.append(
                    f'<rect class="{kind}" x="{WIDTH - width:.1f}" y="{y + _HEADING:g}" width="{width:.1f}" '
                    f'height="{_BAR}"/>'
                )
        y += _height(block)
    label = f"{len(found)} blocks of {words.count(total)} MACs in all"
    return markupsafe.Markup(
        f'<svg class="network" viewBox="0 0 {WIDTH} {y:g}" role="img" aria-label="{html.escape(label)}">{{}}</svg>'
    ).format(markupsafe.Markup("".join(parts)))


def _share(part: float) -> str:
    return f"{words.fixed(100 * part, 0)}{words.THIN}%" if part >= 0.005 else f"<{words.THIN}1{words.THIN}%"


def _height(block: Block) -> float:
    return _HEADING + max(1, len(_levels(block))) * (_BAR + _GAP) + 5


def _levels(block: Block) -> tuple[Level, ...]:
    """Its levels; a plain conv has one."""
    if block.row is None:
        return (Level(block.channels, block.channels, 1, 0),)
    return block.row.levels or (Level(block.row.c_out, block.row.c_out, block.row.groups, 0),)


def _what(block: Block) -> str:
    """``inverted_residual ×3, 16 → 32, 7×7``."""
    row = block.row
    if row is None:
        return f"{block.channels} classes"
    kind = row.block if row.levels else f"{row.block} {row.kernel}×{row.kernel}"
    times = f" ×{block.times}" if block.times > 1 else ""
    channels = f"{row.c_in} → {row.c_out}" if row.c_in != row.c_out else f"{row.c_out}"
    return f"{kind.replace('_', ' ')}{times}, {channels}" + ("" if row.pooled else f", {block.height}×{block.width}")


def _level(level: Level, x: float, y: float, width: float) -> str:
    width = max(width, 2.0)
    groups = level.groups if level.groups <= _MOST_GROUPS and width / level.groups >= 3 else 1
    cuts = "".join(f"M{x + width * i / groups:.1f} {y:g}v{_BAR}" for i in range(1, groups))
    said = f"{level.channels}" + (f" in {level.groups}" if level.groups > 1 else "")
    bar = f'<rect class="level" x="{x:g}" y="{y:g}" width="{width:.1f}" height="{_BAR}"/>'
    return bar + (f'<path class="cut" d="{cuts}"/>' if cuts else "") + _text(x + width + 5, y + 7.5, said, "small")


def _text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> str:
    end = ' text-anchor="end"' if anchor == "end" else ""
    return f'<text class="{kind}" x="{x:g}" y="{y:g}"{end}>{html.escape(text)}</text>'


def compared(summary: Summary, start: Trial, end: Trial) -> str:
    """In what a network differs from a smaller one: its setting, and where its further MACs are."""
    names = dict.fromkeys([*start.setting, *end.setting])
    changed = [
        f"{name} {words.scalar(end.setting.get(name))} instead of {words.scalar(start.setting.get(name))}"
        for name in names
        if start.setting.get(name) != end.setting.get(name)
    ]
    text = f"Trial {end.number} has {words.listed(changed) or 'the same setting'}"
    both = [{b.place: 0 for b in found} for found in (blocks(summary, start), blocks(summary, end))]
    for sums, trial in zip(both, (start, end), strict=True):
        for block in blocks(summary, trial):
            sums[block.place] += block.macs
    more = {place: both[1].get(place, 0) - both[0].get(place, 0) for place in {**both[0], **both[1]}}
    if more:
        place = max(more, key=lambda p: abs(more[p]))
        sign = "+" if more[place] >= 0 else "−"
        text += (
            f"; most of the difference in MACs is in {'the ' * (' ' not in place)}{place} "
            f"({sign}{words.count(abs(more[place]))} of {words.count((end.macs or 0) - (start.macs or 0))} "
            f"MACs {summary.at})"
        )
    return text + "."

"""What a conversion did, to read and to compute with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..._text import size_text
from ..mgic import TRANSFER_INIT, ZERO_INIT_CORRECTION
from ..rows import Cost


class Replaced(NamedTuple):
    """A block that became an MGIC block, its levels finest first."""

    name: str
    kind: str
    channels: tuple[int, ...]  # of the tensors at each level
    groups: tuple[int, ...]  # of the convs at each level


class Left(NamedTuple):
    """A block that stayed what it was."""

    name: str
    kind: str
    reason: str


@dataclass(frozen=True)
class Conversion:
    """What was replaced, what was left and why, and what it changed; ``str()`` is a page to read.

    ``before`` and ``after`` are the costs at ``input_size`` where the network came from ``mgic_nas.mgicify``.
    """

    model: str
    s_g: int
    s_c: int
    min_levels: int
    min_groups: int
    init: str
    replaced: tuple[Replaced, ...]
    left: tuple[Left, ...]
    input_size: tuple[int, int, int]  # (C, H, W)
    before: Cost | None = None
    after: Cost | None = None
    transfer_init: str = TRANSFER_INIT
    zero_init_correction: bool = ZERO_INIT_CORRECTION
    also: tuple[str, ...] = ()

    def __str__(self) -> str:
        extra = f", min_levels={self.min_levels}" * bool(self.min_levels)
        extra += f", min_groups={self.min_groups}" * (self.min_groups != 1)
        extra += f", also={'+'.join(self.also)}" * bool(self.also)
        total = len(self.replaced) + len(self.left)
        lines = [
            f"{self.model} in MGIC form (s_g={self.s_g}, s_c={self.s_c}{extra}): "
            f"{len(self.replaced)} of {total} blocks replaced"
        ]
        if self.before and self.after:
            size = size_text(self.input_size)
            before, after = self.before, self.after
            lines += [
                _change("params", before.params, after.params),
                _change(f"MACs at {size}", before.macs, after.macs),
                f"    without R and P {after.macs_without_transfers:>37,}  (what the paper's tables count)",
                _change("activations", before.activations, after.activations),
            ]
        if self.init == "weights":
            lines.append("  weights are taken over where they fit: mgic_nas.recalibrate() before use")
            if "transition" in self.also:
                lines.append("  changes of width begin anew: it answers by chance until it is trained")
        for title, rows in (
            ("replaced, finest level first", _replaced(self.replaced)),
            ("left as they are, and why", _left(self.left)),
        ):
            width = max((len(names) for names, _ in rows), default=0)
            lines += [f"  {title}", *(f"    {names:<{width}}  {text}" for names, text in rows)] if rows else []
        return "\n".join(lines)


def _change(what: str, before: int, after: int) -> str:
    return f"  {what:<20} {before:>15,} -> {after:>15,}  ({100 * (after / before - 1):+.1f} %)"


def _replaced(items: Sequence[Replaced]) -> list[tuple[str, str]]:
    def text(item: Replaced) -> str:
        channels, groups = (" > ".join(map(str, v)) for v in (item.channels, item.groups))
        return f"{item.kind}: {channels} channels in {groups} groups"

    return _gathered((item.name, text(item)) for item in items)


def _left(items: Sequence[Left]) -> list[tuple[str, str]]:
    return _gathered((item.name, f"{item.kind}: {item.reason}") for item in items)


def _gathered(items: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """One line for all blocks of which the same is said."""
    names: dict[str, list[str]] = {}
    for name, text in items:
        names.setdefault(text, []).append(name)
    return [(", ".join(n) if len(n) <= 3 else f"{n[0]} .. {n[-1]} ({len(n)})", text) for text, n in names.items()]

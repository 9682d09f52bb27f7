"""Convs without a residual that change width or resolution (VGG's), behind a grouped 3x3 conv as blocks are (sec. 3.3).

The grouped conv makes the change, and the conv itself, at its new width and stride 1, is what MGIC wraps.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from torch import nn

from ..rows import Level
from .find import Call, Calls, Dense
from .plain import PlainConv, is_activation
from .transition import CHANGES, Change, Transition

_KERNEL = 3  # of the conv that makes the change


@dataclass(frozen=True)
class ConvTransition(Transition, PlainConv):
    """A conv that changes width or resolution, and what follows it.

    Attributes:
        changes: in words, from what to what.
        kernel: the area of its kernel.
    """

    changes: str = ""
    kernel: int = 1

    def larger(self, levels: Sequence[Level]) -> bool:
        """Whether MGIC with these levels, behind the change of width, has more weights than the conv alone."""
        c_in, c_out = self.change.c_in, self.change.c_out
        change = _KERNEL**2 * c_in * c_out // math.gcd(c_in, c_out)
        mgic = sum(self.kernel * level.channels**2 // level.groups for level in levels)
        return change + mgic >= self.kernel * c_in * c_out


def find_changes(net: nn.Module, calls: Calls, convs: Iterable[PlainConv]) -> Iterator[PlainConv]:
    """``convs`` with those that change width or resolution as :class:`ConvTransition`, where that can be.

    Args:
        net: on the meta device.
        calls: of :func:`~mgic_nas.models.convert.find.watch_net`.
        convs: of :func:`~mgic_nas.models.convert.plain.find_convs`.
    """
    for facts in convs:
        if not facts.reason.startswith(CHANGES):
            yield facts
            continue
        conv = net.get_submodule(facts.name)
        assert isinstance(conv, nn.Conv2d)
        if why := _refusal(conv, calls[facts.name]):
            yield replace(facts, reason=f"{facts.reason}, and {why}")
        else:
            yield _transition(net, facts, conv, calls)


def _refusal(conv: nn.Conv2d, calls: Sequence[Call]) -> str:
    """Why a conv is not one that a stride and its width alone tell from one that keeps them; "" where it is."""
    if len({(tuple(c.args[0].shape), tuple(c.output.shape)) for c in calls}) > 1:
        return "it is used at several sizes"
    if conv.groups > 1:
        return "it is grouped"
    before, after = calls[0].args[0].shape[2:], calls[0].output.shape[2:]
    if conv.stride[0] != conv.stride[1] or any(-(-a // conv.stride[0]) != b for a, b in zip(before, after)):
        return "its padding changes the resolution"
    return ""


def _transition(net: nn.Module, facts: PlainConv, conv: nn.Conv2d, calls: Calls) -> ConvTransition:
    c_in, c_out = conv.in_channels, conv.out_channels
    act = "act" if any(is_activation(net.get_submodule(name)) for name in facts.followers) else ""
    _, *shape = calls[facts.name][0].output.shape
    return ConvTransition(
        name=facts.name,
        kind=facts.kind,
        shape=(c_out, shape[1], shape[2]),
        dense=(Dense("conv", c_out, c_out),),
        widths=frozenset({c_out}),
        followers=facts.followers,
        changes=facts.reason,
        change=Change(c_in, c_out, conv.stride[0], act, frozenset({"conv"})),
        kernel=math.prod(conv.kernel_size),
    )

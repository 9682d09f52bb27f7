"""One form for all arguments that are one network: of networks on points and of those that learn functions."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from .rows import Level

#: (s_g, s_c, min_levels, min_groups) to the hierarchies of a network's blocks.
Hierarchies = Callable[[int, int, int, int], Sequence[tuple[Level, ...]]]
_OF_LEVELS = ("transfer_init", "zero_init_correction")  # how R, P and N begin
_LATER = {"min_levels": 0, "min_groups": 1, "levels": "auto"}  # at these values left out: the ids of older configs hold


def normal_choices(of: Hierarchies, widest: int, choices: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """The one that stands for all (s_g, s_c, min_levels, min_groups) which give the same hierarchies.

    That is the one with the largest s_c, and then the largest s_g, among ``widest`` and the powers of two below it,
    without min_levels, where it is among them, and else ``choices`` themselves. So (s_g, s_c) = (4, 8) stand for
    themselves where 8 is a width of the network.
    """
    wanted = of(*choices)
    widths = [widest, *(2**n for n in reversed(range(widest.bit_length())) if 2**n < widest)]
    for min_groups in (1, 2):
        for s_c in widths:
            for s_g in widths:
                if of(s_g, s_c, 0, min_groups) == wanted:
                    return s_g, s_c, 0, min_groups
    return choices


def normal_config(config: Mapping[str, Any], of: Hierarchies, widest: int) -> Hashable:
    """The same for two configs whose hierarchies and other arguments are the same.

    Args:
        config: the arguments; min_levels, min_groups, levels and the starts may be left out at their defaults.
        of: the hierarchies.
        widest: of the network's widths.
    """
    full = {**_LATER, **config}
    if full["levels"] == "none":
        full |= {"s_g": widest, "s_c": widest, **_LATER}
    names = ("s_g", "s_c", "min_levels", "min_groups")
    choices = normal_choices(of, widest, (full["s_g"], full["s_c"], full["min_levels"], full["min_groups"]))
    full |= zip(names, choices)
    if all(len(levels) == 1 for levels in of(*choices)):  # there is no R, P or N that could begin
        full = {name: value for name, value in full.items() if name not in _OF_LEVELS}
    return tuple(sorted((name, value) for name, value in full.items() if name not in _LATER or value != _LATER[name]))

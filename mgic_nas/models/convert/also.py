"""What a conversion may reach besides residual blocks of equal width, where asked for: ``also``."""

from __future__ import annotations

from typing import Any

from ...errors import UserError

#: "transition": residual blocks that change width or resolution; "plain": convs without a residual that keep the width,
#: and with "transition" those that change it; "mlp": MLPs that work on each token's or pixel's channels.
ALSO = ("transition", "plain", "mlp")


def check_also(also: Any) -> tuple[str, ...]:
    """``also`` as names of :data:`ALSO`, in its order.

    Args:
        also: several names, or a text, in which "+" joins them ("transition+mlp"; "" for none): a search space's
            choices are texts.

    Raises:
        UserError: anything else.
    """
    given = also
    if isinstance(also, str):
        also = [name.strip() for name in also.split("+")] if also.strip() else []
    if not isinstance(also, (list, tuple, set, frozenset)) or any(name not in ALSO for name in also):
        raise UserError(f"also must be some of {', '.join(ALSO)} (as a text joined by '+'), not {given!r}.")
    return tuple(name for name in ALSO if name in also)

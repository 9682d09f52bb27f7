"""``mgic_nas.profile``: one call for names and networks."""

from __future__ import annotations

from typing import Any

from torch import nn

from ._cost import Cost
from ._count import count
from ._family import family


def profile(
    model: str | nn.Module,
    *,
    input_size: tuple[int, int, int] | None = None,
    num_classes: int | None = None,
    **kwargs: Any,
) -> Cost:
    """What one image costs.

    Args:
        model: a timm name (ours are counted from their rows, in microseconds), or a built network.
        input_size: (C, H, W); by default the model's own.
        num_classes: by default the model's own.
        **kwargs: further arguments of ``timm.create_model``, such as ``s_g`` and ``s_c``.

    Raises:
        UserError: an unknown name or argument.
    """
    if isinstance(model, nn.Module):
        if kwargs or num_classes is not None:
            raise TypeError("A built network takes no arguments; give its name to vary them.")
        if input_size is None:
            cfg: Any = getattr(model, "pretrained_cfg", None) or {}
            input_size = tuple(cfg["input_size"]) if "input_size" in cfg else None
        if input_size is None:
            raise TypeError("Say input_size=(C, H, W): this network does not carry one.")
        return count(model, input_size)
    known = family(model)
    in_chans = kwargs.pop("in_chans", None)
    if input_size is None:
        _, height, width = known.input_size
        input_size = (in_chans or known.input_size[0], height, width)
    return known.cost(kwargs, tuple(input_size), known.num_classes if num_classes is None else num_classes)  # type: ignore[arg-type]

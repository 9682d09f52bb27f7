"""``mgic_nas.mgicify``: any timm network with residual blocks of equal width, in MGIC form."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .errors import UserError, did_you_mean

if TYPE_CHECKING:
    from torch import nn


def mgicify(
    model: str | nn.Module,
    s_g: int,
    s_c: int,
    *,
    min_levels: int = 0,
    min_groups: int = 1,
    init: str = "random",
    input_size: tuple[int, int, int] | None = None,
    **kwargs: Any,
) -> nn.Module:
    """A network whose residual blocks of equal width are MGIC blocks of themselves.

    :mod:`mgic_nas.models.convert` says how a block is converted, and :mod:`mgic_nas.models._convert_init` what its
    tensors start with.

    Args:
        model: a timm name, or a built network, which is copied and stays what it is.
        s_g: channels a group on all but the coarsest level.
        s_c: width of the coarsest level at most.
        min_levels: at least so many restrictions in every block, even where it is no wider than s_c.
        min_groups: 2 keeps a grouped level from being fully coupled.
        init: "random" draws the converted blocks anew; "weights" derives them from the original's weights.
        input_size: (C, H, W) of an image; by default the network's own.
        **kwargs: of ``timm.create_model``, with a name only.

    Returns:
        The network, with timm's interface as before. ``net.mgic_report`` says what was replaced, what was left and
        why, and the cost before and after; ``str()`` of it is a page to read. Saved by ``timm.models.save_for_hf``, it
        comes back by ``timm.create_model("local-dir:...", pretrained=True)``.

    Raises:
        UserError: an unknown name, an impossible value, or a network without an eligible block; in one line.
    """
    import timm
    from torch import nn

    from .cost import count
    from .models._convert_find import meta_copy
    from .models.convert import check_choices, convert
    from .models.mgicified import name_as_mgicified

    check_choices(s_g, s_c, min_levels, min_groups)
    if isinstance(model, nn.Module):
        if kwargs:
            raise TypeError(f"A built network takes no {', '.join(kwargs)}: give its timm name, or build it with them.")
        net: Any = copy.deepcopy(model)
    elif ":" in model or timm.is_model(model):
        net = timm.create_model(model, **kwargs)
    else:
        raise UserError(f"Unknown model {model!r}.{did_you_mean(str(model), timm.list_models())}")
    plain = meta_copy(net)
    report = convert(net, s_g, s_c, min_levels, min_groups, init, input_size)
    before, after = (count(n, report.input_size) for n in (plain, meta_copy(net)))
    net.mgic_report = replace(report, before=before, after=after)
    name_as_mgicified(net)
    return net

"""BatchNorm statistics estimated anew: after a conversion, other images, or an average of weights."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from .errors import UserError

BATCH = 128  # images that are looked at together where they come as one tensor
Net = TypeVar("Net", bound=nn.Module)


def recalibrate(net: Net, images: torch.Tensor | Iterable[Any]) -> Net:
    """Gives every BatchNorm the mean and variance that it sees on these images; weights stay as they are.

    After ``mgicify(..., init="weights")`` a few hundred images bring back most of what the conversion loses.

    Args:
        net: a network; changed in place, and left in the mode (train or eval) in which it is.
        images: (N, C, H, W), prepared as for training, or batches of such, alone or in tuples with labels. They should
            be a random sample: statistics of images that are sorted by class are wrong for all others.

    Returns:
        ``net``.

    Raises:
        UserError: there are no images.
    """
    device = next((p.device for p in net.parameters()), torch.device("cpu"))
    batches = iter(images.split(BATCH) if isinstance(images, torch.Tensor) else images)
    first = next(batches, None)
    if first is None or not len(first):
        raise UserError("recalibrate() needs images: a tensor (N, C, H, W), or batches of them.")

    def every() -> Iterable[Any]:
        yield first
        yield from batches

    update_bn(every(), net, device)
    return net

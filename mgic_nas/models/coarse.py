"""The coarse channel representation: R and P alone (the paper's Table 1 and Figure 3).

What the channel hierarchy keeps of a feature map when nothing but its transfer operators works on it: 64 channels
to 8 and back. No CNN blocks, no long skips, no norm, no bias; so a linear map of rank 8 at most, for each pixel.

    s_g           32      16       8       4
    parameters    3,328   1,792    896     448
"""

from itertools import pairwise
from typing import Any

import torch
from torch import nn

from .mgic import ChannelTransfer, start
from .rows import hierarchy, positive_int

__all__ = ["CoarseRepresentation"]


class CoarseRepresentation(nn.Module):
    """Encodes (N, channels, H, W) as (N, s_c or less, H, W), and decodes that.

    R and P start as in the MGIC block: random positive rows that sum to 1 (``transfer_init``, see
    :meth:`~mgic_nas.models.mgic.ChannelTransfer.reset_parameters`).

    Args:
        channels: of the feature maps.
        s_g: channels a group.
        s_c: width of the coarsest level at most.
    """

    def __init__(
        self,
        channels: int = 64,
        s_g: int = 32,
        s_c: int = 8,
        transfer_init: str = "uniform",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        for name, value in (("channels", channels), ("s_g", s_g), ("s_c", s_c)):
            positive_int(name, value)
        dd = {"device": device, "dtype": dtype}
        levels = hierarchy(channels, s_g, s_c, lambda _, width: (width, width))
        pairs = [(fine.channels, coarse.channels, fine.transfer_groups) for fine, coarse in pairwise(levels)]
        self.restrict = nn.Sequential(*(ChannelTransfer(fine, coarse, groups, **dd) for fine, coarse, groups in pairs))
        self.prolong = nn.Sequential(
            *(ChannelTransfer(coarse, fine, groups, **dd) for fine, coarse, groups in reversed(pairs))
        )
        start(self, transfer_init)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """R_{n-1} .. R_0 x."""
        return self.restrict(x)

    def decode(self, x: torch.Tensor) -> torch.Tensor:
        """P_0 .. P_{n-1} x."""
        return self.prolong(x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.decode(self.encode(x))

"""Converted networks, and images for them."""

import torch
from torch import nn

import mgic_nas

META = torch.device("meta")


def images(side: int = 64, batch: int = 2, in_chans: int = 3) -> torch.Tensor:
    """The same random ones each time."""
    torch.manual_seed(1)
    return torch.randn(batch, in_chans, side, side)


def converted(name: str, s_g: int = 8, s_c: int = 16, **kwargs) -> nn.Module:
    """timm's network ``name`` with MGIC blocks, the same random weights each time."""
    torch.manual_seed(0)
    return mgic_nas.mgicify(name, s_g, s_c, **kwargs)

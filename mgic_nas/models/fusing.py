"""The inference form of a network."""

from __future__ import annotations

from timm.utils import reparameterize_model
from torch import nn


def fuse(model: nn.Module) -> nn.Module:
    """A copy of ``model`` in eval mode with every BatchNorm folded into the conv before it, P's included.

    Works on every network of this package, and on timm's as far as their blocks offer it. Outputs agree to float32
    rounding; what is left can still be exported, but not trained in any useful way.
    """
    training = model.training
    fused = reparameterize_model(model.eval()).eval()
    model.train(training)
    return fused

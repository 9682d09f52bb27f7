"""The inference form of a network."""

from __future__ import annotations

import copy
from typing import Any

import torch
from timm.layers import BatchNormAct2d, Conv2dSame
from timm.models._features_fx import get_notrace_functions, get_notrace_modules
from timm.utils import reparameterize_model
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from ..errors import UserError
from .mgic import ChannelTransfer

# Exactly these: a convolution that standardises its weights, or a norm that does more, cannot be folded so.
_CONVS = (nn.Conv2d, Conv2dSame, ChannelTransfer)
_NORMS = (nn.BatchNorm2d, BatchNormAct2d)


def fuse(model: nn.Module) -> nn.Module:
    """A copy of ``model`` in eval mode with every BatchNorm folded into the conv before it, P's included.

    Works on every network of this package and on timm's, converted ones too: wherever a BatchNorm follows a
    convolution directly. Outputs agree to float32 rounding; what is left can still be exported, but not trained in
    any useful way.
    """
    if not isinstance(model, nn.Module):
        raise UserError(f"fuse takes a network, not {model!r}.")
    training = model.training
    fused = reparameterize_model(model.eval()).eval()
    model.train(training)
    fold_pairs(fused)
    return fused


def fold_pairs(net: nn.Module) -> None:
    """Folds each BatchNorm that alone reads a convolution's output; what torch.fx cannot follow stays as it is."""
    if not any(type(m) in _NORMS for m in net.modules()):
        return
    try:
        graph = _Tracer(autowrap_functions=tuple(get_notrace_functions())).trace(net)
    except Exception:  # whatever a network's own code raises when it is given symbols
        return
    modules = dict(net.named_modules())
    calls: dict[int, int] = {}  # of a module, by whatever names
    for node in graph.nodes:
        if node.op == "call_module":
            calls[id(modules[node.target])] = calls.get(id(modules[node.target]), 0) + 1
    for node in graph.nodes:
        source = node.args[0] if node.op == "call_module" and node.args else None
        if not isinstance(source, fx.Node) or source.op != "call_module" or len(source.users) > 1:
            continue
        conv, norm = modules[source.target], modules[node.target]
        if type(conv) in _CONVS and type(norm) in _NORMS and calls[id(conv)] == calls[id(norm)] == 1:
            assert isinstance(conv, nn.Conv2d)
            if getattr(norm, "running_var", None) is not None:
                _put(net, str(source.target), _folded(conv, norm))
                _put(net, str(node.target), _rest(norm))


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        own = (nn.modules.conv._ConvNd, nn.modules.batchnorm._BatchNorm, *get_notrace_modules())
        return isinstance(m, own) or super().is_leaf_module(m, module_qualified_name)


def _folded(conv: nn.Conv2d, norm: Any) -> nn.Conv2d:
    folded = copy.deepcopy(conv)
    with torch.no_grad():
        folded.weight, folded.bias = fuse_conv_bn_weights(
            conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
        )
    return folded


def _rest(norm: nn.Module) -> nn.Module:
    """What a norm does besides: timm's have an activation."""
    parts = [getattr(norm, name) for name in ("drop", "act") if hasattr(norm, name)]
    parts = [part for part in parts if not isinstance(part, nn.Identity)]
    return nn.Sequential(*parts) if parts else nn.Identity()


def _put(net: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(net.get_submodule(parent) if parent else net, child, module)

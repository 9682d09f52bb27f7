"""The cost of a built network, counted from its modules: the truth that the rows must agree with."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from .._text import size_text
from ..errors import UserError
from ..models.mgic import ChannelTransfer
from .rows_cost import Cost


def count(model: nn.Module, input_size: tuple[int, ...]) -> Cost:
    """Counts conv and linear layers in one forward pass of a single input, in eval mode.

    Args:
        model: any network whose compute is in ``nn.Conv*`` and ``nn.Linear`` modules; on the meta device the pass
            costs no arithmetic.
        input_size: of one input without the batch, (C, H, W) for images.

    Raises:
        UserError: no network, or one that cannot run on such inputs.
    """
    macs = transfers = activations = 0

    def add(module: nn.Module, args: tuple[Any, ...], output: torch.Tensor) -> None:
        nonlocal macs, transfers, activations
        weight: torch.Tensor = module.weight  # type: ignore[assignment]
        n = weight[0].numel() * output.numel()  # multiplies behind each output element
        macs += n
        activations += output.numel()
        transfers += n if isinstance(module, ChannelTransfer) else 0

    if not isinstance(model, nn.Module):
        raise UserError(f"{model!r} is no network: build it first (mgic_nas.create_model).")
    sample = next(model.parameters(), None)
    if sample is None:
        raise UserError(f"{type(model).__name__} has no parameters: there is nothing to count.")
    layers = [m for m in model.modules() if isinstance(m, (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear))]
    hooks = [layer.register_forward_hook(add) for layer in layers]
    training = model.training
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(1, *input_size, device=sample.device, dtype=sample.dtype))
    except (RuntimeError, ValueError, TypeError, AssertionError, IndexError) as error:
        if isinstance(error, UserError):
            raise
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{type(model).__name__} cannot run on inputs of {size_text(input_size)}: {reason}") from error
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    params = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return Cost(macs, macs - transfers, params, activations)

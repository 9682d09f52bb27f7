"""BatchNorm statistics estimated anew: after a conversion, other images, or an average of weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ._text import one_line
from .errors import UserError

BATCH = 128  # images that are looked at together where they come as one tensor
_NONE = "recalibrate() needs images: a tensor (N, C, H, W), or batches of them."
#: What a network's own code raises on tensors that it does not take.
_FAILURES = (RuntimeError, NotImplementedError, ValueError, TypeError, AssertionError, LookupError, AttributeError)
Net = TypeVar("Net", bound=nn.Module)


def recalibrate(net: Net, images: torch.Tensor | Iterable[Any]) -> Net:
    """Gives every BatchNorm the mean and variance that it sees on these images; weights stay as they are.

    After ``mgicify(..., init="weights")`` a few hundred images bring back most of what the conversion loses.

    Args:
        net: a network; changed in place, and left in the mode (train or eval) in which it is. Where anything fails, it
            is what it was before.
        images: (N, C, H, W), prepared as for training, or batches of such, alone or in tuples with labels. They should
            be a random sample: statistics of images that are sorted by class are wrong for all others.

    Returns:
        ``net``.

    Raises:
        UserError: there are no images, or some that the network does not take: of integers, with values that are not
            finite, of another number of channels, a batch too small for statistics.
    """
    device = next((p.device for p in net.parameters()), torch.device("cpu"))
    norms = {name: module for name, module in net.named_modules() if isinstance(module, _BatchNorm)}
    with _unchanged_by_errors(net), _cumulative(net, norms.values()), torch.no_grad():
        number = 0
        for number, batch in enumerate(_batches(images), 1):
            _pass(net, _checked(batch, number).to(device), number)
        if not number:
            raise UserError(_NONE)
        _refuse_wild(norms)
    return net


def _batches(images: Any) -> Iterator[Any]:
    if not isinstance(images, torch.Tensor):
        if not isinstance(images, Iterable):
            raise UserError(_NONE)
        yield from images
    elif images.dim() and len(images):
        sizes = [len(batch) for batch in images.split(BATCH)]
        if sizes[-1] == 1 and len(sizes) > 1:  # one image may have no variance
            sizes[-2:] = [BATCH + 1]
        yield from images.split(sizes)


def _checked(batch: Any, number: int) -> torch.Tensor:
    """The images of a batch; UserError where no network can take them."""
    images = batch[0] if isinstance(batch, (list, tuple)) and batch else batch
    if not isinstance(images, torch.Tensor):
        raise UserError(f"recalibrate(): batch {number} is a {type(images).__name__}: give tensors (N, C, H, W)")
    if not images.numel():
        raise UserError(_NONE if number == 1 else f"recalibrate(): batch {number} has no images: leave it out")
    if not images.is_floating_point():
        raise UserError(
            f"recalibrate(): batch {number} has values of {images.dtype}: give images as the network takes them, as "
            "floating-point numbers that are normalised as for training"
        )
    if not images.isfinite().all():
        raise UserError(f"recalibrate(): batch {number} has values that are not finite: leave these images out")
    return images


def _pass(net: nn.Module, images: torch.Tensor, number: int) -> None:
    try:
        net(images)
    except _FAILURES as error:
        raise UserError(
            f"recalibrate(): the network does not take batch {number}, {tuple(images.shape)} of {images.dtype} "
            f"({one_line(str(error)) or type(error).__name__}): give batches (N, C, H, W) of several images, with the "
            "channels, size and dtype of its own"
        ) from error


def _refuse_wild(norms: dict[str, _BatchNorm]) -> None:
    for name, norm in norms.items():
        for found in (norm.running_mean, norm.running_var):
            if found is not None and not found.isfinite().all():
                raise UserError(
                    f"recalibrate(): of these images the network makes values that are not finite, at {name or 'it'}: "
                    "look at its weights, or give images that are normalised as for training"
                )


@contextmanager
def _cumulative(net: nn.Module, norms: Iterable[_BatchNorm]) -> Iterator[None]:
    """Within the block each norm takes the mean over all batches from now on; modes and momenta are put back."""
    momenta = {norm: norm.momentum for norm in norms}
    modes = {module: module.training for module in net.modules()}
    try:
        net.train()
        for norm in momenta:
            norm.reset_running_stats()
            norm.momentum = None
        yield
    finally:
        for norm, momentum in momenta.items():
            norm.momentum = momentum
        for module, mode in modes.items():
            module.training = mode


@contextmanager
def _unchanged_by_errors(net: nn.Module) -> Iterator[None]:
    """Whatever is raised within the block, the network's statistics (its buffers) are then what they were."""
    kept = [(buffer, buffer.clone()) for buffer in net.buffers()]
    try:
        yield
    except BaseException:
        with torch.no_grad():
            for buffer, before in kept:
                buffer.copy_(before)
        raise

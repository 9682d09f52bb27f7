"""8 bits for a network: several ways are tried on training images, and the best of them is taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from ..cost.runtimes.onnx_runtimes import of_onnx
from ..deploy.files import FileNetwork
from ..deploy.quantise import WAYS, Quantiser, Way
from ..errors import UserError
from ..tasks import Split
from .check import BATCH, agreement, some_inputs
from .timing import latencies

CALIBRATION = 256  # training images from which the ranges of activations are taken ...
JUDGED = 256  # ... and others by which the ways are compared
FEWEST = 16
SLOW = 1.5  # times the fastest way: such a way is not taken (symmetric activations, on many processors)


@dataclass(frozen=True)
class Tried:
    """One way to quantise, on training images that did not calibrate it.

    Attributes:
        name: of the way.
        size: bytes of the file.
        error: mean squared difference from the outputs in float32, as a part of their variance.
        same_class: percent of images (or pixels) with the same best class; None for one output.
        latency_ms: of one input on one thread.
    """

    name: str
    size: int
    error: float
    same_class: float | None
    latency_ms: float

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return dict(vars(self))


def quantised(model: bytes, train: Split) -> tuple[bytes, tuple[Tried, ...]]:
    """An ONNX model in 8 bits, and what was tried, the way that was taken first.

    The ways are compared on training images, so that the validation score afterwards is no part of the choice.

    Args:
        model: in float32.
        train: the training part, prepared as the network wants it.

    Raises:
        UserError: too few training images, or onnxruntime cannot quantise the network.
    """
    inputs = some_inputs(train, CALIBRATION + JUDGED, shuffled=True)
    if len(inputs) < FEWEST:
        raise UserError(f"8 bits need {FEWEST} training images or more to calibrate with; there are {len(inputs)}.")
    half = min(CALIBRATION, len(inputs) // 2)
    calibration, judged = inputs[:half], inputs[half:]
    quantise = Quantiser(model, [batch.numpy() for batch in calibration.split(BATCH)])
    models = {way: quantise(way) for way in WAYS if quantise.applies(way)}
    ready = {way.name: of_onnx(found, 1) for way, found in models.items()}
    times = latencies(ready, tuple(inputs.shape[1:]))
    plain = FileNetwork(of_onnx(model, torch.get_num_threads()).outputs)
    variance = float(torch.cat([plain(x) for x in judged.split(BATCH)]).double().var(unbiased=False))
    tried = {}
    for way, found in models.items():
        told = agreement(plain, FileNetwork(ready[way.name].outputs), judged)
        error = told.squared / max(variance, 1e-30)
        tried[way] = Tried(way.name, len(found), error, told.same_class, times[way.name] * 1e3)
    best = _best(tried)
    return models[best], (tried[best], *(one for way, one in tried.items() if way is not best))


def _best(tried: dict[Way, Tried]) -> Way:
    """The way whose outputs are nearest to those in float32, of those that are not slow."""
    least = min(one.latency_ms for one in tried.values())
    fast = [way for way, one in tried.items() if one.latency_ms <= SLOW * least]
    return min(fast, key=lambda way: tried[way].error)

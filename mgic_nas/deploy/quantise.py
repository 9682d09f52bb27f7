"""ONNX models in 8 bits: post-training static quantisation by onnxruntime's own tools."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from .onnx_export import INPUT
from .packages import package


@dataclass(frozen=True)
class Way:
    """One way to quantise. Weights are symmetric int8, everything in ONNX's QDQ format.

    Attributes:
        name: for tables.
        per_channel: a scale for each output channel of a weight, instead of one for all.
        symmetric: activations are int8 about zero, instead of uint8 with a zero point.
        whole: every operation that can be, instead of convolutions and linear layers alone.
        but_depthwise: convolutions with one input channel a group stay in float.
    """

    name: str
    per_channel: bool = True
    symmetric: bool = False
    whole: bool = True
    but_depthwise: bool = False


WAYS = (
    Way("one scale a tensor", per_channel=False),
    Way("a scale a channel"),
    Way("a scale a channel, symmetric activations", symmetric=True),
    Way("a scale a channel, convs and linear layers alone", whole=False),
    Way("a scale a channel, depthwise convs in float", but_depthwise=True),
)


class Reader:
    """Calibration inputs, float32 (B, ...) each, as onnxruntime asks for them."""

    def __init__(self, batches: Sequence[np.ndarray]) -> None:
        self._batches: Iterator[np.ndarray] = iter(batches)

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: batch}


class Quantiser:
    """Quantises one model in several ways.

    Args:
        model: an ONNX model in float32 of one input, see :func:`mgic_nas.deploy.onnx_export.onnx_bytes`.
        batches: calibration inputs.

    Raises:
        UserError: onnx or onnxruntime are missing, or the model cannot be prepared.
    """

    def __init__(self, model: bytes, batches: Sequence[np.ndarray]) -> None:
        self._onnx = package("onnx")
        self._tools = package("onnxruntime.quantization")
        self._batches = batches
        with tempfile.TemporaryDirectory() as folder, _quiet():
            given, ready = Path(folder) / "given.onnx", Path(folder) / "ready.onnx"
            given.write_bytes(model)
            try:
                package("onnxruntime.quantization.shape_inference").quant_pre_process(given, ready)
            except Exception as error:  # of its symbolic shape inference: some operations it does not know
                raise UserError(f"onnxruntime cannot prepare the network for 8 bits: {_reason(error)}") from None
            self._model = self._onnx.load(ready)

    def __call__(self, way: Way) -> bytes:
        """The model in 8 bits."""
        tools = self._tools
        kinds = tools.QuantType
        with tempfile.TemporaryDirectory() as folder, _quiet():
            target = Path(folder) / "model.onnx"
            model = self._onnx.ModelProto()
            model.CopyFrom(self._model)  # it is changed
            try:
                tools.quantize_static(
                    model,
                    target,
                    Reader(self._batches),
                    quant_format=tools.QuantFormat.QDQ,
                    op_types_to_quantize=None if way.whole else ["Conv", "Gemm", "MatMul"],
                    per_channel=way.per_channel,
                    activation_type=kinds.QInt8 if way.symmetric else kinds.QUInt8,
                    weight_type=kinds.QInt8,
                    nodes_to_exclude=self._depthwise() if way.but_depthwise else [],
                    extra_options={"ActivationSymmetric": way.symmetric},
                )
            except Exception as error:
                raise UserError(f"onnxruntime cannot quantise the network: {_reason(error)}") from None
            return target.read_bytes()

    def applies(self, way: Way) -> bool:
        """Whether the way differs from the others on this model."""
        return not way.but_depthwise or bool(self._depthwise())

    def _depthwise(self) -> list[str]:
        """The names of the convolutions with one input channel a group, of several groups."""
        shapes = {one.name: one.dims for one in self._model.graph.initializer}
        found = []
        for node in self._model.graph.node:
            if node.op_type == "Conv" and node.input[1] in shapes:
                groups = next((a.i for a in node.attribute if a.name == "group"), 1)
                if groups > 1 and shapes[node.input[1]][1] == 1:
                    found.append(node.name)
        return found


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what the tools say of their own steps."""
    logger = logging.getLogger()
    disabled = logger.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(disabled)


def _reason(error: Any) -> str:
    return " ".join(str(error).split())[:200]

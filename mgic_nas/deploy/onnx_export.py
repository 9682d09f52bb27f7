"""A network as ONNX."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import warnings
from typing import Any

import torch
from torch import nn

from ..errors import UserError
from .packages import package

OPSET = 18
INPUT, OUTPUT = "input", "output"


def onnx_bytes(net: nn.Module, input_size: tuple[int, ...], batch: int | None = 1) -> bytes:
    """An ONNX model with one input and one output, named :data:`INPUT` and :data:`OUTPUT`.

    Args:
        net: in eval mode and in the form that ships (:func:`mgic_nas.fuse`).
        input_size: of one input, without the batch.
        batch: inputs at a time; None: any number, each time another.

    Raises:
        UserError: the network cannot be exported.
    """
    package("onnx")  # which torch needs to write it
    if any(p.device.type != "cpu" for p in net.parameters()):
        net = copy.deepcopy(net).cpu()
    # Two, because torch takes a 1 in a shape for a constant.
    inputs = torch.zeros(2 if batch is None else batch, *input_size)
    dynamic = batch is None
    try:
        return _exported(net, inputs, dynamic, dynamo=False)
    except Exception as error:  # whatever it meets in a network's own code, or that a later torch is without it
        reason = " ".join(str(error).split())[:200]
    try:
        return _exported(net, inputs, dynamic, dynamo=True)
    except Exception:
        raise UserError(f"{type(net).__name__} cannot be exported to ONNX: {reason}") from None


def _exported(net: nn.Module, inputs: torch.Tensor, dynamic: bool, dynamo: bool) -> bytes:
    """By the exporter that traces (0.3 to 3 s), or by the other, ten times slower and no better."""
    stream = io.BytesIO()
    names: dict[str, Any] = {"input_names": [INPUT], "output_names": [OUTPUT], "opset_version": OPSET}
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            if dynamo:
                shapes = ({0: torch.export.Dim.DYNAMIC},) if dynamic else None
                program = torch.onnx.export(net, (inputs,), dynamo=True, verbose=False, dynamic_shapes=shapes, **names)
                assert program is not None
                stream.write(program.model_proto.SerializeToString())
            else:
                if dynamic:
                    names["dynamic_axes"] = {INPUT: {0: "batch"}, OUTPUT: {0: "batch"}}
                torch.onnx.export(net, (inputs,), stream, dynamo=False, **names)  # type: ignore[arg-type]  # it takes a stream too
    finally:
        logger.setLevel(level)
    return stream.getvalue()

"""Runtimes that read ONNX. They run on the CPU, in float32."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from ...deploy.onnx_export import INPUT, OUTPUT, onnx_bytes
from ...deploy.onnx_file import onnx_session
from ...deploy.openvino_file import openvino_request
from ...deploy.packages import package
from ...errors import UserError
from .registry import Prepared, Runtime


def _onnxruntime(net: nn.Module, input_size: tuple[int, ...], batch: int, threads: int) -> Prepared:
    package("onnxruntime")  # before the network is exported for it
    model = onnx_bytes(net, input_size, batch)
    try:
        return of_onnx(model, threads)
    except Exception as error:  # its exceptions have no common class of their own
        raise _unreadable("onnxruntime", net, error) from error


def of_onnx(model: bytes, threads: int) -> Prepared:
    """An ONNX model with :data:`INPUT` and :data:`OUTPUT` as onnxruntime makes it ready."""
    session = onnx_session(model, threads)

    def bind(inputs: torch.Tensor) -> Callable[[], object]:
        feed = {INPUT: inputs.contiguous().numpy()}
        return lambda: session.run([OUTPUT], feed)

    def outputs(inputs: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(session.run([OUTPUT], {INPUT: inputs.contiguous().numpy()})[0])

    clock = time.thread_time if threads == 1 else time.perf_counter
    return Prepared(bind, outputs, contextlib.nullcontext, clock)


def _openvino(net: nn.Module, input_size: tuple[int, ...], batch: int, threads: int) -> Prepared:
    package("openvino")  # before the network is exported for it
    model = onnx_bytes(net, input_size, batch)
    try:
        return of_openvino(model, threads)
    except Exception as error:
        raise _unreadable("openvino", net, error) from error


def of_openvino(model: bytes | Path, threads: int) -> Prepared:
    """An ONNX model, or the path of an xml, as OpenVINO makes it ready."""
    ov = package("openvino")
    request = openvino_request(model, threads)

    def bind(inputs: torch.Tensor) -> Callable[[], object]:
        request.set_input_tensor(ov.Tensor(inputs.contiguous().numpy()))
        return lambda: request.infer()  # of the tensor that was set

    def outputs(inputs: torch.Tensor) -> torch.Tensor:
        bind(inputs)()
        return torch.from_numpy(request.get_output_tensor(0).data.copy())

    clock = time.process_time if threads == 1 else time.perf_counter  # its threads are its own
    return Prepared(bind, outputs, contextlib.nullcontext, clock)


onnxruntime = Runtime(("onnxruntime", "torch"), _onnxruntime, needs=("onnxruntime", "onnx"))
openvino = Runtime(("openvino", "torch"), _openvino, needs=("openvino", "onnx"))


def _unreadable(runtime: str, net: nn.Module, error: Exception) -> UserError:
    return UserError(f"{runtime} cannot run {type(net).__name__}: {' '.join(str(error).split())[:200]}")

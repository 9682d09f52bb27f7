"""A network as a function that can be timed: in torch, onnxruntime or OpenVINO, one thread, float32."""

from __future__ import annotations

import importlib.util
import io
import statistics
import time
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import torch
from torch import nn

from ..models.fusing import fuse

WARM_UP = 2  # rounds that are not counted
LEAST_ROUNDS, MOST_ROUNDS = 5, 101
Work = Callable[[], Any]


def missing(runtime: str) -> bool:
    """Whether a runtime is not installed."""
    return importlib.util.find_spec(runtime) is None or (
        runtime == "onnxruntime" and importlib.util.find_spec("onnx") is None
    )


def version(runtime: str) -> str:
    """Of an installed runtime."""
    return str(import_module(runtime).__version__)


def inference(net: nn.Module, x: torch.Tensor, runtime: str) -> Work:
    """One forward pass of ``net``, its BatchNorms folded, in eval mode: in "torch", "onnxruntime" or "openvino"."""
    fused = fuse(net.eval())
    if runtime == "torch":
        return torch.inference_mode()(lambda: fused(x))
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporters' own notices
        if runtime == "onnxruntime":
            return _onnxruntime(fused, x)
        return _openvino(fused, x)


def _onnxruntime(net: nn.Module, x: torch.Tensor) -> Work:
    ort = import_module("onnxruntime")
    stream: Any = io.BytesIO()
    torch.onnx.export(net, (x,), stream, dynamo=False, input_names=["x"])
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(stream.getvalue(), options, providers=["CPUExecutionProvider"])
    image = x.numpy()
    return lambda: session.run(None, {"x": image})[0]


def _openvino(net: nn.Module, x: torch.Tensor) -> Work:
    ov = import_module("openvino")
    # float32 said: on processors with bfloat16 units OpenVINO would else compute in that.
    options = {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    compiled = ov.Core().compile_model(ov.convert_model(net, example_input=x, input=[x.shape]), "CPU", options)
    request, image = compiled.create_infer_request(), x.numpy()
    return lambda: request.infer({0: image})[0]


def training(net: nn.Module, x: torch.Tensor) -> Work:
    """Forward and backward pass in torch, gradients of the input included; no optimiser's step."""
    net.train()
    x = x.clone().requires_grad_()

    def step() -> None:
        net(x).mean().backward()
        net.zero_grad(set_to_none=True)
        x.grad = None

    return step


def alternate(works: Mapping[str, Work], seconds: float) -> dict[str, list[float]]:
    """CPU seconds (all threads of the process) of each, round by round, for ``seconds`` or :data:`LEAST_ROUNDS`."""
    times: dict[str, list[float]] = {name: [] for name in works}
    until = time.process_time() + seconds
    for done in range(WARM_UP + MOST_ROUNDS):
        if done >= WARM_UP + LEAST_ROUNDS and time.process_time() > until:
            break
        for name, work in works.items():
            begin = time.process_time()
            work()
            times[name].append(time.process_time() - begin)
    return {name: taken[WARM_UP:] for name, taken in times.items()}


def ratio(times: list[float], plain: list[float]) -> float:
    """The median over rounds of one's time divided by the other's of the same round."""
    return statistics.median(a / b for a, b in zip(times, plain))

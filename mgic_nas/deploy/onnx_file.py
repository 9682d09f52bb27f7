"""ONNX files, run by onnxruntime on the CPU."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from ..errors import UserError
from .packages import package


def onnx_session(model: bytes | str, threads: int) -> Any:
    """An ``onnxruntime.InferenceSession`` on the CPU.

    Args:
        model: the file's content, or its path.
        threads: that compute one inference; with one it is done in the calling thread.
    """
    ort = package("onnxruntime")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def open_onnx(path: Path) -> tuple[Callable[[torch.Tensor], torch.Tensor], dict[str, Any], str]:
    """(float32 inputs -> outputs, what its metadata say, the runtime) of a file with one input.

    Raises:
        UserError: onnxruntime cannot run it, or is not installed.
    """
    version = package("onnxruntime").__version__
    try:
        session = onnx_session(str(path), torch.get_num_threads())
    except Exception as error:  # its exceptions have no common class of their own
        raise UserError(f"{path} cannot be opened by onnxruntime: {_reason(error)}") from None
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type != "tensor(float)":
        given = ", ".join(f"{one.name} {one.type}" for one in inputs)
        raise UserError(f"{path} takes {given or 'nothing'}, where a network takes one float32 input.")
    name, output = inputs[0].name, session.get_outputs()[0].name

    def run(x: torch.Tensor) -> torch.Tensor:
        try:
            return torch.from_numpy(session.run([output], {name: x.contiguous().numpy()})[0])
        except Exception as error:
            raise UserError(f"{path} does not run on inputs {tuple(x.shape)}: {_reason(error)}") from None

    return run, decoded(session.get_modelmeta().custom_metadata_map), f"onnxruntime {version}"


def with_metadata(model: bytes, values: Mapping[str, Any]) -> bytes:
    """An ONNX model with values in its metadata, as JSON, which :func:`open_onnx` gives back."""
    onnx = package("onnx")
    proto = onnx.load_model_from_string(model)
    onnx.helper.set_model_props(proto, {key: json.dumps(value) for key, value in values.items()})
    return bytes(proto.SerializeToString())


def decoded(texts: Mapping[str, str]) -> dict[str, Any]:
    """The values of metadata; those that are no JSON are left out."""
    found = {}
    for key, text in texts.items():
        try:
            found[key] = json.loads(text)
        except (ValueError, RecursionError):
            continue
    return found


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200]

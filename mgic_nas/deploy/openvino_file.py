"""OpenVINO's intermediate representation: an xml and the weights beside it in a bin of the same name."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from ..errors import UserError
from .packages import package

_KEY = ["mgic_nas", "config"]  # of the model's rt_info
_SETTINGS = {
    "NUM_STREAMS": 1,
    "PERFORMANCE_HINT": "LATENCY",
    "INFERENCE_PRECISION_HINT": "f32",  # it computes in bfloat16 where the processor can, 0.1 to 1 % off
    "ENABLE_CPU_PINNING": False,  # beside trainings a core of its own is none
}


@functools.cache
def _core() -> Any:
    """The process's only ``openvino.Core``.

    Each has a signal stack of its own and, when it ends, puts back the one that it found. Of two that do not end in the
    reverse order of their beginning, the last leaves a stack that is gone, and the next signal (a child's end) is a
    segmentation fault.
    """
    return package("openvino").Core()


def openvino_request(model: bytes | Path, threads: int) -> Any:
    """An ``openvino.InferRequest`` on the CPU, in float32.

    Args:
        model: the content of an ONNX file, or the path of an xml.
        threads: that compute one inference.
    """
    core = _core()
    # From ONNX in tenths of a second; its own conversion of torch modules takes seconds, for the same kernels.
    read = core.read_model(model)
    return core.compile_model(read, "CPU", {**_SETTINGS, "INFERENCE_NUM_THREADS": threads}).create_infer_request()


def save_openvino(model: bytes, config: Mapping[str, Any], path: Path) -> None:
    """Writes an ONNX model as ``path`` (an xml) and its bin, with the config in the model's rt_info.

    Raises:
        UserError: OpenVINO is missing, or cannot read the model.
    """
    ov = package("openvino")
    try:
        read = _core().read_model(model)
        read.set_rt_info(json.dumps(dict(config)), _KEY)
        ov.save_model(read, path, compress_to_fp16=False)
    except Exception as error:  # its exceptions have no common class of their own
        raise UserError(f"OpenVINO cannot convert the network: {_reason(error)}") from None


def open_openvino(path: Path) -> tuple[Callable[[torch.Tensor], torch.Tensor], dict[str, Any], str]:
    """(float32 inputs -> outputs, its config, the runtime) of an xml with its bin.

    Raises:
        UserError: OpenVINO is missing, or cannot run it.
    """
    ov = package("openvino")
    try:
        read = _core().read_model(path)
        config = json.loads(read.get_rt_info(_KEY).astype(str)) if read.has_rt_info(_KEY) else {}
        request = openvino_request(path, torch.get_num_threads())
    except Exception as error:
        raise UserError(f"{path} cannot be opened by OpenVINO: {_reason(error)}") from None

    def run(x: torch.Tensor) -> torch.Tensor:
        try:
            request.infer([ov.Tensor(x.contiguous().numpy())])
        except Exception as error:
            raise UserError(f"{path} does not run on inputs {tuple(x.shape)}: {_reason(error)}") from None
        return torch.from_numpy(request.get_output_tensor(0).data.copy())

    version = ov.__version__.partition("-")[0]
    return run, config if isinstance(config, dict) else {}, f"openvino {version}"


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200]

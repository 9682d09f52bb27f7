"""A file of any form, opened as a network."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import UserError
from .carried import Carried, read_carried
from .onnx_file import open_onnx
from .openvino_file import open_openvino
from .pt2_file import open_pt2

#: What :func:`open_file` reads, by the ending of the name: (path) -> (inputs -> outputs, what it carries, runtime).
READERS: dict[str, Callable[[Path], tuple[Callable[[torch.Tensor], torch.Tensor], dict[str, Any], str]]] = {
    ".onnx": open_onnx,
    ".pt2": open_pt2,
    ".xml": open_openvino,
}


class FileNetwork(nn.Module):
    """A file as a network: float32 (B, *input_size) -> outputs, on the CPU and without gradients.

    It has no mode: to train and to evaluate is the same to it.
    """

    def __init__(self, run: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self._run = run

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self._run(x.cpu())


@dataclass(frozen=True)
class Opened:
    """A network from a file or a folder.

    Attributes:
        net: in eval mode.
        carried: what the file says of it.
        runtime: what runs it, with its version.
    """

    net: nn.Module
    carried: Carried
    runtime: str


def open_file(path: Path) -> Opened:
    """The network in a file, run by the runtime that the file is for.

    Raises:
        UserError: a file of no known form, one that cannot be run or that does not say how its inputs are prepared, or
            a package that is missing.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise UserError(f"{path} is no network's file: its name ends in none of {', '.join(READERS)}.")
    if not os.path.isfile(path):
        raise UserError(f"{path} is not there: check the path.")
    run, config, runtime = reader(path)
    return Opened(FileNetwork(run).eval(), read_carried(config, str(path)), runtime)

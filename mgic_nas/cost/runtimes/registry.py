"""Runtimes by name, and what one has to offer. Imports nothing heavy."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..._registry import Registry
from ...deploy.packages import package

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class Prepared:
    """A network that a runtime has made ready, for one batch size and number of threads.

    Attributes:
        bind: float32 inputs (batch, *input_size) -> a callable that runs one inference of them; nothing is converted
            or copied in it that the runtime does not need, so its time is the latency.
        outputs: float32 inputs (batch, *input_size) -> outputs (batch, ...), on the CPU.
        active: a context in which the number of threads holds; both callables are called inside it.
        clock: of the time that an inference takes, seconds: of one thread where the work is done in the calling one,
            of the process where a runtime has its own threads, else the wall's.
    """

    bind: Callable[[torch.Tensor], Callable[[], object]]
    outputs: Callable[[torch.Tensor], torch.Tensor]
    active: Callable[[], AbstractContextManager[None]]
    clock: Callable[[], float]


@dataclass(frozen=True)
class Runtime:
    """Something that runs networks.

    Attributes:
        packages: of PyPI that decide what is run and how fast.
        prepare: ``(net, input_size, batch, threads)`` -> :class:`Prepared`, for a network in eval mode and in the
            form that ships. UserError where the network or the machine does not allow it.
        needs: packages that are no dependency of this one.
        gpu: whether it runs on the device of the network's parameters; others run on the CPU.
    """

    packages: tuple[str, ...]
    prepare: Callable[[nn.Module, tuple[int, ...], int, int], Prepared]
    needs: tuple[str, ...] = ()
    gpu: bool = False

    def refuse_missing(self) -> None:
        """UserError, with the command that installs it, where a package is missing that this runtime needs."""
        for name in self.needs:
            package(name)

    def version(self) -> str:
        """``onnxruntime 1.23.0, torch 2.11.0``: another version is another latency."""
        found = []
        for name in self.packages:
            try:
                found.append(f"{name} {importlib.metadata.version(name)}")
            except importlib.metadata.PackageNotFoundError:
                found.append(f"{name} not installed")
        return ", ".join(found)


#: name -> :class:`Runtime`; its module imports the runtime itself only in order to prepare a network.
RUNTIMES: Registry[Runtime] = Registry(
    "runtime",
    {
        "torch": "mgic_nas.cost.runtimes.torch_runtimes:eager",
        "compile": "mgic_nas.cost.runtimes.torch_runtimes:compiled",
        "onnxruntime": "mgic_nas.cost.runtimes.onnx_runtimes:onnxruntime",
        "openvino": "mgic_nas.cost.runtimes.onnx_runtimes:openvino",
    },
)

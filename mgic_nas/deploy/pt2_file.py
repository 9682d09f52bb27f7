"""pt2 archives: programs of ``torch.export``, which need torch and neither timm nor this package."""

from __future__ import annotations

import io
import json
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import UserError

CONFIG = "config.json"  # the extra file that says what :class:`~mgic_nas.deploy.carried.Carried` holds
#: What a program of a network's file may call: tensor operations, and arithmetic of sizes.
_TARGETS = re.compile(r"torch\.ops\.(aten|prims|higher_order)\.[\w.]+|_operator\.\w+|math\.\w+|torch\.sym_\w+")


def export_pt2(net: nn.Module, input_size: tuple[int, ...], config: dict[str, Any]) -> bytes:
    """A program of any number of inputs at a time.

    Args:
        net: on the CPU, in eval mode.
        input_size: of one input.
        config: plain values, which :func:`open_pt2` gives back.

    Raises:
        UserError: torch cannot export the network.
    """
    inputs = torch.zeros(2, *input_size)  # two, because torch takes a 1 in a shape for a constant
    stream = io.BytesIO()
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch's own steps; the file is compared with the network
            program = torch.export.export(net, (inputs,), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},))
            torch.export.save(program, stream, extra_files={CONFIG: json.dumps(config)})
    except Exception as error:  # of dynamo, or of a network's own code
        raise UserError(f"{type(net).__name__} cannot be exported by torch.export: {_reason(error)}") from None
    return stream.getvalue()


def open_pt2(path: Path) -> tuple[Callable[[torch.Tensor], torch.Tensor], dict[str, Any], str]:
    """(float32 inputs -> outputs, its config, the runtime) of an archive that :func:`export_pt2` wrote.

    Raises:
        UserError: it is none, or it would run other code than tensor operations.
    """
    refuse_code(path)
    extra = {CONFIG: ""}
    try:
        program = torch.export.load(path, extra_files=extra)
        # Without the checks of input shapes: they are Python texts in the file, which torch executes.
        module = program.module(check_guards=False)
        config = json.loads(extra[CONFIG] or "{}")
    except Exception as error:
        raise UserError(f"{path} cannot be opened by torch.export: {_reason(error)}") from None

    def run(x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            try:
                outputs: torch.Tensor = module(x)
            except Exception as error:
                raise UserError(f"{path} does not run on inputs {tuple(x.shape)}: {_reason(error)}") from None
            return outputs

    return run, config if isinstance(config, dict) else {}, f"torch.export {torch.__version__.partition('+')[0]}"


def refuse_code(path: Path) -> None:
    """UserError for an archive that holds pickles, compiled code or calls of anything but tensor operations.

    ``torch.export.load`` unpickles and loads whatever an archive names, and a network's file may be anybody's.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            problem = next(_problems(archive), None)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is no pt2 archive: {_reason(error)}") from None
    if problem:
        raise UserError(f"{path} is not opened, since {problem}: export the network again with `mgic-nas export`.")


def _problems(archive: zipfile.ZipFile) -> Iterator[str]:
    for entry in archive.namelist():
        name = entry.partition("/")[2]
        if re.fullmatch(r"data/(weights|constants)/\w+_config\.json", name):
            for item in json.loads(archive.read(entry))["config"].values():
                if item["use_pickle"]:
                    yield f"{entry} names a pickle"
        elif re.fullmatch(r"models/\w+\.json", name):
            yield from _calls(json.loads(archive.read(entry)), entry)
        elif re.fullmatch(r"data/sample_inputs/\w+\.pt", name):
            try:
                torch.load(io.BytesIO(archive.read(entry)), weights_only=True)
            except Exception:  # whatever it unpickles to
                yield f"{entry} is more than tensors"
        elif not re.fullmatch(
            r"data/(weights/weight|constants/tensor)_\d+|extra/config\.json|archive_(format|version)|byteorder"
            r"|\.data/(version|serialization_id)",
            name,
        ):
            yield f"{entry} is no part of a plain network"


def _calls(value: Any, entry: str) -> Iterator[str]:
    """What a serialised program calls, in whatever depth."""
    if isinstance(value, list):
        for item in value:
            yield from _calls(item, entry)
    elif isinstance(value, dict):
        target = value.get("target")
        if isinstance(target, str) and "inputs" in value and not _TARGETS.fullmatch(target):
            yield f"{entry} calls {target[:80]}"
        for item in value.values():
            yield from _calls(item, entry)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200]

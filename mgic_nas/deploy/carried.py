"""What a trained network's file says beside its weights: how inputs are prepared, and what the outputs are called.

A folder's ``config.json``, an ONNX file's metadata, a pt2 archive's extra file and OpenVINO's rt_info hold the same
keys, timm's: ``architecture``, ``num_classes``, ``label_names`` and ``pretrained_cfg``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import UserError

KEYS = ("architecture", "num_classes", "label_names", "pretrained_cfg")
_DATA = ("input_size", "mean", "std", "interpolation", "crop_pct", "crop_mode")
INTERPOLATIONS = ("bicubic", "bilinear", "nearest", "lanczos", "box")
CROP_MODES = ("center", "squash", "border")


@dataclass(frozen=True)
class Carried:
    """What a file says of its network.

    Attributes:
        architecture: the network's name.
        num_classes: its outputs.
        input_size: (C, H, W) of an input.
        mean, std: per channel, of images scaled to 0..1.
        interpolation, crop_pct, crop_mode: how an image of another size becomes an input, as timm names it.
        label_names: of the classes, in the order of the outputs; empty where they are not known.
    """

    architecture: str
    num_classes: int
    input_size: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str = "bicubic"
    crop_pct: float = 1.0
    crop_mode: str = "center"
    label_names: tuple[str, ...] = ()

    def data_config(self) -> dict[str, Any]:
        """The keys of timm's ``pretrained_cfg`` that say how an image becomes an input."""
        return {name: getattr(self, name) for name in _DATA}

    def to_config(self) -> dict[str, Any]:
        """As a ``config.json`` has it; :func:`read_carried` reads it."""
        data = {k: list(v) if isinstance(v, tuple) else v for k, v in self.data_config().items()}
        return {
            "architecture": self.architecture,
            "num_classes": self.num_classes,
            "label_names": list(self.label_names),
            "pretrained_cfg": data,
        }


def read_carried(config: Mapping[str, Any], where: str) -> Carried:
    """What a config says. It may be somebody else's, so every value is checked.

    Raises:
        UserError: it does not say how inputs are prepared, or what it says is impossible; ``where`` names the file.
    """
    data = config.get("pretrained_cfg")
    if not isinstance(data, Mapping) or any(data.get(key) is None for key in ("input_size", "mean", "std")):
        raise UserError(
            f"{where} does not say how its inputs are prepared (input_size, mean, std): `mgic-nas export` writes files "
            "that do."
        )
    size = data["input_size"]
    if not (_is_list(size) and len(size) == 3 and all(_is_whole(side) and side > 0 for side in size)):
        raise UserError(f"{where}: input_size must be three whole numbers C, H, W, not {size!r}.")
    for key in ("mean", "std"):
        values = data[key]
        if not (_is_list(values) and len(values) == size[0] and all(map(_is_finite, values))):
            raise UserError(f"{where}: {key} must be {size[0]} numbers, one a channel, not {values!r}.")
    if min(data["std"]) <= 0:
        raise UserError(f"{where}: std must be above zero, not {data['std']!r}.")
    crop = data.get("crop_pct", 0.875)  # as timm takes it where nothing is said
    if not (_is_finite(crop) and 0 < crop <= 10):
        raise UserError(f"{where}: crop_pct must be a number above zero, not {crop!r}.")
    outputs = config.get("num_classes", data.get("num_classes"))
    if not (_is_whole(outputs) and outputs > 0):
        raise UserError(f"{where}: num_classes must be a whole number from 1 up, not {outputs!r}.")
    return Carried(
        architecture=str(config.get("architecture") or "a network"),
        num_classes=outputs,
        input_size=(size[0], size[1], size[2]),
        mean=tuple(map(float, data["mean"])),
        std=tuple(map(float, data["std"])),
        interpolation=_one_of(data, "interpolation", INTERPOLATIONS, where),
        crop_pct=float(crop),
        crop_mode=_one_of(data, "crop_mode", CROP_MODES, where),
        label_names=_labels(config.get("label_names") or data.get("label_names"), outputs),
    )


def _one_of(data: Mapping[str, Any], key: str, known: tuple[str, ...], where: str) -> str:
    value = data.get(key, known[0])
    if value not in known:
        raise UserError(f"{where}: {key} must be one of {', '.join(known)}, not {value!r}.")
    return str(value)


def _labels(names: Any, outputs: int) -> tuple[str, ...]:
    """timm has a list, or a mapping from the output's number; with another count they are of something else."""
    if isinstance(names, Mapping):
        names = [names.get(str(i), names.get(i)) for i in range(outputs)] if len(names) == outputs else None
    fitting = _is_list(names) and len(names) == outputs and all(isinstance(name, str) for name in names)
    return tuple(names) if fitting else ()


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)

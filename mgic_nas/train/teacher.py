"""Distillation: a trained network's answers beside the labels. timm's ``LogitDistillationTask`` has the loss.

A teacher is a timm name, with its pretrained weights, or ``local-dir:FOLDER``, such as a winner's folder. It sees the
same augmented images as the student, normalised and resized as it was trained. Its classes must be the student's.
"""

from __future__ import annotations

import functools
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import timm
import torch
import torch.nn.functional as F
from timm.models import get_pretrained_cfg, is_model
from timm.task import LogitDistillationTask
from timm.task.distillation import DistillationTeacher
from torch import nn

from .._text import size_text
from ..errors import UserError, did_you_mean
from ..tasks.base import Augment, evaluating
from .recipes import Recipe

if TYPE_CHECKING:
    from ..tasks.base import Data, DataInfo, Task

LOCAL = "local-dir:"
_FILES = ("config.json", "model.safetensors")
LOOKED_AT = 256  # training images that a teacher answers before anything is trained


def resolve_teacher(spec: str) -> str:
    """The spec with an absolute path. UserError for no name of timm's, and for a folder without a network."""
    if not isinstance(spec, str) or not spec:
        raise UserError(f"a teacher is named by a text such as 'resnet18' or 'local-dir:FOLDER', not by {spec!r}.")
    if not spec.startswith(LOCAL):
        if not is_model(spec):
            known = timm.list_models()
            raise UserError(f"no teacher {spec!r}.{did_you_mean(spec, known)} Name a timm model, or local-dir:FOLDER.")
        return spec
    folder = Path(os.path.abspath(spec.removeprefix(LOCAL)))
    for name in _FILES:
        if not (folder / name).is_file():
            raise UserError(f"teacher {spec}: {folder} has no {name}: name a folder such as winners/<budget>.")
    return f"{LOCAL}{folder}"


def teacher_id(spec: str) -> str:
    """What makes two resolved teachers the same: a hash of the files, or the timm name with the tag of its weights."""
    if not spec.startswith(LOCAL):
        cfg = get_pretrained_cfg(spec)
        return f"{cfg.architecture}.{cfg.tag}" if cfg is not None and cfg.architecture and cfg.tag else spec
    digest = hashlib.sha256()
    for name in _FILES:
        digest.update(Path(spec.removeprefix(LOCAL), name).read_bytes())
    return digest.hexdigest()[:16]


def _load(spec: str) -> nn.Module:
    """The trained network, in eval mode; the same object while its files are the same. UserError where it is none."""
    return _load_once(spec, teacher_id(spec))


@functools.lru_cache(maxsize=1)
def _load_once(spec: str, identity: str) -> nn.Module:
    try:
        net: nn.Module = timm.create_model(spec, pretrained=True)
    except Exception as error:  # of timm, torch, safetensors, and of whatever reads the web
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        elsewhere = "" if spec.startswith(LOCAL) else "; a folder is a teacher, too: local-dir:FOLDER"
        raise UserError(f"teacher {spec}: its weights cannot be had ({reason}){elsewhere}.") from None
    return net.eval().requires_grad_(False)


class _Resized(nn.Module):
    """A network for images of another size."""

    def __init__(self, net: nn.Module, size: tuple[int, int]) -> None:
        super().__init__()
        self.net, self.size = net, size
        self.pretrained_cfg = _cfg(net)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.interpolate(x, self.size, mode="bicubic", antialias=True, align_corners=False)
        output: torch.Tensor = self.net(x)
        return output


class _Criterion(nn.Module):
    """The labels' loss as the task has it; of mixed images the labels are (B, classes) and smoothed already."""

    def __init__(self, task: Task, smoothing: float) -> None:
        super().__init__()
        self._task, self._smoothing = task, smoothing

    def forward(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return self._task.loss(output, target, smoothing=0.0 if target.is_floating_point() else self._smoothing)


def distillation(spec: str, student: nn.Module, data: Data, recipe: Recipe, device: torch.device) -> Any:
    """timm's task: called with a batch it gives ``{"loss", "output", ...}``.

    UserError where the teacher cannot be had, or is not for these data.
    """
    net = _load(spec)
    refuse_unfit(spec, net, data)
    info = data.info
    _, *size = _cfg(net)["input_size"]
    adapted = net if tuple(size) == info.input_size[1:] else _Resized(net, (size[0], size[1]))
    student.pretrained_cfg = {**_cfg(student), "mean": info.mean, "std": info.std}  # type: ignore[assignment]
    return LogitDistillationTask(
        student_model=student,
        teacher_model=DistillationTeacher(adapted, device=device).to(device),
        criterion=_Criterion(data.task, recipe.smoothing),
        task_loss_weight=1.0 - recipe.kd_loss_weight,
        temperature=recipe.kd_temperature,
        device=device,
        verbose=False,
    )


def refuse_unfit(spec: str, net: nn.Module, data: Data) -> None:
    """UserError where a network's classes or channels are not those of the data."""
    info = data.info
    if data.task.name != "images":
        raise UserError(f"a teacher is for image classification, not for {data.task.name}: leave it out.")
    _refuse_classes(spec, int(net.num_classes), info)  # type: ignore[arg-type]
    names = _cfg(net).get("label_names")
    if names and [*map(str, names)] != [*info.classes]:
        own, other = next((a, b) for a, b in zip(info.classes, map(str, names)) if a != b)
        raise UserError(f"teacher {spec}: its classes are others, or in another order ({other!r} where {own!r} is).")
    channels = _cfg(net)["input_size"][0]
    if channels != info.in_chans and info.in_chans != 1:
        raise UserError(f"teacher {spec}: it takes {channels} channels, and the images have {info.in_chans}.")


def _refuse_classes(spec: str, classes: int, info: DataInfo) -> None:
    if classes != info.num_classes:
        raise UserError(
            f"teacher {spec}: it knows {classes:,} classes, and the data have {info.num_classes:,}: name one that was "
            "trained on these classes."
        )


def check_teacher(spec: str, data: Data) -> list[str]:
    """Loads a resolved teacher, lets it answer some training images, and says what a user should know, in lines.

    Raises:
        UserError: it cannot be had, is not for these data, or does not take them.
    """
    if not spec.startswith(LOCAL) and (cfg := get_pretrained_cfg(spec)) is not None:
        _refuse_classes(spec, cfg.num_classes, data.info)  # before anything is downloaded
    net, info = _load(spec), data.info
    refuse_unfit(spec, net, data)
    notes = []
    if not _cfg(net).get("label_names"):
        notes.append("its classes have no names: they are taken to be in the data's order")
    _, height, width = size = _cfg(net)["input_size"]
    if (height, width) != info.input_size[1:]:
        notes.append(f"it sees the images resized from {size_text(info.input_size)} to {size_text(size)}")
    task = distillation(spec, nn.Identity(), data, Recipe(), torch.device("cpu"))
    x, y = next(iter(data.train.batches(LOOKED_AT, seed=0, epoch=0, augment=Augment(flip=False, pad=0))))
    try:
        with evaluating(net), torch.inference_mode():
            output = task.teacher(task.teacher.normalize_input(x, task.student_mean, task.student_std))
    except (RuntimeError, AssertionError, ValueError) as error:
        raise UserError(f"teacher {spec}: it does not take {size_text(info.input_size)} ({error}).") from None
    right = 100 * float((output.argmax(1) == y).double().mean())
    notes.append(f"it is right on {right:.0f} % of {len(y)} training images")
    return [f"teacher {spec}: {note}" for note in notes]


def _cfg(net: nn.Module) -> dict[str, Any]:
    cfg: Any = getattr(net, "pretrained_cfg", None) or {}
    return dict(cfg)

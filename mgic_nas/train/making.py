"""What a recipe says, made: optimiser, schedule, mixing of images, precision. And whether the data take it."""

from __future__ import annotations

import copy
import functools
from typing import Any

import torch
from timm.data import Mixup
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2

from ..errors import UserError
from ..tasks import Data
from .recipes import FUSED, Recipe


@functools.lru_cache(maxsize=1)
def with_validation(data: Data) -> Data:
    """The data with the validation images among those that are trained on."""
    joined = copy.copy(data)
    joined.train = data.train.joined(data.val)  # type: ignore[attr-defined]
    return joined


def make_optimizer(recipe: Recipe, net: torch.nn.Module) -> torch.optim.Optimizer:
    """The recipe's, from timm; UserError where timm has none of that name."""
    device = next(net.parameters()).device.type
    fused = recipe.fused and recipe.opt.lower() in FUSED and device in ("cpu", "cuda")
    try:
        return create_optimizer_v2(
            net,
            opt=recipe.opt,
            lr=recipe.lr,
            weight_decay=recipe.weight_decay,
            momentum=recipe.momentum,
            filter_bias_and_bn=not recipe.decay_all,
            **({"fused": True} if fused else {}),
        )
    except (ValueError, AttributeError, TypeError) as error:  # timm: "Optimizer adamv not found in registry"
        raise UserError(f"recipe: opt={recipe.opt!r}: {error}; timm.optim.list_optimizers() names them") from None


def make_schedule(recipe: Recipe, optimizer: torch.optim.Optimizer, epochs: int, updates: int) -> Any:
    """timm's schedule of the learning rate over ``epochs`` of so many ``updates``."""
    schedule, _ = create_scheduler_v2(
        optimizer,
        sched=recipe.sched,
        num_epochs=epochs,
        warmup_epochs=recipe.warmup_epochs,
        warmup_lr=recipe.warmup_lr,
        min_lr=recipe.min_lr,
        decay_epochs=recipe.decay_epochs if recipe.sched == "step" else None,
        decay_milestones=list(recipe.decay_milestones),
        decay_rate=recipe.decay_rate,
        step_on_epochs=False,
        updates_per_epoch=updates,
    )
    return schedule


def drop_path(recipe: Recipe) -> dict[str, float]:
    """The arguments that a recipe gives a network."""
    return {"drop_path_rate": recipe.drop_path} if recipe.drop_path else {}


def make_mixup(recipe: Recipe, num_classes: int) -> Mixup:
    """timm's, which smooths the labels as well."""
    return Mixup(
        mixup_alpha=recipe.mixup,
        cutmix_alpha=recipe.cutmix,
        prob=recipe.mixup_prob,
        label_smoothing=recipe.smoothing,
        num_classes=num_classes,
    )


def amp_type(amp: str, device: torch.device) -> torch.dtype | None:
    """Of the training passes under autocast; None for float32."""
    if amp == "bfloat16":
        return torch.bfloat16
    if amp == "off" or device.type != "cuda":
        return None
    with torch.cuda.device(device):
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16


def check_recipe(recipe: Recipe, data: Data, epochs: int | None = None, with_val: bool = False) -> None:
    """UserError where nothing could be trained so: an unknown optimiser, an augmentation that the data do not take."""
    make_optimizer(recipe, torch.nn.BatchNorm1d(1))  # any module; this one draws no random numbers
    train = (with_validation(data) if with_val else data).train
    train.batches(1, augment=recipe.augment)  # an iterator: nothing is read yet
    if recipe.mixes and data.task.name != "images":
        raise UserError(
            f"recipe: mixup and cutmix are of image classification, not of {data.task.name}: leave them out"
        )
    if recipe.mixes and min(recipe.batch_size, len(train)) % 2:
        raise UserError("recipe: mixup and cutmix mix pairs, so batch_size must be even (and so many images there)")
    if epochs is not None and recipe.warmup_epochs >= epochs:
        raise UserError(
            f"recipe {recipe.name}: its warm-up of {recipe.warmup_epochs:g} epochs does not end within {epochs}: train "
            "for more epochs, or set warmup_epochs (such as 0.5) in the recipe"
        )

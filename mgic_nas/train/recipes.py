"""How a network is trained. A recipe is data: it goes into run.yaml and to the workers as it is."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import UserError, did_you_mean
from ..tasks import Augment

SCHEDULES = ("cosine", "step", "multistep", "wsd", "constant")
#: timm's names of the optimisers that are torch's SGD, Adam and AdamW, which have fused kernels on CPUs and on CUDA.
FUSED = frozenset({"sgd", "nesterov", "momentum", "adam", "adamw"})
#: Settings by which trainings differ in time and rounding alone.
ROUNDING = ("channels_last", "fused")


def _later(default: Any) -> Any:
    """A setting that came after the first files: written only where it is not what they mean by leaving it out."""
    return dataclasses.field(default=default, metadata={"later": True})


@dataclass(frozen=True)
class Recipe:
    """Optimiser, schedule and augmentation; names and meanings are timm's where timm has them.

    The schedule runs over all epochs of the run and moves with every update, so that three epochs are a whole
    cosine. The number of epochs is not part of a recipe.

    Attributes:
        name: the preset that it began as.
        opt: timm's optimiser name; "momentum" is plain SGD with momentum, "sgd" Nesterov's.
        lr: the highest learning rate, reached after the warm-up.
        weight_decay: of convolution and linear weights; of every parameter with ``decay_all``.
        sched: the schedule; "step" multiplies by ``decay_rate`` every ``decay_epochs`` epochs, "multistep" at
            each of ``decay_milestones`` (epochs).
        warmup_epochs: from ``warmup_lr`` up to ``lr``; may be a fraction of an epoch.
        smoothing: label smoothing.
        flip, pad: random mirror image, random shift in pixels (None: an eighth of the side; 0: none).
        scale, color_jitter, auto_augment: timm's, for images that are too large for a tensor.
        clip_grad: largest norm of the gradient; None for no limit.
        amp: "auto" for bfloat16 (float16 on older GPUs) in the training passes on CUDA, "bfloat16" also on the CPU,
            "off" for float32. Measure before turning it on: networks with many small groups often get slower.
        channels_last: the memory layout of weights and images: true, false, or "cpu" for channels last on a CPU alone
            (``tests/benchmarks/test_trials.py`` measures it; on a GPU, measure before turning it on).
        fused: the optimiser's fused kernel where torch has one: see :data:`FUSED`.
        ema_decay: of a moving average of the weights, which is then what is scored and kept, such as 0.999; None: no
            average. With ``ema_warmup`` it averages over fewer updates at first: timm's ``--model-ema-warmup``.
        mixup, cutmix: alpha of timm's Mixup of image classification, 0 for none; with ``mixup_prob`` for a batch, and
            none from ``mixup_off_epoch`` on (0: to the end).
        grad_accum_steps: batches whose gradients are averaged for an update.
        drop_path: stochastic depth: the ``drop_path_rate`` of a network that takes one.
        kd_loss_weight, kd_temperature: of a teacher's answers, where there is one; the labels' loss has the rest.
    """

    name: str = "custom"
    opt: str = "sgd"
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    decay_all: bool = False
    batch_size: int = 128
    sched: str = "cosine"
    warmup_epochs: float = 0.0
    warmup_lr: float = 0.0
    min_lr: float = 0.0
    decay_epochs: int = 30
    decay_milestones: tuple[int, ...] = ()
    decay_rate: float = 0.1
    smoothing: float = 0.0
    flip: bool = True
    pad: int | None = None
    scale: tuple[float, float] | None = None
    color_jitter: float = 0.0
    auto_augment: str | None = None
    clip_grad: float | None = None
    amp: str = "off"
    channels_last: bool | str = "cpu"
    fused: bool = True
    ema_decay: float | None = _later(None)
    ema_warmup: bool = _later(True)
    mixup: float = _later(0.0)
    cutmix: float = _later(0.0)
    mixup_prob: float = _later(1.0)
    mixup_off_epoch: int = _later(0)
    grad_accum_steps: int = _later(1)
    drop_path: float = _later(0.0)
    kd_loss_weight: float = _later(0.5)
    kd_temperature: float = _later(4.0)

    def __post_init__(self) -> None:
        for name in ("decay_milestones", "scale"):  # a list after a journey through JSON or YAML
            value = getattr(self, name)
            numbers = isinstance(value, list | tuple) and all(map(_number, value))
            self._check(name, numbers or (name == "scale" and value is None), "a list of numbers")
            if isinstance(value, list):
                object.__setattr__(self, name, tuple(value))
        for name in ("lr", "batch_size", "decay_epochs", "decay_rate", "grad_accum_steps", "kd_temperature"):
            self._check(name, _number(getattr(self, name)) and getattr(self, name) > 0, "a number above 0")
        for name in (
            *("momentum", "weight_decay", "warmup_epochs", "warmup_lr", "min_lr", "color_jitter"),
            *("mixup", "cutmix", "mixup_off_epoch"),
        ):
            self._check(name, _number(getattr(self, name)) and getattr(self, name) >= 0, "a number from 0 on")
        for name in ("batch_size", "grad_accum_steps", "mixup_off_epoch"):
            whole = isinstance(getattr(self, name), int) and not isinstance(getattr(self, name), bool)
            self._check(name, whole, "a whole number")
        for name in ("smoothing", "drop_path"):
            self._check(
                name, _number(getattr(self, name)) and 0 <= getattr(self, name) < 1, "a number from 0 to below 1"
            )
        for name in ("mixup_prob", "kd_loss_weight"):
            self._check(
                name, _number(getattr(self, name)) and 0 < getattr(self, name) <= 1, "a number above 0, up to 1"
            )
        decay_fits = self.ema_decay is None or (_number(self.ema_decay) and 0 < self.ema_decay < 1)
        self._check("ema_decay", decay_fits, "a number between 0 and 1, or nothing for no average")
        for name in ("opt", "name"):
            self._check(name, isinstance(getattr(self, name), str) and getattr(self, name), "a name")
        text_fits = self.auto_augment is None or isinstance(self.auto_augment, str)
        self._check("auto_augment", text_fits, "one of timm's policies, such as rand-m9-mstd0.5")
        scale_fits = self.scale is None or (len(self.scale) == 2 and 0 < self.scale[0] <= self.scale[1] <= 1)
        self._check("scale", scale_fits, "the smallest and the largest share of an image's area, such as [0.35, 1]")
        self._check("sched", self.sched in SCHEDULES, f"one of {', '.join(SCHEDULES)}")
        self._check("amp", self.amp in ("auto", "bfloat16", "off"), "auto, bfloat16 or off (in YAML in quotes: 'off')")
        pad_fits = self.pad is None or (isinstance(self.pad, int) and self.pad >= 0)
        self._check("pad", pad_fits, "a number of pixels from 0 on")
        clip_fits = self.clip_grad is None or (_number(self.clip_grad) and self.clip_grad > 0)
        self._check("clip_grad", clip_fits, "a number above 0, or nothing for no limit")
        steps = list(self.decay_milestones)
        self._check("decay_milestones", steps == sorted(steps), "a rising list of epochs")
        layout_fits = isinstance(self.channels_last, bool) or self.channels_last == "cpu"
        self._check("channels_last", layout_fits, "true, false or cpu")
        for name in ("decay_all", "flip", "fused", "ema_warmup"):
            self._check(name, isinstance(getattr(self, name), bool), "true or false")

    def _check(self, name: str, fits: object, expected: str) -> None:
        if not fits:
            raise UserError(f"recipe: {name}={getattr(self, name)!r} is not {expected}")

    def lays_channels_last(self, device: str) -> bool:
        """Whether weights and images lie so on a kind of device, ``"cpu"`` or ``"cuda"``."""
        return self.channels_last is True or self.channels_last == device

    @property
    def augment(self) -> Augment:
        return Augment(self.flip, self.pad, self.scale, self.color_jitter, self.auto_augment)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as :func:`get_recipe` takes them."""
        values = dataclasses.asdict(self)
        preset = RECIPES.get(self.name, Recipe())
        for item in dataclasses.fields(self):
            if item.metadata.get("later") and values[item.name] == item.default == getattr(preset, item.name):
                del values[item.name]
        return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}

    @property
    def mixes(self) -> bool:
        """Whether images of a batch are mixed with each other."""
        return self.mixup > 0 or self.cutmix > 0


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


#: The named presets.
RECIPES = {
    # For searches of a few epochs: a high rate with a short warm-up, falling to zero with the last update. Without
    # augmentation, which so short a training has no time to profit from: on "fashion", 3 epochs, mean of 2 seeds,
    # a cheap and a dear mgic_resnet20 reach 77 and 82 % so, 73 and 81 % with flips, 68 and 75 % with flips and shifts.
    "quick": Recipe(
        "quick",
        opt="sgd",
        lr=0.1,
        batch_size=64,
        weight_decay=5e-4,
        warmup_epochs=0.5,
        warmup_lr=0.01,
        flip=False,
        pad=0,
    ),
    # For searches with early stopping: AdamW's curves tell the better of two networks epochs before the end, where
    # those of "quick" still jump (on 4,000 images of "fashion", a cheap and a dear mgic_resnet20 are at 55 and 71 %
    # after 2 of 6 epochs and end at 75 and 80 %; with "quick" at 32 and 72, then 78 and 80 %).
    "steady": Recipe(
        "steady",
        opt="adamw",
        lr=0.01,
        batch_size=64,
        weight_decay=0.02,
        warmup_epochs=0.5,
        warmup_lr=0.001,
        flip=False,
        pad=0,
        channels_last=True,
    ),
    # For final trainings of tens or hundreds of epochs on small images.
    "full": Recipe("full", opt="sgd", lr=0.1, batch_size=128, weight_decay=5e-4, warmup_epochs=5, smoothing=0.1),
    # The paper's, for 100 epochs. Its printed rate for CIFAR-10, 0.001, is far too low for SGD; 0.1 is ImageNet's.
    "paper": Recipe(
        "paper",
        opt="momentum",
        lr=0.1,
        batch_size=128,
        weight_decay=1e-4,
        decay_all=True,
        sched="step",
        decay_epochs=30,
    ),
}


def get_recipe(value: "str | Mapping[str, Any] | Recipe") -> Recipe:
    """A preset by name, or a mapping: a preset's ``name`` and what differs from it.

    Raises:
        UserError: an unknown name, an unknown setting, or a value that does not fit.
    """
    if isinstance(value, Recipe):
        return value
    if isinstance(value, str):
        value = {"name": value}
    if not isinstance(value, Mapping):
        raise UserError(f"recipe: {value!r} is not a recipe: give a name ({', '.join(RECIPES)}) or settings")
    known = {item.name for item in dataclasses.fields(Recipe)}
    for key in value:
        if key not in known:
            raise UserError(f"recipe: no setting {key!r}.{did_you_mean(str(key), known)}")
    name = value.get("name", "custom")
    if name != "custom" and name not in RECIPES:
        raise UserError(f"recipe: no recipe {name!r}.{did_you_mean(str(name), RECIPES)}")
    return dataclasses.replace(RECIPES.get(name, Recipe()), **value)


def resumed_recipe(value: "str | Mapping[str, Any] | Recipe", before: Mapping[str, Any]) -> Recipe:
    """The recipe with which a run or a table goes on that was made with ``before``.

    A preset that was asked for by its name means it as it was then, where it differs in :data:`ROUNDING` alone.
    """
    recipe, old = get_recipe(value), get_recipe(before)
    alike = dataclasses.replace(recipe, **{name: getattr(old, name) for name in ROUNDING})
    return old if isinstance(value, str) and alike == old else recipe

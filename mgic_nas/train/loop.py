"""One training as a generator: it is driven from outside, so it can be watched, stopped, resumed and recorded."""

from __future__ import annotations

import contextlib
import functools
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2

from ..errors import UserError
from ..families import family
from ..tasks import Data, load_data, metric_of
from ..tasks._random import seeded
from ..tasks.base import JudgesItems, mix
from ._memory import PeakMemory, keep_freed
from .job import Job, Setup
from .recipes import FUSED, Recipe
from .stages import BUILD, CHECKPOINT, DATA, Watched, during, reading

_IMAGES = ("images", "segmentation")  # the tasks whose inputs are (B, C, H, W) with H and W above 1


def train(job: Job, setup: Setup) -> Iterator[dict[str, Any]]:
    """Trains one candidate and yields after every epoch.

    Yields:
        ``{"epoch" (1 ...), "train_loss", "val_acc" (percent), "val_loss", "lr" (of the last update), "seconds"
        (of this epoch, validation included), "cpu_seconds" (of this process, which other work on the machine does
        not lengthen)}``.

    Raises:
        FloatingPointError: the loss is not finite; names the epoch.
        UserError: model, configuration, data or recipe do not fit.
        torch.OutOfMemoryError, RuntimeError, OSError: as torch and the file system raise them.
    """
    yield from Training(job, setup).epochs()


def build_network(model: str, config: dict[str, Any], num_classes: int, in_chans: int) -> torch.nn.Module:
    """The candidate's network, with random weights."""
    return family(model).build(config, num_classes, in_chans)


@functools.lru_cache(maxsize=2)
def cached_data(spec: str) -> Data:
    """The data set, read once a process: a worker trains many candidates on it."""
    return load_data(spec)


def resolve_device(name: str) -> torch.device:
    """ "auto" is CUDA where there is one, else the CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


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


def check_recipe(recipe: Recipe, data: Data) -> None:
    """UserError where nothing could be trained so: an unknown optimiser, an augmentation that the data do not take."""
    make_optimizer(recipe, torch.nn.BatchNorm1d(1))  # any module; this one draws no random numbers
    data.train.batches(1, augment=recipe.augment)  # an iterator: nothing is read yet


class Training:
    """A candidate between two epochs: network, optimiser, schedule and what happened so far.

    Everything random in an epoch follows from (seed, epoch), so a checkpoint needs no generator's state and 1 + 2
    epochs equal 3 bit for bit.
    """

    def __init__(self, job: Job, setup: Setup) -> None:
        if job.last_epoch > setup.epochs:
            raise ValueError(f"a job up to epoch {job.last_epoch} in a training of {setup.epochs}")
        if setup.threads is not None:
            torch.set_num_threads(setup.threads)
        self.job = job
        self.setup = setup
        self.recipe = setup.recipe
        self.device = resolve_device(setup.device)
        with during(DATA):
            self.data = cached_data(setup.data)
            if setup.fingerprint not in (None, self.data.info.fingerprint):
                cached_data.cache_clear()  # once they are restored they are to be read again
                raise UserError(
                    f"the data {setup.data} is not what the run began with (fingerprint {self.data.info.fingerprint}, "
                    f"then {setup.fingerprint}): restore it or start another run"
                )
        self.curve: list[dict[str, Any]] = []
        self._of_items = metric_of(setup.data).of_items
        self.right: np.ndarray | None = None  # bool (N,): of the last epoch, see _validate
        self._memory = PeakMemory(self.device)
        if self.device.type == "cpu":
            keep_freed()
        info = self.data.info
        with during(BUILD), seeded(mix(job.seed, "weights")):  # on the CPU, so the same weights on every device
            net = build_network(setup.model, job.config, info.num_classes, info.in_chans)
        images = self.data.task.name in _IMAGES
        self._channels_last = images and self.recipe.lays_channels_last(self.device.type)
        layout = torch.channels_last if self._channels_last else torch.contiguous_format
        self.net = net.to(self.device).to(memory_format=layout)
        self.steps = self.data.train.steps(self.recipe.batch_size)
        self.optimizer = make_optimizer(self.recipe, self.net)
        self.schedule = self._schedule()
        self._amp = _amp_type(self.recipe.amp, self.device)
        # Only float16 needs its gradients scaled; disabled, the scaler does nothing.
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=self._amp is torch.float16)
        if job.checkpoint is not None:
            with during(CHECKPOINT):
                self._load(Path(job.checkpoint))

    @property
    def seconds(self) -> float:
        """Of training and validation, over all epochs, earlier jobs' included."""
        return sum(row["seconds"] for row in self.curve)

    @property
    def peak_memory_mb(self) -> float:
        """See :class:`~mgic_nas.train._memory.PeakMemory`; the largest over all jobs of the trial."""
        return self._memory.mebibytes()

    def epochs(self) -> Iterator[dict[str, Any]]:
        """Trains the job's epochs; see :func:`train`."""
        for epoch in range(self.job.first_epoch, self.job.last_epoch):
            begin, cpu = time.perf_counter(), time.process_time()
            with seeded(mix(self.job.seed, epoch), self.device):
                loss = self._train_epoch(epoch)
                # Without gradients twice the batch needs less memory than training does.
                scores = self._validate(2 * self.recipe.batch_size)
            _finite(scores["val_loss"], "validation", epoch)
            row = {
                "epoch": epoch + 1,
                "train_loss": loss,
                **scores,
                "lr": self.optimizer.param_groups[0]["lr"],
                "seconds": time.perf_counter() - begin,
                "cpu_seconds": time.process_time() - cpu,
            }
            self.curve.append(row)
            yield dict(row)

    def _validate(self, batch_size: int) -> dict[str, float]:
        """The scores on the validation split; ``right`` says of which items, where they are a share of right ones."""
        task, split = self.data.task, Watched(self.data.val)
        if self._of_items and isinstance(task, JudgesItems):
            found = task.evaluate_items(self.net, split, device=self.device, batch_size=batch_size)
            self.right = found.right
            return found.scores
        return task.evaluate(self.net, split, device=self.device, batch_size=batch_size)

    def _train_epoch(self, epoch: int) -> float:
        """The mean loss over the epoch's batches."""
        self.net.train()
        recipe, task, on_cpu = self.recipe, self.data.task, self.device.type == "cpu"
        update = epoch * self.steps
        total = torch.zeros((), device=self.device)
        batches = self.data.train.batches(
            recipe.batch_size, device=self.device, seed=self.job.seed, epoch=epoch, augment=recipe.augment
        )
        count = 0
        for x, y in reading(batches):
            if self._channels_last:
                x = x.contiguous(memory_format=torch.channels_last)
            self.schedule.step_update(update)
            with self._autocast():
                loss = task.loss(self.net(x), y, smoothing=recipe.smoothing)
            if on_cpu:  # on a GPU the question would wait for every batch; there the epoch's sum tells
                _finite(loss.item(), "training", epoch)
            self.optimizer.zero_grad(set_to_none=True)
            self._scaler.scale(loss).backward()
            if recipe.clip_grad is not None:
                self._scaler.unscale_(self.optimizer)
                torch.nn.utils.clip_grad_norm_(self.net.parameters(), recipe.clip_grad)
            self._scaler.step(self.optimizer)
            self._scaler.update()
            total += loss.detach()
            update += 1
            count += 1
        return _finite(total.item() / count, "training", epoch)

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        if self._amp is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=self._amp)

    def _schedule(self) -> Any:
        recipe = self.recipe
        schedule, _ = create_scheduler_v2(
            self.optimizer,
            sched=recipe.sched,
            num_epochs=self.setup.epochs,
            warmup_epochs=recipe.warmup_epochs,
            warmup_lr=recipe.warmup_lr,
            min_lr=recipe.min_lr,
            decay_epochs=recipe.decay_epochs if recipe.sched == "step" else None,
            decay_milestones=list(recipe.decay_milestones),
            decay_rate=recipe.decay_rate,
            step_on_epochs=False,
            updates_per_epoch=self.steps,
        )
        return schedule

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds: plain containers and tensors, which ``torch.load(weights_only=True)`` accepts."""
        return {
            "epochs": len(self.curve),
            "net": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self._scaler.state_dict(),
            "curve": self.curve,
            "peak_memory_mb": self.peak_memory_mb,
            "seed": self.job.seed,
            "fingerprint": self.data.info.fingerprint,
        }

    def _load(self, path: Path) -> None:
        state = torch.load(path, map_location="cpu", weights_only=True)
        expected = (self.job.first_epoch, self.job.seed, self.data.info.fingerprint)
        found = (state["epochs"], state["seed"], state["fingerprint"])
        if found != expected:
            raise ValueError(f"{path} is at (epochs, seed, data) {found}, and the job at {expected}")
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        self._scaler.load_state_dict(state["scaler"])
        self.curve = list(state["curve"])
        self._memory.earlier = state["peak_memory_mb"]


def _finite(value: float, part: str, epoch: int) -> float:
    if not math.isfinite(value):
        raise FloatingPointError(f"the {part} loss became {value} in epoch {epoch + 1}")
    return value


def _amp_type(amp: str, device: torch.device) -> torch.dtype | None:
    if amp == "off" or device.type != "cuda":
        return None
    with torch.cuda.device(device):
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16

"""One training as a generator: it is driven from outside, so it can be watched, stopped, resumed and recorded."""

from __future__ import annotations

import contextlib
import functools
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from timm.utils import ModelEmaV3

from ..errors import UserError
from ..families import family
from ..tasks import Data, Split, load_data
from ..tasks._random import seeded
from ..tasks.base import mix
from ._memory import PeakMemory, keep_freed
from .job import Job, Setup
from .making import amp_type, drop_path, make_mixup, make_optimizer, make_schedule, with_validation
from .stages import BUILD, CHECKPOINT, DATA, Watched, during, reading
from .teacher import distillation

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
            if setup.final is not None and setup.final.with_val:
                self.data = with_validation(self.data)
        self.curve: list[dict[str, Any]] = []
        self._memory = PeakMemory(self.device)
        if self.device.type == "cpu":
            keep_freed()
        info = self.data.info
        with during(BUILD), seeded(mix(job.seed, "weights")):  # on the CPU, so the same weights on every device
            config = {**job.config, **drop_path(self.recipe)}
            net = build_network(setup.model, config, info.num_classes, info.in_chans)
        images = self.data.task.name in _IMAGES
        self._channels_last = images and self.recipe.lays_channels_last(self.device.type)
        layout = torch.channels_last if self._channels_last else torch.contiguous_format
        self.net = net.to(self.device).to(memory_format=layout)
        self._batches = self.data.train.steps(self.recipe.batch_size)
        self.steps = math.ceil(self._batches / self.recipe.grad_accum_steps)  # updates of an epoch
        self.optimizer = make_optimizer(self.recipe, self.net)
        self.schedule = make_schedule(self.recipe, self.optimizer, self.setup.epochs, self.steps)
        self._amp = amp_type(self.recipe.amp, self.device)
        # Only float16 needs its gradients scaled; disabled, the scaler does nothing.
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=self._amp is torch.float16)
        self._mixup = make_mixup(self.recipe, info.num_classes) if self.recipe.mixes else None
        self._distillation: Any = None
        if setup.final is not None and setup.final.teacher is not None:
            with during(DATA):
                self._distillation = distillation(setup.final.teacher, self.net, self.data, self.recipe, self.device)
        self._ema: Any = None
        if self.recipe.ema_decay is not None:
            self._ema = ModelEmaV3(self.net, self.recipe.ema_decay, use_warmup=self.recipe.ema_warmup)
        self._best: dict[str, Any] | None = None  # the epoch with the highest val_acc, where its weights are wanted
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

    @property
    def scored(self) -> torch.nn.Module:
        """The network whose accuracy counts: the average of the weights, where there is one."""
        return self.net if self._ema is None else self._ema.module

    def epochs(self) -> Iterator[dict[str, Any]]:
        """Trains the job's epochs; see :func:`train`."""
        final = self.setup.final
        for epoch in range(self.job.first_epoch, self.job.last_epoch):
            begin, cpu = time.perf_counter(), time.process_time()
            with seeded(mix(self.job.seed, epoch), self.device):
                loss = self._train_epoch(epoch)
                scores: dict[str, Any] = {"val_acc": None, "val_loss": None}
                if final is None or not final.with_val:
                    scores = self._evaluate(self.data.val)
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
            if final is not None and final.weights == "best":
                self._keep_best(row)
            yield dict(row)

    def _evaluate(self, split: Split) -> dict[str, Any]:
        # Without gradients twice the batch needs less memory than training does.
        size = 2 * self.recipe.batch_size
        return self.data.task.evaluate(self.scored, Watched(split), device=self.device, batch_size=size)

    def _keep_best(self, row: dict[str, Any]) -> None:
        if self._best is None or row["val_acc"] > self._best["val_acc"]:
            self._best = {"epoch": row["epoch"], "val_acc": row["val_acc"], "net": on_cpu(self.scored)}

    def chosen(self) -> dict[str, Any]:
        """The row of the epoch whose weights count: the last one's, or the best one's where those were asked for."""
        return self.curve[-1 if self._best is None else self._best["epoch"] - 1]

    def chosen_weights(self) -> dict[str, torch.Tensor]:
        """Name -> tensor on the CPU, contiguous."""
        return on_cpu(self.scored) if self._best is None else self._best["net"]

    def _train_epoch(self, epoch: int) -> float:
        """The mean loss over the epoch's batches."""
        self.net.train()
        recipe, watched = self.recipe, self.device.type == "cpu"
        update = epoch * self.steps
        total = torch.zeros((), device=self.device)
        batches = self.data.train.batches(
            recipe.batch_size, device=self.device, seed=self.job.seed, epoch=epoch, augment=recipe.augment
        )
        if self._mixup is not None:
            self._mixup.mixup_enabled = not 0 < recipe.mixup_off_epoch <= epoch
        every, count = recipe.grad_accum_steps, 0
        for x, y in reading(batches):
            if self._channels_last:
                x = x.contiguous(memory_format=torch.channels_last)
            if count % every == 0:
                self.schedule.step_update(update)
                self.optimizer.zero_grad(set_to_none=True)
            with self._autocast():
                loss = self._loss(x, y)
            if watched:  # on a GPU the question would wait for every batch; there the epoch's sum tells
                _finite(loss.item(), "training", epoch)
            together = min(every, self._batches - count + count % every)  # at an epoch's end fewer
            self._scaler.scale(loss / together if together > 1 else loss).backward()
            total += loss.detach()
            count += 1
            if count % every == 0 or count == self._batches:
                self._update()
                update += 1
                if self._ema is not None:
                    self._ema.update(self.net, step=update)
        return _finite(total.item() / count, "training", epoch)

    def _loss(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        if self._mixup is not None:
            x, y = self._mixup(x, y)  # y (B, classes), smoothed
        if self._distillation is not None:
            loss: torch.Tensor = self._distillation(x, y)["loss"]
            return loss
        return self.data.task.loss(self.net(x), y, smoothing=0.0 if self._mixup else self.recipe.smoothing)

    def _update(self) -> None:
        if self.recipe.clip_grad is not None:
            self._scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(self.net.parameters(), self.recipe.clip_grad)
        self._scaler.step(self.optimizer)
        self._scaler.update()

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        if self._amp is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=self._amp)

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds: plain containers and tensors, which ``torch.load(weights_only=True)`` accepts."""
        also = {} if self._ema is None else {"ema": self._ema.module.state_dict()}
        if self._best is not None:
            also["best"] = self._best
        return also | {
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
        if self._ema is not None:
            self._ema.module.load_state_dict(state["ema"])
        self._best = state.get("best")
        self.curve = list(state["curve"])
        self._memory.earlier = state["peak_memory_mb"]


def _finite(value: float, part: str, epoch: int) -> float:
    if not math.isfinite(value):
        raise FloatingPointError(f"the {part} loss became {value} in epoch {epoch + 1}")
    return value


def on_cpu(net: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Copies of a network's weights: tensors that share memory would be refused by safetensors."""
    return {name: value.detach().to("cpu", copy=True).contiguous() for name, value in net.state_dict().items()}

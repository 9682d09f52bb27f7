"""A function of several numbers, learned from samples that are drawn while training: eq. 4.1 of the paper.

    f(x, y, a, b, c) = a cos(b x) sin(c y),    x, y in [0, 2 pi], a in [0, 1], b in [1, 2], c in [10, 20]

    data = load_data("functions:waves")
    data = load_data("functions:waves?y=0..1.2566&train=100000")        # a part of the domain

Inputs are uniform in their ranges and independent. A network gets them as a 1x1 image, float32 (B, 5, 1, 1),
standardised by the mean and the deviation of those distributions; the target is f itself, float32 (B,).

Options, written ``?option=value&option=value``:

- ``train``, ``val``, ``test``: samples (95,000, 5,000 and 5,000). Every epoch draws its ``train`` samples anew
- ``x``, ``y``, ``a``, ``b``, ``c``: LOW..HIGH, a range within the variable's own
- ``seed``: of the validation and test samples, and of the training part's when it is evaluated
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from ..errors import UserError
from .base import Augment, Data, DataInfo, ItemScores, Split, evaluating, mix
from .metrics import EXPLAINED
from .spec import MAX_SEED, Option, Spec, parse_spec, whole
from .split import BaseSplit, Batches

#: Variable -> (lowest, highest), in the order of the network's input channels.
RANGES: dict[str, tuple[float, float]] = {
    "x": (0.0, 2 * math.pi),
    "y": (0.0, 2 * math.pi),
    "a": (0.0, 1.0),
    "b": (1.0, 2.0),
    "c": (10.0, 20.0),
}
NAME = "waves"
SIZES = {"train": 95_000, "val": 5_000, "test": 5_000}
#: Samples of a piece, the unit in which held-out samples are drawn, each with a seed of its own: memory stays bounded,
#: and they are the same for every batch size.
PIECE = 2**16
#: The standard deviation of a uniform variable is its range divided by this.
_RANGE_BY_DEVIATION = math.sqrt(12)
#: The end of a range may be off by this share of it: 6.2832 is meant as 2 pi.
_TOLERANCE = 1e-4


def waves(inputs: torch.Tensor) -> torch.Tensor:
    """Eq. 4.1: f of (N, 5) as (N,) in the inputs' type. Computed in float64, since c y is as large as 126."""
    x, y, a, b, c = inputs.double().unbind(1)
    return (a * torch.cos(b * x) * torch.sin(c * y)).to(inputs.dtype)


class Regression:
    """One number an input: mean squared error, and how much of the variance is explained."""

    name = "functions"
    metric = EXPLAINED.name

    def loss(self, output: torch.Tensor, target: torch.Tensor, smoothing: float = 0.0) -> torch.Tensor:
        return F.mse_loss(output.flatten(), target)

    @torch.inference_mode()
    def evaluate(
        self, net: torch.nn.Module, split: Split, *, device: str | torch.device = "cpu", batch_size: int = 512
    ) -> dict[str, float]:
        """``{"val_acc": 100 (1 - MSE / variance), "val_loss": MSE}``; below 0 is worse than the constant mean."""
        error = total = squares = torch.zeros((), dtype=torch.float64, device=device)
        with evaluating(net):
            for inputs, target in split.batches(batch_size, device=device):
                target = target.double()
                error = error + (net(inputs).flatten().double() - target).square().sum()
                total = total + target.sum()
                squares = squares + target.square().sum()
        mse, mean, square = (float(value) / len(split) for value in (error, total, squares))
        return {"val_acc": 100 * (1 - mse / (square - mean**2)), "val_loss": mse}

    @torch.inference_mode()
    def evaluate_items(
        self, net: torch.nn.Module, split: Split, *, device: str | torch.device = "cpu", batch_size: int = 512
    ) -> ItemScores:
        """As :meth:`evaluate`, of every sample."""
        found, targets = [], []
        with evaluating(net):
            for inputs, target in split.batches(batch_size, device=device):
                found.append((net(inputs).flatten().double() - target.double()).square())
                targets.append(target.double())
        errors, values = (torch.cat(parts).cpu().numpy() for parts in (found, targets))
        moments = np.stack([errors, values, values**2])
        left = (moments.sum(1, keepdims=True) - moments) / max(1, len(errors) - 1)
        mse, mean, square = moments.mean(1)
        scores = {"val_acc": float(100 * (1 - mse / (square - mean**2))), "val_loss": float(mse)}
        return ItemScores(scores, 100 * (1 - left[0] / (left[2] - left[1] ** 2)))


class FunctionSplit(BaseSplit[Augment]):
    """``count`` samples of :func:`waves` on a box, drawn when they are asked for; in training new ones each epoch."""

    def __init__(self, count: int, ranges: Mapping[str, tuple[float, float]], *seeds: int | str) -> None:
        self._count = count
        low, high = torch.tensor(list(ranges.values()), dtype=torch.float64).unbind(1)
        self._low, self._span = low, high - low
        self._seeds = seeds

    def __len__(self) -> int:
        return self._count

    @property
    def labels(self) -> np.ndarray:  # type: ignore[override]
        """float32 (N,): the values of the function."""
        return np.concatenate([target.numpy() for _, target in self.batches(PIECE)])

    def as_dataset(self) -> torch.utils.data.Dataset[Any]:
        """The samples as (input (5, 1, 1), value)."""
        inputs, targets = zip(*self.batches(PIECE))
        return torch.utils.data.TensorDataset(torch.cat(inputs), torch.cat(targets))

    def _augmentation(self, augment: Augment | bool) -> Augment:
        return Augment()  # there is nothing to choose: a training sample is never seen twice

    def _in_order(self, size: int, device: torch.device) -> Batches:
        for start in range(0, len(self), PIECE):
            inputs, targets = self._draw(min(PIECE, len(self) - start), device, *self._seeds, start)
            yield from zip(inputs.split(size), targets.split(size))

    def _epoch(self, size: int, device: torch.device, seed: int, epoch: int, augment: Augment) -> Batches:
        for step in range(self.steps(size)):
            yield self._draw(size, device, seed, epoch, step, "batches")

    def _draw(self, count: int, device: torch.device, *seeds: int | str) -> tuple[torch.Tensor, torch.Tensor]:
        generator = torch.Generator().manual_seed(mix(*seeds))
        share = torch.rand(count, 5, generator=generator)
        targets = waves(self._low + self._span * share).float()
        inputs = (share - 0.5) * _RANGE_BY_DEVIATION
        return inputs.view(count, 5, 1, 1).to(device), targets.to(device)


def resolve(spec: str) -> str:
    """The spec, checked, with its options in a fixed order."""
    return str(_parse(spec))


def load(spec: str, *, seed: int = 0) -> Data:
    """The function's data; see :func:`mgic_nas.tasks.load_data`.

    Raises:
        UserError: an unknown function or option, or a value that does not fit.
    """
    parsed = _parse(spec).with_seed(seed)
    ranges = {key: parsed.get(key, default) for key, default in RANGES.items()}
    sizes = {part: parsed.get(part, default) for part, default in SIZES.items()}
    splits = {part: FunctionSplit(size, ranges, parsed.get("seed", 0), part) for part, size in sizes.items()}
    info = DataInfo(
        name=NAME,
        num_classes=1,
        input_size=(5, 1, 1),
        mean=tuple(round((low + high) / 2, 4) for low, high in ranges.values()),
        std=tuple(round((high - low) / _RANGE_BY_DEVIATION, 4) for low, high in ranges.values()),
        classes=("f",),
        interpolation="nearest",
        crop_pct=1.0,
        fingerprint=hashlib.sha256(str(parsed).encode()).hexdigest()[:16],
        sizes=sizes,
    )
    return Data(
        spec=f"functions:{parsed}",
        info=info,
        task=Regression(),
        train=splits["train"],
        val=splits["val"],
        load_test=lambda: splits["test"],
    )


def _parse(spec: str) -> Spec:
    source = spec.strip().partition("?")[0]
    if source != NAME:
        raise UserError(f"no function {source!r}: the one there is, is functions:{NAME}")
    return parse_spec(spec, OPTIONS, is_name=lambda spec: True)


def _range(lowest: float, highest: float) -> Callable[[str], tuple[float, float]]:
    """The parser of LOW..HIGH within (lowest, highest)."""

    def parse(text: str) -> tuple[float, float]:
        low, high = map(float, text.split(".."))
        slack = _TOLERANCE * (highest - lowest)
        if not lowest - slack <= low < high <= highest + slack:
            raise ValueError
        return max(low, lowest), min(high, highest)

    return parse


OPTIONS: dict[str, Option] = {
    **{part: (whole(2, MAX_SEED), f"a whole number from 2 to {MAX_SEED}") for part in SIZES},
    **{key: (_range(*ends), f"a range LOW..HIGH within {ends[0]:g}..{ends[1]:g}") for key, ends in RANGES.items()},
    "seed": (whole(0, MAX_SEED), f"a whole number from 0 to {MAX_SEED}"),
}

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

import hashlib
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from ..errors import UserError, did_you_mean
from .base import Augment, Data, DataInfo, Split, mix
from .metrics import EXPLAINED

#: Variable -> (lowest, highest), in the order of the network's input channels.
RANGES: dict[str, tuple[float, float]] = {
    "x": (0.0, 2 * math.pi),
    "y": (0.0, 2 * math.pi),
    "a": (0.0, 1.0),
    "b": (1.0, 2.0),
    "c": (10.0, 20.0),
}
SIZES = {"train": 95_000, "val": 5_000, "test": 5_000}
#: Samples that are not trained on come in pieces of so many, each with a seed of its own: memory stays bounded, and
#: they are the same for every batch size.
PIECE = 2**16


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
        was_training = net.training
        net.eval()
        error = total = squares = torch.zeros((), dtype=torch.float64, device=device)
        try:
            for inputs, target in split.batches(batch_size, device=device):
                target = target.double()
                error = error + (net(inputs).flatten().double() - target).square().sum()
                total = total + target.sum()
                squares = squares + target.square().sum()
        finally:
            net.train(was_training)
        mse, mean, square = (float(value) / len(split) for value in (error, total, squares))
        return {"val_acc": 100 * (1 - mse / (square - mean**2)), "val_loss": mse}


class FunctionSplit:
    """``count`` samples of :func:`waves` on a box, drawn when they are asked for."""

    def __init__(self, count: int, ranges: Mapping[str, tuple[float, float]], *seeds: int | str) -> None:
        self._count = count
        low, high = torch.tensor(list(ranges.values()), dtype=torch.float64).unbind(1)
        self._low, self._span = low, high - low
        self._seeds = seeds

    def __len__(self) -> int:
        return self._count

    @property
    def labels(self) -> np.ndarray:
        """float32 (N,): the values of the function."""
        return np.concatenate([target.numpy() for _, target in self.batches(PIECE)])

    def steps(self, batch_size: int) -> int:
        return max(1, len(self) // batch_size)

    def as_dataset(self) -> "torch.utils.data.Dataset[Any]":
        """The samples as (input (5, 1, 1), value)."""
        inputs, targets = zip(*self.batches(PIECE))
        return torch.utils.data.TensorDataset(torch.cat(inputs), torch.cat(targets))

    def batches(
        self,
        batch_size: int,
        *,
        device: str | torch.device = "cpu",
        seed: int = 0,
        epoch: int = 0,
        augment: Augment | bool | None = None,
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Without ``augment`` the split's own samples; with it new ones, which depend on (seed, epoch) alone."""
        if augment:
            size = min(batch_size, len(self))
            for step in range(self.steps(size)):
                yield self._draw(size, device, seed, epoch, step, "batches")
            return
        for start in range(0, len(self), PIECE):
            inputs, targets = self._draw(min(PIECE, len(self) - start), device, *self._seeds, start)
            yield from zip(inputs.split(batch_size), targets.split(batch_size))

    def _draw(self, count: int, device: str | torch.device, *seeds: int | str) -> tuple[torch.Tensor, torch.Tensor]:
        # On the CPU, so the same numbers on every device.
        generator = torch.Generator().manual_seed(mix(*seeds))
        share = torch.rand(count, 5, generator=generator)
        targets = waves(self._low + self._span * share).float()
        inputs = (share - 0.5) * math.sqrt(12)  # a uniform variable minus its mean, by its deviation
        return inputs.view(count, 5, 1, 1).to(device), targets.to(device)


def resolve(spec: str) -> str:
    """The spec, checked, with its options in a fixed order."""
    return _text(_parse(spec)[-1])


def load(spec: str, *, seed: int = 0) -> Data:
    """The function's data; see :func:`mgic_nas.tasks.load_data`.

    Raises:
        UserError: an unknown function or option, or a value that does not fit.
    """
    sizes, ranges, own_seed, texts = _parse(spec)
    if "seed" not in texts and seed:
        own_seed, texts["seed"] = seed, str(seed)
    splits = {part: FunctionSplit(size, ranges, own_seed, part) for part, size in sizes.items()}
    name = _text(texts)
    info = DataInfo(
        name="waves",
        num_classes=1,
        input_size=(5, 1, 1),
        mean=tuple(round((low + high) / 2, 4) for low, high in ranges.values()),
        std=tuple(round((high - low) / math.sqrt(12), 4) for low, high in ranges.values()),
        classes=("f",),
        interpolation="nearest",
        crop_pct=1.0,
        fingerprint=hashlib.sha256(name.encode()).hexdigest()[:16],
        sizes=sizes,
    )
    return Data(
        spec=f"functions:{name}",
        info=info,
        task=Regression(),
        train=splits["train"],
        val=splits["val"],
        load_test=lambda: splits["test"],
    )


Parsed = tuple[dict[str, int], dict[str, tuple[float, float]], int, dict[str, str]]


def _parse(spec: str) -> Parsed:
    """(sizes, ranges, seed, the options as texts)."""
    source, _, query = spec.strip().partition("?")
    if source != "waves":
        raise UserError(f"no function {source!r}: the one there is, is functions:waves")
    sizes, ranges, seed = dict(SIZES), dict(RANGES), 0
    texts: dict[str, str] = {}
    for item in query.split("&") if query else ():
        key, equals, value = item.partition("=")
        known = (*SIZES, *RANGES, "seed")
        if not equals or key not in known:
            raise UserError(
                f"data {source!r}: no option {item!r}; options are written ?name=value&name=value."
                f"{did_you_mean(key, known)}"
            )
        if key in texts:
            raise UserError(f"data {source!r}: the option {key!r} is given twice")
        try:
            if key in RANGES:
                ranges[key] = _range(key, value)
            elif key == "seed":
                seed = _whole(value, 0)
            else:
                sizes[key] = _whole(value, 2)
        except ValueError as error:
            raise UserError(f"data {source!r}: {key}={value} is not {error}") from None
        texts[key] = value
    return sizes, ranges, seed, texts


def _whole(text: str, least: int) -> int:
    if not text.isdecimal() or not least <= int(text) < 2**32:
        raise ValueError(f"a whole number from {least} to 4294967295")
    return int(text)


def _range(key: str, text: str) -> tuple[float, float]:
    lowest, highest = RANGES[key]
    wanted = f"a range LOW..HIGH within {lowest:g}..{highest:g}"
    try:
        low, high = map(float, text.split(".."))
    except ValueError:
        raise ValueError(wanted) from None
    # The same tolerance at both ends: 6.2832 is meant as 2 pi.
    slack = 1e-4 * (highest - lowest)
    if not lowest - slack <= low < high <= highest + slack:
        raise ValueError(wanted)
    return max(low, lowest), min(high, highest)


def _text(texts: Mapping[str, str]) -> str:
    """The spec after "functions:", options sorted."""
    return "waves" + ("?" + "&".join(f"{key}={texts[key]}" for key in sorted(texts)) if texts else "")

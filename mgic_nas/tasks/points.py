"""Classification of point clouds: ModelNet-10, or any clouds in the same form; cross-entropy and top-1.

    data = load_data("points:/data/modelnet10/modelnet10.npz")
    data = load_data("points:/data/modelnet10?points=256&val=400")

The source is an npz file, or a folder that holds one, with

- ``train_points`` and ``test_points``: (clouds, points, 3), float
- ``train_labels`` and ``test_labels``: (clouds,), whole numbers from 0 on
- ``val_points`` and ``val_labels``, where the data has a validation part of its own
- ``classes``: their names

A network gets float32 (B, 3, points), as the file has them: no mean is taken off.

Options, written ``?option=value&option=value``:

- ``points``: how many of each cloud's points are used: in training a random choice each time, else one fixed random
  choice (not the first: a file that lists points farthest-first, as ModelNet-10's here does, would be evaluated on
  points spread more evenly than in training, which costs networks that look at neighbours up to half their accuracy)
- ``train``, ``val``, ``test``: a number of clouds (2000) or a fraction of them (0.1), stratified by class; the
  validation part is the file's own or else cut from the training clouds, a tenth unless ``val`` says other
- ``seed``: another cut
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import UserError
from .base import Augment, Data, DataInfo, mix
from .images.classification import Classification
from .metrics import CLOUDS
from .point_file import PointFile, doubled, hashes, measured
from .spec import COMMON, Spec, parse_spec, whole
from .split import VALIDATION, BaseSplit, Batches, absent_classes, choose, cut_parts

#: What a spec may begin with, where it comes here without the registry.
PREFIXES = ("points:", "modelnet10:")


class PointClassification(Classification):
    """One label a cloud: cross-entropy, and the percentage of clouds whose best class is right."""

    name = "points"
    metric = CLOUDS.name


@dataclass(frozen=True)
class PointAugment:
    """How training clouds are varied. The default is DGCNN's: a random scale of each axis and a random shift.

    ``scale`` is the smallest and largest factor, ``shift`` the largest distance along each axis, ``rotate`` turns a
    cloud by a random angle about its third axis (up, in ModelNet), ``jitter`` is the deviation of noise on each
    coordinate.
    """

    scale: tuple[float, float] = (2 / 3, 3 / 2)
    shift: float = 0.2
    rotate: bool = False
    jitter: float = 0.0

    def __call__(self, clouds: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Varies each cloud of (B, points, 3) by itself."""
        count = len(clouds)
        if self.rotate:
            angle = 2 * math.pi * torch.rand(count, generator=generator)
            cos, sin, zero, one = angle.cos(), angle.sin(), torch.zeros(count), torch.ones(count)
            turn = torch.stack([cos, -sin, zero, sin, cos, zero, zero, zero, one], 1).view(-1, 3, 3)
            clouds = clouds @ turn
        low, high = self.scale
        factor = low + (high - low) * torch.rand(count, 1, 3, generator=generator)
        offset = self.shift * (2 * torch.rand(count, 1, 3, generator=generator) - 1)
        clouds = clouds * factor + offset
        if self.jitter:
            clouds = clouds + self.jitter * torch.randn(clouds.shape, generator=generator)
        return clouds


class PointSplit(BaseSplit[PointAugment]):
    """Clouds (N, available points, 3) in memory, with labels int64 (N,); x is float32 (B, 3, points).

    Without augmentation always the same ``points`` of a cloud, drawn at random once; in training others each time, and
    varied. Any augmentation but a :class:`PointAugment` means the default one.
    """

    def __init__(self, clouds: np.ndarray, labels: np.ndarray, points: int) -> None:
        self.clouds = torch.from_numpy(np.ascontiguousarray(clouds))
        self.labels = labels
        self.points = points
        generator = torch.Generator().manual_seed(mix("points"))
        self.chosen = torch.randperm(clouds.shape[1], generator=generator)[:points].sort().values

    def joined(self, other: Any) -> PointSplit:
        if other.clouds.shape[1:] != self.clouds.shape[1:]:
            sizes = f"{self.clouds.shape[1]:,} and {other.clouds.shape[1]:,}"
            raise UserError(f"clouds of {sizes} points cannot be joined: give both parts as many.")
        clouds = torch.cat([self.clouds, other.clouds]).numpy()
        return PointSplit(clouds, np.concatenate([self.labels, other.labels]), self.points)

    def as_dataset(self) -> torch.utils.data.Dataset[Any]:
        """The clouds as (float32 (3, points), label)."""
        clouds = self.clouds[:, self.chosen].float().transpose(1, 2)
        return torch.utils.data.TensorDataset(clouds, torch.from_numpy(self.labels))

    def _augmentation(self, augment: PointAugment | Augment | bool) -> PointAugment:
        return augment if isinstance(augment, PointAugment) else PointAugment()

    def _in_order(self, size: int, device: torch.device) -> Batches:
        labels = torch.from_numpy(self.labels)
        for start in range(0, len(self), size):
            now = slice(start, start + size)
            x = self.clouds[now][:, self.chosen].float().transpose(1, 2)
            yield x.contiguous().to(device), labels[now].to(device)

    def _epoch(self, size: int, device: torch.device, seed: int, epoch: int, augment: PointAugment) -> Batches:
        labels = torch.from_numpy(self.labels)
        order, generator = self._shuffled(size, seed, epoch)
        available = self.clouds.shape[1]
        for chosen in order.split(size):
            clouds = self.clouds[chosen].float()
            if self.points < available:
                some = torch.rand(size, available, generator=generator).topk(self.points).indices
                clouds = clouds.gather(1, some.unsqueeze(2).expand(-1, -1, 3))
            x = augment(clouds, generator).transpose(1, 2)
            yield x.contiguous().to(device), labels[chosen].to(device)


def resolve(spec: str) -> str:
    """The spec with an absolute path, its options checked and in a fixed order. Reads no data."""
    return str(_parse(spec))


def load(spec: str, *, seed: int = 0) -> Data:
    """Opens clouds and cuts their validation part; see :func:`mgic_nas.tasks.load_data`.

    Raises:
        UserError: no such file, a file that is not in the form above, or an option that does not fit it.
    """
    parsed = _parse(spec).with_seed(seed)
    seed = parsed.get("seed", 0)
    file = PointFile(Path(parsed.source))
    clouds, labels = file.part("train")
    own = file.part("val") if file.has("val") else None
    val_clouds, val_labels = own or (clouds, labels)
    points = parsed.get("points", clouds.shape[1])
    for those, of in ((clouds, "a cloud"), (val_clouds, "a validation cloud")):
        if points > those.shape[1]:
            raise UserError(f"points={points} is more than the {those.shape[1]:,} points of {of} in {file.path}")
    classes = len(file.classes)
    counts = np.bincount(labels, minlength=classes)
    if counts.min() < 2:
        scarce = file.classes[int(counts.argmin())]
        raise UserError(f"{file.path} has fewer than two training clouds of the class {scarce!r}: it needs two or more")
    test_labels = _checked_test(file, points)
    train, val, _, _ = cut_parts(parsed, labels, own and val_labels, test_labels.__len__, classes, VALIDATION)
    if not len(val):
        raise UserError(f"{file.path} has too few clouds to validate on: add some, or say ?val=1")
    test = choose(test_labels, parsed.get("test"), seed, "test")

    def load_test() -> PointSplit:
        return PointSplit(file.part("test")[0][test], test_labels[test], points)

    digest = hashlib.sha256(f"{file.classes} {points}".encode())
    for array in (clouds, labels, train, val, *(own or ())):
        digest.update(np.ascontiguousarray(array).tobytes())
    splits = [PointSplit(clouds[train], labels[train], points), PointSplit(val_clouds[val], val_labels[val], points)]
    if points < clouds.shape[1]:
        digest.update(splits[0].chosen.numpy().tobytes())
    trained = np.bincount(labels[train], minlength=classes)
    smallest = int(trained.argmin())
    info = DataInfo(
        name=file.path.stem,
        num_classes=classes,
        input_size=(3, points, 1),
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        classes=file.classes,
        interpolation="nearest",
        crop_pct=1.0,
        fingerprint=digest.hexdigest()[:16],
        sizes={"train": len(train), "val": len(val), "test": len(test)},
        notes=(
            *_notes(file, _Rows(clouds, labels, train), _Rows(val_clouds, val_labels, val, "val" if own else "train")),
            *absent_classes(file.classes, val_labels[val], "validation", "clouds"),
            *absent_classes(file.classes, test_labels[test], "test", "clouds"),
        ),
        smallest_class=(file.classes[smallest], int(trained[smallest])),
        sized=f"as ?points={points} says" if "points" in parsed.options else "all points of a cloud",
        blind=round(100 * int(np.bincount(val_labels[val]).max()) / len(val), 2),
    )
    return Data(
        spec=f"points:{parsed}",
        info=info,
        task=PointClassification(),
        train=splits[0],
        val=splits[1],
        load_test=load_test,
    )


def _checked_test(file: PointFile, points: int) -> np.ndarray:
    """The labels of the test part. The form of its clouds is looked at now: a fault should not wait for the winner."""
    labels = file.labels("test")
    if points > (there := file.form("test")[1]):
        raise UserError(f"points={points} is more than the {there:,} points of a test cloud in {file.path}")
    return labels


def _parse(spec: str) -> Spec:
    spec = spec.strip()
    for prefix in PREFIXES:
        spec = spec.removeprefix(prefix)
    if not spec.partition("?")[0]:
        raise UserError("no point clouds named: name an npz file, for example points:/data/modelnet10.npz")
    own = (whole(1), "a number of points from 1 on")
    return parse_spec(spec, {**COMMON, "points": own}, "point clouds")


@dataclass(frozen=True)
class _Rows:
    """The clouds of a file's part that are used: which of them."""

    clouds: np.ndarray
    labels: np.ndarray
    rows: np.ndarray
    part: str = "train"


def _notes(file: PointFile, train: _Rows, val: _Rows) -> tuple[str, ...]:
    """What a user should know of the clouds. Those of test are only compared: byte for byte, and in size."""
    parts = {"train": train, "val": val}
    found = [
        (role, f"cloud {row} of {some.part}_points", int(some.labels[row]), digest)
        for role, some in parts.items()
        for row, digest in zip(some.rows.tolist(), hashes(some.clouds[some.rows]))
    ]
    reaches = {}
    if (test := file.compared("test", train.clouds)) is not None:
        digests, reaches["test"] = test
        labels = file.labels("test").tolist()
        found += [("test", f"cloud {row} of test_points", *one) for row, one in enumerate(zip(labels, digests))]
    scales = measured({role: some.clouds[some.rows] for role, some in parts.items()}, reaches)
    return (*file.notes, *scales, *doubled(found))

"""Classification of point clouds: ModelNet-10, or any clouds in the same form; cross-entropy and top-1.

    data = load_data("points:/data/modelnet10/modelnet10.npz")
    data = load_data("points:/data/modelnet10?points=256&val=400")

The source is an npz file, or a folder that holds one, with

- ``train_points`` and ``test_points``: (clouds, points, 3), float
- ``train_labels`` and ``test_labels``: (clouds,), whole numbers from 0 on
- ``classes``: their names

A network gets float32 (B, 3, points), as the file has them: no mean is taken off.

Options, written ``?option=value&option=value``:

- ``points``: how many of each cloud's points are used: in training a random choice each time, else one fixed random
  choice (not the first: a file that lists points farthest-first, as ModelNet-10's here does, would be evaluated on
  points spread more evenly than in training, which costs networks that look at neighbours up to half their accuracy)
- ``train``, ``val``, ``test``: a number of clouds (2000) or a fraction of them (0.1), stratified by class; the
  validation part is cut from the training clouds, a tenth unless ``val`` says other
- ``seed``: another cut
"""

from __future__ import annotations

import hashlib
import math
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import UserError
from .base import Augment, Data, DataInfo, mix
from .images.classification import Classification
from .metrics import CLOUDS
from .spec import COMMON, Spec, parse_spec, whole
from .split import VALIDATION, BaseSplit, Batches, choose, cut

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
    file = _File(Path(parsed.source))
    clouds, labels = file.part("train")
    points = parsed.get("points", clouds.shape[1])
    if points > clouds.shape[1]:
        raise UserError(f"points={points} is more than the {clouds.shape[1]:,} points of a cloud in {file.path}")
    classes = len(file.classes)
    counts = np.bincount(labels, minlength=classes)
    if counts.min() < 2:
        scarce = file.classes[int(counts.argmin())]
        raise UserError(f"{file.path} has fewer than two training clouds of the class {scarce!r}: it needs two or more")
    train, val = cut(labels, classes, parsed.get("train"), parsed.get("val"), VALIDATION, seed)
    test = choose(file.labels("test"), parsed.get("test"), seed, "test")

    def load_test() -> PointSplit:
        test_clouds, test_labels = file.part("test")
        if points > test_clouds.shape[1]:
            raise UserError(f"{file.path} has {test_clouds.shape[1]:,} points in a test cloud, fewer than {points:,}")
        return PointSplit(test_clouds[test], test_labels[test], points)

    digest = hashlib.sha256(f"{file.classes} {points}".encode())
    for array in (clouds, labels, train, val):
        digest.update(np.ascontiguousarray(array).tobytes())
    splits = [PointSplit(clouds[part], labels[part], points) for part in (train, val)]
    if points < clouds.shape[1]:
        digest.update(splits[0].chosen.numpy().tobytes())
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
    )
    return Data(
        spec=f"points:{parsed}",
        info=info,
        task=PointClassification(),
        train=splits[0],
        val=splits[1],
        load_test=load_test,
    )


def _parse(spec: str) -> Spec:
    spec = spec.strip()
    for prefix in PREFIXES:
        spec = spec.removeprefix(prefix)
    if not spec.partition("?")[0]:
        raise UserError("no point clouds named: name an npz file, for example points:/data/modelnet10.npz")
    own = (whole(1), "a number of points from 1 on")
    return parse_spec(spec, {**COMMON, "points": own}, "point clouds")


class _File:
    """An npz of point clouds; each array is read when it is asked for, and checked."""

    def __init__(self, path: Path) -> None:
        if path.is_dir():
            found = sorted(path.glob("*.npz"))
            if len(found) != 1:
                raise UserError(f"{path} holds {len(found)} npz files: name one of point clouds")
            path = found[0]
        if not path.is_file():
            raise UserError(f"there is no file {path}: name an npz of point clouds")
        self.path = path
        names = self._read("classes")
        if names.ndim != 1 or names.dtype.kind != "U" or len(names) < 2:
            raise self._wrong("classes is not a list of two or more names")
        self.classes: tuple[str, ...] = tuple(names.tolist())

    def labels(self, role: str) -> np.ndarray:
        """int64 (clouds,)."""
        labels = self._read(f"{role}_labels")
        if labels.ndim != 1 or labels.dtype.kind not in "iu" or not len(labels):
            raise self._wrong(f"{role}_labels is not a list of whole numbers")
        if labels.min() < 0 or labels.max() >= len(self.classes):
            raise self._wrong(f"{role}_labels has numbers outside 0..{len(self.classes) - 1}")
        return labels.astype(np.int64)

    def part(self, role: str) -> tuple[np.ndarray, np.ndarray]:
        """Clouds (clouds, points, 3) and labels (clouds,) of "train" or "test"."""
        clouds, labels = self._read(f"{role}_points"), self.labels(role)
        if clouds.ndim != 3 or clouds.shape[2] != 3 or not clouds.shape[1] or clouds.dtype.kind != "f":
            raise self._wrong(f"{role}_points is {clouds.dtype} {clouds.shape}, not float (clouds, points, 3)")
        if len(clouds) != len(labels):
            raise self._wrong(f"it has {len(clouds)} {role}_points and {len(labels)} {role}_labels")
        if not np.isfinite(clouds).all():
            raise self._wrong(f"{role}_points has a coordinate that is no number")
        return clouds, labels

    def _read(self, name: str) -> np.ndarray:
        try:
            # Never a pickle: data must not run code.
            arrays = np.load(self.path, allow_pickle=False)
            if isinstance(arrays, np.ndarray):
                raise self._wrong("it holds a single array")
            with arrays:
                if name not in arrays.files:
                    raise self._wrong(f"it has no array {name!r}")
                array: np.ndarray = arrays[name]
                return array
        except UserError:
            raise
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise self._wrong(f"{name} cannot be read ({' '.join(str(error).split())})") from None

    def _wrong(self, what: str) -> UserError:
        return UserError(f"{self.path} is not an npz of point clouds: {what}")

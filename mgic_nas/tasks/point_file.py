"""The npz file of point clouds: each array is read when it is asked for and checked; what is doubtful is noted."""

from __future__ import annotations

import contextlib
import hashlib
import math
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from .layout import role_of, visible

#: Most bytes of test clouds that are read to find those that training has too.
HASHED_BYTES = 2**31
#: Distances from the origin, in the median cloud, that fit an augmentation made for the unit ball.
USUAL_RADIUS = (0.1, 10.0)
#: Splits whose clouds differ more in size are not made alike.
MAX_RATIO = 2.0
#: The share of points that repeat the one before them from which a cloud looks padded.
PADDED = 0.05
_PIECE = 256  # clouds that are measured at a time, which bounds memory


class PointFile:
    """An npz of point clouds.

    Attributes:
        path: of the file.
        classes: their names.
        notes: what a user should know, one line each.

    Raises:
        UserError: there is no such file, or it is not in the form that :mod:`mgic_nas.tasks.points` says.
    """

    def __init__(self, path: Path) -> None:
        if path.is_dir():
            found = sorted(child for child in path.iterdir() if child.suffix.lower() == ".npz" and visible(child))
            if len(found) != 1:
                raise UserError(f"{path} holds {len(found)} npz files: name one of point clouds")
            path = found[0]
        if not path.is_file():
            raise UserError(f"there is no file {path}: name an npz of point clouds")
        self.path = path
        self.notes: list[str] = []
        self._arrays = self._roles()
        names = self._read("classes")
        if names.dtype.kind == "S":
            names = np.char.decode(names, "utf-8", "replace")
        if names.ndim != 1 or names.dtype.kind != "U" or len(names) < 2:
            raise self._wrong("classes is not a list of two or more names")
        self.classes: tuple[str, ...] = tuple(names.tolist())
        twice = [name for name in self.classes if self.classes.count(name) > 1 or not name.strip()]
        if twice:
            raise self._wrong(f"classes has the name {twice[0]!r}, which is empty or there twice")

    def has(self, role: str) -> bool:
        """Whether there are clouds or labels of "train", "val" or "test"."""
        return role in self._arrays["points"] or role in self._arrays["labels"]

    def labels(self, role: str) -> np.ndarray:
        """int64 (clouds,)."""
        name = self._name(role, "labels")
        labels = self._read(name)
        if labels.ndim == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]
        if labels.ndim != 1 or labels.dtype.kind not in "iu" or not len(labels):
            raise self._wrong(f"{name} is {labels.dtype} {labels.shape}, not a list of whole numbers")
        if labels.min() < 0 or labels.max() >= len(self.classes):
            one = "; they count from 1: subtract 1" if labels.min() == 1 and labels.max() == len(self.classes) else ""
            raise self._wrong(f"{name} has numbers outside 0..{len(self.classes) - 1}{one}")
        return labels.astype(np.int64)

    def part(self, role: str) -> tuple[np.ndarray, np.ndarray]:
        """Clouds (clouds, points, 3), of a float type that torch has, and labels (clouds,) of a role."""
        name = self._name(role, "points")
        clouds, labels = self._read(name), self.labels(role)
        self._check_form(role, clouds.shape, clouds.dtype, len(labels))
        if clouds.dtype.itemsize > 8 or not clouds.dtype.isnative:
            clouds = clouds.astype(np.float64 if clouds.dtype.itemsize > 8 else clouds.dtype.newbyteorder("="))
        finite = np.isfinite(clouds).all((1, 2)) & (np.abs(clouds) <= np.finfo(np.float32).max).all((1, 2))
        if not finite.all():
            first = int((~finite).argmax())
            raise self._wrong(
                f"{name} has a coordinate that is no number or too large, in {(~finite).sum():,} of its "
                f"{len(clouds):,} clouds, the first of which is {first}"
            )
        return clouds, labels

    def form(self, role: str) -> tuple[int, int]:
        """(clouds, points) of a role, without reading a coordinate. UserError where :meth:`part` refuses their form."""
        labels = self.labels(role)
        name = self._name(role, "points")
        if name in self._names():  # else what is wrong is said when it is read
            with contextlib.suppress(OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error):
                with zipfile.ZipFile(self.path) as archive, archive.open(f"{name}.npy") as file:
                    shape, _, dtype = _header(file)
                self._check_form(role, shape, dtype, len(labels))
                return shape[0], shape[1]
        clouds, _ = self.part(role)
        return clouds.shape[0], clouds.shape[1]

    def _check_form(self, role: str, shape: tuple[int, ...], dtype: np.dtype[Any], labels: int) -> None:
        name = self._name(role, "points")
        if len(shape) != 3 or shape[2] != 3 or not shape[1] or dtype.kind != "f":
            turned = len(shape) == 3 and shape[1] == 3 and dtype.kind == "f"
            hint = ": swap its last two axes" if turned else ""
            raise self._wrong(f"{name} is {dtype} {shape}, not float (clouds, points, 3){hint}")
        if shape[0] != labels:
            raise self._wrong(f"it has {shape[0]} {name} and {labels} {self._name(role, 'labels')}")

    def compared(self, role: str, like: np.ndarray) -> tuple[list[bytes], float] | None:
        """Of clouds of a role, read one by one: a hash of each, and how far they reach from the origin in the median.

        None where they have another form than ``like``, or are very many.
        """
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(f"{self._name(role, 'points')}.npy") as file:
                shape, by_column, dtype = _header(file)
                length = like[0].nbytes
                if by_column or dtype != like.dtype or shape[1:] != like.shape[1:] or shape[0] * length > HASHED_BYTES:
                    return None
                digests, reach = [], []
                for _ in range(shape[0]):
                    content = file.read(length)
                    digests.append(hashlib.sha256(content).digest())
                    reach.append(_reach(np.frombuffer(content, dtype).reshape(1, -1, 3))[0])
                return digests, float(np.median(reach))
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error):
            return None  # what is wrong is said when the clouds are read

    def _roles(self) -> Mapping[str, dict[str, str]]:
        """What ("points", "labels") -> role -> the array's name."""
        found: dict[str, dict[str, str]] = {"points": {}, "labels": {}}
        other = []
        for name in self._names():
            split, _, what = name.rpartition("_")
            role = role_of(split) if what in found else None
            if role is None:
                other.append(name)
            elif role in found[what]:
                raise self._wrong(f"{found[what][role]} and {name} could both be the {what} of the {role} part")
            else:
                found[what][role] = name
        if ignored := [name for name in other if name != "classes" and not name.endswith("_names")]:
            self.notes.append(f"arrays that are not read: {', '.join(ignored[:5])}")
        return found

    def _name(self, role: str, what: str) -> str:
        return self._arrays[what].get(role, f"{role}_{what}")

    def _names(self) -> list[str]:
        arrays = self._open()
        with arrays:
            return list(arrays.files)

    def _open(self) -> Any:
        try:
            # Never a pickle: data must not run code.
            arrays = np.load(self.path, allow_pickle=False)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            why = "it is no archive as numpy.savez makes it" if "pickle" in str(error) else _line(error)
            raise self._wrong(f"it cannot be read ({why})") from None
        if isinstance(arrays, np.ndarray):
            raise self._wrong("it holds a single array")
        return arrays

    def _read(self, name: str) -> np.ndarray:
        with self._open() as arrays:
            if name not in arrays.files:
                raise self._wrong(f"it has no array {name!r}; its arrays are {', '.join(arrays.files[:8]) or 'none'}")
            try:
                array: np.ndarray = arrays[name]
            except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
                if "Object arrays" in str(error):
                    raise self._wrong(
                        f"{name} cannot be read: it is an array of objects, such as clouds of unequal size or pickled "
                        "names, which could run code; write plain numbers or texts, the same number of points in each"
                    ) from None
                raise self._wrong(f"{name} cannot be read ({_line(error)})") from None
            return array

    def _wrong(self, what: str) -> UserError:
        return UserError(f"{self.path} is not an npz of point clouds: {what}")


def _header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """(shape, whether by columns, dtype) of an array in an archive."""
    version = np.lib.format.read_magic(file)
    read = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}[version[0]]
    return read(file)


def doubled(clouds: Iterable[tuple[str, str, int, bytes]]) -> list[str]:
    """Notes on clouds that are there twice, in two parts or under two classes.

    Args:
        clouds: (part, place, label, hash) of each, those of "train" first.
    """
    first: dict[bytes, tuple[str, str, int]] = {}
    twice: dict[str, list[str]] = {}
    classes: list[str] = []
    for role, place, label, digest in clouds:
        known, other, its_label = first.setdefault(digest, (role, place, label))
        if known != role:
            twice.setdefault(f"{role} clouds are also in {known}", []).append(f"{place} is {other}")
        if its_label != label:
            classes.append(f"{place}, which is {other}")
    notes = [f"{len(found):,} of the {what}: {found[0]}" for what, found in twice.items()]
    if classes:
        notes.append(f"clouds under two classes: {len(classes):,}, such as {classes[0]}")
    return notes


def hashes(clouds: np.ndarray) -> list[bytes]:
    """A hash of each of clouds (clouds, points, 3)."""
    return [hashlib.sha256(np.ascontiguousarray(cloud).tobytes()).digest() for cloud in clouds]


def measured(clouds: Mapping[str, np.ndarray], reaches: Mapping[str, float]) -> list[str]:
    """Notes on clouds by part: padded or flat ones, and a scale that training does not expect.

    Args:
        clouds: (clouds, points, 3) of each part; "train" is one.
        reaches: of other parts, how far their median cloud reaches from the origin.
    """
    notes, radii = [], {}
    for role, those in clouds.items():
        flat = padded = 0
        reach = []
        for start in range(0, len(those), _PIECE):
            piece = those[start : start + _PIECE].astype(np.float64)
            repeated = (piece[:, 1:] == piece[:, :-1]).all(2).mean(1) if piece.shape[1] > 1 else np.zeros(len(piece))
            alone = (piece == piece[:, :1]).all((1, 2)) & (piece.shape[1] > 1)
            flat += int(alone.sum())
            padded += int(((repeated > PADDED) & ~alone).sum())
            reach.append(_reach(piece))
        radii[role] = float(np.median(np.concatenate(reach)))
        if flat:
            notes.append(f"{flat:,} of the {len(those):,} {role} clouds are a single place")
        if padded:
            notes.append(f"{padded:,} of the {len(those):,} {role} clouds repeat points, as padded ones do")
    low, high = USUAL_RADIUS
    train = radii["train"]
    if not low <= train <= high:
        notes.append(
            f"clouds reach {train:.3g} from the origin, where training's shifts of up to 0.2 are made for 1: scale them"
        )
    for role, radius in {**radii, **reaches}.items():
        ratio = radius / train if train else math.inf
        if not 1 / MAX_RATIO <= ratio <= MAX_RATIO and radius != train:
            notes.append(f"{role} clouds reach {radius:.3g} from the origin, train ones {train:.3g}: scale them alike")
    return notes


def _reach(clouds: np.ndarray) -> np.ndarray:
    """(clouds,): the distance from the origin of each one's farthest point."""
    farthest: np.ndarray = np.sqrt((clouds.astype(np.float64) ** 2).sum(2)).max(1)
    return farthest


def _line(error: Exception) -> str:
    return " ".join(str(error).split())

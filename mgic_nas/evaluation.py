"""What a trained network is worth on a part of some data: its score with a standard error, by class, and confusions.

The data are prepared as the network was trained (its own mean, std, input size and channels), whatever the data's own
preprocessing would be, and classes are matched by name.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from ._text import listed, plural, size_text, standard_error
from .deploy.carried import Carried
from .errors import UserError
from .tasks import Data, ItemScores, JudgesItems, Metric, Split, metric_of
from .tasks.paired import paired_error
from .tasks.prepared import Prepared, load_prepared
from .train.loop import resolve_device

SPLITS = ("test", "val", "train")
_CAUTIONS = {
    "val": "searches choose by the validation part, so this flatters a winner; --split test is the honest number",
    "train": "networks are trained on this part; --split test is the honest number",
}


@dataclass(frozen=True)
class Subject:
    """A trained network to be scored.

    Attributes:
        name: for people.
        net: in eval mode.
        carried: how its inputs are prepared, and what its outputs are called.
        runtime: what runs it.
        notes: what is to be said of it.
    """

    name: str
    net: nn.Module
    carried: Carried
    runtime: str = "torch"
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evaluation:
    """The score of one network on one part of some data.

    Attributes:
        subject: the network's name.
        runtime: what ran it.
        spec: of the data.
        split: "test", "val" or "train".
        input_size: (C, H, W) of an input.
        metric: what the score is.
        classes: of the data, in its order; empty where the task has none.
        labels: int64 (N,), the class of each item; None where an item has no single one.
        items: what becomes of each.
        notes: what is to be said of it, a line each.
        fingerprint: of the data.
    """

    subject: str
    runtime: str
    spec: str
    split: str
    input_size: tuple[int, int, int]
    metric: Metric
    classes: tuple[str, ...]
    labels: np.ndarray | None
    items: ItemScores
    notes: tuple[str, ...]
    fingerprint: str

    @property
    def count(self) -> int:
        return len(self.items.without)

    @property
    def score(self) -> float:
        """In percent."""
        return self.items.scores["val_acc"]

    @property
    def error(self) -> float:
        """The standard error of :attr:`score`, in points: binomial of a share of items, else of a jackknife."""
        if self.items.right is not None:
            return standard_error(self.score, self.count) or 0.0
        return jackknife(self.items.without)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; ``by_class`` has None for a class that the split lacks."""
        found: dict[str, Any] = {
            "network": self.subject,
            "runtime": self.runtime,
            "data": self.spec,
            "split": self.split,
            "items": self.count,
            "input_size": list(self.input_size),
            "metric": self.metric.name,
            "score": self.score,
            "standard_error": self.error,
            "loss": self.items.scores.get("val_loss"),
            "notes": list(self.notes),
        }
        if self.items.by_class is not None:
            values = (None if math.isnan(value) else float(value) for value in self.items.by_class)
            found["by_class"] = dict(zip(self.classes, values, strict=True))
        if self.items.confusion is not None:
            found |= {"classes": list(self.classes), "confusion": self.items.confusion.tolist()}
        return found


def jackknife(without: np.ndarray) -> float:
    """The standard error of a statistic from its values without each item in turn, (N,)."""
    count = len(without)
    return float(np.sqrt((count - 1) / count * np.square(without - without.mean()).sum()))


def evaluate(subject: Subject, spec: str, split: str = "test", device: str = "auto") -> Evaluation:
    """Scores a network on a part of some data.

    Args:
        subject: the network.
        spec: of the data, as :func:`mgic_nas.tasks.load_data` takes it.
        split: "test", "val" or "train".
        device: of a network in torch; files run on the CPU.

    Raises:
        UserError: the data cannot be read or have no such part, or the network is of other classes or another task.
    """
    if split not in SPLITS:
        raise UserError(f"split must be one of {', '.join(SPLITS)}, not {split!r}.")
    return evaluate_prepared(subject, load_prepared(spec, subject.carried.data_config()), spec, split, device)


def evaluate_prepared(
    subject: Subject, prepared: Prepared, spec: str, split: str = "test", device: str = "auto"
) -> Evaluation:
    """:func:`evaluate` on data that are prepared for the network already."""
    data, metric = prepared.data, metric_of(spec)
    part = _part(data, split, spec)
    order, notes = match_classes(subject, data, metric)
    on = resolve_device(device) if next(subject.net.parameters(), None) is not None else torch.device("cpu")
    net = Reordered(subject.net.to(on), order) if order is not None else subject.net.to(on)
    _refuse_other_task(net, part, on, subject.name, spec)
    task = data.task
    if not isinstance(task, JudgesItems):
        raise UserError(f"the task {task.name!r} has no evaluate_items, by which a network is scored.")
    items = task.evaluate_items(net, part, device=on)
    labels = part.labels if items.right is not None else None
    caution = [_CAUTIONS[split]] if split in _CAUTIONS else []
    return Evaluation(
        subject=subject.name,
        runtime=subject.runtime,
        spec=spec,
        split=split,
        input_size=subject.carried.input_size,
        metric=metric,
        classes=data.info.classes if metric.of_classes else (),
        labels=labels,
        items=items,
        notes=(*subject.notes, *prepared.notes, *notes, *caution),
        fingerprint=data.info.fingerprint,
    )


class Reordered(nn.Module):
    """A network whose outputs are in another order.

    Args:
        net: outputs (B, classes, ...).
        order: int64 (classes,), the output that comes first, second, ...
    """

    def __init__(self, net: nn.Module, order: np.ndarray) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("order", torch.from_numpy(order))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        outputs = self.net(x)
        return outputs.index_select(1, self.order.to(outputs.device))


def match_classes(subject: Subject, data: Data, metric: Metric) -> tuple[np.ndarray | None, list[str]]:
    """In which order the network's outputs are the data's classes, matched by name; None where they are already.

    Returns:
        The order, see :class:`Reordered`, and what is to be said of it.

    Raises:
        UserError: the network has other classes, or another number of them where it does not name them.
    """
    names, classes = subject.carried.label_names, data.info.classes
    if not metric.of_classes or names == classes:
        return None, []
    if not names:
        if subject.carried.num_classes != len(classes):
            raise UserError(
                f"{subject.name} has {subject.carried.num_classes} outputs without names, and {data.info.name} has "
                f"{len(classes)} classes: score it on the data that it was trained on."
            )
        return None, [f"{subject.name} does not name its classes: they are taken to be the data's, in the same order"]
    unknown, missing = Counter(classes) - Counter(names), Counter(names) - Counter(classes)
    if unknown or missing:
        told = [f"{text} {_some(found)}" for text, found in (("lacks", unknown), ("has besides", missing)) if found]
        raise UserError(f"{subject.name} has other classes than {data.info.name}: it {' and '.join(told)}.")
    if len(set(names)) < len(names):
        raise UserError(
            f"{subject.name} has two classes of one name in another order than {data.info.name}: rename one."
        )
    order = np.array([names.index(name) for name in classes], dtype=np.int64)
    return order, ["the network's classes are in another order than the data's, and were matched by name"]


def _some(names: Counter[str]) -> str:
    found = [repr(name) for name in sorted(names)]
    return listed(found if len(found) <= 3 else [*found[:3], f"{len(found) - 3} more"])


def _part(data: Data, split: str, spec: str) -> Split:
    part = data.test if split == "test" else getattr(data, split)
    if part is None:
        raise UserError(
            f"data {spec!r} has no test part: put a folder test/ beside train/, cut one with ?test=0.1 before the "
            "search, or say --split val."
        )
    found: Split = part
    return found


def _refuse_other_task(net: nn.Module, part: Split, device: torch.device, name: str, spec: str) -> None:
    """UserError where the outputs are not of the kind that the targets need."""
    x, y = next(iter(part.batches(2, device=device)))
    training = net.training
    try:
        with torch.inference_mode():
            outputs = net.eval()(x)
        shape = tuple(outputs.shape)
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        if isinstance(error, UserError):
            raise
        reason = " ".join(str(error).split())[:120]
        raise UserError(f"{name} does not run on data {spec!r}, {size_text(x.shape[1:])}: {reason}.") from None
    finally:
        net.train(training)
    if y.is_floating_point():
        fits = math.prod(shape) == y.numel()
    else:
        fits = len(shape) == y.ndim + 1 and shape[2:] == tuple(y.shape[1:])
    if not fits:
        raise UserError(
            f"{name} is for another task: of an input it gives {size_text(shape[1:])}, not what {spec!r} needs."
        )


@dataclass(frozen=True)
class Paired:
    """Two networks on the same items.

    Attributes:
        difference: of the scores, in points: the first less the second.
        error: its standard error, from the differences item by item.
        only_first, only_second: how many items only one of them has right; None where an item is not right or wrong.
        p_value: McNemar's exact one, two-sided; None where an item is not right or wrong.
    """

    difference: float
    error: float
    only_first: int | None = None
    only_second: int | None = None
    p_value: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return dict(vars(self))


def compare(first: Evaluation, second: Evaluation) -> Paired:
    """The paired difference of two evaluations on the same items.

    Raises:
        UserError: they are of different items.
    """
    same = first.count == second.count and first.split == second.split and first.classes == second.classes
    if same and first.labels is not None and second.labels is not None:
        same = bool(np.array_equal(first.labels, second.labels))
    if not same:
        raise UserError(
            f"{first.subject} was scored on {plural(first.count, first.metric.item, first.metric.items)} and "
            f"{second.subject} on {second.count:,} others: a paired difference needs the same."
        )
    difference = first.score - second.score
    if first.items.right is None or second.items.right is None:
        return Paired(difference, jackknife(first.items.without - second.items.without))
    a, b = first.items.right, second.items.right
    only_first, only_second = int((a & ~b).sum()), int((b & ~a).sum())
    return Paired(difference, paired_error(a, b), only_first, only_second, mcnemar(only_first, only_second))


def mcnemar(only_first: int, only_second: int) -> float:
    """McNemar's exact two-sided p-value: of items that one alone has right, either is as likely under the null."""
    count, least = only_first + only_second, min(only_first, only_second)
    tail = math.fsum(math.exp(_log_choose(count, k) - count * math.log(2)) for k in range(least + 1))
    return min(1.0, 2 * tail)


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)

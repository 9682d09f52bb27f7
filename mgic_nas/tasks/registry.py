"""Which module serves which task, and the one way in. No torch here: command line and reports ask for metrics."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, cast

from .._registry import Registry
from ..errors import UserError
from .base import Data
from .metrics import CLOUDS, EXPLAINED, MIOU, OWN, TOP1, Metric


@dataclass(frozen=True)
class TaskKind:
    """A task before anything heavy is imported.

    Attributes:
        metric: what its ``val_acc`` is.
        module: the module with ``load(spec: str, *, seed: int) -> Data`` and ``resolve(spec: str) -> str``.
    """

    metric: Metric
    module: str

    def functions(self) -> Any:
        """The module, imported."""
        return importlib.import_module(self.module)


#: Serves a spec that names no task; others are named in front: "points:/data/modelnet10".
DEFAULT = "images"
#: Task by name. From outside the package: ``TASKS.register("depth", "my_package.depth:KIND")``, KIND a TaskKind.
TASKS: Registry[TaskKind] = Registry(
    "task",
    {
        "images": TaskKind(TOP1, "mgic_nas.tasks.images.classification"),
        "functions": TaskKind(EXPLAINED, "mgic_nas.tasks.functions"),
        "segmentation": TaskKind(MIOU, "mgic_nas.tasks.segmentation.task"),
        "points": TaskKind(CLOUDS, "mgic_nas.tasks.points"),
        "function": TaskKind(OWN, "mgic_nas.tasks.own"),
    },
    home="mgic_nas.tasks.registry:TASKS",
)


def metric_of(spec: str) -> Metric:
    """What ``val_acc`` is on the data of a spec. Reads no data and imports no torch."""
    return TASKS.load(_task(spec)[0]).metric


def task_of(spec: str) -> str:
    """The name of the task that a spec is of."""
    return _task(spec)[0]


def _task(spec: str) -> tuple[str, str]:
    """The task's name and the rest of the spec."""
    if not isinstance(spec, str):
        raise UserError(f"data must be a text such as 'fashion' or a folder's path, not {spec!r}.")
    name, colon, rest = spec.partition(":")
    return (name, rest) if colon and name in TASKS else (DEFAULT, spec)


def load_data(spec: str, *, seed: int = 0) -> Data:
    """Opens a data set and cuts its validation part.

    Args:
        spec: what to read, optionally followed by ``?option=value&option=value``; see
            :mod:`mgic_nas.tasks.images.classification` for all that it may be.
        seed: of the cut, where the spec does not name one itself (``?seed=1``). It is not a trial's seed: all
            trials of a run are compared on the same images.

    Raises:
        UserError: unknown, missing or unreadable data, or an option that does not fit it.
    """
    name, rest = _task(spec)
    return cast(Data, TASKS.load(name).functions().load(rest, seed=seed))


def resolve_spec(spec: str) -> str:
    """The spec as a run records it: paths absolute, options checked and in a fixed order. Reads no data."""
    name, rest = _task(spec)
    resolved = cast(str, TASKS.load(name).functions().resolve(rest))
    return resolved if name == DEFAULT else f"{name}:{resolved}"

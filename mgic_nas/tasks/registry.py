"""Which module serves which task, and the one way in."""

import importlib
from typing import cast

from .base import Data
from .metrics import CLOUDS, EXPLAINED, MIOU, TOP1, Metric

#: Task name -> module with ``load(spec: str, seed: int) -> Data`` and ``resolve(spec: str) -> str``.
#: The first one serves a spec that names no task; others are named in front: "points:/data/modelnet10".
TASKS = {
    "images": "mgic_nas.tasks.images.classification",
    "functions": "mgic_nas.tasks.functions",
    "segmentation": "mgic_nas.tasks.segmentation.task",
    "points": "mgic_nas.tasks.points",
}

#: Task name -> what its ``val_acc`` is. A task that is not here counts right answers, as images do.
METRICS = {"functions": EXPLAINED, "segmentation": MIOU, "points": CLOUDS}


def metric_of(spec: str) -> Metric:
    """What ``val_acc`` is on the data of a spec. Reads no data and imports no torch."""
    return METRICS.get(_task(spec)[0], TOP1)


def _task(spec: str) -> tuple[str, str]:
    """The task's name and the rest of the spec."""
    name, colon, rest = spec.partition(":")
    return (name, rest) if colon and name in TASKS else (next(iter(TASKS)), spec)


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
    return cast(Data, importlib.import_module(TASKS[name]).load(rest, seed=seed))


def resolve_spec(spec: str) -> str:
    """The spec as a run records it: paths absolute, options checked and in a fixed order. Reads no data."""
    name, rest = _task(spec)
    resolved = cast(str, importlib.import_module(TASKS[name]).resolve(rest))
    return resolved if name == next(iter(TASKS)) else f"{name}:{resolved}"

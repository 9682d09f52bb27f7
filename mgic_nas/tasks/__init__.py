"""What is learned: data, loss and metric.

    from mgic_nas.tasks import load_data
    data = load_data("fashion")                                     # comes with the package
    data = load_data("/data/cifar10?train=10000&val=2000")          # a stated subset, part of the text
    data.info.num_classes, data.info.input_size                     # 10, (3, 32, 32)
    for x, y in data.train.batches(128, seed=0, epoch=0, augment=True): ...
    data.task.evaluate(net, data.val, device="cpu")                 # {"val_acc": percent, "val_loss": ...}

**A further task** is one module with ``load`` and ``resolve``, and one call of ``TASKS.register``: see
:mod:`mgic_nas.tasks.registry`. Training sees only ``data.info``, ``data.train.batches``, ``data.task.loss`` and
``data.task.evaluate``. **A further kind of image storage** is one class and one call of ``SOURCES.register``: see
:mod:`mgic_nas.tasks.images.sources`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_exports

if TYPE_CHECKING:
    from .base import Augment, Data, DataInfo, ItemScores, JudgesItems, Split, Task
    from .metrics import Metric
    from .registry import load_data, metric_of, resolve_spec

__all__ = [
    "Augment",
    "Data",
    "DataInfo",
    "ItemScores",
    "JudgesItems",
    "Metric",
    "Split",
    "Task",
    "load_data",
    "metric_of",
    "resolve_spec",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "Augment": ".base",
        "Data": ".base",
        "DataInfo": ".base",
        "ItemScores": ".base",
        "JudgesItems": ".base",
        "Metric": ".metrics",
        "Split": ".base",
        "Task": ".base",
        "load_data": ".registry",
        "metric_of": ".registry",
        "resolve_spec": ".registry",
    },
)

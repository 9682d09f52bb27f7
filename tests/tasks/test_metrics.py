"""What a score is called: a report that calls mIoU an accuracy misleads everybody who reads it."""

import subprocess
import sys
from importlib import import_module

import pytest

from mgic_nas.tasks import metric_of, own
from mgic_nas.tasks.registry import TASKS


@pytest.mark.parametrize(
    ("spec", "name", "floor"),
    [
        ("fashion", "top-1 accuracy", 10.0),
        ("/data/cifar10?train=10", "top-1 accuracy", 10.0),
        ("points:clouds.npz", "top-1 accuracy", 10.0),
        ("segmentation:shapes?size=32", "mIoU", 10.0),
        ("functions:waves", "explained variance", 0.0),
    ],
)
def test_every_task_has_its_metric(spec: str, name: str, floor: float) -> None:
    """The floor is what a network without an eye for its input reaches at most."""
    metric = metric_of(spec)
    assert (metric.name, metric.floor(10)) == (name, floor)
    assert metric.text(43.219) == f"{metric.short} 43.22 %"


def test_the_tasks_say_the_same() -> None:
    for task in set(TASKS) - {own.NAME}:  # which has no losses and scores of this package's
        module = import_module(TASKS.load(task).module)
        found = [v.metric for v in vars(module).values() if isinstance(v, type) and hasattr(v, "metric")]
        assert metric_of(f"{task}:x").name in found


def test_naming_a_metric_costs_nothing() -> None:
    """Progress lines and the command line must not import torch for a word."""
    code = "import sys; from mgic_nas.tasks import metric_of; metric_of('points:x'); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "False", done.stderr

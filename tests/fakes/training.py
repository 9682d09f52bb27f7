"""An executor that trains in this process."""

from typing import Any

from mgic_nas.engine.faults import Fault
from mgic_nas.train import work


def train_here(controller: Any, setup: Any, *_: Any) -> None:
    """One job after the other; what it raises is told as a worker would tell it."""
    while (job := controller.next()) is not None:
        try:
            for row in work(job, setup):
                controller.report(job, row)
            controller.finish(job)
        except Exception as error:
            controller.fail(job, Fault.of(error))

"""The seam between deciding and executing: what an executor needs of whoever decides which jobs are trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from ..train.job import Job
from .faults import Fault


class JobSource(Protocol):
    """Decides which jobs are trained. An executor runs them and decides nothing.

    An executor calls :meth:`next` for a job, :meth:`report` after each of its epochs, and then :meth:`finish` or
    :meth:`fail` once, unless ``report`` has ended the job. All calls come from one thread.
    """

    def next(self) -> Job | None:
        """The job to start now; None where there is none at this moment (see :attr:`done`)."""

    def report(self, job: Job, result: Mapping[str, Any]) -> bool:
        """An epoch of a job is over. False: the worker is to stop, and the job needs no further call."""

    def finish(self, job: Job) -> None:
        """A worker has done a job and written its result."""

    def fail(self, job: Job, error: Fault | str, died: bool = False) -> None:
        """A job has failed with ``error``, whose text is one line. ``died``: its worker is gone."""

    @property
    def done(self) -> bool:
        """Whether nothing is being trained and ``next`` has no further job."""

    @property
    def wanted(self) -> int:
        """How many jobs ``next`` would give at most, were it called again and again now."""

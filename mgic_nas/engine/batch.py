"""A list of trainings, each to its end: who is next, and whose fault a failure is. Nothing is searched."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import MachineFault, TrainingFailed
from ..train.job import Job
from .faults import CROWDED, GOES_ON, LOST, MACHINE, RESTART, UNKNOWN, Fault, classify
from .jobs import JobSource

MAX_RETRIES = 2  # of a training whose worker died


class Batch(JobSource):
    """Hands out trainings by their numbers until all are done or have failed.

    A training whose worker died is tried again, one that was out of memory beside others at last alone, and one that
    failed in a way nobody recognises once more. What is the network's fault is listed in ``failed``, and the others go
    on. What is the machine's ends the batch: :meth:`refuse_faults` says so.

    Args:
        numbers: of the trainings, in the order in which they are handed out.
        say: called with one line for whatever happens.

    Attributes:
        failed: number -> why, one line.
    """

    def __init__(self, numbers: Iterable[int], say: Callable[[str], object]) -> None:
        self._todo = deque(numbers)
        self._later: deque[int] = deque()  # to be trained alone, once there is nothing else to do
        self._live: dict[int, Job] = {}
        self._accompanied: set[int] = set()  # those beside whose present attempt others are trained
        self._deaths: dict[int, int] = {}
        self._doubted: set[int] = set()  # failed once in a way that nobody recognises
        self._halt: Fault | None = None
        self.failed: dict[int, str] = {}
        self._say = say

    @property
    @abstractmethod
    def trials_folder(self) -> Path:
        """Where workers write."""

    @abstractmethod
    def _job(self, number: int) -> Job | None:
        """The next attempt of a training; None where it is done already."""

    @abstractmethod
    def _finished(self, job: Job) -> bool:
        """Takes a training's result; False where there is none."""

    @abstractmethod
    def _name(self, number: int) -> str:
        """Of a training, for messages."""

    def next(self) -> Job | None:
        """The next training."""
        while self._halt is None:
            if self._todo:
                number = self._todo.popleft()
            elif self._later and not self._live:
                number = self._later.popleft()
            else:
                return None
            job = self._job(number)
            if job is not None:
                return self._start(job)
        return None

    def _start(self, job: Job) -> Job:
        self._accompanied.discard(job.number)
        if self._live:
            self._accompanied |= {job.number, *self._live}
        self._live[job.number] = job
        return job

    def report(self, job: Job, result: Mapping[str, Any]) -> bool:
        """True: there is no early stopping."""
        return True

    def finish(self, job: Job) -> None:
        """Takes the training's result."""
        if not self._finished(job):
            return self.fail(job, "there is no result.json", died=True)
        self._live.pop(job.number, None)
        return None

    def fail(self, job: Job, error: Fault | str, died: bool = False) -> None:
        """Decides whose fault it is; see :mod:`.faults`."""
        number = job.number
        self._live.pop(number, None)
        fault = Fault.of_text(error, died) if isinstance(error, str) else error
        alone = number not in self._accompanied
        verdict = classify(fault, alone)
        self._say(f"{self._name(number)} failed: {fault}")
        if verdict == MACHINE:
            self._halt = self._halt or fault
        elif verdict == RESTART and job.first_epoch:
            self._forget(number)
            self._todo.append(number)
        elif verdict == LOST and self._deaths.get(number, 0) < MAX_RETRIES:
            self._deaths[number] = self._deaths.get(number, 0) + 1
            self._todo.append(number)
        elif verdict == CROWDED and not alone:
            self._later.append(number)
        elif verdict in (UNKNOWN, CROWDED, RESTART) and number not in self._doubted:
            self._doubted.add(number)
            self._later.append(number)
        else:
            self.failed[number] = fault.text

    def _forget(self, number: int) -> None:
        """A training's checkpoint cannot be used: it begins again."""

    @property
    def done(self) -> bool:
        return not self._live and not self.wanted

    @property
    def wanted(self) -> int:
        if self._halt is not None:
            return 0
        return len(self._todo) or int(not self._live and bool(self._later))

    def refuse_faults(self) -> None:
        """Where not everything was trained.

        Raises:
            MachineFault: the machine lacks something; exit code 2 where the user can mend it.
            TrainingFailed: some trainings failed; the others are done.
        """
        if fault := self._halt:
            raise MachineFault(f"{self.trials_folder.parent}: {fault.plain}; {GOES_ON}", 2 if fault.mendable else 1)
        if self.failed:
            number, error = next(iter(self.failed.items()))
            count = len(self.failed)
            many = "1 training" if count == 1 else f"{count} trainings"
            raise TrainingFailed(f"{many} failed ({self._name(number)}: {error}); the same command retries")

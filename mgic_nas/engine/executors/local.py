"""Trials in worker processes on this machine, one a slot. Never imports ray."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from typing import Any

from ...errors import MachineFault, UserError
from ...train.job import Job, Setup
from ..faults import Fault
from ..jobs import JobSource
from .messages import DONE, EPOCH, FAILED, POISONED, REFUSED
from .slots import Slots, plan, this_machine, visible_gpus
from .worker_process import READY

MAX_FAILED_STARTS = 3  # in a row, of workers that ended before they had a job
PATIENCE = 5.0  # seconds that a worker has to end by itself


def execute(
    controller: JobSource,
    setup: Setup,
    concurrent: int | None = None,
    gpus_per_trial: str | float = "auto",
    work: str = "mgic_nas.train:work",
) -> None:
    """Trains the jobs of a source until it is done.

    Args:
        controller: which jobs are trained; a Controller, or a table's Recording.
        setup: of every job.
        concurrent: how many at a time; None: as many as the machine has cores (up to 8) or GPUs.
        gpus_per_trial: a number, 0 for none, or ``auto``.
        work: ``module:function``, a generator ``work(job, setup)`` of epoch results.

    Raises:
        MachineFault: workers do not start.
        UserError: a module that was registered in this process is missing in a worker's.
    """
    slots = plan(concurrent, gpus_per_trial, this_machine())
    setup = replace(setup, threads=slots.threads, device=setup.device if slots.gpus else "cpu")
    gpus = visible_gpus()
    crew = _Crew(slots, gpus, (setup, work))
    try:
        while not controller.done:
            crew.staff(controller.wanted)
            for worker in crew.idle:
                job = controller.next()
                if job is None:
                    break
                worker.start(job)
            if crew.waiting_for:
                crew.listen(controller)
            elif not controller.done and not controller.wanted:
                raise RuntimeError("the controller waits for jobs that no worker has")
    finally:
        crew.dismiss()


class Worker:
    """A worker process and the driver's end of its socket."""

    def __init__(self, slot: int, environment: dict[str, str], introduction: Any) -> None:
        self.slot = slot
        self.job: Job | None = None
        self.ready = False
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process is
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                # Not multiprocessing's spawn: that would import the user's main module again. -P: nothing from the
                # current folder may stand in for a library.
                [sys.executable, "-P", "-m", "mgic_nas.engine.executors.worker_process", str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,  # out of reach of the terminal's Ctrl-C
            )
        self.connection = Connection(ours.detach())
        self._send(introduction)

    def start(self, job: Job) -> None:
        self.job = job
        self._send(job)

    def answer(self, go_on: bool) -> None:
        self._send(go_on)

    def _send(self, message: Any) -> None:
        # That a worker is gone is noticed in listen().
        with contextlib.suppress(ConnectionError):
            self.connection.send(message)

    def why_dead(self) -> str:
        """Why its process ended, in a line."""
        try:
            code = self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        if code < 0:
            name = signal.Signals(-code).name
            return f"worker killed by {name}" + (", perhaps out of memory" if name == "SIGKILL" else "")
        self._output.seek(max(0, self._output.seek(0, os.SEEK_END) - 4000))
        lines = self._output.read().decode(errors="replace").strip().splitlines()
        return f"worker exited with {code}" + (f": {lines[-1].strip()}" if lines else "")

    def hang_up(self) -> None:
        """Closes the socket, upon which the worker ends."""
        self.connection.close()

    def bury(self) -> None:
        """Waits for the process to end, and kills it if it does not."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(PATIENCE)
        self._process.kill()
        self._process.wait()
        self._output.close()


class _Crew:
    """The worker processes of a run: as many as there are jobs, replaced when they die."""

    def __init__(self, slots: Slots, gpus: list[str], introduction: Any) -> None:
        self._slots = slots
        self._gpus = gpus
        self._introduction = introduction
        self._workers: dict[Any, Worker] = {}  # by connection
        self._failed_starts = 0  # in a row, of workers that ended before they had a job

    @property
    def idle(self) -> list[Worker]:
        return [w for w in self._workers.values() if w.ready and w.job is None]

    @property
    def waiting_for(self) -> list[Connection]:
        """The workers of which a message is due."""
        return [c for c, w in self._workers.items() if w.job is not None or not w.ready]

    def staff(self, wanted: int) -> None:
        """Starts workers for all running and ``wanted`` jobs, as far as there are slots."""
        busy = sum(w.job is not None for w in self._workers.values())
        free = sorted(set(range(self._slots.concurrent)) - {w.slot for w in self._workers.values()})
        for slot in free[: max(0, busy + wanted - len(self._workers))]:
            worker = Worker(slot, self._environment(slot), self._introduction)
            self._workers[worker.connection] = worker

    def listen(self, controller: JobSource) -> None:
        """Waits for messages and passes them on."""
        for connection in wait(list(self._workers)):
            worker = self._workers[connection]
            try:
                kind, content = worker.connection.recv()
            except (EOFError, OSError, pickle.UnpicklingError):
                self._died(worker, controller)
                continue
            if kind == READY:
                worker.ready = True
            elif kind == EPOCH:
                assert worker.job is not None
                go_on = controller.report(worker.job, content)
                if not go_on:
                    worker.job = None
                worker.answer(go_on)
            elif kind in (DONE, FAILED, POISONED):
                job, worker.job = worker.job, None
                assert job is not None
                self._failed_starts = 0
                if kind == DONE:
                    controller.finish(job)
                else:
                    controller.fail(job, Fault(**content))
                if kind == POISONED:
                    worker.ready = False  # it ends by itself now
            elif kind == REFUSED:
                raise UserError(content)
            else:
                raise RuntimeError(f"unknown message of a worker: {kind!r}")

    def dismiss(self) -> None:
        """Ends all workers."""
        workers, self._workers = list(self._workers.values()), {}
        for worker in workers:
            worker.hang_up()
        for worker in workers:
            worker.bury()

    def _died(self, worker: Worker, controller: JobSource) -> None:
        del self._workers[worker.connection]
        why = worker.why_dead()
        worker.hang_up()
        worker.bury()
        if worker.job is not None:
            controller.fail(worker.job, why, died=True)
            return
        self._failed_starts += 1
        if self._failed_starts >= MAX_FAILED_STARTS:
            raise MachineFault(f"workers do not start: {why}")

    def _environment(self, slot: int) -> dict[str, str]:
        return environment(self._slots.threads, self._slots.devices(slot, self._gpus))


def environment(threads: int, gpus: Sequence[str]) -> dict[str, str]:
    """The environment of a worker with ``threads`` CPU threads that sees these GPUs."""
    return {
        **os.environ,
        # What this process can import its workers can, however it came to be importable.
        "PYTHONPATH": os.pathsep.join(os.path.abspath(path) for path in sys.path),
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "CUDA_VISIBLE_DEVICES": ",".join(gpus),
    }

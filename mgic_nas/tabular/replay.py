"""A simulated search in a recorded table: the unchanged Controller, samplers and schedulers on a simulated clock.

Nothing is trained: the CPU seconds and metrics of an epoch are those of the table. A replay of a seed draws, for every
architecture, one of the table's trainings. Its true accuracy as recorded is the mean over all of them, and
:mod:`.denoised` has a better estimate.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..engine.controller import Controller
from ..engine.proposals.candidate import SearchProblem
from ..engine.storage.config import RunConfig
from ..engine.storage.starting import Earlier
from ..errors import UserError
from ..pareto import hypervolume, hypervolume_history, non_dominated
from ..space.feasible import Space
from ..space.prior import Prior
from .denoised import denoised, design
from .part import searchable
from .tables import AnyTable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..train.job import Job

    Array = NDArray[np.float64]

ENOUGH = 0.99  # share of the true front's hypervolume at which a replay ends
NOTHING = 1e-9  # a hypervolume that rounding makes


class Judge:
    """Accuracies by which what a search found is judged.

    Attributes:
        acc: float64 (A,), percent.
        macs: float64 (A,).
        reference: (accuracy, MACs) from which hypervolume is measured.
        best: the hypervolume of all architectures.
    """

    def __init__(self, acc: Array, macs: Array, reference: tuple[float, float]) -> None:
        self.acc = acc
        self.macs = macs
        self.reference = reference
        self.best = self.hypervolume(np.arange(len(macs)))

    def hypervolume(self, found: Sequence[int] | NDArray[np.int_]) -> float:
        """Of the accuracies of some architectures, in percent times decades of MACs."""
        rows = np.asarray(found, dtype=int)
        return hypervolume(self.acc[rows], self.macs[rows], self.reference)

    def shares(self, found: Sequence[int] | NDArray[np.int_]) -> NDArray[np.float64]:
        """The share of all architectures' hypervolume (n,) after each of n of them."""
        rows = np.asarray(found, dtype=int)
        return hypervolume_history(self.acc[rows], self.macs[rows], self.reference) / self.best


class Truth(Judge):
    """The ground truth of a table, which a search in it does not know.

    Attributes:
        table: the table, of which every architecture has at least one training.
        final: float64 (A, S), the accuracy at the end of each training, percent; NaN where there is none.
        acc: float64 (A,), the mean over trainings: the recorded truth.
        reference: (accuracy, MACs) from which hypervolume is measured: the 10th percentile of the true accuracies,
            and the largest budget on MACs (or the costliest architecture).
        limit: that budget; None where there is none.
        noise: the variance of one training's accuracy around its architecture's, percent squared.
        fewest_trainings: of any architecture. Where it is 1, luck cannot be told from worth.

    Raises:
        UserError: nothing is better than the reference, so that there is no hypervolume to find a share of.
    """

    def __init__(self, table: AnyTable, limit: float | None = None) -> None:
        self.table = table
        self.final = table.curves("val_acc")[:, :, -1]
        acc, macs = np.nanmean(self.final, axis=1), table.cost("macs")
        super().__init__(acc, macs, (float(np.nanpercentile(acc, 10)), float(limit or macs.max() * 1.001)))
        counted = np.sum(~np.isnan(self.final), axis=1)
        self.limit = limit
        if self.best <= NOTHING:
            raise UserError(self._nothing())
        self.fewest_trainings = int(counted.min())
        spare = int((counted - 1).sum())
        self.noise = float(np.nansum((self.final - self.acc[:, None]) ** 2)) / spare if spare else math.nan

    @cached_property
    def columns(self) -> Array:
        """What architectures are denoised by: (A, d)."""
        return design(self.table)

    @cached_property
    def denoised(self) -> Judge | None:
        """The denoised truth; None where some architecture has one training only."""
        if self.fewest_trainings < 2:
            return None
        judge = Judge(denoised(self.final, self.columns), self.macs, self.reference)
        if judge.best <= NOTHING:
            raise UserError(
                f"{self.table.name}: without the luck of its trainings no architecture within the budget is better "
                f"than {self.reference[0]:.2f} %, the 10th percentile of its accuracies: there is no front to find."
            )
        return judge

    @cached_property
    def space(self) -> Space:
        """What searches choose from: nothing that the table does not hold."""
        return searchable(self.table, self.reference[1])

    @property
    def inside(self) -> NDArray[np.bool_]:
        """Which architectures (A,) a search may train: those within the largest budget."""
        return self.macs <= self.reference[1]

    def _nothing(self) -> str:
        start = f"the hypervolume is measured from {self.reference[0]:.2f} %, the 10th percentile of its accuracies"
        if self.limit is None or not (self.acc > self.reference[0] + NOTHING).any():
            end = f" ({self.table.unfinished}: go on with `mgic-nas record`)" if self.table.unfinished else ""
            return f"{self.table.name}: {start}, and no architecture is better: there is no front to find{end}."
        return (
            f"{self.table.name}: {start}, and no architecture below {self.limit:,.10g} MACs is better: give a larger "
            "--budget."
        )

    @property
    def searched(self) -> str:
        """The limit of every search as its budget."""
        return f"{Decimal(repr(self.reference[1])):f}"

    @property
    def front(self) -> NDArray[np.int_]:
        """The rows on the true front within the largest budget, the cheapest first."""
        rows = np.flatnonzero(non_dominated(self.acc, self.macs) & self.inside)
        return rows[np.argsort(self.macs[rows])]

    def fewest(self, share: float) -> int:
        """How many trainings a sampler that knew the truth would need for a share of the hypervolume.

        Greedy, the largest gain first: for hypervolume within 1 - 1/e of the optimum.
        """
        chosen: list[int] = []
        while self.hypervolume(chosen) < share * self.best:
            gains = [self.hypervolume([*chosen, row]) for row in self.front]
            chosen.append(int(self.front[int(np.argmax(gains))]))
        return len(chosen)


@dataclass(frozen=True)
class Trace:
    """What one replay found, by finished training, in the order in which they ended.

    Attributes:
        rows: int (n,), the architectures trained to the end.
        epochs: int (n,), the epochs trained until then by all trials, unfinished ones included.
        trials: int (n,), the architectures started until then.
        seconds: float (n,), the simulated clock.
        observed: float (n,), the accuracy reported to the search, percent.
    """

    rows: NDArray[np.int_]
    epochs: NDArray[np.int_]
    trials: NDArray[np.int_]
    seconds: NDArray[np.float64]
    observed: NDArray[np.float64]


def replay(
    truth: Truth,
    sampler: str,
    seed: int,
    *,
    rungs: str = "none",
    concurrent: int = 1,
    trials: int | None = None,
    enough: float = ENOUGH,
    least: int = 0,
    earlier: Earlier | None = None,
    prior: Prior | None = None,
) -> Trace:
    """One simulated search.

    Args:
        truth: of the table.
        sampler: by name.
        seed: of the proposals, and of which training of an architecture is drawn.
        rungs: early stopping, by name.
        concurrent: simultaneous trainings.
        trials: most architectures that are started; by default all of the table's.
        enough: the share of the table's hypervolume, recorded and denoised, at which the replay ends.
        least: it does not end before so many epochs were trained.
        earlier: what a search in another table of the same settings found, from which this one starts.
        prior: what is believed of the values of parameters.
    """
    judges = [truth, *([truth.denoised] if truth.denoised else [])]
    table = truth.table
    lookup = _Lookup(truth, seed)
    config = _config(table, sampler, rungs, seed, trials or len(table.architectures), truth.searched)
    ended: list[tuple[int, int, int, float, float]] = []
    epochs = 0
    problem = replace(SearchProblem.of_run(config, truth.space), earlier=earlier, prior=prior or {})
    with Controller(None, config, problem=problem, read_result=lookup.read_result) as controller:
        order = itertools.count()
        running: list[tuple[float, int, Job, int]] = []  # (clock at the end of an epoch, tie, job, epoch)
        clock = 0.0
        while True:
            while len(running) < concurrent and (job := controller.next()) is not None:
                lookup.jobs[job.number] = job
                seconds = lookup.seconds(job, job.first_epoch + 1)
                heapq.heappush(running, (clock + seconds, next(order), job, job.first_epoch + 1))
            if not running:
                break
            clock, _, job, epoch = heapq.heappop(running)
            epochs += 1
            row = lookup.epoch(job, epoch)
            if not controller.report(job, row):
                continue
            if epoch < job.last_epoch:
                heapq.heappush(running, (clock + lookup.seconds(job, epoch + 1), next(order), job, epoch + 1))
                continue
            controller.finish(job)
            if epoch == config.epochs:
                ended.append((lookup.row(job), epochs, controller.counts.started, clock, row["val_acc"]))
                rows = [e[0] for e in ended]
                if epochs >= least and all(judge.hypervolume(rows) >= enough * judge.best for judge in judges):
                    break
    columns = list(zip(*ended, strict=True)) if ended else [()] * 5
    return Trace(
        np.array(columns[0], dtype=int),
        np.array(columns[1], dtype=int),
        np.array(columns[2], dtype=int),
        np.array(columns[3], dtype=float),
        np.array(columns[4], dtype=float),
    )


def drawn(truth: Truth, seed: int) -> NDArray[np.int_]:
    """The training of each architecture that a replay uses: int (A,), by their seeds in the table."""
    return np.array(
        [
            random.Random(f"{seed}/{architecture.arch_id}").choice(np.flatnonzero(~np.isnan(ends)))
            for architecture, ends in zip(truth.table.architectures, truth.final, strict=True)
        ],
        dtype=int,
    )


class _Lookup:
    """The trainings that one replay draws, as workers would report them."""

    def __init__(self, truth: Truth, seed: int) -> None:
        table = truth.table
        self.jobs: dict[int, Job] = {}
        self._index = table.index
        self._curves = {name: table.curves(name) for name in ("train_loss", "val_acc", "val_loss")}
        self._seconds = table.curves("cpu_seconds")
        self._rows: dict[int, int] = {}  # trial number -> row
        self._arch_id = table.arch_id
        self._drawn = drawn(truth, seed)

    def row(self, job: Job) -> int:
        """The architecture of a job."""
        if job.number not in self._rows:
            self._rows[job.number] = self._index[self._arch_id(job.config)]
        return self._rows[job.number]

    def seconds(self, job: Job, epoch: int) -> float:
        row = self.row(job)
        return float(self._seconds[row, self._drawn[row], epoch - 1])

    def epoch(self, job: Job, epoch: int) -> dict[str, Any]:
        """What the worker reports after an epoch (1, 2, ...)."""
        row = self.row(job)
        at = row, self._drawn[row], epoch - 1
        return {
            "epoch": epoch,
            **{name: float(values[at]) for name, values in self._curves.items() if not math.isnan(values[at])},
            "seconds": float(self._seconds[at]),
        }

    def read_result(self, folder: Path, number: int, attempt: int) -> dict[str, Any] | None:
        """The result.json that a worker would have written."""
        job = self.jobs.get(number)
        if job is None or job.attempt != attempt:
            return None
        curve = [self.epoch(job, epoch) for epoch in range(1, job.last_epoch + 1)]
        return {"attempt": attempt, "epochs": job.last_epoch, "val_acc": curve[-1]["val_acc"], "curve": curve}


def _config(table: AnyTable, sampler: str, rungs: str, seed: int, trials: int, budget: str) -> RunConfig:
    recorded = table.config
    return RunConfig(
        name="replay",
        space=recorded.space,
        data=recorded.data,
        budgets=[budget],
        trials=trials,
        epochs=recorded.epochs,
        recipe=recorded.recipe,
        sampler=sampler,
        rungs=rungs,
        seed=seed,
    )

"""Samplers and schedulers compared by many simulated searches on one table."""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .._text import plural
from ..engine.samplers.registry import SAMPLERS
from ..engine.schedulers.registry import DEFAULT_SCHEDULER, SCHEDULERS
from ..errors import UserError
from ..pareto import best_within
from ..space.budget import parse_budgets
from . import honest as honesty
from .bounds import bounds
from .honest import Honest, honest
from .outside import blamed, from_outside, is_outside
from .replay import Trace, Truth, replay
from .tables import AnyTable, open_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

SHARES = (0.90, 0.95, 0.99)  # of the table's hypervolume
DEFAULT = ("cost+thaw", "cost+halving", "cost", "tpe", "tpe-univariate", "nsga2", "random", "stratified")
BASELINE = "stratified"
OPTUNA = ("nsga2", "tpe", "tpe-univariate")
GRID = 60  # points of a curve over epochs
MOST_TRIALS = 150  # of a replay in a table of more architectures than LARGE, unless the caller says other
LARGE = 400
LUCK = "some architectures have one training only, so luck cannot be told from worth: judged as recorded alone"


@dataclass(frozen=True)
class Contestant:
    """A sampler and a scheduler: ``cost+halving``."""

    sampler: str
    rungs: str

    @classmethod
    def parse(cls, text: str) -> Contestant:
        """UserError for an unknown sampler or unknown rungs. ``module:factory`` names a sampler from outside."""
        sampler, plus, rungs = text.partition("+")
        if is_outside(sampler) and sampler not in SAMPLERS:
            SAMPLERS.register(sampler, from_outside(sampler))
        return cls(SAMPLERS.check(sampler), SCHEDULERS.check(rungs if plus else DEFAULT_SCHEDULER))

    def __str__(self) -> str:
        return self.sampler if self.rungs == DEFAULT_SCHEDULER else f"{self.sampler}+{self.rungs}"


@dataclass(frozen=True)
class Standing:
    """The results of one contestant's replays; lists are by seed.

    Attributes:
        name: of the contestant.
        epochs: share -> epochs trained until that share of the hypervolume was found (inf where it never was).
        trials: share -> architectures started until then.
        ends: epochs trained in each replay.
        curve: (quartile, median, quartile) of the share found, at each of the comparison's grid of epochs.
        by_trials: the same at each of its grid of architectures started.
        regret: budget -> at each checkpoint the simple regret in percent, median over seeds: the best true accuracy
            within the budget minus that of the winner by observed accuracy.
        winners: budget -> the true accuracy of the winner at the end of the replay, percent, median over seeds.
        honest: the same searches by the denoised truth and on unseen trainings; None where the table has one training.
    """

    name: str
    epochs: dict[float, list[float]]
    trials: dict[float, list[float]]
    ends: list[float]
    curve: list[tuple[float, float, float]]
    by_trials: list[tuple[float, float, float]]
    regret: dict[str, list[float | None]]
    winners: dict[str, float | None]
    honest: Honest | None = None

    def median(self, share: float) -> float:
        """Epochs to a share, median over seeds."""
        return float(np.median(self.epochs[share]))


@dataclass(frozen=True)
class Comparison:
    """All contestants on one table.

    Attributes:
        facts: of the table: architectures, seeds, epochs, front, reference, hypervolume, noise, spread, ...
        bounds: oracle -> share -> epochs that it needs; see :mod:`.bounds`.
        standings: in the order of the contestants given.
        grid: epochs at which curves are given; ``trials_grid``: architectures started.
        checkpoints: epochs at which regrets are given.
        seeds: replays of each contestant.
        concurrent: simultaneous trainings of a replay.
        first_seed: of the replays.
        most_trials: architectures that a replay starts at most; None for all.
    """

    facts: dict[str, Any]
    bounds: dict[str, dict[float, float]]
    standings: list[Standing]
    grid: list[int]
    trials_grid: list[int]
    checkpoints: list[int]
    seeds: int
    concurrent: int
    first_seed: int = 0
    most_trials: int | None = None

    def find(self, name: str) -> Standing | None:
        return next((s for s in self.standings if s.name == name), None)

    def ratio(self, name: str, others: Sequence[str], share: float = 0.95) -> float | None:
        """Epochs of a contestant against the best of others, medians over seeds; None where one was not asked for."""
        mine = self.find(name)
        theirs = [s.median(share) for other in others if (s := self.find(other))]
        return mine.median(share) / min(theirs) if mine and theirs else None


def compare(
    folder: str | Path,
    contestants: Sequence[str] = DEFAULT,
    seeds: int = 20,
    concurrent: int = 1,
    budgets: Sequence[str | float] = (),
    jobs: int = 1,
    say: Callable[[str], object] = lambda line: None,
    first_seed: int = 0,
    trials: int | None = None,
) -> Comparison:
    """Replays every contestant with seeds ``first_seed``, ...; the same arguments give the same result.

    Args:
        folder: of a recorded table, or the file of somebody else's (:mod:`.columns`).
        contestants: ``sampler`` or ``sampler+rungs``; a sampler from outside as ``module:factory``.
        seeds: replays of each.
        concurrent: simultaneous trainings of a replay.
        budgets: on MACs, for regrets and winners; by default four, evenly spread over the table's MACs. The largest
            given is the limit of every search.
        jobs: processes.
        say: called with one line a contestant.
        first_seed: another one gives fresh searches, for what was not tuned on the first.
        trials: most architectures that a replay starts; by default all, and :data:`MOST_TRIALS` in a table of more
            than :data:`LARGE`.

    Raises:
        UserError: no table, an unknown sampler, a budget on something else than MACs, or one that nothing meets.
    """
    parsed = [Contestant.parse(text) for text in dict.fromkeys(contestants)]
    table = open_table(folder)
    for note in table.notes:
        say(f"{table.name}: {note}")
    if trials is None and len(table.architectures) > LARGE:
        trials = MOST_TRIALS
    limits = _limits(table, budgets)
    limit = max(limits.values()) if budgets else None
    truth = Truth(table, limit)
    epochs = table.config.epochs
    grid = sorted({round(v) for v in np.geomspace(epochs, epochs * len(truth.macs), GRID)})
    most = min(len(truth.macs), trials or len(truth.macs))
    grid = [v for v in grid if v <= epochs * most]
    trials_grid = sorted({round(v) for v in np.geomspace(1, most, GRID)})
    checkpoints = [epochs * n for n in (5, 10, 20, 40, 80) if n < most]
    if truth.denoised is None:
        say(f"{table.name}: {LUCK}")
    # Searches end when they know the front, which only a replay can tell: not before the last checkpoint.
    least = max(checkpoints, default=0)
    runs = _Replays(str(folder), limit, range(first_seed, first_seed + seeds), concurrent, trials, least)
    standings = []
    for contestant in parsed:
        traces = runs.of(contestant, truth, jobs)
        judged = honest(truth, traces, runs.seeds, limits, checkpoints, SHARES)
        standing = _standing(truth, contestant, traces, limits, grid, trials_grid, checkpoints)
        standings.append(replace(standing, honest=judged))
        median = standings[-1].median(0.95)
        say(f"{contestant}: 95 % of the hypervolume after {_epochs(median)}, median of {plural(seeds, 'seed')}")
    told = bounds(truth, SHARES, seeds)
    facts = {**_facts(truth, limits), "honest": honesty.facts(truth, runs.seeds)}
    return Comparison(facts, told, standings, grid, trials_grid, checkpoints, seeds, concurrent, first_seed, trials)


def _epochs(value: float) -> str:
    return f"{value:,.0f} epochs" if math.isfinite(value) else "more epochs than the table has"


def _limits(table: AnyTable, budgets: Sequence[str | float]) -> dict[str, float]:
    """Label -> MACs."""
    macs = table.cost("macs")
    budgets = budgets or _default_budgets(macs, whole=bool(np.all(macs == macs.round())))
    limits = {}
    for budget in parse_budgets(budgets):
        if budget.kind != "macs":
            raise UserError(f"budget {budget.label}: a replay knows budgets on MACs only.")
        if budget.limit < macs.min():
            raise UserError(f"budget {budget.label}: the cheapest of the table has {macs.min():,.10g} MACs.")
        limits[budget.label] = float(budget.limit)
    return limits


def _default_budgets(macs: Array, whole: bool) -> list[str]:
    """Three between the cheapest and the costliest, as short as tells them apart, and one for everything."""
    low, high = float(macs.min()), float(macs.max())
    inner = np.geomspace(low, high, 5)[1:-1].clip(low, high)
    for digits in range(2, 18):
        texts = [f"{v:.{digits}g}" for v in inner]
        if all(low <= float(text) <= high for text in texts) and (digits == 2 or len({*texts}) == len(texts)):
            break
    return [*texts, f"{high * 1.001:.0f}" if whole else f"{high * 1.001:.9g}"]


_worker_truth: dict[tuple[str, float | None], Truth] = {}


@dataclass(frozen=True)
class _Replays:
    """The replays of a comparison: everything but the contestant."""

    folder: str
    limit: float | None
    seeds: range
    concurrent: int
    trials: int | None
    least: int

    def of(self, who: Contestant, truth: Truth, jobs: int) -> list[Trace]:
        if jobs == 1:
            return [self.one(who, seed, truth) for seed in self.seeds]
        with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
            return list(pool.map(self.in_worker, [str(who)] * len(self.seeds), self.seeds))

    def one(self, who: Contestant, seed: int, truth: Truth) -> Trace:
        with blamed(who.sampler):
            return replay(
                truth,
                who.sampler,
                seed,
                rungs=who.rungs,
                concurrent=self.concurrent,
                trials=self.trials,
                least=self.least,
            )

    def in_worker(self, who: str, seed: int) -> Trace:
        """In a worker process, which keeps the table for the next."""
        key = self.folder, self.limit
        if key not in _worker_truth:
            _worker_truth[key] = Truth(open_table(self.folder), self.limit)
        return self.one(Contestant.parse(who), seed, _worker_truth[key])


def _standing(
    truth: Truth,
    who: Contestant,
    traces: Sequence[Trace],
    limits: dict[str, float],
    grid: Sequence[int],
    trials_grid: Sequence[int],
    checkpoints: Sequence[int],
) -> Standing:
    shares = [truth.shares(trace.rows) for trace in traces]

    def first(share: float, counts: Sequence[NDArray[np.int_]]) -> list[float]:
        hits = [np.flatnonzero(s >= share) for s in shares]
        return [float(c[hit[0]]) if len(hit) else math.inf for hit, c in zip(hits, counts, strict=True)]

    def bands(at: Sequence[int], counts: Sequence[NDArray[np.int_]]) -> list[tuple[float, float, float]]:
        values = np.array([[_last(s, c, point) for point in at] for s, c in zip(shares, counts, strict=True)])
        low, middle, high = np.percentile(values, [25, 50, 75], axis=0)
        return list(zip(low.tolist(), middle.tolist(), high.tolist(), strict=True))

    epochs, trials = [t.epochs for t in traces], [t.trials for t in traces]
    regret, winners = {}, {}
    for label, limit in limits.items():
        best = float(truth.acc[truth.macs <= limit].max())
        at = [[_winner(truth, trace, limit, point) for trace in traces] for point in [*checkpoints, math.inf]]
        medians = [_median([best - acc for acc in accs if acc is not None], len(traces)) for accs in at]
        regret[label] = medians[:-1]
        winners[label] = None if medians[-1] is None else best - medians[-1]
    return Standing(
        str(who),
        {share: first(share, epochs) for share in SHARES},
        {share: first(share, trials) for share in SHARES},
        [float(trace.epochs[-1]) if len(trace.epochs) else 0.0 for trace in traces],
        bands(grid, epochs),
        bands(trials_grid, trials),
        regret,
        winners,
    )


def _last(shares: Array, counts: NDArray[np.int_], at: int) -> float:
    """The share found after so many."""
    done = int(np.searchsorted(counts, at, side="right"))
    return float(shares[done - 1]) if done else 0.0


def _winner(truth: Truth, trace: Trace, limit: float, epochs: float) -> float | None:
    """The true accuracy of the winner after so many epochs; None while nothing fits."""
    done = int(np.searchsorted(trace.epochs, epochs, side="right"))
    rows = trace.rows[:done]
    chosen = best_within(trace.observed[:done], truth.macs[rows], limit) if done else None
    return None if chosen is None else float(truth.acc[rows[chosen]])


def _median(values: Sequence[float], of: int) -> float | None:
    """The median over ``of`` values, missing ones counted as infinite; None where that is infinite."""
    return float(np.median([*values, *[math.inf] * (of - len(values))])) if 2 * len(values) > of else None


def _facts(truth: Truth, limits: dict[str, float]) -> dict[str, Any]:
    table, final, inside = truth.table, truth.final, truth.inside
    counted = np.sum(~np.isnan(final), axis=1)
    cpu = table.curves("cpu_seconds").sum(axis=2)
    cpu = cpu[~np.isnan(cpu)]
    return {
        "table": table.name,
        "architectures": len(truth.macs),
        "seeds": table.seeds,
        "trainings": int(counted.sum()),
        "missing": len(table.missing),
        "epochs": table.config.epochs,
        "macs": [float(truth.macs.min()), float(truth.macs.max())],
        "input_size": list(table.config.input_size),
        "within": None if truth.limit is None else {"macs": truth.limit, "architectures": int(inside.sum())},
        "accuracy": [float(truth.acc[inside].min()), float(truth.acc[inside].max())],
        "front": len(truth.front),
        "reference": {"val_acc": truth.reference[0], "macs": truth.reference[1]},
        "hypervolume": truth.best,
        "noise": math.sqrt(truth.noise) if math.isfinite(truth.noise) else None,
        "spread": float(np.std(truth.acc[inside])),
        "rank_correlation_of_seeds": _rank_correlation(final),
        "cpu_seconds": {name: float(getattr(cpu, name)()) for name in ("mean", "max", "sum")} if len(cpu) else None,
        "budgets": limits,
        "best_within": {label: float(truth.acc[truth.macs <= limit].max()) for label, limit in limits.items()},
        "machine": table.config.machine,
        "recipe": table.config.recipe.get("name"),
        "data": table.config.data.get("spec"),
    }


def _rank_correlation(final: Array) -> float | None:
    """Spearman's, between the first two seeds; None for fewer than three architectures that have both."""
    if final.shape[1] < 2:
        return None
    found = float(pd.DataFrame(final[:, :2]).corr(method="spearman", min_periods=3).to_numpy()[0, 1])
    return found if math.isfinite(found) else None

"""What a search hands over, judged without the luck of the trainings that it saw.

What a search saw drawn well it prefers, and a truth that is the mean over few trainings, that one among them, agrees.
So the front and the winners that it hands over are judged on the trainings that it did not see, and against the
denoised truth (:mod:`.denoised`). The estimate of their worth is then linear in the noise, and has no bias: nothing is
chosen by the trainings that judge.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..pareto import best_within, non_dominated
from .denoised import denoised
from .replay import Judge, Trace, Truth, drawn

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

Estimate = tuple[float, float]  # mean over seeds and its standard error


@dataclass(frozen=True)
class Honest:
    """One contestant's searches, by a better yardstick than the recorded truth.

    Attributes:
        epochs: share -> epochs until that share of the denoised hypervolume was found, by seed; inf where it never was.
        fronts: at each checkpoint and at the end, the front handed over on unseen trainings: its share of the denoised
            hypervolume. None where some seed has none yet.
        regrets: budget -> at each checkpoint and at the end, by how many points the winner handed over is, on unseen
            trainings, below the best within the budget by the denoised truth.
        ends: budget -> the last of these by seed; None where nothing fits.
    """

    epochs: dict[float, list[float]]
    fronts: list[Estimate | None]
    regrets: dict[str, list[Estimate | None]]
    ends: dict[str, list[float | None]]

    def median(self, share: float) -> float:
        """Epochs to a share, median over seeds."""
        return float(np.median(self.epochs[share]))


def unseen(truth: Truth, seed: int) -> Array:
    """Accuracies (A,), the mean over the trainings that the replay of a seed does not draw; NaN where there is none."""
    left = truth.final.copy()
    left[np.arange(len(left)), drawn(truth, seed)] = np.nan
    counts = np.sum(~np.isnan(left), axis=1)
    return np.where(counts > 0, np.nansum(left, axis=1) / np.maximum(counts, 1), np.nan)


def handed_over(chosen_by: Array, macs: Array, floor: float) -> NDArray[np.int_]:
    """Rows of the front by the accuracies that it is chosen by, above ``floor``, the cheapest first."""
    rows = np.flatnonzero(non_dominated(chosen_by, macs))
    rows = rows[chosen_by[rows] > floor]
    return rows[np.argsort(macs[rows])]


def worth(rows: NDArray[np.int_], acc: Array, truth: Truth) -> float:
    """The mean accuracy above the reference's of what is handed over within m MACs, over the decades of m.

    Of ``rows``, a front with the cheapest first, each is what one gets up to the MACs of the next.
    """
    rows = rows[truth.macs[rows] < truth.reference[1]]
    edges = np.log10(np.append(truth.macs[rows], truth.reference[1]))
    return float(np.sum(np.diff(edges) * (acc[rows] - truth.reference[0])))


def honest(
    truth: Truth,
    traces: Sequence[Trace],
    seeds: Sequence[int],
    limits: Mapping[str, float],
    checkpoints: Sequence[int],
    shares: Sequence[float],
) -> Honest | None:
    """None where some architecture of the table has one training only.

    Args:
        truth: of the table.
        traces: of a contestant's replays.
        seeds: theirs.
        limits: budget -> MACs.
        checkpoints: epochs.
        shares: of the denoised hypervolume.
    """
    judge = truth.denoised
    if judge is None:
        return None
    points = [*checkpoints, math.inf]
    epochs: dict[float, list[float]] = {share: [] for share in shares}
    fronts = np.full((len(traces), len(points)), np.nan)
    regrets = {label: np.full((len(traces), len(points)), np.nan) for label in limits}
    best = {label: float(judge.acc[truth.macs <= limit].max()) for label, limit in limits.items()}
    for number, (trace, seed) in enumerate(zip(traces, seeds, strict=True)):
        found = judge.shares(trace.rows)
        for share in shares:
            hits = np.flatnonzero(found >= share)
            epochs[share].append(float(trace.epochs[hits[0]]) if len(hits) else math.inf)
        judged = unseen(truth, seed)
        for at, point in enumerate(points):
            done = int(np.searchsorted(trace.epochs, point, side="right"))
            if not done:
                continue
            rows, seen = trace.rows[:done], trace.observed[:done]
            front = rows[handed_over(seen, truth.macs[rows], truth.reference[0])]
            fronts[number, at] = worth(front, judged, truth) / judge.best
            for label, limit in limits.items():
                if (winner := best_within(seen, truth.macs[rows], limit)) is not None:
                    regrets[label][number, at] = best[label] - judged[rows[winner]]
    return Honest(
        epochs,
        [_estimate(column) for column in fronts.T],
        {label: [_estimate(column) for column in values.T] for label, values in regrets.items()},
        {label: [None if math.isnan(v) else float(v) for v in values[:, -1]] for label, values in regrets.items()},
    )


def facts(truth: Truth, seeds: Sequence[int]) -> dict[str, Any] | None:
    """Of a table's yardsticks; None where they cannot be told apart.

    - ``hypervolume``: denoised; ``luck``: the share of the recorded hypervolume by which that is smaller, below 0 where
      it is larger
    - ``everything``: what a search that trains everything once hands over, on unseen trainings: mean over seeds
    - ``two_on_third``: with each training left out in turn, the front by the mean of the others: its hypervolume on
      the one left out, as a share of that one's own whole; None where that is nothing
    - ``rmse``: with each left out, its root mean square distance in points from the mean of the others and from the
      denoised others, over the architectures above the reference accuracy by the latter, None where there never are
      any. ``claimed`` and ``kept``: the worth of the front by either, as it is believed to be and on the training left
      out
    """
    judge = truth.denoised
    if judge is None:
        return None
    everything = [_everything(truth, seed) / judge.best for seed in seeds]
    by_mean, by_denoised = _LeftOut(), _LeftOut()
    shares: list[float] = []
    for left_out in range(truth.final.shape[1]):
        others = np.delete(truth.final, left_out, axis=1)
        whole = ~np.isnan(truth.final[:, left_out]) & ~np.isnan(others).all(axis=1)
        judged = np.where(whole, truth.final[:, left_out], -np.inf)
        if not whole.any():
            continue
        mean = np.full(len(judged), -np.inf)
        better = mean.copy()
        mean[whole] = np.nanmean(others[whole], axis=1)
        better[whole] = denoised(others[whole], truth.columns[whole])
        above = np.flatnonzero(better > truth.reference[0])
        front = handed_over(mean, truth.macs, truth.reference[0])
        third = Judge(judged, truth.macs, truth.reference)
        if third.best > 0:
            shares.append(third.hypervolume(front) / third.best)
        by_mean.add(truth, mean, judged, above)
        by_denoised.add(truth, better, judged, above)
    return {
        "hypervolume": judge.best,
        "luck": 1 - judge.best / truth.best,
        "everything": float(np.mean(everything)),
        "two_on_third": float(np.mean(shares)) if shares else None,
        "by_mean": by_mean.means(),
        "by_denoised": by_denoised.means(),
    }


@dataclass(frozen=True)
class _LeftOut:
    """What one estimate is worth on the trainings left out, one value each; see :func:`facts`."""

    rmse: list[float] = field(default_factory=list)
    claimed: list[float] = field(default_factory=list)
    kept: list[float] = field(default_factory=list)

    def add(self, truth: Truth, chosen: Array, judged: Array, above: NDArray[np.int_]) -> None:
        front = handed_over(chosen, truth.macs, truth.reference[0])
        if len(above):
            self.rmse.append(math.sqrt(float(np.mean((chosen[above] - judged[above]) ** 2))))
        self.claimed.append(worth(front, chosen, truth))
        self.kept.append(worth(front, judged, truth))

    def means(self) -> dict[str, float | None]:
        return {name: float(np.mean(found)) if found else None for name, found in vars(self).items()}


def _everything(truth: Truth, seed: int) -> float:
    seen = truth.final[np.arange(len(truth.macs)), drawn(truth, seed)]
    return worth(handed_over(seen, truth.macs, truth.reference[0]), unseen(truth, seed), truth)


def _estimate(values: Array) -> Estimate | None:
    """None where some seed has no value."""
    if np.isnan(values).any():
        return None
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return float(values.mean()), error

"""What is handed over: winners by expected against winners by measured accuracy, on trainings that no search saw.

In recorded tables with several trainings of each architecture: a simulated search sees one of them, drawn by its seed,
and its winners within four budgets are judged by the mean of the others. ::

    python -m mgic_nas.experiments.handed_over runs/table_fashion runs/nas_bench/nas_bench_201_cifar10.csv.gz
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..engine.surrogate.expectation import expect
from ..errors import UserError
from ..pareto import best_within
from ..tabular.replay import Trace, Truth, drawn, replay
from ..tabular.tables import open_table
from ._traces import EVERYTHING, items_of, trials_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

AT = (10, 20, 40, 80)  # trainings of a search
BUDGETS = 4  # evenly spread over the logarithm of the MACs


@dataclass(frozen=True)
class Difference:
    """Of one table, sampler and number of trainings.

    Attributes:
        gain: the accuracy on unseen trainings of winners by expected minus that of those by measured accuracy, points,
            mean over seeds; each seed's is the mean over budgets.
        error: its standard error over seeds.
        optimism: by how much the measured and the expected accuracies of these winners are above the unseen.
        within: share of the winners whose unseen accuracy is within one expected standard deviation (with the luck of
            the unseen trainings' mean) of what was expected.
    """

    table: str
    sampler: str
    trainings: int
    seeds: int
    gain: float
    error: float
    optimism: tuple[float, float]
    within: float


def compare(truth: Truth, sampler: str, seeds: Sequence[int], items: int, at: Sequence[int] = AT) -> list[Difference]:
    """One :class:`Difference` for each number of trainings."""
    traces = [replay(truth, sampler, seed, trials=max(at), enough=EVERYTHING) for seed in seeds]
    found = []
    for trainings in at:
        judged = [_judged(truth, trace, seed, trainings, items) for trace, seed in zip(traces, seeds, strict=True)]
        gains = np.array([np.nanmean(one[:, 0]) for one in judged])
        every = np.concatenate(judged)
        found.append(
            Difference(
                truth.table.name,
                sampler,
                trainings,
                len(seeds),
                float(gains.mean()),
                float(gains.std(ddof=1) / math.sqrt(len(gains))),
                (float(np.nanmean(every[:, 1])), float(np.nanmean(every[:, 2]))),
                float(np.nanmean(every[:, 3])),
            )
        )
    return found


def _judged(truth: Truth, trace: Trace, seed: int, trainings: int, items: int) -> NDArray[np.float64]:
    """(budgets, 4) of one search: gain, optimism of measured and of expected, within; NaN where nothing was seen."""
    rows, observed = trace.rows[:trainings], trace.observed[:trainings]
    unseen = truth.final.copy()
    unseen[np.arange(len(unseen)), drawn(truth, seed)] = np.nan
    counts = np.sum(~np.isnan(unseen), axis=1)
    mean = np.where(counts, np.nansum(unseen, axis=1) / np.maximum(counts, 1), np.nan)
    expected = expect(trials_of(truth, trace, trainings), items)
    accs = np.array([expected[i].acc if expected else acc for i, acc in enumerate(observed)])
    table = []
    for limit in np.geomspace(truth.macs.min(), truth.macs.max(), BUDGETS + 1)[1:]:
        by_measured, by_expected = (best_within(a, truth.macs[rows], limit) for a in (observed, accs))
        if by_measured is None or by_expected is None:
            continue
        first, second = mean[rows[by_measured]], mean[rows[by_expected]]
        inside = math.nan
        if expected and not math.isnan(second):
            luck = _luck(accs[by_expected], items, counts[rows[by_expected]])
            inside = float(abs(second - accs[by_expected]) <= math.hypot(expected[by_expected].sd, luck))
        table.append([second - first, observed[by_measured] - first, accs[by_expected] - second, inside])
    return np.array(table).reshape(-1, 4)


def _luck(acc: float, items: int, trainings: int) -> float:
    """The binomial standard deviation of the mean of some trainings, percent."""
    return 100 * math.sqrt(acc / 100 * (1 - acc / 100) / items / max(trainings, 1))


def main(argv: Sequence[str] | None = None) -> None:
    """Prints a line, or with ``--json`` an object, for each table, sampler and number of trainings."""
    p = argparse.ArgumentParser(prog="python -m mgic_nas.experiments.handed_over", description=__doc__)
    p.add_argument("tables", nargs="+", metavar="TABLE")
    p.add_argument("--sampler", action="append", metavar="S", help="default: cost and random")
    p.add_argument("--seeds", type=int, default=20, metavar="K")
    p.add_argument("--json", action="store_true")
    args = p.parse_args(argv)
    for path in args.tables:
        truth = Truth(open_table(path))
        if truth.table.seeds < 2:
            raise UserError(f"{path}: it has one training of each architecture.")
        items = items_of(truth)
        for sampler in args.sampler or ("cost", "random"):
            for one in compare(truth, sampler, range(args.seeds), items):
                print(json.dumps(asdict(one)) if args.json else _line(one), flush=True)


def _line(one: Difference) -> str:
    return (
        f"{one.table:<28} {one.sampler:<7} {one.trainings:>3} trainings: expected − measured "
        f"{one.gain:+.3f} ± {one.error:.3f} points; optimism of measured {one.optimism[0]:+.2f}, of expected "
        f"{one.optimism[1]:+.2f}; {100 * one.within:.0f} % within one standard deviation"
    )


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")

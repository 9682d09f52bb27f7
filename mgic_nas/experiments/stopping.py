"""Whether a search ends when it should, and what it says that going on would buy: predicted against realised.

In simulated searches of recorded tables. What the next eight trainings add is known there: the true front of what was
trained, by the means over all of a table's trainings. The oracle of a table and a worth knows what this sampler gains
on the average of all searches, and stops when the next eight trainings add less than the worth. ::

    python -m mgic_nas.experiments.stopping runs/table_fashion runs/nas_bench/nas_bench_201_cifar10.csv.gz
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

from ..engine.stopping import AHEAD, LOOKED_AT
from ..engine.surrogate.forecast import FEWEST, forecast
from ..errors import UserError
from ..tabular.replay import Truth, replay
from ..tabular.tables import open_table
from ._traces import EVERYTHING, items_of, trials_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

EACH = 2  # trainings between two forecasts


@dataclass(frozen=True)
class Stops:
    """Of one table and sampler.

    Attributes:
        realised: what the next eight trainings added, over what was predicted: sums over all searches and moments.
        first_half, second_half: the same of the moments in the first and in the second half of the searches.
        oracle: trainings after which the oracle stops.
        stopped: trainings after which the searches stop, in order; the last of all where one did not.
        ratio: the median of these over the oracle's.
        left: points of the mean front that were still gained after the stop, until the end; mean over searches.
    """

    table: str
    sampler: str
    worth: float
    searches: int
    trainings: int
    realised: float
    first_half: float
    second_half: float
    oracle: int
    stopped: tuple[int, ...]
    ratio: float
    left: float


def measure(truth: Truth, sampler: str, seeds: Sequence[int], trainings: int, worths: Sequence[float]) -> list[Stops]:
    """One :class:`Stops` for each worth."""
    items = items_of(truth)
    decades = math.log10(truth.reference[1] / truth.macs.min())
    moments = np.arange(FEWEST, trainings - AHEAD + 1, EACH)
    predicted, realised, fronts = [], [], []
    for seed in seeds:
        trace = replay(truth, sampler, seed, trials=trainings, enough=EVERYTHING)
        trials = trials_of(truth, trace, trainings)
        front = truth.shares(trace.rows) * truth.best / decades
        found = [forecast(trials[:n], (), items, AHEAD) for n in moments]
        predicted.append([one.lift if one else math.inf for one in found])
        realised.append(front[moments + AHEAD - 1] - front[moments - 1])
        fronts.append(front)
    expected, true, front = np.array(predicted), np.array(realised), np.array(fronts)
    late = moments >= (moments[0] + moments[-1]) / 2
    every, first, second = (float(true[:, part].sum() / expected[:, part].sum()) for part in (late | True, ~late, late))
    results = []
    for worth in worths:
        stops = [_stop(one, moments, worth, trainings) for one in expected]
        oracle = _first(true.mean(axis=0) < worth, moments, trainings)
        results.append(
            Stops(
                truth.table.name,
                sampler,
                worth,
                len(seeds),
                trainings,
                every,
                first,
                second,
                oracle,
                tuple(sorted(stops)),
                float(np.median(np.array(stops) / oracle)),
                float(np.mean([f[-1] - f[n - 1] for f, n in zip(front, stops, strict=True)])),
            )
        )
    return results


def _stop(expected: NDArray[np.float64], moments: NDArray[np.int_], worth: float, trainings: int) -> int:
    """The first moment at which the forecast is, and was lately, below the worth: as a search itself decides."""
    back = max(LOOKED_AT) // EACH
    low = np.array([i >= back and (expected[i - back : i + 1] < worth).all() for i in range(len(expected))])
    return _first(low, moments, trainings)


def _first(low: NDArray[np.bool_], moments: NDArray[np.int_], trainings: int) -> int:
    return int(moments[int(np.argmax(low))]) if low.any() else trainings


def main(argv: Sequence[str] | None = None) -> None:
    """Prints a line, or with ``--json`` an object, for each table and worth."""
    p = argparse.ArgumentParser(prog="python -m mgic_nas.experiments.stopping", description=__doc__)
    p.add_argument("tables", nargs="+", metavar="TABLE")
    p.add_argument("--sampler", default="cost", metavar="S")
    p.add_argument("--seeds", type=int, default=20, metavar="K")
    p.add_argument("--trainings", type=int, default=80, metavar="N", help="of each search")
    p.add_argument("--worth", type=float, action="append", metavar="P", help="points (default: 0.05, 0.1 and 0.2)")
    p.add_argument("--json", action="store_true")
    args = p.parse_args(argv)
    for path in args.tables:
        truth = Truth(open_table(path))
        for one in measure(truth, args.sampler, range(args.seeds), args.trainings, args.worth or (0.05, 0.1, 0.2)):
            print(json.dumps(asdict(one)) if args.json else _line(one), flush=True)


def _line(one: Stops) -> str:
    low, middle, high = np.percentile(one.stopped, [25, 50, 75])
    return (
        f"{one.table:<28} {one.sampler:<7} worth {one.worth:<5g} stops after {middle:.0f} trainings ({low:.0f} to "
        f"{high:.0f}), the oracle after {one.oracle}: ratio {one.ratio:.2f}; {one.left:.2f} points came after it until "
        f"{one.trainings}; realised / predicted {one.realised:.2f} (early {one.first_half:.2f}, late "
        f"{one.second_half:.2f})"
    )


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")

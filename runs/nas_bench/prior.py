"""What a prior on values is worth, on a table: python prior.py TABLE [SEEDS] [TRAININGS]

Each parameter's best value, and its worst, by the mean over the table of what log MACs do not explain,
is given the weight 4. Trainings to 95 % of the front, and their paired difference to the same seeds without a prior.
"""

import math
import statistics
import sys

import numpy as np

from mgic_nas.tabular.replay import Truth, replay
from mgic_nas.tabular.tables import open_table

WEIGHT = 4.0
FIRST_SEED = 3_000


def priors(truth):
    """name -> prior."""
    architectures = truth.table.architectures
    accs = np.nanmean(truth.final, axis=1)
    logs = np.log([one.cost["macs"] for one in architectures])
    known = np.isfinite(accs)
    slope, offset = np.polyfit(logs[known], accs[known], 1)
    rest = accs - slope * logs - offset
    means = {
        name: {v: np.nanmean([r for r, one in zip(rest, architectures) if one.setting[name] == v]) for v in values}
        for name, values in truth.table.space.params.items()
    }
    return {
        "without": None,
        "right": {name: {max(of, key=of.get): WEIGHT} for name, of in means.items()},
        "wrong": {name: {min(of, key=of.get): WEIGHT} for name, of in means.items()},
    }


def main():
    truth = Truth(open_table(sys.argv[1]))
    seeds = int(sys.argv[2]) if len(sys.argv) > 2 else 12
    most = int(sys.argv[3]) if len(sys.argv) > 3 else 150
    found = {}
    for name, prior in priors(truth).items():
        for seed in range(FIRST_SEED, FIRST_SEED + seeds):
            trace = replay(truth, "cost", seed, trials=most, enough=0.95, prior=prior)
            hits = np.flatnonzero(truth.shares(trace.rows) >= 0.95)
            found.setdefault(name, []).append(int(hits[0]) + 1 if len(hits) else most)
        pairs = [a - b for a, b in zip(found[name], found["without"], strict=True)]
        error = statistics.stdev(pairs) / math.sqrt(len(pairs))
        print(
            f"{name}: median {statistics.median(found[name])}; {statistics.fmean(pairs):+.1f} ± {error:.1f}", flush=True
        )


if __name__ == "__main__":
    main()

"""Searches that start from an earlier one, on tables: python transfer.py OLD NEW [SEEDS] [TRAININGS]

For each seed a search of 100 trainings in OLD, whose settings NEW has too; then searches in NEW to 95 % of its front:
without it, from it, and from what misleads: its accuracies shuffled, and the values of each parameter mixed up, which
is wrong and has a structure.
"""

import math
import random
import statistics
import sys

import numpy as np

from mgic_nas.engine.storage.starting import Earlier
from mgic_nas.tabular.replay import Truth, replay
from mgic_nas.tabular.tables import open_table

OF_OLD = 100  # trainings
OTHER_SEEDS = 1_000  # of the searches in NEW: other draws than those in OLD


def misled(settings, accs, seed):
    """name -> what the search in NEW starts from."""
    rng = random.Random(seed)
    shuffled = rng.sample(accs, len(accs))
    values = {name: sorted({s[name] for s in settings}, key=str) for name in settings[0]}
    mixed = {name: dict(zip(found, rng.sample(found, len(found)), strict=True)) for name, found in values.items()}
    renamed = tuple({name: mixed[name][value] for name, value in s.items()} for s in settings)
    return {
        "without": None,
        "from OLD": Earlier(settings, accs),
        "from OLD, accuracies shuffled": Earlier(settings, tuple(shuffled)),
        "from OLD, values mixed up": Earlier(renamed, accs),
    }


def main():
    old, new = (Truth(open_table(path)) for path in sys.argv[1:3])
    seeds = int(sys.argv[3]) if len(sys.argv) > 3 else 24
    most = int(sys.argv[4]) if len(sys.argv) > 4 else 120
    found = {}
    for seed in range(seeds):
        first = replay(old, "cost", seed, trials=OF_OLD, enough=2)
        settings = tuple(old.table.architectures[row].setting for row in first.rows)
        for name, earlier in misled(settings, tuple(first.observed.tolist()), seed).items():
            trace = replay(new, "cost", OTHER_SEEDS + seed, trials=most, enough=0.951, earlier=earlier)
            for share in (0.9, 0.95):
                hits = np.flatnonzero(new.shares(trace.rows) >= share)
                found.setdefault((name, share), []).append(int(hits[0]) + 1 if len(hits) else math.inf)
        print(seed, {f"{name} {share:.0%}": values[-1] for (name, share), values in found.items()}, flush=True)
    for (name, share), values in found.items():
        low, middle, high = np.percentile(np.minimum(values, most + 1), [25, 50, 75])
        pairs = [min(a, most) - min(b, most) for a, b in zip(values, found["without", share], strict=True)]
        error = statistics.stdev(pairs) / math.sqrt(len(pairs))
        print(
            f"{share:.0%}, {name}: median {middle:g} trainings ({low:g}-{high:g}), never within {most}: "
            f"{sum(map(math.isinf, values))}; more than without, paired: {statistics.fmean(pairs):+.1f} ± {error:.1f}"
        )


main()

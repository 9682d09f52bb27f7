"""Syne Tune's MO-ASHA (syne-tune 0.16) on a recorded table, as a further reference: python moasha.py TABLE [SEEDS]

One worker. It gets what mgic-nas's baselines get: only feasible architectures, none twice. What is counted is the same
too: hypervolume of the true accuracies of what was trained to the end, against all epochs trained.
"""

import csv
import math
import random
import statistics
import sys
from datetime import datetime
from pathlib import Path

import numpy as np
from syne_tune.backend.trial_status import Trial
from syne_tune.config_space import choice
from syne_tune.optimizer.scheduler import SchedulerDecision
from syne_tune.optimizer.schedulers.multiobjective.moasha import MOASHA


def read(folder):
    macs = {row["arch_id"]: float(row["macs"]) for row in csv.DictReader(open(folder / "architectures.csv"))}
    curves = {}
    for row in csv.DictReader(open(folder / "curves.csv")):
        curves.setdefault(row["arch_id"], {}).setdefault(int(row["seed"]), []).append(float(row["val_acc"]))
    return macs, curves


def hypervolume(points, reference):
    """Of (accuracy, MACs) above the reference accuracy and below the reference MACs, in percent times decades."""
    total, best = 0.0, reference[0]
    front = []
    for acc, macs in sorted(points, key=lambda p: (p[1], -p[0])):
        if acc > best and macs < reference[1]:
            front.append((acc, macs))
            best = acc
    height = reference[0]
    for acc, macs in front:
        total += (acc - height) * math.log10(reference[1] / macs)
        height = acc
    return total


def search(macs, curves, truth, reference, epochs, seed):
    """[(epochs trained, share of the true hypervolume)] after each training that came to its end."""
    np.random.seed(seed)
    random.seed(seed)
    everything = sorted(macs)
    scheduler = MOASHA(
        {"arch_id": choice(everything)}, ["error", "macs"], time_attr="epoch", max_t=epochs, grace_period=1,
        reduction_factor=2, random_seed=seed,
    )  # fmt: skip
    whole = hypervolume([(truth[a], macs[a]) for a in everything], reference)
    tried, found, history, spent = set(), [], [], 0
    while len(tried) < len(everything):
        config = scheduler.suggest().config
        if config["arch_id"] in tried:
            continue
        arch_id = config["arch_id"]
        trial = Trial(len(tried), config, datetime.now())
        tried.add(arch_id)
        scheduler.on_trial_add(trial)
        drawn = random.Random(f"{seed}/{arch_id}").choice(sorted(curves[arch_id]))
        for epoch, acc in enumerate(curves[arch_id][drawn], start=1):
            spent += 1
            result = {"epoch": epoch, "error": 100 - acc, "macs": math.log10(macs[arch_id])}
            if scheduler.on_trial_result(trial, result) == SchedulerDecision.STOP and epoch < epochs:
                break
        else:
            found.append((truth[arch_id], macs[arch_id]))
            history.append((spent, hypervolume(found, reference) / whole))
    return history


def main():
    macs, curves = read(Path(sys.argv[1]))
    seeds = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    epochs = len(next(iter(next(iter(curves.values())).values())))
    truth = {a: statistics.fmean(c[-1] for c in curves[a].values()) for a in macs}
    reference = float(np.percentile(list(truth.values()), 10)), max(macs.values()) * 1.001
    histories = [search(macs, curves, truth, reference, epochs, seed) for seed in range(seeds)]
    for share in (0.9, 0.95, 0.99):
        reached = [next((spent for spent, part in h if part >= share), math.inf) for h in histories]
        print(f"{share:.0%} of the front: median {statistics.median(reached):.0f} epochs, {sorted(reached)}")
    print("at the end: share", statistics.median(h[-1][1] for h in histories), "epochs", histories[0][-1][0])


main()

"""BoTorch's qLogNEHVI (botorch 0.18) with known costs on a table, as a further reference:

    python qlognehvi.py TABLE [SEEDS] [TRAININGS]

Needs mgic_nas and botorch. It gets what mgic-nas's own sampler gets: the same features of feasible architectures, none
twice, and MACs that are known; a SingleTaskGP models the accuracy alone. Whole trainings, one after the other. What is
counted is `mgic-nas replay`'s: hypervolume of the true accuracies of what was trained, recorded and denoised.
"""

import statistics
import sys
import time
import warnings

import numpy as np
import torch
from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
from botorch.acquisition.multi_objective.objective import GenericMCMultiOutputObjective
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.models.transforms.input import FilterFeatures
from botorch.models.transforms.outcome import Standardize
from botorch.sampling import SobolQMCNormalSampler
from gpytorch.mlls import ExactMarginalLogLikelihood

from mgic_nas.engine.proposals.candidate import SearchProblem
from mgic_nas.engine.proposals.pool import CandidatePool
from mgic_nas.space import parse_budgets
from mgic_nas.tabular.replay import Truth, drawn
from mgic_nas.tabular.tables import open_table

STARTUP = 8  # random trainings before the model is used
CANDIDATES = 2_048  # random untried ones among which the best is sought, as mgic-nas does
CHUNK = 256
SAMPLES = 64
SHARES = (0.9, 0.95, 0.99)
#: Of the modelled accuracy the samples; of MACs what they are.
KNOWN_COST = GenericMCMultiOutputObjective(
    lambda samples, X: torch.stack([samples[..., 0], (-X[..., -1]).expand_as(samples[..., 0])], -1)
)


def search(truth, features, seed, trainings):
    """The rows trained, in their order."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    picks = drawn(truth, seed)
    logs = np.log10(truth.macs)
    x = torch.tensor(np.column_stack([features, logs]))  # the last column is the cost that is known
    rows = list(rng.choice(len(logs), STARTUP, replace=False))
    while len(rows) < min(trainings, len(logs)):
        y = torch.tensor(truth.final[rows, picks[rows]])[:, None]
        accuracy = SingleTaskGP(
            x[rows], y, outcome_transform=Standardize(1), input_transform=FilterFeatures(torch.arange(x.shape[1] - 1))
        )
        fit_gpytorch_mll(ExactMarginalLogLikelihood(accuracy.likelihood, accuracy))
        worst = float(np.percentile(y.numpy(), 10))
        acquisition = qLogNoisyExpectedHypervolumeImprovement(
            model=accuracy,
            objective=KNOWN_COST,
            ref_point=torch.tensor([worst, -np.log10(truth.reference[1])]),
            X_baseline=x[rows],
            sampler=SobolQMCNormalSampler(torch.Size([SAMPLES]), seed=seed),
            prune_baseline=True,
        )
        left = np.setdiff1d(np.arange(len(logs)), rows)
        left = rng.choice(left, min(CANDIDATES, len(left)), replace=False)
        with torch.no_grad():
            gains = torch.cat([acquisition(x[part][:, None]) for part in np.array_split(left, -(-len(left) // CHUNK))])
        rows.append(int(left[int(gains.argmax())]))
    return rows


def main():
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.double)
    warnings.filterwarnings("ignore")
    table = open_table(sys.argv[1])
    seeds = int(sys.argv[2]) if len(sys.argv) > 2 else 8
    trainings = int(sys.argv[3]) if len(sys.argv) > 3 else 100
    truth = Truth(table)
    config = table.config
    everything = parse_budgets([f"{truth.reference[1]:.0f}"])
    pool = CandidatePool(SearchProblem(table.space, config.input_size, config.num_classes, everything))
    features = np.array([pool.describe(a.setting)[1] for a in table.architectures])
    judges = {name: judge for name, judge in (("recorded", truth), ("denoised", truth.denoised)) if judge}
    reached = {}
    for seed in range(seeds):
        began = time.process_time()
        rows = search(truth, features, seed, trainings)
        for name, judge in judges.items():
            for share in SHARES:
                hits = np.flatnonzero(judge.shares(rows) >= share)
                reached.setdefault((name, share), []).append(int(hits[0]) + 1 if len(hits) else float("inf"))
        here = ", ".join(f"{name} {share:.0%} {values[-1]}" for (name, share), values in reached.items())
        print(f"seed {seed}: {here}; {time.process_time() - began:.0f} CPU seconds", flush=True)
    for (name, share), values in reached.items():
        print(f"{name}, {share:.0%}: median {statistics.median(values)} trainings, {sorted(values)}")


main()

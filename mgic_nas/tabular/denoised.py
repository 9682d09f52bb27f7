"""A better estimate of a table's true accuracies than the mean over its few trainings.

The best of many means is the luckiest too, so a front of means is higher than any network is. Here every mean is
shrunken towards what the other architectures say of it: ridge regression on the main effects and pairwise interactions
of the parameters and on log MACs, each architecture predicted from all others. How far is estimated from the table, by
the variance of trainings and that of the architectures around their prediction, in bins of predictions. Shrinking
towards the overall mean would keep the order, and with it all the luck of the front.

A linear model and no Gaussian process: a yardstick with the model of the sampler that it judges would favour it. And
on runs/table_fashion, with one of three trainings left out in turn, the posterior of the sampler's process is too
smooth: its front claims 5.01 and is worth 5.18 on the training left out, this one's claims 5.23 and is worth 5.27 (the
mean's claims 5.66 and is worth 4.99). :mod:`.honest` measures the same on any table.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np

from .tables import AnyTable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

PENALTIES = 10.0 ** np.arange(-7, 1)  # of the ridge regression, of which the best leaving one out is taken
MOST_COLUMNS = 1_000  # of it: interactions, then main effects, are left out where there are more
BIN = 50  # architectures that one estimate of the variances needs; at most BINS of them
BINS = 10


def denoised(final: Array, columns: Array) -> Array:
    """Shrunken estimates (A,) of true accuracies, percent.

    Args:
        final: (A, S), the accuracy at the end of each training; NaN where there is none. Every row has one, some two.
        columns: (A, d) of :func:`design`.
    """
    counts = np.sum(~np.isnan(final), axis=1)
    means = np.nanmean(final, axis=1)
    within = np.nansum((final - means[:, None]) ** 2, axis=1)
    expected = by_the_others(columns, means)
    bins = max(1, min(BINS, len(means) // BIN))
    place = np.argsort(np.argsort(expected)) * bins // len(means)
    found = np.empty_like(means)
    for one in range(bins):
        here = place == one
        spare = float((counts[here] - 1).sum())
        noise = float(within[here].sum()) / spare if spare else math.inf  # variance of one training
        luck = noise / counts[here]
        own = max(float(np.mean((means[here] - expected[here]) ** 2 - luck)), 0.0) if spare else 0.0
        trust = own / (own + luck) if own else np.zeros(int(here.sum()))
        found[here] = expected[here] + trust * (means[here] - expected[here])
    return found


def design(table: AnyTable) -> Array:
    """(A, d): a column for each value of each parameter and each pair of values of two, and two for log MACs.

    Each group of columns is centred and scaled to a mean square of 1.
    """
    settings = [a.setting for a in table.architectures]
    codes = [np.unique([str(s[name]) for s in settings], return_inverse=True)[1] for name in table.space.params]
    groups: list[Array] = []
    width = 0
    for size in (1, 2):
        keys = [_joined(several) for several in itertools.combinations(codes, size)]
        keys = [key for key in keys if key.max()]
        width += sum(int(key.max()) + 1 for key in keys)
        if width > min(MOST_COLUMNS, len(settings) * 2):
            break
        groups += [np.eye(int(key.max()) + 1)[key] for key in keys]
    logs = np.log(table.cost("macs"))
    groups += [logs[:, None], ((logs - logs.mean()) ** 2)[:, None]]
    centred = [group - group.mean(0) for group in groups]
    return np.concatenate([g / math.sqrt(max(float((g**2).sum()) / len(g), 1e-12)) for g in centred], axis=1)


def _joined(codes: tuple[NDArray[np.int_], ...]) -> NDArray[np.int_]:
    """One code for each combination that occurs."""
    key = codes[0]
    for code in codes[1:]:
        key = key * (int(code.max()) + 1) + code
    return np.unique(key, return_inverse=True)[1]


def by_the_others(columns: Array, values: Array) -> Array:
    """Ridge regression: each of the values (A,) predicted from all others."""
    n = len(values)
    centre = values.mean()
    eigenvalues, vectors = np.linalg.eigh(columns.T @ columns / n)
    eigenvalues = np.maximum(eigenvalues, 0)
    turned = columns @ vectors
    target = turned.T @ (values - centre) / n
    best, found = math.inf, values
    for penalty in PENALTIES:
        shrink = 1 / (eigenvalues + penalty)
        fitted = turned @ (shrink * target)
        leverage = (turned**2 @ shrink + 1) / n
        residuals = (values - centre - fitted) / np.maximum(1 - leverage, 1e-9)
        if (error := float(np.mean(residuals**2))) < best:
            best, found = error, values - residuals
    return found

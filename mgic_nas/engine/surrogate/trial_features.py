"""Features of the trials of a run, from what trials.csv says of them: neither the space nor a model is built."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...space.budget import COUNTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..storage.trial import Trial


class Features(NamedTuple):
    """Of n trials.

    Attributes:
        table: float64 (n, d), each column within -1 .. 1.
        groups: the columns of each cost and of each parameter, as :class:`.gaussian_process.TrainingData` has them.
    """

    table: NDArray[np.float64]
    groups: list[list[int]]


def features_of(trials: Sequence[Trial]) -> Features:
    """Logarithms of the costs, numbers by their order, other values one by one.

    Columns that do not vary are left out, and so are costs that are not known of all.
    """
    of: list[list[list[float]]] = [
        [[math.log(max(t.cost(kind), 1.0)) for t in trials]] for kind in COUNTS if all(t.cost(kind) > 0 for t in trials)
    ]
    for name, values in tried_values(trials).items():
        keys = [value_key(v) for v in values]
        at = [keys.index(value_key(t.setting[name])) if name in t.setting else -1 for t in trials]
        if all(kind == "number" for kind, _ in keys):
            of.append([[float(i) for i in at]])
        else:
            of.append([[float(i == j) for i in at] for j in range(len(keys))])
    varied = [[column for column in columns if min(column) < max(column)] for columns in of]
    ends = list(itertools.accumulate(map(len, varied)))
    table = np.array([column for columns in varied for column in columns]).reshape(-1, len(trials)).T
    low, high = table.min(0), table.max(0)
    groups = [list(range(end - len(columns), end)) for end, columns in zip(ends, varied) if columns]
    return Features(np.asarray(2 * (table - low) / (high - low) - 1, dtype=np.float64), groups)


def tried_values(trials: Sequence[Trial]) -> dict[str, tuple[Any, ...]]:
    """Parameter -> its values among the trials, in their order; parameters as the trials name them."""
    names = dict.fromkeys(name for trial in trials for name in trial.setting)
    tried = {name: {value_key(t.setting[name]): t.setting[name] for t in trials if name in t.setting} for name in names}
    return {name: tuple(sorted(values.values(), key=value_key)) for name, values in tried.items()}


def value_key(value: Any) -> tuple[str, Any]:
    """Equal for equal values (1 and 1.0, but not True), and sortable whatever a parameter's values are."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "number", float(value)
    return type(value).__name__, str(value)

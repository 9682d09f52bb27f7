"""Features of the trials of a run, from what trials.csv says of them: neither the space nor a model is built."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...space.budget import COUNTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..storage.trial import Trial


def features_of(trials: Sequence[Trial]) -> NDArray[np.float64]:
    """(n, d), each column within -1 .. 1: logarithms of the costs, numbers by their order, other values one by one.

    Columns that do not vary are left out, and so are costs that are not known of all.
    """
    columns: list[list[float]] = [
        [math.log(max(t.cost(kind), 1.0)) for t in trials] for kind in COUNTS if all(t.cost(kind) > 0 for t in trials)
    ]
    for name, values in tried_values(trials).items():
        keys = [value_key(v) for v in values]
        at = [keys.index(value_key(t.setting[name])) if name in t.setting else -1 for t in trials]
        if all(kind == "number" for kind, _ in keys):
            columns.append([float(i) for i in at])
        else:
            columns += [[float(i == j) for i in at] for j in range(len(keys))]
    table = np.array(columns).reshape(len(columns), len(trials)).T
    low, high = table.min(0), table.max(0)
    varied = high > low
    return np.asarray(2 * (table[:, varied] - low[varied]) / (high[varied] - low[varied]) - 1, dtype=np.float64)


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

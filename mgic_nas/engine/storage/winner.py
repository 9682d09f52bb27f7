"""The winner rule of :mod:`mgic_nas.pareto`, on trials."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ...pareto import best_within
from ...space.budget import KINDS, Budget
from .trial import COMPLETE, Trial


def winner(
    trials: Iterable[Trial], budgets: Sequence[Budget] = (), expected: Mapping[int, float] | None = None
) -> Trial | None:
    """The most accurate complete trial within all budgets; None where there is none.

    Of equally accurate ones the cheaper: in the cost that is limited, without a limit in MACs, with several limits in
    the first kind that differs; then the one with the smallest number.

    Args:
        trials: of a run, in any state.
        budgets: upper limits.
        expected: number -> the accuracy in percent by which a trial is judged, in place of the measured one.
    """
    complete = sorted((t for t in trials if t.state == COMPLETE and t.val_acc is not None), key=lambda t: t.number)
    limits = {budget.kind: budget.limit for budget in budgets}
    further = {kind for trial in complete for kind in trial.latencies} | limits.keys()
    kinds = (*KINDS, *sorted(further - {*KINDS})) if len(limits) > 1 else tuple(limits) or ("macs",)
    costs = np.array([[trial.cost(kind) for kind in kinds] for trial in complete], dtype=float)
    # A latency that was not measured is within no limit, and the last in a tie.
    costs = np.nan_to_num(costs, nan=math.inf, posinf=math.inf).reshape(-1, len(kinds))
    at = best_within(
        [_judged(trial, expected) for trial in complete], costs, [limits.get(kind, math.inf) for kind in kinds]
    )
    return None if at is None else complete[at]


def _judged(trial: Trial, expected: Mapping[int, float] | None) -> float:
    measured = trial.val_acc or 0.0
    return measured if expected is None else expected.get(trial.number, measured)

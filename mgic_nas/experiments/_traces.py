"""Simulated searches as a run would have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..engine.storage.trial import COMPLETE, Trial
from ..errors import UserError

if TYPE_CHECKING:
    from ..tabular.replay import Trace, Truth

EVERYTHING = 2.0  # a share of the front that no search reaches
# Validation inputs of tables that do not say it: of NAS-Bench-201 as its paper splits them, of NAS-Bench-Macro the test
# part of CIFAR-10.
ITEMS = {
    "nas_bench_201_cifar10": 25_000,
    "nas_bench_201_cifar100": 5_000,
    "nas_bench_201_imagenet16": 3_000,
    "nas_bench_macro_cifar10": 10_000,
}


def items_of(truth: Truth) -> int:
    """On how many inputs each accuracy of a table was measured; UserError where that is not known."""
    table = truth.table
    found = (table.config.data.get("sizes") or {}).get("val") or ITEMS.get(table.name.partition(".")[0])
    if not found:
        raise UserError(f"{table.name} does not say on how many inputs its accuracies were measured (data.sizes.val).")
    return int(found)


def trials_of(truth: Truth, trace: Trace, trainings: int) -> list[Trial]:
    """What a run with these trainings has in its study."""
    table, found = truth.table, []
    for number, (row, acc) in enumerate(zip(trace.rows[:trainings], trace.observed[:trainings], strict=True)):
        one = table.architectures[row]
        trial = Trial(number, one.arch_id, one.setting, one.setting, **one.cost)
        found.append(trial.with_result({"attempt": 1, "val_acc": float(acc)}, COMPLETE))
    return found

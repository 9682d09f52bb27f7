"""front.csv and budgets.csv: the same numbers for a program. trials.csv is the engine's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import _text as words
from .._files import csv_text
from ..engine.storage.record import columns
from ..engine.storage.trial import latency_column
from ..space.budget import latency_kinds
from .data import Summary
from .expected import without_weights
from .story import no_winner
from .winners import create_model, local_dir

BUDGET_COLUMNS = (
    "budget",
    "kind",
    "limit",
    "number",
    "arch_id",
    "val_acc",
    "metric",
    "val_acc_standard_error",
    "input_size",
    "macs",
    "macs_without_transfers",
    "params",
    "activations",
    "create_model",
    "local_dir",
    "note",
    "expected_acc",
    "sd",
    "p_best",
    "chosen_by",
)


def front_csv(summary: Summary) -> str:
    """The Pareto-optimal rows of trials.csv, cheapest first, with its columns."""
    rows = {row["number"]: row for row in summary.record.rows}
    return csv_text(columns(list(rows.values())) if rows else ["number"], [rows[t.number] for t in summary.front])


def budgets_csv(summary: Summary, problems: Mapping[str, str]) -> str:
    """One row a budget: its winner and the lines that make it; where people quote it, its MSE too.

    Args:
        summary: the run.
        problems: budget label -> why its winner has no weights; ``note`` then says so and ``local_dir`` is empty.
    """
    rows = []
    loss = summary.metric.loss.lower()
    for winner in summary.winners:
        budget, trial = winner.budget, winner.trial
        row: dict[str, Any] = {"budget": budget.label, "kind": budget.kind, "limit": _whole(budget.limit)}
        row["input_size"] = words.size_text(summary.config.input_size)
        if trial is None:
            row["note"] = _plain(no_winner(summary, budget))
        else:
            error = summary.error(trial.val_acc)
            problem = problems.get(budget.label)
            row |= {
                "number": trial.number,
                "arch_id": trial.arch_id,
                "val_acc": trial.val_acc,
                "metric": summary.metric.name,
                "val_acc_standard_error": None if error is None else round(error, 4),
                "create_model": create_model(summary, trial),
                "local_dir": "" if problem else local_dir(summary, winner),
                "note": f"no weights: {problem}" if problem else _plain(without_weights(summary, winner)),
                "chosen_by": summary.choice.by,
            }
            if winner.expected is not None:
                row |= {"expected_acc": round(winner.expected.acc, 4), "sd": round(winner.expected.sd, 4)}
                row["p_best"] = None if winner.p_best is None else round(winner.p_best, 4)
            if loss:
                row[loss] = trial.val_loss
            for kind in ("macs", "macs_without_transfers", "params", "activations"):
                row[kind] = getattr(trial, kind)
            row |= {latency_column(kind): trial.milliseconds(kind) for kind in trial.latencies}
        rows.append(row)
    names = list(BUDGET_COLUMNS)
    at = names.index("activations") + 1
    names[at:at] = map(latency_column, latency_kinds(summary.budgets))
    if loss:
        names.insert(names.index("metric") + 1, loss)
    return csv_text(names, rows)


def _plain(text: str) -> str:
    return text.replace(words.THIN, " ")


def _whole(value: float) -> float | int:
    return int(value) if value.is_integer() else value

"""The result of a search: a :class:`Run` answers questions, and its winners are networks."""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from . import engine
from ._files import read_json
from ._text import size_text
from .cost.runtimes.kinds import csv_stem, is_latency
from .engine.storage.trial import COMPLETE, Trial
from .errors import UserError
from .networks import WEIGHTS
from .space import parse_budget
from .space.budget import latency_kinds, refuse_unnamed
from .tasks import cautions, metric_of
from .winners import Winner

if TYPE_CHECKING:
    import pandas as pd

    from .engine.storage.config import RunConfig
    from .engine.storage.record import Record
    from .space import Budget

__all__ = ["Run", "Winner"]


class Run:
    """A run on disk. Every answer is read anew, so it may be asked while a search is at work.

    Attributes:
        folder: of the run.
        config: how it was made: run.yaml.
    """

    def __init__(self, folder: Path, config: RunConfig) -> None:
        self.folder = folder
        self.config = config

    def trials(self) -> pd.DataFrame:
        """One row for each architecture whose training started, with the columns of trials.csv."""
        import pandas as pd  # of the extra "search", which a winner does without

        record = self._record()
        return pd.DataFrame(record.rows, columns=record.columns)

    def front(self) -> pd.DataFrame:
        """The Pareto-optimal rows of :meth:`trials`, cheapest first."""
        table = self.trials()
        return table[table["on_front"].astype(bool)].sort_values("macs").reset_index(drop=True)

    def best(
        self,
        macs: str | float | None = None,
        params: str | float | None = None,
        activations: str | float | None = None,
        latency: str | float | None = None,
        limits: Mapping[str, str | float] | None = None,
    ) -> Winner:
        """The most accurate network within all given limits; with none given the most accurate of all.

        The weights of all of these are kept, whatever the limits. Only a kind of budget that the run was given later
        may ask for a network whose weights are gone; ``keep="all"`` keeps every one's.

        Args:
            macs: multiply-accumulates of one image: ``1e6`` or ``"1M"``.
            params: trainable numbers.
            activations: outputs of all conv and linear layers.
            latency: ``"5ms"``, or seconds; measured in runs that have a budget on it.
            limits: by kind, for those whose names are no Python names: ``{"latency-onnxruntime-b8": "5ms"}``, of a
                whole batch.

        Raises:
            UserError: no network that was trained to the end is within them.
        """
        given = {"macs": macs, "params": params, "activations": activations, "latency": latency}
        if not isinstance(limits, Mapping | None):
            raise UserError(f"limits must be a mapping such as {{'latency-openvino': '5ms'}}, not {limits!r}.")
        for kind, value in (limits or {}).items():
            if given.get(kind) is not None:
                raise UserError(f"{kind} is limited twice: keep one.")
            given[kind] = value
        budgets = [_limit(kind, value) for kind, value in given.items() if value is not None]
        own = (csv_stem(kind) for kind in latency_kinds(self.config.parsed_budgets()))
        refuse_unnamed((budget.kind for budget in budgets), filter(None, own))
        record = self._record()
        found = self._winner(record, budgets)
        if found is None:
            wanted = ", ".join(b.label for b in budgets) or "any budget"
            least = self._least(record.entries, budgets)
            raise UserError(f"{self.folder}: no trained network is within {wanted}; {least}")
        return found

    def within(self, budget: str | float | None = None) -> Winner:
        """The winner within one budget, written as on the command line; None: the most accurate of all.

        Raises:
            UserError: no network that was trained to the end is within it.
        """
        if budget is None:
            return self.best()
        wanted = parse_budget(budget)
        return self.best(limits={wanted.kind: wanted.text or wanted.label})

    def winners(self) -> dict[str, Winner | None]:
        """Budget label -> its winner; None where nothing that was trained fits."""
        return self._winners(self._record())

    def _winner(self, record: Record, limits: Sequence[Budget]) -> Winner | None:
        trial = engine.winner(record.entries, limits)
        if trial is None:
            return None
        row = next(row for row in record.rows if row["number"] == trial.number)
        weights = record.weights.get(trial.number) or self._exported_weights(trial.arch_id)
        return Winner(trial, row, self.config, self.folder, weights)

    def _exported_weights(self, arch_id: str) -> Path | None:
        """Of a run whose ``trials/`` was cleared: those in a folder of ``winners/``."""
        for origin in sorted(self.folder.glob("winners/*/origin.json")):
            with contextlib.suppress(OSError, ValueError):
                found, weights = read_json(origin), origin.with_name(WEIGHTS)
                if isinstance(found, dict) and found.get("arch_id") == arch_id and weights.is_file():
                    return weights
        return None

    def _winners(self, record: Record) -> dict[str, Winner | None]:
        return {budget.label: self._winner(record, [budget]) for budget in self.config.parsed_budgets()}

    def _least(self, trials: Sequence[Trial], limits: Sequence[Budget]) -> str:
        """The smallest that was trained: why nothing is within some limits."""
        kind = limits[0].kind if limits else "macs"
        complete = [trial for trial in trials if trial.state == COMPLETE]
        if not complete:
            return "none was trained to its end yet."
        least = min((t.cost(kind) for t in complete if not math.isnan(t.cost(kind))), default=math.inf)
        if is_latency(kind):
            return f"the fastest takes {least * 1e3:.4g} ms." if least < math.inf else "none was measured in this run."
        unit = "MACs" if kind == "macs" else kind
        return f"the smallest has {least:,} {unit} at {size_text(self.config.input_size)}."

    def warnings(self) -> list[str]:
        """One line for everything that limits the worth of the result: a winner that may be chance, too few images."""
        metric = metric_of(self.config.data["spec"])
        scores = {label: w.trial.val_acc for label, w in self.winners().items() if w is not None}
        return cautions.of_winners(metric, self.config.data, self.config.num_classes, scores) + cautions.of_data(
            metric, self.config.data
        )

    def to_dict(self) -> dict[str, object]:
        """Its state and its winners: plain data for JSON."""
        record = self._record()
        states = Counter(trial.state for trial in record.entries)
        return {
            "folder": str(self.folder),
            "report": str(self.folder / "report.html"),
            "input_size": list(self.config.input_size),
            "metric": metric_of(self.config.data["spec"]).name,
            "trials": {"asked": self.config.trials, "started": states.total(), **states},
            "rejected": record.rejected,
            "ended": record.ended,
            "front": [row["number"] for row in record.rows if row["on_front"]],
            "winners": {label: w and w.to_dict() for label, w in self._winners(record).items()},
        }

    def __str__(self) -> str:
        record = self._record()
        states = Counter(trial.state for trial in record.entries)
        told = ", ".join(f"{count} {state}" for state, count in states.items()) or "none started"
        lines = [f"{self.folder}: {states.total()} of {self.config.trials} trials ({told})"]
        if record.ended:
            lines.append(f"  {record.ended}")
        size = size_text(self.config.input_size)
        metric = metric_of(self.config.data["spec"])
        for label, winner in self._winners(record).items():
            if winner is None:
                lines.append(f"  within {label}: nothing yet")
                continue
            trial = winner.trial
            latency = "".join(f", {kind} {s * 1e3:.4g} ms" for kind, s in trial.latencies.items())
            lines.append(
                f"  within {label}: {metric.text(trial.val_acc or 0.0)}, {trial.macs:,} MACs at {size}, "
                f"{trial.params:,} params{latency}"
            )
            lines.append(f"    {winner.line}")
        lines += [f"  {kind}: {how}" for kind, how in record.timed.items() if how]
        if (self.folder / "report.html").exists():
            lines.append(f"  report: {self.folder / 'report.html'}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"

    def _record(self) -> Record:
        return engine.read_record(self.folder)

    def refuse_nothing_trained(self) -> None:
        """UserError where nothing was there to be trained."""
        record = self._record()
        if not record.entries and record.ended:
            raise UserError(f"{self.folder}: nothing was trained: {record.ended}.")

    def refuse_no_result(self) -> None:
        """RuntimeError, with the first trial's error, where nothing could be trained to its end.

        UserError where nothing was there to be trained: every candidate is slower than the budget on latency.
        """
        self.refuse_nothing_trained()
        trials = self._record().entries
        if any(trial.state == COMPLETE for trial in trials):
            return
        errors = [trial.error for trial in trials if trial.error]
        reason = f"; the first one: {errors[0]}" if errors else ""
        raise RuntimeError(f"{self.folder}: none of {len(trials)} trials could be trained to its end{reason}")


def _limit(kind: str, value: str | float) -> Budget:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UserError(f"{kind} must be a number or a text such as '1M', not {value!r}.")
    if not isinstance(kind, str):
        raise UserError(f"a limit is named by its kind, such as 'macs', not by {kind!r}.")
    unit = "s" if is_latency(kind) else ""
    return parse_budget(f"{kind}={value if isinstance(value, str) else repr(float(value)) + unit}")

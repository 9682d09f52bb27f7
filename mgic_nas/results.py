"""What came of a search: a :class:`Run` answers questions, a :class:`Winner` gives a network."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import UserError
from .networks import load_weights

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

    from .engine.storage.config import RunConfig
    from .engine.storage.record import Record, Row
    from .space import Budget, SearchSpace


_KINDS = ("macs", "params", "activations", "latency")  # the order in which engine/weights.py compares them


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
        return _table(self._record().rows)

    def front(self) -> pd.DataFrame:
        """The Pareto-optimal rows of :meth:`trials`, cheapest first."""
        rows = self._record().rows
        table = _table(rows)
        return table[table["on_front"].astype(bool)].sort_values("macs").reset_index(drop=True)

    def best(
        self,
        macs: str | float | None = None,
        params: str | float | None = None,
        activations: str | float | None = None,
        latency: str | float | None = None,
    ) -> Winner:
        """The most accurate network within all given limits; with none given the most accurate of all.

        The weights of all of these are kept, whatever the limits. Only a kind of budget that the run was given later
        may ask for a network whose weights are gone; ``keep="all"`` keeps every one's.

        Args:
            macs: multiply-accumulates of one image: ``1e6`` or ``"1M"``.
            params: trainable numbers.
            activations: outputs of all conv and linear layers.
            latency: ``"5ms"``, or seconds; measured in runs that have a budget on it.

        Raises:
            UserError: no network that was trained to the end is within them.
        """
        given = {"macs": macs, "params": params, "activations": activations, "latency": latency}
        limits = [_limit(kind, value) for kind, value in given.items() if value is not None]
        return self._best(self._record(), limits)

    def winners(self) -> dict[str, Winner | None]:
        """Budget label -> its winner; None where nothing that was trained fits."""
        return self._winners(self._record())

    def _best(self, record: Record, limits: Sequence[Budget]) -> Winner:
        complete = [row for row in record.rows if row["state"] == "complete"]
        fitting = [row for row in complete if all(_cost(row, b.kind) <= b.limit for b in limits)]
        if not fitting:
            wanted = ", ".join(b.label for b in limits)
            raise UserError(
                f"{self.folder}: no trained network is within {wanted or 'any budget'}; {self._least(complete, limits)}"
            )
        # As the report chooses: of equally accurate ones the cheaper, then the first. With several limits as weights
        # are kept: what is cheaper in some cost and as good in the others goes before.
        kinds = _KINDS if len(limits) > 1 else [limits[0].kind if limits else "macs"]
        row = min(fitting, key=lambda r: (-r["val_acc"], *(_cost(r, kind) for kind in kinds), r["number"]))
        return Winner(row, self.config, self.folder, record.weights.get(row["number"]))

    def _least(self, complete: Sequence[Row], limits: Sequence[Budget]) -> str:
        """The smallest that was trained: why nothing is within some limits."""
        kind = limits[0].kind if limits else "macs"
        least = min((_cost(row, kind) for row in complete), default=math.nan)
        if not complete:
            return "none was trained to its end yet."
        if kind == "latency":
            return f"the fastest takes {least * 1e3:.4g} ms." if least < math.inf else "none was measured in this run."
        size = "x".join(map(str, self.config.input_size))
        return f"the smallest has {least:,} {'MACs' if kind == 'macs' else kind} at {size}."

    def _winners(self, record: Record) -> dict[str, Winner | None]:
        found: dict[str, Winner | None] = {}
        for budget in self.config.parsed_budgets():
            try:
                found[budget.label] = self._best(record, [budget])
            except UserError:
                found[budget.label] = None
        return found

    def to_dict(self) -> dict[str, Any]:
        """How it stands and who has won: plain data for JSON."""
        from .tasks import metric_of

        record = self._record()
        states = [row["state"] for row in record.rows]
        return {
            "folder": str(self.folder),
            "report": str(self.folder / "report.html"),
            "input_size": list(self.config.input_size),
            "metric": metric_of(self.config.data["spec"]).name,
            "trials": {"asked": self.config.trials, "started": len(states), **_tally(states)},
            "rejected": record.rejected,
            "ended": record.ended,
            "front": [row["number"] for row in record.rows if row["on_front"]],
            "winners": {label: w and w.to_dict() for label, w in self._winners(record).items()},
        }

    def __str__(self) -> str:
        from .tasks import metric_of

        record = self._record()
        states = _tally(row["state"] for row in record.rows)
        told = ", ".join(f"{count} {state}" for state, count in states.items()) or "none started"
        lines = [f"{self.folder}: {sum(states.values())} of {self.config.trials} trials ({told})"]
        if record.ended:
            lines.append(f"  {record.ended}")
        size = "x".join(map(str, self.config.input_size))
        metric = metric_of(self.config.data["spec"])
        for label, winner in self._winners(record).items():
            if winner is None:
                lines.append(f"  within {label}: nothing yet")
                continue
            row = winner.row
            lines.append(
                f"  within {label}: {metric.text(row['val_acc'])}, {row['macs']:,} MACs at {size}, "
                f"{row['params']:,} params{_milliseconds(row)}"
            )
            lines.append(f"    {winner.line}")
        if record.timed:
            lines.append(f"  latency: {record.timed}")
        if (self.folder / "report.html").exists():
            lines.append(f"  report: {self.folder / 'report.html'}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"

    def _record(self) -> Record:
        from .engine.storage.record import read_record

        return read_record(self.folder)

    def refuse_no_result(self) -> None:
        """RuntimeError, with the first trial's error, where nothing could be trained to its end.

        UserError where nothing was there to be trained: every candidate is slower than the budget on latency.
        """
        record = self._record()
        rows = record.rows
        if not rows and record.ended:
            raise UserError(f"{self.folder}: nothing was trained: {record.ended}.")
        if any(row["state"] == "complete" for row in rows):
            return
        errors = [row["error"] for row in rows if row["error"]]
        reason = f"; the first one: {errors[0]}" if errors else ""
        raise RuntimeError(f"{self.folder}: none of {len(rows)} trials could be trained to its end{reason}")


@dataclass(frozen=True)
class Winner:
    """A trained network of a run.

    Attributes:
        row: its row of trials.csv.
        config: of the run.
        folder: of the run.
        weights: the file of its trained weights; None where they were not kept.
    """

    row: Row
    config: RunConfig = field(repr=False)
    folder: Path
    weights: Path | None = None

    @cached_property
    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of its model."""
        return self._space.config(self._setting)

    @property
    def line(self) -> str:
        """The line that builds it, untrained, after ``import timm, mgic_nas``."""
        return self._space.create_model_line(self._setting, self.config.num_classes, self.config.input_size[0])

    def create_model(self, pretrained: bool = True) -> nn.Module:
        """The network in eval mode, with its trained weights unless told otherwise.

        Its ``pretrained_cfg`` says how the images were prepared, for ``timm.data.resolve_model_data_config``.

        Raises:
            UserError: its weights were not kept, or cannot be read.
        """
        if pretrained and self.weights is None:
            raise UserError(
                f"{self.folder}: the weights of trial {self.row['number']} were not kept (only those are that "
                "some limits on the costs can choose); search with keep='all' to keep every one's."
            )
        from .families import family

        net = family(self.config.model).build(
            self.arguments,
            self.config.num_classes,
            self.config.input_size[0],
            pretrained_cfg_overlay=self._data_config(),
        )
        if pretrained and self.weights is not None:
            load_weights(net, self.weights)
        return net.eval()

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        weights = None if self.weights is None else str(self.weights)
        return {**self.row, "line": self.line, "arguments": self.arguments, "weights": weights}

    @cached_property
    def _space(self) -> SearchSpace:
        from .space import SearchSpace

        return SearchSpace.from_dict(self.config.space, source=self.config.space_source or "run.yaml")

    @property
    def _setting(self) -> dict[str, Any]:
        return {name: self.row[f"p.{name}"] for name in self._space.params}

    def _data_config(self) -> dict[str, Any]:
        data = self.config.data
        names = ("input_size", "mean", "std", "interpolation", "crop_pct")
        found = {name: data[name] for name in names if data.get(name) is not None}
        return {k: tuple(v) if isinstance(v, list) else v for k, v in found.items()} | {"crop_mode": "center"}


def _limit(kind: str, value: str | float) -> Budget:
    from .space import parse_budget

    unit = "s" if kind == "latency" else ""
    return parse_budget(f"{kind}={value if isinstance(value, str) else repr(float(value)) + unit}")


def _cost(row: Row, kind: str) -> Any:
    """A row's cost of a budget's kind, latency in seconds; infinite where it was not measured."""
    if kind != "latency":
        return row[kind]
    milliseconds = row.get("latency_ms")
    return math.inf if milliseconds is None else milliseconds / 1e3


def _milliseconds(row: Row) -> str:
    return f", {row['latency_ms']:.4g} ms" if row.get("latency_ms") is not None else ""


def _table(rows: list[Row]) -> pd.DataFrame:
    import pandas as pd

    from .engine.storage.record import columns

    return pd.DataFrame(rows, columns=columns(rows))


def _tally(states: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for state in states:
        found[state] = found.get(state, 0) + 1
    return found

"""The result of a search: a :class:`Run` answers questions, a :class:`Winner` gives a network."""

from __future__ import annotations

import contextlib
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from . import engine, families
from ._files import read_json
from ._text import size_text, standard_error
from .cost.runtimes.kinds import csv_stem, is_latency
from .deploy.carried import Carried, read_carried
from .engine.storage.trial import COMPLETE, Trial
from .errors import UserError
from .exporting.ship import Export, export
from .exporting.source import Source, ValidationScore, digest_of
from .networks import WEIGHTS, load_weights, save_winner
from .space import SearchSpace, parse_budget
from .space.budget import latency_kinds, refuse_unnamed
from .tasks import cautions, metric_of

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

    from .engine.storage.config import RunConfig
    from .engine.storage.record import Record
    from .space import Budget


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


@dataclass(frozen=True, repr=False)
class Winner:
    """The network that a run chose within some limits.

    Attributes:
        trial: what is known of it.
        row: its row of trials.csv.
        config: of the run.
        folder: of the run.
        weights: the file of its trained weights; None where they were not kept.
    """

    trial: Trial
    row: Mapping[str, object]
    config: RunConfig
    folder: Path
    weights: Path | None = None

    def __str__(self) -> str:
        """Three lines: what it is worth and costs, the line that builds it, and where its weights are."""
        trial, metric = self.trial, metric_of(self.config.data["spec"])
        error = standard_error(trial.val_acc, (self.config.data.get("sizes") or {}).get("val"))
        worth = f"{metric.short} {trial.val_acc or 0.0:.2f}{f' ± {error:.2f}' if metric.of_items and error else ''} %"
        latency = "".join(f", {kind} {seconds * 1e3:.4g} ms" for kind, seconds in trial.latencies.items())
        weights = f"weights in {self.weights}" if self.weights is not None else "its weights were not kept"
        return (
            f"trial {trial.number} of {self.folder}: {worth} (validation), {trial.macs:,} MACs at "
            f"{size_text(self.config.input_size)}, {trial.params:,} params{latency}\n  {self.line}\n  {weights}"
        )

    def __repr__(self) -> str:
        return f"Winner({str(self.folder)!r}, trial {self.trial.number})"

    @cached_property
    def arguments(self) -> dict[str, object]:
        """The keyword arguments of its model."""
        return self._space.config(self.trial.setting)

    @property
    def line(self) -> str:
        """The line that builds it, untrained, after ``import timm, mgic_nas``."""
        return self._space.create_model_line(self.trial.setting, self.config.num_classes, self.config.input_size[0])

    def create_model(self, pretrained: bool = True) -> nn.Module:
        """The network in eval mode.

        Its ``pretrained_cfg`` says how the images were prepared, for ``timm.data.resolve_model_data_config``.

        Args:
            pretrained: with its trained weights.

        Raises:
            UserError: its weights were not kept, or cannot be read.
        """
        if pretrained and self.weights is None:
            raise UserError(
                f"{self.folder}: the weights of trial {self.trial.number} were not kept (only those are that "
                "some limits on the costs can choose); search with keep='all' to keep every one's."
            )
        net = families.family(self.config.model).build(
            self.arguments,
            self.config.num_classes,
            self.config.input_size[0],
            pretrained_cfg_overlay=self._data_config(),
        )
        if pretrained and self.weights is not None:
            load_weights(net, self.weights)
        return net.eval()

    @cached_property
    def carried(self) -> Carried:
        """How its inputs are prepared, and what its outputs are called. UserError where run.yaml does not say it."""
        classes = [str(name) for name in self.config.data.get("classes") or ()]
        config = {
            "architecture": self.config.model,
            "num_classes": self.config.num_classes,
            "label_names": classes,
            "pretrained_cfg": self._data_config(),
        }
        return read_carried(config, str(self.folder / "run.yaml"))

    def export(
        self, to: str, out: str | os.PathLike[str], *, int8: bool = False, fuse: bool = True, data: str | None = None
    ) -> Export:
        """Writes it as a folder that ships.

        What is written is compared with the network on validation images before it is kept; its sizes, scores and
        latencies are in the folder's README.md and export.json.

        Args:
            to: ``"hf"`` (``config.json``, safetensors and a model card, as the Hugging Face hub has them), ``"onnx"``,
                ``"pt2"`` (``torch.export``) or ``"openvino"``; of any number of images at a time.
            out: the folder; the same call again replaces what it wrote, anything else in it is refused.
            int8: with ``"onnx"``: in 8 bits, too, calibrated on training images.
            fuse: BatchNorms folded, in the form that is fastest here (:func:`mgic_nas.fuse`); not with ``"hf"``.
            data: a spec, where the run's own data are somewhere else by now.

        Raises:
            UserError: its weights were not kept, a package is missing, ``out`` has other content, or it cannot be
                exported; nothing is written then.
        """
        return export(self._source(), to, out, int8=int8, fused=fuse, data=data)

    def to_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        weights = None if self.weights is None else str(self.weights)
        return {**self.row, "line": self.line, "arguments": self.arguments, "weights": weights}

    def _source(self) -> Source:
        """What an export says of it."""
        net, config, trial = self.create_model(), self.config, self.trial
        assert self.weights is not None  # or there is no network

        def write(folder: Path) -> None:
            save_winner(
                folder,
                net,
                config.model,
                self.arguments,
                num_classes=config.num_classes,
                in_chans=config.input_size[0],
                data_config=self.carried.data_config(),
                label_names=self.carried.label_names,
            )

        size, metric, sizes = (
            size_text(config.input_size),
            metric_of(config.data["spec"]),
            config.data.get("sizes") or {},
        )
        latencies = "".join(f", {kind} {seconds * 1e3:.4g} ms" for kind, seconds in trial.latencies.items())
        versions = ", ".join(
            f"{name} {config.versions[name]}" for name in ("mgic_nas", "torch") if name in config.versions
        )
        score = trial.val_acc or 0.0
        error = standard_error(score, sizes.get("val")) if metric.of_items else None
        return Source(
            name=f"trial {trial.number} of run {config.name}",
            net=net,
            carried=self.carried,
            digest=digest_of(self.weights),
            write=write,
            in_timm=families.in_timm(config.model),
            spec=str(config.data["spec"]),
            data_name=str(config.data.get("name", "")),
            score=ValidationScore(metric.name, score, error, f"{sizes.get('val', 0):,} validation {metric.items}"),
            facts={
                "Network": f"`{self.line}`",
                "Cost": f"{trial.macs:,} MACs at {size}, {trial.params:,} parameters{latencies}",
                "Budgets of the search": ", ".join(config.budgets),
                "Found by": f"a search of {config.trials} trials in {config.space_source or 'a space made in Python'}, "
                f"{config.epochs} epochs each, sampler {config.sampler}, seed {config.seed}, recipe "
                f"{config.recipe.get('name', 'quick')}" + (f" ({versions})" if versions else ""),
                "Trained on": f"{config.data.get('name')}, {sizes.get('train', 0):,} {metric.items}",
            },
        )

    @cached_property
    def _space(self) -> SearchSpace:
        return SearchSpace.from_recorded(self.config.space, source=self.config.space_source or "run.yaml")

    def _data_config(self) -> dict[str, object]:
        data = self.config.data
        names = ("input_size", "mean", "std", "interpolation", "crop_pct")
        found = {name: data[name] for name in names if data.get(name) is not None}
        return {k: tuple(v) if isinstance(v, list) else v for k, v in found.items()} | {"crop_mode": "center"}


def _limit(kind: str, value: str | float) -> Budget:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UserError(f"{kind} must be a number or a text such as '1M', not {value!r}.")
    if not isinstance(kind, str):
        raise UserError(f"a limit is named by its kind, such as 'macs', not by {kind!r}.")
    unit = "s" if is_latency(kind) else ""
    return parse_budget(f"{kind}={value if isinstance(value, str) else repr(float(value)) + unit}")

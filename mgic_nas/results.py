"""The result of a search: a :class:`Run` answers questions, and its winners are networks."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from . import engine
from ._files import read_json
from ._text import size_text
from .cost.runtimes.kinds import csv_stem, is_latency
from .engine.executors.registry import has_ray
from .engine.stopping import outlook_of
from .engine.storage.config import MEASURED, RUN_YAML, RunConfig, check_winner
from .engine.storage.folder import refuse_links, update_config
from .engine.storage.trial import COMPLETE, Trial
from .engine.surrogate.choice import Choice, choice_of
from .errors import TrainingFailed, UserError
from .families import SETTINGS
from .networks import WEIGHTS
from .retraining.results import RETRAINED, Network, Trainings
from .retraining.start import Asked, check_asked, load, train_networks
from .space import parse_budget
from .space.budget import latency_kinds, refuse_unnamed
from .tasks import cautions, metric_of
from .winners import Winner

if TYPE_CHECKING:
    import pandas as pd

    from .engine.storage.record import Record
    from .space import Budget
    from .tasks import DataInfo
    from .train import Recipe

WINNERS = "winners"  # in a run's folder, as the report writes them

__all__ = ["Run", "Winner"]


_FRONT_COSTS = ("macs", "params", "activations")


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
        """One row for each architecture whose training started, by number, with the columns of trials.csv.

        ``number``, ``arch_id``, ``state``; ``p.<name>`` each searched parameter; ``macs``, ``macs_without_transfers``
        and ``activations`` of one image at the run's input size, ``params``; ``<latency>_ms`` milliseconds of a batch;
        ``val_acc`` percent on the validation split after the last epoch; ``epochs`` trained, in ``seconds`` of
        training and validation; ``peak_memory_mb`` MiB; ``seed``; ``on_front``; ``error``. None is not known.
        """
        import pandas as pd  # of the extra "search", which a winner does without

        record = self._record()
        return pd.DataFrame(record.rows, columns=record.columns)

    def front(self) -> pd.DataFrame:
        """The Pareto-optimal rows of :meth:`trials`, cheapest first, with the same columns in another order.

        First what a front is of: ``number``, ``val_acc`` and the costs, then the parameters, then the rest.
        """
        table = self.trials()
        names = list(map(str, table.columns))
        first = ["number", "val_acc", *_FRONT_COSTS, *(name for name in names if name.endswith("_ms"))]
        first += [name for name in names if name.startswith("p.")]
        ordered = [*first, *(name for name in names if name not in first)]
        return table.loc[table["on_front"].astype(bool), ordered].sort_values("macs").reset_index(drop=True)

    def best(
        self,
        macs: str | float | None = None,
        params: str | float | None = None,
        activations: str | float | None = None,
        latency: str | float | None = None,
        limits: Mapping[str, str | float] | None = None,
    ) -> Winner:
        """The most accurate network within all given limits; with none given the most accurate of all.

        That is by expected or by measured accuracy, as the run's ``winner`` says. The weights of all of these are kept,
        whatever the limits. Only a kind of budget that the run was given later
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
        return self._best(budgets)

    def _best(self, budgets: Sequence[Budget]) -> Winner:
        """The winner within all of some limits. UserError where none is."""
        own = (csv_stem(kind) for kind in latency_kinds(self.config.parsed_budgets()))
        refuse_unnamed((budget.kind for budget in budgets), filter(None, own))
        record = self._record()
        found = self._winner(record, budgets, choice_of(self.config, record))
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
        return self._best([] if budget is None else [parse_budget(budget)])

    def winners(self) -> dict[str, Winner | None]:
        """Budget label -> its winner; None where nothing that was trained fits."""
        return self._winners(self._record())

    def _winner(self, record: Record, limits: Sequence[Budget], choice: Choice) -> Winner | None:
        trial = choice.winner(record.entries, limits)
        if trial is None:
            return None
        row = next(row for row in record.rows if row["number"] == trial.number)
        weights = record.weights.get(trial.number) or self._exported_weights(trial.arch_id)
        judged = choice.expected.get(trial.number), choice.p_best(record.entries, trial, limits)
        return Winner(trial, row, self.config, self.folder, weights, choice.by, *judged)

    def _exported_weights(self, arch_id: str) -> Path | None:
        """Of a run whose ``trials/`` was cleared: those in a folder of ``winners/``."""
        for origin in sorted(self.folder.glob("winners/*/origin.json")):
            with contextlib.suppress(OSError, ValueError):
                found, weights = read_json(origin), origin.with_name(WEIGHTS)
                if isinstance(found, dict) and found.get("arch_id") == arch_id and weights.is_file():
                    return weights
        return None

    def _winners(self, record: Record) -> dict[str, Winner | None]:
        choice = choice_of(self.config, record)
        return {budget.label: self._winner(record, [budget], choice) for budget in self.config.parsed_budgets()}

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

    def chosen_by(self, winner: str) -> Run:
        """The run with its winners chosen by ``"expected"`` or by ``"measured"`` accuracy from now on: in run.yaml.

        Raises:
            UserError: neither, or run.yaml cannot be written.
        """
        check_winner(winner)
        config = replace(RunConfig.load(self.folder), winner=winner)
        refuse_links(self.folder, [RUN_YAML])
        try:
            update_config(self.folder, config)
        except OSError as error:
            raise UserError(f"{self.folder / RUN_YAML} cannot be written: {error.strerror}.") from None
        return Run(self.folder, config)

    def retrain(
        self,
        budgets: Iterable[str] | str | None = None,
        trials: Iterable[int] | int | None = None,
        front: bool = False,
        epochs: int | None = None,
        seeds: int = 1,
        data: str | None = None,
        out: str | Path | None = None,
        recipe: str | Mapping[str, object] | Recipe | None = None,
        with_val: bool = False,
        weights: str | None = None,
        teacher: str | None = None,
        executor: str | None = None,
        concurrent: int | None = None,
        gpus_per_trial: str | float = "auto",
    ) -> Trainings:
        """Trains winners from scratch on a full recipe, and scores each once on the test split.

        Nothing is chosen by a test score. The same call again goes on; more networks and seeds extend it.

        Args:
            budgets: whose winners are trained: ``"0.5M"``, ``["1M", "params=1M"]``; by default those of all the run's
                budgets. Winners that share an architecture are trained once.
            trials: networks by their trials' numbers, beside those of ``budgets`` where both are named.
            front: every network of the front.
            epochs: of each training; by default 30.
            seeds: trainings of each, with the seeds 0, 1, ...
            data: by default the run's; others must have the same classes and the same input size.
            out: where ``retrain/`` and ``retrain.csv`` are written; by default the run's folder.
            recipe: a name, a mapping with changes to one, or a :class:`Recipe`; by default ``"full"``.
            with_val: train on the validation images too.
            weights: ``"last"`` (default), or ``"best"`` by the validation split.
            teacher: what they also learn from: a timm name, with its pretrained weights, ``"local-dir:FOLDER"``, or a
                winner of this run by its budget, ``"budget:2M"``, or ``"retrained:2M"`` (its seed 0) once it was.
            executor: by default the run's.
            concurrent, gpus_per_trial: as of :func:`mgic_nas.search`.

        Raises:
            UserError, MachineFault, TrainingFailed, KeyboardInterrupt: as :func:`mgic_nas.search`.
        """
        if out is not None and not isinstance(out, str | os.PathLike):
            raise UserError(f"out must be a folder's path, not {out!r}.")
        config = self.config
        if config.model == SETTINGS:
            raise UserError(
                f"{self.folder}: its settings are no networks of mgic_nas, so it cannot retrain them: call "
                f"{config.trained_by} with a winner's setting, run.best().trial.setting."
            )
        executor = executor or (config.executor if config.executor != "ray" or has_ray() else None)
        address = config.address if executor == "ray" else None
        spec = data or str(config.data["spec"])
        asked = Asked(
            spec, epochs, seeds, recipe, with_val, weights, teacher, executor, concurrent, gpus_per_trial, address
        )
        check_asked(asked)
        chosen = self._chosen(budgets, trials, front)
        if data is not None:
            self._refuse_other_data(load(data).info, data)
        networks = [
            Network(
                name=f"trial-{winner.trial.number}",
                model=config.model,
                config=dict(winner.arguments),
                arch_id=winner.trial.arch_id,
                macs=int(winner.trial.cost("macs")),
                params=winner.trial.params or 0,
                trial=winner.trial.number,
                budgets=tuple(labels),
                line=winner.line,
                search_acc=winner.trial.val_acc,
            )
            for winner, labels in chosen
        ]
        folder = Path(out or self.folder) / RETRAINED
        return train_networks(folder, asked, networks, note=self._note, named=self._teacher, work=self._work(folder))

    def _chosen(
        self, budgets: Iterable[str] | str | None, trials: Iterable[int] | int | None, front: bool
    ) -> list[tuple[Winner, list[str]]]:
        """The networks that are asked for, each once, with the budgets whose winner it is; cheapest first."""
        record = self._record()
        wanted: dict[int, Winner] = {}
        labels = [budgets] if isinstance(budgets, str) else list(budgets or ())
        own = {label: found for label, found in self._winners(record).items() if found is not None}
        if not labels and trials is None and not front:
            if not own:
                raise UserError(f"{self.folder}: no budget has a winner yet: go on with the search.")
            wanted = {winner.trial.number: winner for winner in own.values()}
        for label in labels:
            budget = parse_budget(label)
            found = own.get(budget.label) or self._best([budget])
            wanted[found.trial.number] = found
            own.setdefault(budget.label, found)
        numbers = [] if trials is None else [trials] if isinstance(trials, int) else list(trials)
        if front:
            numbers += [int(row["number"]) for row in record.rows if row["on_front"]]
        for number in numbers:
            wanted[number] = self._of_trial(record, number)
        if not wanted:
            raise UserError(f"{self.folder}: no network was trained to its end yet: go on with the search.")
        ordered = sorted(wanted.values(), key=lambda winner: winner.trial.cost("macs"))
        return [(one, [k for k, w in own.items() if w.trial.number == one.trial.number]) for one in ordered]

    def _of_trial(self, record: Record, number: int) -> Winner:
        complete = {trial.number: trial for trial in record.entries if trial.state == COMPLETE}
        if number not in complete:
            states = {trial.number: trial.state for trial in record.entries}
            why = f"is {states[number]}, not complete" if number in states else "is not there"
            raise UserError(f"{self.folder}: trial {number} {why}; trials.csv lists those that are.")
        row = next(row for row in record.rows if row["number"] == number)
        return Winner(complete[number], row, self.config, self.folder, record.weights.get(number))

    def _refuse_other_data(self, info: DataInfo, data: str) -> None:
        """UserError where the run's networks are not for these data."""
        classes = self.config.data.get("classes")
        if info.num_classes != self.config.num_classes or (classes and list(map(str, classes)) != [*info.classes]):
            raise UserError(f"{data} has other classes than the data of {self.folder}: name data with the same ones.")
        if info.input_size != self.config.input_size:
            own, other = size_text(self.config.input_size), size_text(info.input_size)
            raise UserError(f"{data} has images of {other}, and the run's networks are for {own}: add ?size=... to it.")

    def _work(self, folder: Path) -> Path | None:
        """Where workers on other machines can write, in a run whose trials are on a shared disk."""
        if self.config.storage is None:
            return None
        digest = hashlib.sha256(os.path.abspath(folder).encode()).hexdigest()[:8]
        return self.config.trials_folder(self.folder).with_name(f"{RETRAINED}-{digest}")

    def _teacher(self, name: str) -> str:
        """The folder of a winner that a teacher's name stands for."""
        kind, colon, label = name.partition(":")
        if kind not in ("budget", "retrained") or not colon:
            return name
        budget = parse_budget(label)
        record = self._record()
        found = self._winner(record, [budget], choice_of(self.config, record))
        if found is None:
            raise UserError(f"teacher {name}: {self.folder} has no winner within {budget.label}.")
        if kind == "retrained":
            return f"local-dir:{self.folder / RETRAINED / f'trial-{found.trial.number}' / 'seed-0'}"
        folder = self.folder / WINNERS / budget.label
        if not folder.is_dir():
            raise UserError(
                f"teacher {name}: {folder} is not there: name one of the run's budgets, or `mgic-nas report`."
            )
        return f"local-dir:{folder}"

    def _note(self, info: DataInfo) -> str:
        """What limits the worth of a score on a test part that the run did not hold out."""
        if info.fingerprint == self.config.data.get("fingerprint"):
            return ""
        return (
            "the test images were not held out from the search: it may have trained and compared networks on them, so "
            "the architecture was not chosen blind to them (these weights never saw them)"
        )

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
            "outlook": outlook_of(self.config, record),
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
        if ahead := outlook_of(self.config, record):
            lines.append(f"  {ahead}")
        size = size_text(self.config.input_size)
        metric = metric_of(self.config.data["spec"])
        for label, winner in self._winners(record).items():
            if winner is None:
                lines.append(f"  within {label}: nothing yet")
                continue
            trial = winner.trial
            latency = "".join(f", {kind} {s * 1e3:.4g} ms" for kind, s in trial.latencies.items())
            lines.append(
                f"  within {label}: {metric.text(trial.val_acc or 0.0)}{_expected(winner)}, {trial.macs:,} MACs at "
                f"{size}, {f'{trial.params:,}' if trial.params else 'unknown'} params{latency}"
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
        """TrainingFailed, with the first trial's error, where nothing could be trained to its end.

        UserError where nothing was there to be trained: every candidate is slower than the budget on latency.
        """
        self.refuse_nothing_trained()
        trials = self._record().entries
        if any(trial.state == COMPLETE for trial in trials):
            return
        errors = [trial.error for trial in trials if trial.error]
        reason = f"; the first one: {errors[0]}" if errors else ""
        raise TrainingFailed(f"{self.folder}: none of {len(trials)} trials could be trained to its end{reason}")


def _expected(winner: Winner) -> str:
    """What is expected of it, where it was chosen by that."""
    if winner.expected is None or winner.chosen_by == MEASURED:
        return ""
    return f" (expected {winner.expected.acc:.2f} ± {winner.expected.sd:.2f} %)"


def _limit(kind: str, value: str | float) -> Budget:
    value = value.item() if isinstance(value, np.generic) else value  # such as a cell of a frame
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UserError(f"{kind} must be a number or a text such as '1M', not {value!r}.")
    if not isinstance(kind, str):
        raise UserError(f"a limit is named by its kind, such as 'macs', not by {kind!r}.")
    unit = "s" if is_latency(kind) else ""
    return parse_budget(f"{kind}={value if isinstance(value, str) else repr(float(value)) + unit}")

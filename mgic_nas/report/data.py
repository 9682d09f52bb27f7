"""What came out of a run, as one immutable value that page, Markdown, picture and csv are all written from."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from .. import _text as words
from .. import pareto
from ..engine.stopping import outlook_of
from ..engine.storage.config import RunConfig
from ..engine.storage.record import Record
from ..engine.storage.row_latencies import RowLatencies
from ..engine.storage.trial import COMPLETE, FINISHED, PAUSED, RUNNING, Trial
from ..engine.storage.winner import winner
from ..engine.surrogate.choice import Choice, choice_of
from ..engine.surrogate.expectation import Expected
from ..engine.surrogate.trial_features import tried_values
from ..retraining.results import Trainings
from ..space.budget import Budget
from ..tasks import cautions
from ..tasks.metrics import Metric
from ..tasks.registry import metric_of
from .command import command, shown_data
from .reference import ReferencePoint
from .steps import Answers, Step, compared, hull


@dataclass(frozen=True)
class Winner:
    """The network that is chosen within one budget.

    Attributes:
        budget: the limit.
        trial: the network; None where none fits (yet).
        weights: the file of its trained weights, None where they are gone.
        expected: what is expected of it; None where no model could be fitted.
        p_best: the probability that it is the best complete one within the budget.
        measured: the one with the highest measured accuracy, where that is another.
    """

    budget: Budget
    trial: Trial | None
    weights: Path | None = None
    expected: Expected | None = None
    p_best: float | None = None
    measured: Trial | None = None


@dataclass(frozen=True)
class Summary:
    """Everything that a report says, worked out from a run's configuration and record.

    Attributes:
        folder: of the run, for the lines that load its winners; it may have been moved or renamed since.
        config: what run.yaml says.
        record: its trials, and what else the study has; of a run without a study what trials.csv has.
        reference: points to lay over the front, read from ``reference_file``.
        left_out: how many points of that file are not shown, as they are of other data or another input size.
        retrained: what was trained of its networks after the search.
        row_latencies: kind of latency -> digest of a part of a winner -> seconds, where they were timed.
    """

    folder: Path
    config: RunConfig
    record: Record
    reference: tuple[ReferencePoint, ...] = ()
    reference_file: str = ""
    left_out: int = 0
    retrained: Trainings | None = None
    row_latencies: RowLatencies = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The run's own name (its folder's)."""
        return self.folder.resolve().name or self.config.name

    @property
    def data(self) -> str:
        """The data as it calls itself, else as the user named it."""
        return str(self.config.data.get("name") or shown_data(self.config, self.folder))

    @property
    def sizes(self) -> dict[str, int]:
        """Split (``train``, ``val``, ``test``) -> its number of inputs (images, point clouds, samples)."""
        return dict(self.config.data.get("sizes") or {})

    @property
    def val_images(self) -> int | None:
        """How many inputs an accuracy was measured on; None if unknown."""
        return self.sizes.get("val") or None

    @cached_property
    def metric(self) -> Metric:
        """What ``val_acc`` is."""
        return metric_of(str(self.config.data.get("spec", "")))

    @cached_property
    def budgets(self) -> tuple[Budget, ...]:
        """Every budget, MACs first, smallest first."""
        return self.config.parsed_budgets()

    @property
    def devices(self) -> list[str]:
        """What the trials were trained on."""
        return sorted({t.device for t in self.trials if t.device})

    @property
    def command(self) -> str:
        """The shell command that makes this run again; empty for a space or recipe made in Python."""
        return command(self.config, self.folder)

    @property
    def trials(self) -> tuple[Trial, ...]:
        """The architectures whose training started, by number."""
        return self.record.entries

    @cached_property
    def winners(self) -> tuple[Winner, ...]:
        """The winner within each budget."""
        return tuple(map(self._won, self.budgets))

    def _won(self, budget: Budget) -> Winner:
        trial, highest = self.choice.winner(self.complete, [budget]), winner(self.complete, [budget])
        if trial is None:
            return Winner(budget, None)
        return Winner(
            budget,
            trial,
            self.record.weights.get(trial.number),
            self.choice.expected.get(trial.number),
            self.choice.p_best(self.complete, trial, [budget]),
            None if highest is trial else highest,
        )

    @cached_property
    def outlook(self) -> str:
        """What another hour of the search is expected to buy; empty where too little is known, or nothing is left."""
        return outlook_of(self.config, self.record, "×")

    @cached_property
    def choice(self) -> Choice:
        """How winners are chosen."""
        return choice_of(self.config, self.record)

    @cached_property
    def wins(self) -> tuple[tuple[Winner, ...], ...]:
        """The winners, those together that are one network within several budgets of one kind."""
        groups: dict[tuple[str, int], list[Winner]] = {}
        for won in self.winners:
            number = won.trial.number if won.trial else -1 - len(groups)
            groups.setdefault((won.budget.kind, number), []).append(won)
        return tuple(map(tuple, groups.values()))

    @property
    def at(self) -> str:
        """``at 1×14×14``: belongs beside every count of MACs or activations."""
        return f"at {words.size_text(self.config.input_size, '×')}"

    @cached_property
    def complete(self) -> tuple[Trial, ...]:
        """The trials that count: fully trained, with an accuracy and a cost."""
        return tuple(t for t in self.trials if t.state == COMPLETE and t.val_acc is not None and t.macs is not None)

    @cached_property
    def front(self) -> tuple[Trial, ...]:
        """The Pareto-optimal networks, accuracy against MACs, cheapest first."""
        return self.front_by("macs")

    def front_by(self, kind: str) -> tuple[Trial, ...]:
        """The Pareto-optimal networks against another cost, cheapest first."""
        mask = pareto.non_dominated([t.val_acc or 0.0 for t in self.complete], [t.cost(kind) for t in self.complete])
        return tuple(
            sorted((t for t, keep in zip(self.complete, mask, strict=True) if keep), key=lambda t: t.cost(kind))
        )

    def costed(self, kind: str) -> list[Trial]:
        """The complete trials whose cost of a kind is known."""
        return [t for t in self.complete if t.cost(kind) > 0]

    @cached_property
    def front_numbers(self) -> frozenset[int]:
        return frozenset(t.number for t in self.front)

    @cached_property
    def best(self) -> Trial | None:
        """The most accurate network of all."""
        return self.front[-1] if self.front else None

    @cached_property
    def states(self) -> Counter[str]:
        """How many trials are in each state."""
        return Counter(t.state for t in self.trials)

    @property
    def ended(self) -> int:
        """Trials that are over: complete, stopped, failed, or left at a rung by a run that came to its end."""
        return sum(self.states[state] for state in FINISHED) + self.left

    @property
    def left(self) -> int:
        """Trials that a run which came to its end left at a rung: a longer one may go on with them."""
        return self.states[PAUSED] if self.record.over else 0

    @property
    def over(self) -> bool:
        """Whether nothing is left to train."""
        under_way = self.states[RUNNING] + self.states[PAUSED] - self.left
        return under_way == 0 and (self.ended >= self.config.trials or bool(self.record.ended))

    def error(self, acc: float | None) -> float | None:
        """The binomial standard error of an accuracy on this run's validation images, in percent.

        None where the score is no share of right answers.
        """
        return words.standard_error(acc, self.val_images) if self.metric.of_items else None

    @cached_property
    def decimals(self) -> int:
        """How many decimals of a percent mean anything: one, or two where the standard error is below 0.1."""
        error = self.error(self.best.val_acc) if self.best else None
        return 2 if error is not None and error < 0.1 else 1

    def points(self, value: float) -> str:
        """An accuracy or a difference of two, without a unit: rounded as all of them are."""
        return words.fixed(value, self.decimals)

    def loss(self, trial: Trial | None) -> str:
        """A trial's loss for a reader, where people quote it: ``0.0123``; else nothing."""
        value = trial.val_loss if trial and self.metric.loss else None
        return "" if value is None else f"{value:.3g}"

    def acc(self, trial: Trial | None, *, error: bool = True) -> str:
        """A trial's accuracy for a reader: ``81.3 ± 1.0 %``."""
        value = trial.val_acc if trial else None
        return words.measured(value, self.error(value) if error else None, decimals=self.decimals)

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The steps along the front that pay best: each gains the most accuracy per MAC from where it starts.

        That is the concave hull of the front. Between neighbours on the front the rate can be anything, where two
        networks happen to cost nearly the same.
        """
        return tuple(self.step(start, end) for start, end in hull(self.front))

    def step(self, start: Trial, end: Trial) -> Step:
        """From one network to another, with the standard error of the difference, paired where answers were kept."""
        errors = (self.error(start.val_acc), self.error(end.val_acc))
        return compared(start, end, errors, (self.answers.right(start), self.answers.right(end)))

    @cached_property
    def answers(self) -> Answers:
        """Which validation inputs its networks got right."""
        return Answers(self.record.trials_folder, self.val_images or 0 if self.metric.of_items else 0)

    @cached_property
    def paired(self) -> bool:
        """Whether differences of the front's networks are paired, all of them."""
        return all(self.answers.right(t) is not None for t in self.front)

    @cached_property
    def hypervolume_reference(self) -> tuple[float, float]:
        """What the hypervolume is measured from: guessing, at the largest budget (else the costliest network)."""
        limits = [b.limit for b in self.budgets if b.kind == "macs"]
        costliest = max((t.macs or 0 for t in self.complete), default=1.0)
        return self.guessing, max(limits) if limits else costliest * 1.1

    @property
    def guessing(self) -> float:
        """What is reached at most without looking at an input, in percent."""
        return cautions.chance(self.metric, self.config.data, self.config.num_classes)

    @cached_property
    def warnings(self) -> list[str]:
        """One line for everything that limits the worth of the result."""
        scores = {w.budget.label: w.trial.val_acc for w in self.winners if w.trial is not None}
        about = self.metric, self.config.data
        return cautions.of_winners(*about, self.config.num_classes, scores) + cautions.of_data(*about)

    @cached_property
    def hypervolume_history(self) -> tuple[tuple[int, float], ...]:
        """(trial number, hypervolume so far) for every complete trial, in the order of their numbers."""
        ordered = sorted(self.complete, key=lambda t: t.number)
        history = pareto.hypervolume_history(
            [t.val_acc or 0.0 for t in ordered], [t.macs or 0.0 for t in ordered], self.hypervolume_reference
        )
        return tuple((t.number, float(v)) for t, v in zip(ordered, history, strict=True))

    @cached_property
    def random_order(self) -> list[float]:
        """The expected hypervolume after each network, had the same ones been trained in random order."""
        accs, macs = [t.val_acc or 0.0 for t in self.complete], [t.macs or 0.0 for t in self.complete]
        return [round(v, 5) for v in pareto.expected_hypervolume(accs, macs, self.hypervolume_reference).tolist()]

    @cached_property
    def parameters(self) -> dict[str, tuple[Any, ...]]:
        """The searched parameters and the values of them that were tried, in the space's order where it has one."""
        return tried_values(self.trials)

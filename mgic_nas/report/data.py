"""What came out of a run, as one immutable value that page, Markdown, picture and csv are all written from."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _text as words
from .. import pareto
from .facts import Facts
from .reference import ReferencePoint

if TYPE_CHECKING:
    from ..space import Budget

Config = dict[str, Any]
ENDED = ("complete", "stopped", "failed")


@dataclass(frozen=True)
class Trial:
    """One architecture whose training started: a row of trials.csv, with its types restored.

    ``setting`` is flat (``width_mult.0``), ``config`` the keyword arguments of the model. Accuracies are percent;
    ``curve`` holds (epoch counted from 1, val_acc) pairs. What was not measured is None.
    """

    number: int
    arch_id: str
    state: str
    setting: dict[str, Any]
    config: Config
    macs: float | None
    macs_without_transfers: float | None = None
    params: float | None = None
    activations: float | None = None
    latency: float | None = None
    val_acc: float | None = None
    val_loss: float | None = None
    epochs: int | None = None
    seconds: float | None = None
    peak_memory_mb: float | None = None
    seed: int | None = None
    error: str = ""
    curve: tuple[tuple[int, float], ...] = ()
    row: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def cost(self, kind: str) -> float | None:
        """Its cost of a budget's kind: ``macs``, ``params``, ``activations`` or ``latency`` (seconds)."""
        value = getattr(self, kind)
        return None if value is None else float(value)


@dataclass(frozen=True)
class Winner:
    """The most accurate complete network within one budget; ``trial`` is None where none fits (yet).

    ``weights`` is the file of its trained weights, None where they are gone.
    """

    budget: Budget
    trial: Trial | None
    weights: Path | None = None


@dataclass(frozen=True)
class Step:
    """From one network of the front to a dearer one: what the extra MACs bought, ``error`` its standard error."""

    start: Trial
    end: Trial
    more: float
    gain: float
    error: float | None


@dataclass(frozen=True)
class Summary:
    """Everything that a report says, worked out from rows and facts; it reads no study and needs no torch."""

    folder: Path
    facts: Facts
    trials: tuple[Trial, ...]
    winners: tuple[Winner, ...]
    reference: tuple[ReferencePoint, ...] = ()
    reference_file: str = ""

    @property
    def at(self) -> str:
        """``at 1×14×14``: belongs beside every count of MACs or activations."""
        return f"at {words.size_text(self.facts.input_size, '×')}"

    @cached_property
    def complete(self) -> tuple[Trial, ...]:
        """The trials that count: fully trained, with an accuracy and a cost."""
        return tuple(t for t in self.trials if _counts(t))

    @cached_property
    def front(self) -> tuple[Trial, ...]:
        """The Pareto-optimal networks, accuracy against MACs, cheapest first."""
        return self.front_by("macs")

    def front_by(self, kind: str) -> tuple[Trial, ...]:
        """The Pareto-optimal networks against another cost, cheapest first."""
        mask = pareto.non_dominated(*self._arrays(kind))
        return tuple(
            sorted(
                (t for t, keep in zip(self.complete, mask, strict=True) if keep),
                key=lambda t: t.cost(kind) or 0,
            )
        )

    def _arrays(self, kind: str) -> tuple[list[float], list[float]]:
        costs = [t.cost(kind) for t in self.complete]
        return [t.val_acc or 0.0 for t in self.complete], [math.nan if c is None else c for c in costs]

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
        """Trials that are over, one way or another."""
        return sum(self.states[state] for state in ENDED) + self.left

    @property
    def left(self) -> int:
        """Trials that a run which came to its end left at a rung: a longer one may go on with them."""
        return self.states["paused"] if self.facts.over else 0

    @property
    def over(self) -> bool:
        """Whether nothing is left to train."""
        under_way = self.states["running"] + self.states["paused"] - self.left
        return under_way == 0 and (self.ended >= self.facts.trials or bool(self.facts.ended))

    def error(self, acc: float | None) -> float | None:
        """The binomial standard error of an accuracy on this run's validation images, in percent.

        None where the score is no share of right answers.
        """
        return words.standard_error(acc, self.facts.val_images) if self.facts.metric.of_items else None

    @cached_property
    def decimals(self) -> int:
        """How many decimals of a percent mean anything: one, or two where the standard error is below 0.1."""
        error = self.error(self.best.val_acc) if self.best else None
        return 2 if error is not None and error < 0.1 else 1

    def loss(self, trial: Trial | None) -> str:
        """A trial's loss for a reader, where people quote it: ``0.0123``; else nothing."""
        value = trial.val_loss if trial and self.facts.metric.loss else None
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
        steps: list[Step] = []
        front = list(self.front)
        while len(front) > 1:
            start = front[0]
            at = max(range(1, len(front)), key=lambda i: (_rate(start, front[i]), i))
            end = front[at]
            errors = [self.error(t.val_acc) for t in (start, end)]
            error = math.hypot(*(e for e in errors if e is not None)) if None not in errors else None
            gain = (end.val_acc or 0) - (start.val_acc or 0)
            steps.append(Step(start, end, (end.macs or 0) - (start.macs or 0), gain, error))
            front = front[at:]
        return tuple(steps)

    @cached_property
    def hypervolume_reference(self) -> tuple[float, float]:
        """What the hypervolume is measured from: guessing, at the largest budget (else the costliest network)."""
        limits = [b.limit for b in self.facts.budgets if b.kind == "macs"]
        costliest = max((t.macs or 0 for t in self.complete), default=1.0)
        return self.guessing, max(limits) if limits else costliest * 1.1

    @property
    def guessing(self) -> float:
        """The accuracy of one who guesses, in percent; see :meth:`Metric.floor`."""
        return self.facts.metric.floor(self.facts.num_classes)

    @cached_property
    def hypervolume_history(self) -> tuple[tuple[int, float], ...]:
        """(trial number, hypervolume so far) for every complete trial, in the order of their numbers."""
        ordered = sorted(self.complete, key=lambda t: t.number)
        history = pareto.hypervolume_history(
            [t.val_acc or 0.0 for t in ordered], [t.macs or 0.0 for t in ordered], self.hypervolume_reference
        )
        return tuple((t.number, float(v)) for t, v in zip(ordered, history, strict=True))

    @cached_property
    def parameters(self) -> dict[str, tuple[Any, ...]]:
        """The searched parameters and the values of them that were tried, in the space's order where it has one."""
        names: dict[str, None] = {}
        for trial in self.trials:
            names.update(dict.fromkeys(trial.setting))
        tried = {
            name: {value_key(t.setting[name]): t.setting[name] for t in self.trials if name in t.setting}
            for name in names
        }
        return {name: tuple(sorted(values.values(), key=value_key)) for name, values in tried.items()}


def summarise(
    rows: Iterable[Mapping[str, Any]],
    facts: Facts,
    folder: str | Path,
    *,
    configs: Mapping[int, Config] | None = None,
    curves: Mapping[int, Sequence[tuple[int, float]]] | None = None,
    losses: Mapping[int, float] | None = None,
    weights: Mapping[int, Path] | None = None,
    reference: Sequence[ReferencePoint] = (),
    reference_file: str = "",
) -> Summary:
    """A :class:`Summary` from rows with the columns of trials.csv and the facts of the run.

    Args:
        rows: one mapping a trial; what was not measured is None, NaN or an empty text.
        facts: what run.yaml says.
        folder: the run, for the lines that load its winners. Nothing in it is read here.
        configs: trial number -> model keyword arguments; by default the fixed ones of the space plus the setting,
            with ``name.0``, ``name.1``, ... gathered to a list.
        curves: trial number -> (epoch, val_acc) pairs.
        losses: trial number -> val_loss.
        weights: trial number -> file with its trained weights.
        reference: points to lay over the front, read from ``reference_file``.
    """
    given = (configs or {}, curves or {}, losses or {})
    trials = sorted((_trial(row, facts, *given) for row in rows), key=lambda t: t.number)
    known = weights or {}
    complete = [t for t in trials if _counts(t)]
    winners = []
    for budget in facts.budgets:
        costs = [t.cost(budget.kind) for t in complete]
        accs = [math.nan if t.val_acc is None else t.val_acc for t in complete]
        at = pareto.best_within(accs, [math.nan if c is None else c for c in costs], budget.limit)
        trial = None if at is None else complete[at]
        winners.append(Winner(budget, trial, known.get(trial.number) if trial else None))
    return Summary(Path(folder), facts, tuple(trials), tuple(winners), tuple(reference), reference_file)


def gathered(setting: Mapping[str, Any]) -> Config:
    """``{"w.0": 1, "w.1": 2, "s": 3}`` -> ``{"w": [1, 2], "s": 3}``."""
    config: Config = {}
    for name, value in setting.items():
        stem, dot, index = name.rpartition(".")
        if dot and index.isdigit():
            config.setdefault(stem, []).append((int(index), value))
        else:
            config[name] = value
    return {name: [v for _, v in sorted(value)] if f"{name}.0" in setting else value for name, value in config.items()}


def _rate(start: Trial, end: Trial) -> float:
    return ((end.val_acc or 0) - (start.val_acc or 0)) / ((end.macs or 0) - (start.macs or 0))


def _counts(trial: Trial) -> bool:
    return trial.state == "complete" and trial.val_acc is not None and trial.macs is not None


def _trial(
    row: Mapping[str, Any],
    facts: Facts,
    configs: Mapping[int, Config],
    curves: Mapping[int, Sequence[tuple[int, float]]],
    losses: Mapping[int, float],
) -> Trial:
    number = _int(row["number"])
    if number is None:
        raise ValueError(f"a row without a trial number: {dict(row)!r}")
    # None may be a value that was chosen; NaN and the empty text are what tables put for "does not apply".
    setting = {k[2:]: _plain(v) for k, v in row.items() if k.startswith("p.") and (v is None or _plain(v) is not None)}
    floats = (
        "macs",
        "macs_without_transfers",
        "params",
        "activations",
        "val_acc",
        "seconds",
        "peak_memory_mb",
    )
    return Trial(
        number=number,
        arch_id=str(row.get("arch_id") or ""),
        state=str(row.get("state") or ""),
        setting=setting,
        config=dict(configs[number]) if number in configs else gathered({**facts.model_kwargs, **setting}),
        val_loss=_float(losses.get(number)),
        epochs=_int(row.get("epochs")),
        seed=_int(row.get("seed")),
        error=str(_plain(row.get("error")) or ""),
        curve=tuple((int(epoch), float(acc)) for epoch, acc in curves.get(number, ())),
        row=dict(row),
        latency=None if (milliseconds := _float(row.get("latency_ms"))) is None else milliseconds / 1e3,
        **{name: _float(row.get(name)) for name in floats},
    )


def _plain(value: Any) -> Any:
    """Numpy scalars to Python's, NaN and empty text to None."""
    if isinstance(value, np.generic):
        value = value.item()
    if value == "" or (isinstance(value, float) and math.isnan(value)):
        return None
    return value


def _float(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return None if math.isnan(number) else number


def _int(value: Any) -> int | None:
    number = _float(value)
    return None if number is None else int(number)


def value_key(value: Any) -> tuple[str, Any]:
    """Equal for equal values (1 and 1.0, but not True), and sortable whatever a parameter's values are."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "number", float(value)
    return type(value).__name__, str(value)

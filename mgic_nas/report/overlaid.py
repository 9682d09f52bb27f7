"""Several runs on the same data: which may be laid over each other, and what is compared of them."""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from .. import _text as words
from .. import pareto
from ..engine.storage.trial import Trial
from ..errors import UserError
from ..space.budget import Budget
from .data import Summary
from .gather import gather
from .steps import Step, compared

MOST = 12  # runs that can be told apart in a figure


@dataclass(frozen=True)
class Overlay:
    """Runs of which every network was scored on the same inputs.

    Attributes:
        runs: two or more.
        names: of the runs, distinct.
    """

    runs: tuple[Summary, ...]
    names: tuple[str, ...]

    @cached_property
    def reference(self) -> tuple[float, float]:
        """Of all hypervolumes: guessing, and the largest MACs that any run's own is measured to."""
        own = [run.hypervolume_reference for run in self.runs]
        return max(acc for acc, _ in own), max(cost for _, cost in own)

    @cached_property
    def histories(self) -> tuple[tuple[float, ...], ...]:
        """The hypervolume of each run after each of its networks."""
        found = []
        for run in self.runs:
            ordered = sorted(run.complete, key=lambda t: t.number)
            accs, macs = [t.val_acc or 0.0 for t in ordered], [t.macs or 0.0 for t in ordered]
            found.append(tuple(pareto.hypervolume_history(accs, macs, self.reference).tolist()))
        return tuple(found)

    @cached_property
    def budgets(self) -> tuple[Budget, ...]:
        """Every budget of any run, each once."""
        found = {(b.kind, b.limit): b for run in self.runs for b in run.budgets}
        return tuple(found[key] for key in sorted(found, key=lambda k: (k[0] != "macs", k)))

    def winners(self, budget: Budget) -> list[Trial | None]:
        """The winner of each run within a budget, also of a run that did not have it."""
        return [run.choice.winner(run.complete, [budget]) for run in self.runs]

    def against(self, first: int, second: int, budget: Budget) -> Step | None:
        """From the first run's winner to the second's: paired where both runs kept their answers."""
        start, end = (self.winners(budget)[i] for i in (first, second))
        if start is None or end is None:
            return None
        one, other = self.runs[first], self.runs[second]
        errors = one.error(start.val_acc), other.error(end.val_acc)
        return compared(start, end, errors, (one.answers.right(start), other.answers.right(end)))


def gather_runs(folders: Iterable[str | Path]) -> Overlay:
    """The runs in some folders.

    Raises:
        UserError: fewer than two, too many, no run in a folder, or a run on other data or another input size.
    """
    paths = [Path(folder) for folder in folders]
    if not 2 <= len({p.resolve() for p in paths}) == len(paths) <= MOST:
        raise UserError(f"name 2 to {MOST} different runs to lay over each other, not {len(paths)}.")
    runs = tuple(gather(path) for path in paths)
    first = runs[0]
    for path, run in zip(paths[1:], runs[1:], strict=True):
        if difference := _other_data(first, run):
            raise UserError(
                f"{path} cannot be laid over {paths[0]}: {difference}. Accuracies are compared on the same "
                f"{first.metric.items} alone."
            )
    names = [run.name for run in runs]
    if len(set(names)) < len(names):
        names = [os.path.relpath(path) for path in paths]
    return Overlay(runs, tuple(names))


def _other_data(first: Summary, other: Summary) -> str:
    """In what two runs' data differ; empty where every network was scored on the same inputs."""
    one, two = first.config.data, other.config.data
    by, its = first.config.trained_by, other.config.trained_by
    if by != its:
        return f"its networks were trained by {its or 'mgic_nas'}, not {by or 'mgic_nas'}"
    if by and not one.get("fingerprint") and not two.get("fingerprint"):
        return ""  # notes() says what is not known
    if one.get("fingerprint") != two.get("fingerprint") or not one.get("fingerprint"):
        specs = [str(data.get("spec")) for data in (two, one)]
        return f"its data are {specs[0]}, not {specs[1]}" if specs[0] != specs[1] else "its data were others then"
    if first.config.input_size != other.config.input_size:
        return f"its input size is {words.size_text(other.config.input_size)}, not {words.size_text(one['input_size'])}"
    return "" if first.metric == other.metric else f"its score is {other.metric.name}, not {first.metric.name}"


def notes(over: Overlay) -> list[str]:
    """What makes the runs unlike each other besides what is compared."""
    said = []
    for what, values in (
        ("model", [run.config.model for run in over.runs]),
        ("epochs", [run.config.epochs for run in over.runs]),
        ("recipe", [str(sorted(run.config.recipe.items())) for run in over.runs]),
        ("space", [str(run.config.space) for run in over.runs]),
    ):
        if len(set(values)) > 1:
            said.append(what)
    lines = [f"The runs differ in their {words.listed(said)}."] if said else _noise(over)
    if (by := over.runs[0].config.trained_by) and not over.runs[0].config.data.get("fingerprint"):
        lines.append(f"Accuracies are as {by} says them: on what data is not known here.")
    if unfinished := [name for run, name in zip(over.runs, over.names, strict=True) if not run.over]:
        lines.append(f"Unfinished: {words.listed(unfinished)}.")
    return lines


def _noise(over: Overlay) -> list[str]:
    """How far accuracies move from one training to the next, from architectures that several runs trained."""
    seeds: dict[str, dict[int | None, float]] = {}
    for run in over.runs:
        for trial in run.complete:
            if trial.arch_id:
                seeds.setdefault(trial.arch_id, {})[trial.seed] = trial.val_acc or 0.0
    several = [list(accs.values()) for accs in seeds.values() if len(accs) > 1]
    if not several:
        return []
    spread = math.sqrt(sum(statistics.variance(a) * (len(a) - 1) for a in several) / sum(len(a) - 1 for a in several))
    return [
        f"{words.plural(len(several), 'architecture was', 'architectures were')} trained with more than one seed: from "
        f"one training to another accuracies spread by {over.runs[0].points(spread)} points (standard deviation), on "
        f"the same {over.runs[0].metric.items}. No error here includes that noise."
    ]

"""Which trials of a run win: by what was measured, or by what is expected of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...tasks.registry import metric_of
from ..storage.config import EXPECTED, MEASURED
from ..storage.trial import COMPLETE
from ..storage.winner import winner
from .expectation import LEAST, Expected, expect, probability_best

if TYPE_CHECKING:
    from ...space.budget import Budget
    from ..storage.config import RunConfig
    from ..storage.record import Record
    from ..storage.trial import Trial


@dataclass(frozen=True)
class Choice:
    """How the winners of a run are chosen.

    Attributes:
        asked: ``expected`` or ``measured``, as run.yaml has it.
        expected: number -> what is expected of a complete trial; empty where no model could be fitted.
        held: the trials whose weights are there; only they win by what is expected, if any fits.
        complete: how many trials could be chosen from.
    """

    asked: str
    expected: dict[int, Expected] = field(default_factory=dict)
    held: frozenset[int] = frozenset()
    complete: int = 0

    @property
    def by(self) -> str:
        """What decides: ``measured`` too where no model could be fitted."""
        return EXPECTED if self.asked == EXPECTED and self.expected else MEASURED

    @property
    def why(self) -> str:
        """Why it is not what was asked for; empty where it is."""
        if self.by == self.asked:
            return ""
        few = f"{self.complete} of the {LEAST} networks that it needs are complete"
        return few if self.complete < LEAST else "the networks or their scores do not differ"

    def winner(self, trials: Iterable[Trial], budgets: Sequence[Budget] = ()) -> Trial | None:
        """The best complete trial within all budgets; see :func:`mgic_nas.engine.storage.winner.winner`."""
        if self.by == MEASURED:
            return winner(trials, budgets)
        trials, accs = list(trials), {number: one.acc for number, one in self.expected.items()}
        held = winner([t for t in trials if t.number in self.held], budgets, accs)
        return held or winner(trials, budgets, accs)

    def better_without_weights(self, trials: Iterable[Trial], budgets: Sequence[Budget]) -> Trial | None:
        """The trial that would have won by what is expected, were its weights there; None where it did."""
        trials = list(trials)
        if self.by == MEASURED or (won := self.winner(trials, budgets)) is None:
            return None
        first = winner(trials, budgets, {number: one.acc for number, one in self.expected.items()})
        return None if first is None or first.number == won.number else first

    def p_best(self, trials: Iterable[Trial], trial: Trial, budgets: Sequence[Budget] = ()) -> float | None:
        """The probability that a trial is the best of all complete ones within the budgets; None without a model."""
        within = [
            t.number for t in trials if t.number in self.expected and all(t.cost(b.kind) <= b.limit for b in budgets)
        ]
        if trial.number not in within:
            return None
        return probability_best([self.expected[number] for number in within])[within.index(trial.number)]


def val_items(config: RunConfig) -> int | None:
    """How many inputs an accuracy of the run is a share of; None where it is no such share, or not known."""
    size = (config.data.get("sizes") or {}).get("val")
    return int(size) if size and metric_of(str(config.data.get("spec", ""))).of_items else None


def choice_of(config: RunConfig, record: Record) -> Choice:
    """How the winners of a run are chosen now."""
    complete = sum(trial.state == COMPLETE and trial.val_acc is not None for trial in record.entries)
    return Choice(config.winner, expect(record.entries, val_items(config)), frozenset(record.weights), complete)

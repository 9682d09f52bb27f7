"""The result in one sentence."""

from __future__ import annotations

from collections.abc import Sequence

from .. import _text as words
from ..engine.storage.config import EXPECTED
from ..engine.storage.trial import Trial
from ..tasks import cautions
from .data import Summary, Winner
from .expected import lead
from .steps import NOISE
from .story import amount, limit, metric, reached


def headline(summary: Summary) -> str:
    """The most accurate network within the largest budget, and what staying within a smaller one costs."""
    if not summary.complete:
        return _nothing_yet(summary)
    if _guesses(summary):
        chance, networks = words.percent(summary.guessing), len(summary.complete)
        who = f"none of the {networks:,} networks is" if networks > 1 else "the only network is not"
        blind = summary.metric.blind
        if blind != "guessing":
            return f"Nothing learned: {who} better than {blind}, which gives at most {chance} {metric(summary)}."
        return f"Nothing learned: {who} measurably better than guessing ({chance})."
    for kind in dict.fromkeys(b.kind for b in summary.budgets):
        met = [w for w in summary.winners if w.budget.kind == kind and w.trial]
        if met:
            return _budget_sentence(summary, met)
    best = summary.best
    assert best is not None
    return (
        f"The best of {words.plural(len(summary.complete), 'network')} reaches "
        f"{reached(summary, best)} with {words.count(best.macs)} MACs ({summary.at})."
    )


def _nothing_yet(summary: Summary) -> str:
    failed = summary.states["failed"]
    if summary.over and failed:
        return f"No network finished: all {failed} trials failed." if failed > 1 else "The only trial failed."
    under_way = summary.states["running"] + summary.states["paused"]
    if under_way:
        return f"No network has finished training yet; {words.plural(under_way, 'is', 'are')} under way."
    return "No network has finished training yet."


def _guesses(summary: Summary) -> bool:
    """Whether even the best network may owe its accuracy to luck: then no comparison means anything."""
    config, best = summary.config, summary.best
    return best is not None and cautions.is_chance(summary.metric, config.data, config.num_classes, best.val_acc)


def _budget_sentence(summary: Summary, met: Sequence[Winner]) -> str:
    """``met``: the winners within budgets of one kind, smallest budget first.

    The largest budget is what the search was limited to; "the best of N" are those that it allows.
    """
    largest = met[-1]
    assert largest.trial is not None
    within = sum(t.cost(largest.budget.kind) <= largest.budget.limit for t in summary.complete)
    best = (
        f"the best of {within:,} networks"
        if largest.measured is None
        else f"what is expected to be the best of {within:,}"
    )
    subject = best if within > 1 else "the only network"
    sentence = f"Within {limit(summary, largest.budget)} {subject} reaches {reached(summary, largest.trial)}"
    least = next(w for w in met if w.trial is largest.trial)
    if least is not largest:
        sentence += f", and needs no more than {amount(least.budget)}"
    if smaller := [w for w in met if w.trial is not largest.trial]:
        sentence += f"; {_staying(summary, smaller[-1], least, least is largest)}"
    return sentence + "."


def _staying(summary: Summary, small: Winner, large: Winner, alone: bool) -> str:
    """What a smaller budget costs. ``alone``: no third budget was named, of which "half" might be."""
    assert small.trial is not None
    assert large.trial is not None
    half = alone and abs(large.budget.limit / small.budget.limit - 2) < 0.02
    step = summary.step(small.trial, large.trial)
    staying = "half the budget" if half else f"staying within {amount(small.budget)}"
    gain = lead(summary, small, large)
    points = summary.points(gain)
    costs = "is expected to cost" if summary.choice.by == EXPECTED else "costs"
    said = f"{staying} {costs} {points} {'point' if float(points) == 1 else 'points'}"
    items = summary.metric.items
    noise = step.error is not None and abs(gain) < NOISE * step.error
    return said + (f", less than these validation {items} can tell apart" if noise else "")


def difference(summary: Summary, start: Trial, end: Trial) -> str:
    """``+2.1 ± 0.6 points``: by how much one network is more accurate than another."""
    step = summary.step(start, end)
    spread = "" if step.error is None else f" ± {summary.points(step.error)}"
    return f"{'+' if step.gain >= 0 else '−'}{summary.points(abs(step.gain))}{spread} points"

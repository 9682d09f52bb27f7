"""What is expected of the winners beside what was measured of them, in words."""

from __future__ import annotations

from .. import _text as words
from ..engine.storage.config import EXPECTED
from ..engine.surrogate.expectation import Expected
from . import story
from .data import Summary, Winner


def amount(summary: Summary, expected: Expected | None) -> str:
    """``80.9 ± 0.4 %``; empty where no model could be fitted."""
    if expected is None:
        return ""
    return words.measured(expected.acc, expected.sd, decimals=summary.decimals)


def chance(winner: Winner) -> str:
    """``62 %``: that it is the best within its budget; empty where no model could be fitted."""
    return "" if winner.p_best is None else f"{100 * winner.p_best:.0f}{words.THIN}%"


def line(summary: Summary, winner: Winner) -> str:
    """What is expected of a winner, and the network that would win by what was measured, if that is another."""
    if winner.expected is None:
        return ""
    text = f"expected {amount(summary, winner.expected)}, and the best within this budget with probability "
    text += chance(winner)
    if winner.measured is not None:
        text += (
            f"; trial {winner.measured.number} measured {summary.acc(winner.measured, error=False)}, and "
            f"{amount(summary, summary.choice.expected.get(winner.measured.number))} is expected of it"
        )
    return text


def lead(summary: Summary, small: Winner, large: Winner) -> float:
    """By how many points one winner is better than another: by what they were chosen by."""
    if summary.choice.by == EXPECTED and small.expected and large.expected:
        return large.expected.acc - small.expected.acc
    pair = [(winner.trial and winner.trial.val_acc) or 0.0 for winner in (small, large)]
    return pair[1] - pair[0]


def how(summary: Summary) -> str:
    """By what winners are chosen, for the table of how a run was made."""
    choice, score = summary.choice, summary.metric.score
    if choice.by == EXPECTED:
        return f"expected {score} (--winner expected), of a model fitted to all complete trials"
    asked = f"; not by what is expected, since {choice.why}" if choice.why else ""
    return f"measured {score}{asked}"


def note(summary: Summary) -> str:
    """What the expected accuracies are, and what they are for; empty where there are none."""
    choice, score = summary.choice, story.metric(summary)
    if not choice.expected:
        return f"Winners were chosen by their measured {score}: {choice.why}." if choice.why else ""
    items = summary.metric.items
    luck = f"the luck of {summary.val_images:,} {items}" if summary.metric.of_items and summary.val_images else "luck"
    chosen = (
        f"Winners were chosen by their expected {score}"
        if choice.by == EXPECTED
        else f"Winners were chosen by their measured {score} (--winner expected chooses by the other)"
    )
    return (
        f"{chosen}: what another training of the same architecture would reach, given this one, {luck}, and a model of "
        f"how all {len(choice.expected):,} networks depend on their costs and parameters. Its ± is one standard "
        f"deviation, without the error of the model's own form; the probabilities take errors for independent."
    )


def without_weights(summary: Summary, winner: Winner) -> str:
    """That more is expected of a network whose weights are gone; empty where there is none."""
    first = summary.choice.better_without_weights(summary.complete, [winner.budget])
    if first is None:
        return ""
    return (
        f"of trial {first.number} {amount(summary, summary.choice.expected.get(first.number))} is expected, but its "
        "weights were not kept"
    )

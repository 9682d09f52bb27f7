"""Whether a search was sound, in words: what its record says of its epochs, space, model and failures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from .. import _text as words
from ..engine.storage.trial import FAILED, Trial
from ..engine.storage.winner import winner
from ..engine.surrogate.trial_features import value_key
from .accuracy_model import left_one_out
from .data import Summary
from .ranks import LEAST_RANKED, spearman

ALIKE = 0.8  # rank correlation from which one order stands for another
LATE = 0.25  # the last part of a search, in which a front that still grows says that more would pay
MANY_FAILED = 0.1  # share of the trials
LEAST_MODELLED = 8  # networks from which a model of their accuracies is asked
WEAK = 0.3  # share of the variance below which a model says little
REASONS = 3  # of failures
ROOM = 0.2  # of the largest budget; a winner that leaves more could be larger, had the space larger ones


class Check(NamedTuple):
    """``ok``: nothing to do about it; None where it is neither good nor bad."""

    name: str
    ok: bool | None
    text: str


def checks(summary: Summary) -> list[Check]:
    """What can be checked of a run; nothing is said of what it is too small for."""
    made: list[Callable[[Summary], Check | None]] = [epochs, growth, front_noise, edges, model, failures]
    return [check for make in made if (check := make(summary)) is not None]


def epochs(summary: Summary) -> Check | None:
    """Whether an early epoch orders the networks as the last one does."""
    last = summary.config.epochs
    curves = [dict(t.points) for t in summary.complete]
    told = []
    for epoch in range(1, last):
        pairs = [(c[epoch], c[last]) for c in curves if epoch in c and last in c]
        rank = spearman([a for a, _ in pairs], [b for _, b in pairs])
        if rank is not None:
            told.append((epoch, rank, len(pairs)))
    if not told:
        return None
    shown = told if len(told) <= 4 else [told[0], told[len(told) // 2 - 1], told[len(told) // 2], told[-1]]
    ranks = words.listed(f"{rank:.2f} after epoch {epoch}" for epoch, rank, _ in shown)
    text = f"Spearman's rank correlation with the order after epoch {last}: {ranks} ({shown[0][2]:,} networks)."
    early = next((epoch for epoch, rank, _ in told if rank >= ALIKE), None)
    if early is None:
        text += " No earlier epoch tells the last: early stopping would drop good networks here."
    elif early <= last / 2:
        text += f" Epoch {early} tells most of it: early stopping (--rungs) would save much and lose little."
    ok = None if early is not None and early > last / 2 else early is not None
    return Check("Do early epochs tell the last?", ok, text)


def growth(summary: Summary) -> Check | None:
    """Whether the winners still improved at the end."""
    ordered = sorted(summary.complete, key=lambda t: t.number)
    if len(ordered) < LEAST_MODELLED:
        return None
    late = max(1, round(LATE * len(ordered)))
    before = ordered[:-late]
    budgets = [w.budget for w in summary.winners if w.trial]
    raised = []
    for limits in [[b] for b in budgets] or [[]]:
        old, new = winner(before, limits), winner(ordered, limits)
        gain = (new.val_acc or 0) - (old.val_acc or 0) if old and new else None
        if gain is None or float(summary.points(gain)) > 0:
            by = "from none" if gain is None else f"by {summary.points(gain)} points"
            raised.append(f"{by} within {limits[0].label}" if limits else by)
    last = f"the last {late:,} of {len(ordered):,} networks"
    name = "Would more trials pay?"
    if not raised:
        return Check(name, True, f"Of {last} none raised a winner: more trials of this space promise little.")
    return Check(name, None, f"Among {last} were better winners ({words.listed(raised)}): a larger --trials may pay.")


def front_noise(summary: Summary) -> Check | None:
    """How much of the front's order the validation split can see."""
    front = summary.front
    steps = [summary.step(a, b) for a, b in pairwise(front)]
    if not steps or steps[0].error is None:
        return None
    unclear = sum(step.noise for step in steps)
    how = "paired standard errors" if all(s.paired for s in steps) else "standard errors"
    text = (
        f"{unclear:,} of {words.plural(len(steps), 'step')} between neighbours on the front "
        f"{'is' if unclear == 1 else 'are'} smaller than two {how}."
    )
    if unclear > len(steps) / 2:
        text += f" More validation {summary.metric.items} (?val=N) would tell them apart."
    return Check("Can the front's networks be told apart?", unclear <= len(steps) / 2, text)


def edges(summary: Summary) -> Check | None:
    """Whether a winner is at the end of a parameter's range, and which bound to move."""
    wins: dict[tuple[str, str, Any], list[Trial]] = {}
    params = summary.config.space.get("params") or {}
    largest = summary.wins[-1][0].trial if summary.wins else summary.best
    smallest = summary.wins[0][0].trial if summary.wins else None
    judged = False
    for name in summary.parameters:
        values = _grid(params, name)
        if len(values) < LEAST_RANKED:  # of two values each is an end
            continue
        judged = True
        for trial, end in ((largest, "largest"), (largest, "smallest"), (smallest, "largest"), (smallest, "smallest")):
            at = values[-1] if end == "largest" else values[0]
            if trial is not None and name in trial.setting and value_key(trial.setting[name]) == value_key(at):
                found = wins.setdefault((name, end, at), [])
                found += [trial] if trial not in found else []
    if not judged or largest is None:
        return None
    both = {trial.number for trial in (largest, smallest) if trial}
    # At one end from the smallest to the largest budget: it is not the budget that keeps them there.
    always = [key for key, trials in wins.items() if {t.number for t in trials} == both]
    if room := _room(summary, largest):
        always += [key for key, trials in wins.items() if largest in trials and key not in always]
    if not always:
        return Check("Is the space large enough?", True, "No parameter is at the end of its range in every winner.")
    said = []
    for name, end, value in always:
        bound = "high" if end == "largest" else "low"
        move = f"params.{name.rpartition('.')[0] if _stage(name) else name}"
        ranged = "low" in (params.get(move.removeprefix("params.")) or {})
        what = f"move {move}.{bound}" if ranged else f"add to {move}.choices"
        said.append(f"{name} is {words.scalar(value)}, its {end} value ({what})")
    who = "The winner has" if len(both) == 1 else "Winners from the smallest to the largest budget have"
    if room:
        who = f"The winner within the largest budget has {room} of it left, and"
    return Check(
        "Is the space large enough?",
        False,
        f"{who} parameters at an end of their range: {words.listed(said)}. A space that goes on there may hold better.",
    )


def _room(summary: Summary, trial: Trial) -> str:
    """The share of the largest budget of MACs that a network leaves, where that is much: ``42 %``."""
    limit = max((b.limit for b in summary.budgets if b.kind == "macs"), default=0.0)
    left = 1 - (trial.macs or 0) / limit if limit else 0.0
    return f"{100 * left:.0f}{words.THIN}%" if left > ROOM else ""


def _stage(name: str) -> bool:
    return name.rpartition(".")[2].isdigit()


def _grid(params: Any, name: str) -> list[Any]:
    """The numbers that a space allows for a parameter, in order; none where they are no numbers."""
    spec = params.get(name) or (params.get(name.rpartition(".")[0]) if _stage(name) else None) or {}
    if "low" in spec and "high" in spec:
        low, high, step = spec["low"], spec["high"], spec.get("step") or 1
        return [low, low + step, high] if (high - low) / step > 1.5 else [low, high]
    values = spec.get("choices") or []
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    return sorted(values) if numbers else []


def model(summary: Summary) -> Check | None:
    """How well the surrogate predicts a network that it has not seen."""
    if len(summary.complete) < LEAST_MODELLED:
        return None
    found = left_one_out(summary)
    if found is None:
        return None
    explained = max(0.0, 100 * found.explained)
    text = (
        f"A Gaussian process over costs and parameters, fitted to all but one of {found.networks:,} networks, misses "
        f"the one left out by {words.fixed(found.error)} points (root mean square; the accuracies themselves spread "
        f"by {words.fixed(found.spread)}): it explains {explained:.0f}{words.THIN}% of their variance"
    )
    rank = "" if found.rank is None else f", and orders them with a rank correlation of {found.rank:.2f}"
    name = "Can accuracies be predicted?"
    if found.explained < WEAK:
        return Check(name, False, f"{text}{rank}. A sampler that models accuracies has little to go by here.")
    return Check(name, True, f"{text}{rank}.")


def failures(summary: Summary) -> Check | None:
    """What share of the trials failed, and why."""
    if not summary.trials:
        return None
    failed = [t for t in summary.trials if t.state == FAILED]
    if not failed:
        return Check("Did trials fail?", True, f"None of {words.plural(len(summary.trials), 'trial')} failed.")
    why = Counter(words.one_line(t.error, 90) or "no reason recorded" for t in failed).most_common(REASONS)
    share = len(failed) / len(summary.trials)
    text = (
        f"{len(failed):,} of {len(summary.trials):,} trials failed ({100 * share:.0f}{words.THIN}%): "
        f"{words.listed(f'{count:,} by {reason}' for reason, count in why)}."
    )
    return Check("Did trials fail?", share <= MANY_FAILED, text)


def heading(found: Sequence[Check]) -> str:
    """How many of the checks ask for something."""
    bad = sum(check.ok is False for check in found)
    of = f"of {words.plural(len(found), 'check')}"
    return f"{bad:,} {of} {'asks' if bad == 1 else 'ask'} for something." if bad else f"None {of} asks for anything."

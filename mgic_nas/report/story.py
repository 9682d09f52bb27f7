"""The sentences of a report: what came out, in plain words and as plain text."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .. import _text as words
from .._text import THIN
from ..cost.runtimes.kinds import LATENCY, is_latency, latency_title
from ..engine.storage.trial import Trial
from ..families import SETTINGS
from ..space.budget import Budget
from .command import shown, space_name
from .data import Summary
from .ranks import rank_correlation


def metric(summary: Summary) -> str:
    """What the score is, in the middle of a sentence: ``accuracy``, ``mIoU``."""
    return summary.metric.score


def reached(summary: Summary, trial: Trial) -> str:
    """``81.3 %``; where that could be anything but top-1, ``81.3 % mIoU``."""
    score = words.percent(trial.val_acc, decimals=summary.decimals)
    return score if summary.metric.of_items else f"{score} {metric(summary)}"


def title(summary: Summary) -> str:
    """What the score is, as a heading or an axis says it: ``Validation accuracy``, ``Validation mIoU``."""
    return f"Validation {metric(summary)}"


def score(summary: Summary) -> str:
    """The same at the head of a column: ``Accuracy``, ``mIoU``."""
    name = metric(summary)
    return name if name != name.lower() else name.capitalize()


def amount(budget: Budget) -> str:
    """``1 M MACs``, ``1 M parameters``, ``5 ms``: a limit without its input size."""
    if is_latency(budget.kind):
        where = latency_title(budget.kind).removeprefix(latency_title(LATENCY))
        return f"{budget.limit * 1e3:.4g}{THIN}ms{where}"
    noun = {"macs": "MACs", "params": "parameters", "activations": "activations"}[budget.kind]
    return f"{words.count(budget.limit, strip=True)} {noun}"


def amounts(several: Sequence[Budget]) -> str:
    """``0.5, 1 and 2 M MACs``: budgets of one kind, smallest first."""
    if is_latency(several[0].kind):
        return words.listed(map(amount, several))
    return words.listed([*(words.count(b.limit, strip=True) for b in several[:-1]), amount(several[-1])])


def limit(summary: Summary, budget: Budget) -> str:
    """``1 M MACs (at 1×14×14)``: with the size, where the limit depends on it."""
    size = size_of(summary, budget)
    return f"{amount(budget)} ({size})" if size else amount(budget)


def size_of(summary: Summary, budget: Budget) -> str:
    """``at 1×14×14`` for what depends on the input size; nothing for parameters."""
    return "" if budget.kind == "params" else summary.at


def searched(summary: Summary) -> str:
    """What was searched, on which data, within which budgets: the line below the headline."""
    asked = f" of {summary.config.trials:,}" if summary.ended != summary.config.trials else ""
    space = space_name(summary.config.space_source)
    of = summary.config.model + ("" if summary.config.model == SETTINGS else " networks")
    text = (
        f"A search over {of}{f' (space {space})' if space else ''} on "
        f"{summary.data}: {data_text(summary)}; {summary.ended:,}{asked} trials of "
        f"{words.plural(summary.config.epochs, 'epoch')}"
    )
    measure = summary.metric
    if summary.val_images:
        text += (
            f", scored by {measure.name} on {summary.val_images:,} validation {measure.items} that none was trained on"
        )
    if summary.budgets:
        text += f". Budgets: {words.listed(budgets(summary))}"
    return text + "."


def data_text(summary: Summary) -> str:
    """``10 classes, images of 1×14×14``; what the data are, without their name."""
    size, outputs, metric = summary.config.input_size, summary.config.num_classes, summary.metric
    if summary.config.model == SETTINGS:
        return "known to the function alone"
    if not metric.of_classes:
        return f"{words.plural(size[0], 'input')}, {words.plural(outputs, 'output')}"
    of = f"{size[1]:,} points" if metric.item == "point cloud" else words.size_text(size, "×")
    return f"{outputs:,} classes, {metric.items} of {of}"


def budgets(summary: Summary) -> list[str]:
    """The budgets in words, the input size said once a kind."""
    by_kind: dict[str, list[Budget]] = {}
    for budget in summary.budgets:
        by_kind.setdefault(budget.kind, []).append(budget)
    result = []
    for kind, several in by_kind.items():
        numbers = [words.count(b.limit, strip=True) for b in several[:-1]] if not is_latency(kind) else []
        numbers = numbers or [amount(b) for b in several[:-1]]
        result.append(words.listed([*numbers, limit(summary, several[-1])]))
    return result


def milliseconds(trial: Trial, kind: str) -> str:
    """``4.21 ms``; a dash where it was not measured."""
    value = trial.milliseconds(kind)
    return "–" if value is None else f"{value:.4g}{THIN}ms"


def latencies(summary: Summary) -> list[tuple[str, str]]:
    """What was measured, and how: a kind of latency each. What was predicted first, and how well, is said with it."""
    predicted = {
        kind: f"{how}; networks to be measured were chosen by predictions from the times of their rows: {accuracy}"
        for kind, how in summary.record.timed.items()
        if (accuracy := summary.config.predicted.get(kind)) and how
    }
    return [
        (f"{latency_title(kind)} measured" if kind == LATENCY else latency_title(kind), predicted.get(kind, how))
        for kind, how in summary.record.timed.items()
        if how
    ]


def started(summary: Summary) -> list[tuple[str, str]]:
    """What the search started from, where it started from something."""
    config = summary.config
    rows = [("Started from", shown(config.earlier, summary.folder))] if config.earlier else []
    if config.enqueue:
        rows.append(("Enqueued", f"{words.plural(len(config.enqueue), 'design')}, trained first where they fit"))
    if config.prior:
        believed = [f"{one['param']}={words.scalar(one['value'])} ({one['weight']:g})" for one in config.prior]
        rows.append(("Prior weights", ", ".join(believed)))
    return rows


def ranked_alike(summary: Summary) -> list[str]:
    """How far the networks' order by MACs is that by each latency: one sentence each."""
    sentences = []
    for kind in summary.record.timed:
        networks, rank = rank_correlation(summary, kind)
        if rank is not None:
            sentences.append(
                f"Spearman's rank correlation between MACs and milliseconds ({latency_title(kind)}) is {rank:.2f} "
                f"over {networks:,} networks."
            )
    return sentences


def status(summary: Summary) -> str:
    """Whether the run is over; if not, its progress and how to resume it; what another hour is expected to buy."""
    ahead = summary.outlook
    return f"{_standing(summary)} {ahead[0].upper()}{ahead[1:]}." if ahead else _standing(summary)


def _standing(summary: Summary) -> str:
    """Whether the run is over; if not, its progress and how to resume it. A report cannot see whether a driver runs."""
    if summary.over:
        left = f"{summary.left:,} trained only so far as to see that the others are better." if summary.left else ""
        if summary.record.ended and summary.ended < summary.config.trials:
            reason = summary.record.ended.rstrip(".")
            return f"Finished after {summary.ended:,} of {summary.config.trials:,} trials: {reason}. {left}".rstrip()
        return f"Finished. {left}" if left else "Finished."
    waiting = [f"{summary.states[s]:,} {s}" for s in ("running", "paused") if summary.states[s]]
    text = f"Unfinished: {summary.ended:,} of {summary.config.trials:,} trials are over"
    if waiting:
        text += f", {words.listed(waiting)}"
    return text + ". Where it was interrupted, the same command goes on from here."


def no_winner(summary: Summary, budget: Budget) -> str:
    """Why a budget has no winner."""
    if not summary.complete:
        return "No network finished." if summary.over else "No network has finished training yet."
    if all(math.isnan(t.cost(budget.kind)) for t in summary.complete):
        return f"No trained network has a recorded {budget.kind}."
    return f"No trained network is within {limit(summary, budget)}."


def outcome(summary: Summary) -> str:
    """``23 complete, 1 failed``."""
    known = ("complete", "stopped", "failed", "running", "paused")
    parts = [f"{summary.states[s]:,} {s}" for s in known if summary.states[s]]
    parts += [f"{n:,} {s}" for s, n in summary.states.items() if s not in known]
    return words.listed(parts) or "none started"


def rejections(summary: Summary) -> str:
    """The proposals that were never trained, and why."""
    text = reasons(summary) or "none"
    if uniform := summary.record.uniform:
        text += f"; {uniform:,} of the networks were drawn uniformly, where the sampler had nothing new that fits"
    return text


def reasons(summary: Summary) -> str:
    """``31 over budget, 9 duplicate``: how many proposals were not trained, by reason."""
    said = {"where": "outside the conditions", "impossible": "impossible to build"}
    rejected = summary.record.rejected.items()
    return ", ".join(f"{number:,} {said.get(reason, reason)}" for reason, number in rejected)


def recipe(summary: Summary) -> str:
    """How each network was trained, without what is switched off; run.yaml has all of it."""
    used = {k: v for k, v in summary.config.recipe.items() if v not in (None, False, [], "")}
    return ", ".join(f"{name} {words.scalar(value)}" for name, value in used.items())


def gain_unit(summary: Summary) -> float:
    """The unit for marginal gains along the front: a power of ten below its span."""
    front = summary.front
    return words.round_unit((front[-1].macs or 0) - (front[0].macs or 0)) if len(front) > 1 else 1e6

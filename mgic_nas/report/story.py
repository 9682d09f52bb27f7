"""The sentences of a report: what came out, in plain words and as plain text."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .. import _text as words
from .._text import THIN
from ..cost.runtimes.kinds import LATENCY, is_latency, latency_title
from ..engine.storage.trial import Trial
from ..space.budget import Budget
from ..tasks import cautions
from .command import space_name
from .data import Summary, Winner, rank_correlation
from .thinning import CLOUD, panel


def headline(summary: Summary) -> str:
    """The result in one sentence: the accuracy within a budget, and what more budget buys."""
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
        f"{_reached(summary, best)} with {words.count(best.macs)} MACs ({summary.at})."
    )


def metric(summary: Summary) -> str:
    """What the score is, in the middle of a sentence: ``accuracy``, ``mIoU``."""
    return summary.metric.score


def _reached(summary: Summary, trial: Trial) -> str:
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
    """``met``: the winners within budgets of one kind, smallest budget first."""
    # Each network once: the one before the last with the largest budget that it wins, the last with the smallest.
    last = next(w for w in met if w.trial is met[-1].trial)
    before = [w for w in met if w.trial is not last.trial]
    small = before[-1] if before else last
    networks = len(summary.complete)
    subject = f"the best of {networks:,} networks" if networks > 1 else "the only network"
    assert small.trial is not None
    assert last.trial is not None
    sentence = f"Within {limit(summary, small.budget)} {subject} reaches {_reached(summary, small.trial)}"
    if before:
        ratio = last.budget.limit / small.budget.limit
        raising = "doubling the budget" if abs(ratio - 2) < 0.02 else f"raising it to {amount(last.budget)}"
        sentence += f"; {raising} {_buys(summary, small.trial, last.trial)}"
    elif len(met) > 1 and summary.over and networks > 1:
        sentence += f"; none within {amount(met[-1].budget)} does better"
    return sentence + "."


def _buys(summary: Summary, small: Trial, large: Trial) -> str:
    gain = (large.val_acc or 0) - (small.val_acc or 0)
    errors = [summary.error(t.val_acc) for t in (small, large)]
    points = f"{gain:.{summary.decimals}f}"
    unit = "point" if points in ("1.0", "1.00") else "points"
    if None not in errors and gain < 2 * sum(e * e for e in errors if e) ** 0.5:
        items = summary.metric.items
        return f"buys {points} {unit}, less than these validation {items} can tell apart"
    return f"buys {points} {unit}"


def amount(budget: Budget) -> str:
    """``1 M MACs``, ``1 M parameters``, ``5 ms``: a limit without its input size."""
    if is_latency(budget.kind):
        where = latency_title(budget.kind).removeprefix(latency_title(LATENCY))
        return f"{budget.limit * 1e3:.4g}{THIN}ms{where}"
    noun = {"macs": "MACs", "params": "parameters", "activations": "activations"}[budget.kind]
    return f"{words.count(budget.limit, strip=True)} {noun}"


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
    text = (
        f"A search over {summary.config.model} networks{f' (space {space})' if space else ''} on "
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


def accuracy_note(summary: Summary) -> str:
    """What the ± means and how far to trust a winner."""
    measure = summary.metric
    spread = ""
    if summary.val_images and measure.of_items:
        spread = f"± is one binomial standard error of the {summary.val_images:,} validation {measure.items}. "
    what = "accuracies are" if measure.of_items else f"{measure.score} is"
    return (
        f"{spread}Winners were chosen by these same {measure.items}, so their {what} slightly optimistic: "
        "score a winner on the test split once, before quoting it."
    )


def front_note(summary: Summary, below: int = 0) -> str:
    """What the figure of the front shows; ``below``: how many networks are too bad for its first view."""
    what = metric(summary)
    parts = [f"Every point is a trained network; the stepped line is the best {what} to be had for each cost."]
    if summary.val_images and summary.metric.of_items:
        parts.append(f"Bars are one standard error of the {summary.val_images:,} validation {summary.metric.items}.")
    if summary.budgets:
        parts.append("Dashed lines are the budgets, rings their winners.")
    parts.append("The search looks for the front in MACs; fronts in other costs are what it found on the way.")
    if drawn := drawn_note(summary, CLOUD):
        parts.append(drawn)
    if below:
        parts.append(f"{words.plural(below, 'network lies', 'networks lie')} below the view; a double click shows all.")
    if summary.reference:
        parts.append(
            f"Diamonds are the reference points of {summary.reference_file}, with data, recipes and input sizes of "
            "their own."
        )
    return " ".join(parts)


def hypervolume_note(summary: Summary) -> str:
    """When the search had found most of what it found."""
    history = summary.hypervolume_history
    if not history or history[-1][1] <= 0:
        return f"No network is better than {summary.metric.blind} yet, so there is nothing to measure."
    final = history[-1][1]
    most = next(i for i, (_, v) in enumerate(history, 1) if v >= 0.95 * final)
    last = next(i for i, (_, v) in enumerate(history, 1) if v >= final)
    total = len(history)
    acc, cost = summary.hypervolume_reference
    blind = summary.metric.blind
    return (
        f"95{THIN}% of the final front was reached after {words.plural(most, 'network')}, and the last improvement "
        f"came with number {last:,} of {total:,}. The hypervolume is the area under the front above {blind} "
        f"({words.percent(acc)}) and below {words.count(cost, strip=True)} MACs ({summary.at}), in percent times "
        "decades of MACs."
    )


def parameters_note(summary: Summary) -> str:
    """How much the panels of the parameters can bear."""
    complete = len(summary.complete)
    return (
        f"Each point is one of {words.plural(complete, 'completely trained network')}, bars are medians. The search "
        "prefers some values and combines them unevenly, so a difference between two columns is an observation, "
        "not the effect of that parameter alone; columns of few networks say little. "
        f"{drawn_note(summary, panel(summary))}"
    ).rstrip()


def drawn_note(summary: Summary, most: int) -> str:
    """What a figure leaves out of a cloud of very many networks; empty where it draws all."""
    if len(summary.complete) <= most:
        return ""
    return f"Of {len(summary.complete):,} networks about {most:,} are drawn, evenly from all of the search."


def gains_note(summary: Summary) -> str:
    """Which steps the marginal gains are of."""
    luck = " A gain of less than two standard errors may be luck." if summary.metric.of_items else ""
    return (
        f"The steps along the front that pay best: from each network to the one that gains the most "
        f"{metric(summary)} per additional MAC.{luck}"
    )


def gain_unit(summary: Summary) -> float:
    """The unit for marginal gains along the front: a power of ten below its span."""
    front = summary.front
    return words.round_unit((front[-1].macs or 0) - (front[0].macs or 0)) if len(front) > 1 else 1e6

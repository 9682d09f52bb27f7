"""The small print: what the errors mean, what a figure shows and what it leaves out."""

from __future__ import annotations

from .. import _text as words
from .._text import THIN
from . import expected, retrained, story
from .data import Summary
from .thinning import CLOUD, STEPS, panel


def accuracy_note(summary: Summary) -> str:
    """What the ± means and how far to trust a winner."""
    measure = summary.metric
    spread = ""
    if summary.val_images and measure.of_items:
        spread = (
            f"± is one binomial standard error of the {summary.val_images:,} validation {measure.items}. "
            f"{_differences(summary)} {_training_noise(summary)} "
        )
    what = "accuracies are" if measure.of_items else f"{measure.score} is"
    networks = summary.retrained.networks.values() if summary.retrained else ()
    tested = any(one.test_mean is not None for one in networks)
    quote = "quote the test scores" if tested else "score a winner on the test split once, before quoting it"
    chosen = f"{said} " if (said := expected.note(summary)) else ""
    return (
        f"{spread}{chosen}Winners were chosen by these same {measure.items}, so their {what} slightly optimistic: "
        f"{quote}."
    )


def _differences(summary: Summary) -> str:
    items = summary.metric.items
    if summary.paired:
        return f"Differences have the smaller, paired error of two networks on the same {items}."
    return (
        f"Which {items} each network got right was not kept, so errors of differences are those of two independent "
        "accuracies: too large rather than too small."
    )


def _training_noise(summary: Summary) -> str:
    """The noise that another seed of a training adds: apart from that of the inputs, and only where it is known."""
    spread = retrained.spread(summary.retrained)
    if spread is None:
        return (
            "Another seed of the training would move every number further: each network was trained once, so that "
            "noise was not measured here."
        )
    return (
        f"The noise of training is apart from that: on the full recipe, seeds of one network spread by "
        f"{summary.points(spread)} points (standard deviation)."
    )


def front_note(summary: Summary, below: int = 0) -> str:
    """What the figure of the front shows; ``below``: how many networks are too bad for its first view."""
    what = story.metric(summary)
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
    if any(not p.apart for p in summary.reference):
        parts.append(f"Diamonds are the reference points of {summary.reference_file}, trained by recipes of their own.")
    if any(p.apart for p in summary.reference):
        parts.append(
            f"Hollow diamonds are points of {summary.reference_file} with other data or another input size, or which "
            "do not say: they stand on another scale, and no network here is better or worse than they are."
        )
    if summary.left_out:
        parts.append(left_out(summary))
    return " ".join(parts)


def left_out(summary: Summary) -> str:
    """Which reference points are not shown."""
    points = words.plural(summary.left_out, "point")
    return (
        f"{points} of {summary.reference_file} left out: of other data or another input size than {summary.data} "
        f"{summary.at}, or without the columns data and input_size (--apart shows them, apart)."
    )


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
        f"decades of MACs.{_random_order(summary)}"
    )


def _random_order(summary: Summary) -> str:
    """What the second curve is, and what it is not."""
    ours = [value for _, value in summary.hypervolume_history]
    if not 2 < len(ours) <= STEPS:
        return ""
    final = ours[-1]
    first, second = (next(i for i, v in enumerate(h, 1) if v >= 0.95 * final) for h in (ours, summary.random_order))
    return (
        f" The dashed line is the exact mean over all orders of these same {len(ours):,} networks, which reaches 95"
        f"{THIN}% after {second:,} (the search after {first:,}): being above it says that good networks came early. "
        "Random search would have trained other networks, and what it would have found is not known."
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
    kind = "paired standard errors (of the difference on the same {})" if summary.paired else "standard errors"
    luck = f" A gain of less than two {kind.format(summary.metric.items)} may be luck." * summary.metric.of_items
    return (
        f"The steps along the front that pay best: from each network to the one that gains the most "
        f"{story.metric(summary)} per additional MAC.{luck}"
    )

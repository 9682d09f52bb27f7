"""front.png: accuracy against MACs, for slides and issues."""

from __future__ import annotations

import math
from typing import Any

from .. import _text as words
from .._figure import GREY, INK, MUTED, ORANGE, PURPLE, TEAL, dress, figure, png
from .axes import NAMED, accuracy_range, axis_title, log_ticks
from .data import Summary
from .story import title

_LEGEND = ("Pareto front", "other networks", "reference", "other data or input size")


def front_png(summary: Summary) -> bytes:
    """The picture as PNG, 1,680 x 1,000 pixels (twice the size at which it is meant to be seen)."""
    made = figure(8.4, 5.0)
    axes = made.add_subplot()
    budgets = [b for b in summary.budgets if b.kind == "macs"]
    epochs = words.plural(summary.config.epochs, "epoch")
    subtitle = f"{words.plural(len(summary.complete), 'network')} trained for {epochs} each"
    if summary.val_images and summary.front and summary.metric.of_items:
        subtitle += f"; bars: standard error of {summary.val_images:,} validation {summary.metric.items}"
    axes.set_xscale("log")
    dress(
        axes,
        f"{summary.config.model} on {summary.data}",
        subtitle,
        axis_title(summary, "macs"),
        f"{title(summary)} (%)",
    )
    xs = [t.macs or 1 for t in summary.complete] + [p.macs for p in summary.reference] + [b.limit for b in budgets]
    low, high = (min(xs), max(xs)) if xs else (1e5, 1e7)
    pad = 10 ** max(0.06 * math.log10(high / low), 0.04)
    axes.set_xlim(low / pad, high * pad)
    ticks, labels = log_ticks(low / pad, high * pad)
    axes.set_xticks(ticks, labels)
    axes.minorticks_off()
    bottom, top = accuracy_range(summary, [p.acc for p in summary.reference])
    if summary.complete:
        axes.set_ylim(min([bottom, *(p.acc - 1 for p in summary.reference)]), min(top, 100.5))
    else:
        axes.text(0.5, 0.5, "No network has finished training yet", transform=axes.transAxes, ha="center", color=MUTED)
    for budget in budgets:
        axes.axvline(budget.limit, color=ORANGE, linewidth=0.9, linestyle=(0, (5, 4)), zorder=1)
        axes.annotate(
            words.count(budget.limit, strip=True), (budget.limit, 0.985), xycoords=("data", "axes fraction"),
            xytext=(-4, 0), textcoords="offset points", ha="right", va="top", fontsize=8.5, color=ORANGE,
        )  # fmt: skip
    _points(axes, summary)
    handles, names = axes.get_legend_handles_labels()
    if handles:
        order = sorted(range(len(names)), key=lambda i: _LEGEND.index(names[i]))
        axes.legend(
            [handles[i] for i in order], [names[i] for i in order],
            loc="lower right", frameon=False, fontsize=8.5, labelcolor=MUTED,
        )  # fmt: skip
    return png(made)


def _points(axes: Any, summary: Summary) -> None:
    """The networks, the front with its errors, the winners and the reference points."""
    others = [t for t in summary.complete if t.number not in summary.front_numbers]
    x, y = [t.macs or 1 for t in others], [t.val_acc or 0 for t in others]
    if others:
        many = len(others) > 150
        size, alpha = (9, 0.55) if many else (20, 1.0)
        axes.scatter(x, y, s=size, alpha=alpha, color=GREY, label="other networks", linewidths=0, zorder=2)
    x, y = [t.macs or 1 for t in summary.front], [t.val_acc or 0 for t in summary.front]
    if summary.front:
        axes.step(x, y, where="post", color=TEAL, linewidth=1.5, zorder=3)
        axes.errorbar(
            x, y, yerr=[summary.error(v) or 0 for v in y], fmt="o", color=TEAL, markersize=5.5, elinewidth=0.9,
            capsize=2, markeredgecolor="white", markeredgewidth=0.8, label="Pareto front", zorder=4,
        )  # fmt: skip
    named = {w.trial.number: w.trial for w in summary.winners if w.trial and w.budget.kind == "macs"}
    for trial in named.values():
        at = (trial.macs or 1, trial.val_acc or 0)
        axes.scatter(*at, s=95, facecolors="none", edgecolors=INK, linewidths=1.1, zorder=5)
        axes.annotate(
            summary.points(at[1]), at, xytext=(-7, 7), textcoords="offset points", ha="right", fontsize=9,
            fontweight="bold", color=INK, zorder=6,
        )  # fmt: skip
    points = summary.reference
    for apart, label in ((False, "reference"), (True, "other data or input size")):
        if some := [p for p in points if p.apart is apart]:
            face = {"facecolors": "none"} if apart else {}
            costs, accs = [p.macs for p in some], [p.acc for p in some]
            axes.scatter(
                costs, accs, s=30, marker="D", edgecolors=PURPLE, label=label, zorder=3, **(face or {"c": PURPLE})
            )
    for point in points if len(points) <= NAMED else ():
        axes.annotate(
            _literal(point.name), (point.macs, point.acc), xytext=(5, -9), textcoords="offset points", fontsize=7.5,
            color=PURPLE,
        )  # fmt: skip


def _literal(text: str) -> str:
    """Text that matplotlib shall not read as a formula."""
    return text.replace("$", r"\$")

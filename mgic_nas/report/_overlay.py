"""Several runs on the same data, laid over each other: fronts, hypervolumes with one reference, winners."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from .. import _text as words
from .. import pareto
from .._files import write_atomic
from ..engine.storage.trial import Trial
from ..engine.storage.winner import winner
from ..errors import UserError
from ..space.budget import Budget
from . import story
from .axes import axis_title, on_axis
from .command import space_name
from .data import Summary
from .figures import hover_texts
from .gather import gather
from .layout import ACCENT, BAD, BUDGET, FAINT, INK, REFERENCE, Figure, accuracy_axis, frame, log_axis, whole_axis
from .page import json_text, resource, script, template
from .steps import NOISE, Step, compared

_COLOURS = (ACCENT, BUDGET, REFERENCE, BAD, INK, FAINT)
_DASHES = (None, "dash")
MOST = len(_COLOURS) * len(_DASHES)  # runs that can be told apart in a figure


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
        return [winner(run.complete, [budget]) for run in self.runs]

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
    if one.get("fingerprint") != two.get("fingerprint") or not one.get("fingerprint"):
        specs = [str(data.get("spec")) for data in (two, one)]
        return f"its data are {specs[0]}, not {specs[1]}" if specs[0] != specs[1] else "its data were others then"
    if first.config.input_size != other.config.input_size:
        return f"its input size is {words.size_text(other.config.input_size)}, not {words.size_text(one['input_size'])}"
    return "" if first.metric == other.metric else f"its score is {other.metric.name}, not {first.metric.name}"


def figures(over: Overlay) -> dict[str, Figure]:
    """``front-macs`` and ``hypervolume``, a line a run."""
    return {"front-macs": _front(over), "hypervolume": _hypervolume(over)}


def _looks(over: Overlay) -> list[tuple[str, str, str | None]]:
    """(name, colour, dash) of each run."""
    size = len(_COLOURS)
    return [(name, _COLOURS[i % size], _DASHES[i // size]) for i, name in enumerate(over.names)]


def _front(over: Overlay) -> Figure:
    data: list[Figure] = []
    for run, (name, color, dash) in zip(over.runs, _looks(over), strict=True):
        texts = hover_texts(run, run.front_numbers)
        data.append(
            {
                "name": name,
                "x": [t.macs for t in run.front],
                "y": [t.val_acc for t in run.front],
                "line": {"shape": "hv", "color": color, "width": 2, "dash": dash},
                "marker": {"color": color, "size": 8, "rim": "var(--paper)"},
                "bars": [run.error(t.val_acc) or 0 for t in run.front],
                "hover": [f"{name}: {texts[t.number]}" for t in run.front],
            }
        )
    first = over.runs[0]
    budgets = [b for b in over.budgets if b.kind == "macs"]
    limits = [on_axis("macs", b.limit) for b in budgets]
    ranges = [accuracy_axis(run, [trace])["range"] for run, trace in zip(over.runs, data, strict=True)]
    xs = [x for trace in data for x in trace["x"]]
    layout = frame(
        xaxis={**log_axis([*xs, *limits]), "title": axis_title(first, "macs")},
        yaxis={
            "range": [min(low for low, _ in ranges), max(high for _, high in ranges)],
            "title": f"{story.title(first)} (%)",
        },
        height=470,
        margin=(62, 18, 40, 58),
        legend=True,
        lines=[
            {"x": x, "text": words.count(b.limit, strip=True), "color": FAINT}
            for x, b in zip(limits, budgets, strict=True)
        ],
    )
    return {"data": data, "layout": layout}


def _hypervolume(over: Overlay) -> Figure:
    data: list[Figure] = [
        {
            "name": name,
            "x": list(range(1, len(history) + 1)),
            "y": [round(value, 5) for value in history],
            "line": {"shape": "hv", "color": color, "width": 2, "dash": dash},
            "hover": f"{name.replace('{', '(')}: after {{x}} networks {{y:2}}",
        }
        for history, (name, color, dash) in zip(over.histories, _looks(over), strict=True)
    ]
    layout = frame(
        xaxis={"title": "Networks trained completely", **whole_axis(1, max(map(len, over.histories)))},
        yaxis={"title": "Hypervolume (% × decades)"},
        height=340,
        margin=(62, 18, 12, 52),
        legend=True,
    )
    return {"data": data, "layout": layout}


def rows(over: Overlay) -> list[dict[str, Any]]:
    """Each run in a line: how it was made, and its hypervolume."""
    return [
        {
            "name": name,
            "space": space_name(run.config.space_source) or run.config.model,
            "sampler": f"{run.config.sampler or '–'}, seed {run.config.seed}",
            "stopping": run.config.rungs,
            "epochs": run.config.epochs,
            "networks": len(run.complete),
            "front": len(run.front),
            "seconds": sum(t.seconds or 0.0 for t in run.trials),
            "hypervolume": history[-1] if history else 0.0,
            "over": run.over,
        }
        for run, name, history in zip(over.runs, over.names, over.histories, strict=True)
    ]


def winner_rows(over: Overlay) -> list[dict[str, Any]]:
    """Each budget in a line: the winner of each run, and how far the best is ahead of the next."""
    found = []
    for budget in over.budgets:
        won = over.winners(budget)
        accs = {i: trial.val_acc or 0.0 for i, trial in enumerate(won) if trial}
        ranked = sorted(accs, key=lambda i: -accs[i])
        cells = [
            "–" if t is None else f"{run.acc(t)} (trial {t.number}, {words.count(t.macs)})"
            for run, t in zip(over.runs, won, strict=True)
        ]
        found.append({"budget": story.limit(over.runs[0], budget), "cells": cells, "lead": _lead(over, ranked, budget)})
    return found


def _lead(over: Overlay, ranked: Sequence[int], budget: Budget) -> str:
    """``A by 1.2 ± 0.5 points``; whether that is more than noise is said."""
    if len(ranked) < 2:
        return "–"
    step = over.against(ranked[1], ranked[0], budget)
    assert step is not None
    gain, run = step.gain, over.runs[ranked[0]]
    spread = "" if step.error is None else f" ± {run.points(step.error)}"
    noise = f" (below {NOISE:g} standard errors)" if step.noise else ""
    return f"{over.names[ranked[0]]} by {run.points(gain)}{spread} points{noise}" if gain else "equal"


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
    lines = [f"The runs differ in their {words.listed(said)}."] if said else []
    if unfinished := [name for run, name in zip(over.runs, over.names, strict=True) if not run.over]:
        lines.append(f"Unfinished: {words.listed(unfinished)}.")
    return lines


def page(over: Overlay) -> str:
    """The page, which needs no network and no other file."""
    if not all(run.complete for run in over.runs):
        empty = next(name for run, name in zip(over.runs, over.names, strict=True) if not run.complete)
        raise UserError(f"{empty} has no network that was trained to its end: there is nothing to lay over.")
    return template("overlay.html").render(
        over=over,
        first=over.runs[0],
        story=story,
        words=words,
        style=resource("style.css"),
        script=script(),
        data=json_text({"figures": figures(over), "hover": {}}),
        rows=rows(over),
        winners=winner_rows(over),
        notes=notes(over),
    )


def overlay(over: Overlay, out: str | Path) -> Path:
    """Writes the page of several runs laid over each other; the runs themselves are left alone.

    Args:
        over: the runs, see :func:`gather_runs`.
        out: the page.

    Raises:
        UserError: a run has no trained network, or the page cannot be written.
    """
    text = page(over)
    try:
        write_atomic(out, text)
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror}.") from None
    return Path(out)


def summary_text(over: Overlay) -> str:
    """The winners and the hypervolumes, for a terminal."""
    table = [["", *over.names]]
    for line in winner_rows(over):
        table.append([f"within {line['budget']}", *line["cells"]])
    table.append(["hypervolume (% x decades)", *(f"{row['hypervolume']:.2f}" for row in rows(over))])
    text = [*words.aligned(table), *(f"{line['budget']}: {line['lead']}" for line in winner_rows(over)), *notes(over)]
    return "\n".join(text).replace(words.THIN, " ")

"""The page and the text of several runs that are laid over each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import _text as words
from .._files import write_atomic
from ..errors import UserError
from ..space.budget import Budget
from . import story
from .axes import axis_title, on_axis
from .command import space_name
from .figures import hover_texts
from .layout import ACCENT, BAD, BUDGET, FAINT, INK, REFERENCE, Figure, accuracy_axis, frame, log_axis, whole_axis
from .overlaid import Overlay, notes
from .page import json_text, resource, script, template
from .steps import NOISE

_COLOURS = (ACCENT, BUDGET, REFERENCE, BAD, INK, FAINT)
_DASHES = (None, "dash")


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

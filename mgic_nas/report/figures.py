"""The interactive figures, as plotly JSON.

Colours are written ``var(--name)``: the page's script puts in what the style sheet says for light, dark and print
before it draws. The hover text of a trial is kept once for all figures (:func:`hover_texts`); a trace asks for it
with ``hovertext: "@trials"`` and carries the trials' numbers as ``customdata``.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence, Set
from itertools import pairwise
from typing import Any

from .. import _text as words
from ..cost.runtimes.kinds import is_latency, latency_title
from ..engine.storage.trial import Trial
from . import story
from .axes import NAMED, axis_title, costs, lowest_shown, on_axis
from .data import Summary
from .layout import HOVER, Figure, accuracy_axis, frame, log_axis, whole_axis, with_gaps
from .panels import parameter, varied
from .thinning import CLOUD, CURVES, STEPS, cloud, evenly


def hover_texts(summary: Summary, numbers: Set[int] | None = None) -> dict[int, str]:
    """Trial number -> what its points say on hover: accuracy, costs and every parameter. Escaped for plotly.

    ``numbers``: only of these trials.
    """
    texts = {}
    for t in summary.trials:
        if numbers is not None and t.number not in numbers:
            continue
        lines = [f"<b>Trial {t.number}</b>  {summary.acc(t)}"]
        lines.append(f"{words.count(t.macs)} MACs, {words.count(t.activations)} activations {summary.at}")
        lines.append(f"{words.count(t.params)} parameters")
        lines += [f"{latency_title(kind)}: {story.milliseconds(t, kind)}" for kind in t.latencies]
        lines += [f"{html.escape(k)} = {html.escape(words.scalar(v))}" for k, v in t.setting.items()]
        texts[t.number] = "<br>".join(lines)
    return texts


def figures(summary: Summary) -> dict[str, Figure]:
    """Every figure of the page by the id of its place; those that have nothing to show are left out."""
    result: dict[str, Figure] = {}
    if summary.complete:
        for kind in costs(summary):
            if summary.costed(kind):
                result[f"front-{kind}"] = front(summary, kind)
        result["hypervolume"] = hypervolume(summary)
        for index, name in enumerate(varied(summary)):
            result |= {f"parameter-{index}-{label}": panel for label, panel in parameter(summary, name).items()}
    if any(len(t.points) > 1 for t in summary.trials):
        result["curves"] = curves(summary)
    return result


def hovered(drawn: Mapping[str, Figure]) -> frozenset[int]:
    """The numbers of the trials whose points ask for a hover text."""
    traces = [trace for figure in drawn.values() for trace in figure["data"]]
    return frozenset(n for trace in traces if trace.get("hovertext") == "@trials" for n in trace["customdata"])


def front(summary: Summary, kind: str = "macs") -> Figure:
    """Accuracy against a cost on a logarithmic axis: front, dominated networks, budgets, reference points."""
    trials = summary.costed(kind)
    best = [t for t in summary.front_by(kind) if t.cost(kind) > 0]
    numbers = {t.number for t in best}
    shown = cloud(summary, CLOUD)
    others = [t for t in trials if t.number not in numbers and t.number in shown]
    data = [
        {
            **_points(others, kind, "val_acc"),
            "name": "other networks",
            "mode": "markers",
            "marker": {"color": "var(--faint)", **_dots(len(others))},
            **HOVER,
        },
        {
            **_points(best, kind, "val_acc"),
            "name": "Pareto front",
            "mode": "lines+markers",
            "line": {"shape": "hv", "color": "var(--accent)", "width": 2},
            "marker": {"color": "var(--accent)", "size": 9, "line": {"color": "var(--paper)", "width": 1.5}},
            "error_y": {
                "type": "data",
                "array": [summary.error(t.val_acc) or 0 for t in best],
                "color": "var(--accent)",
                "thickness": 1.2,
                "width": 3,
            },
            **HOVER,
        },
    ]
    winners = {w.trial.number: w.trial for w in summary.winners if w.trial and w.budget.kind == kind}
    if winners:
        data.append(
            {
                **_points(list(winners.values()), kind, "val_acc"),
                "name": "budget winner",
                "mode": "markers+text",
                "text": [f"<b>{t.val_acc:.{summary.decimals}f}</b>" for t in winners.values()],
                "textposition": "top left",
                "textfont": {"color": "var(--ink)", "size": 13},
                "cliponaxis": False,
                "marker": {
                    "symbol": "circle-open",
                    "color": "var(--ink)",
                    "size": 16,
                    "line": {"width": 1.6},
                },
                **HOVER,
            }
        )
    if kind == "macs" and summary.reference:
        data.append(_reference(summary))
    budgets = [b for b in summary.budgets if b.kind == kind]
    layout = frame(
        xaxis={
            **log_axis([*_xs(data), *(on_axis(kind, b.limit) for b in budgets)]),
            "title": {"text": axis_title(summary, kind), "standoff": 14},
        },
        yaxis={**accuracy_axis(summary, data), "title": {"text": f"{story.title(summary)} (%)", "standoff": 10}},
        height=470,
        margin={"l": 62, "r": 18, "t": 40, "b": 58},
        showlegend=True,
    )
    for budget in budgets:
        limit = on_axis(kind, budget.limit)
        x = math.log10(limit)
        layout["shapes"].append(
            {
                "type": "line",
                "x0": limit,
                "x1": limit,
                "y0": 0,
                "y1": 1,
                "yref": "paper",
                "layer": "between",
                "line": {"color": "var(--budget)", "width": 1.3, "dash": "5px,4px"},
            }
        )
        layout["annotations"].append(
            {
                "x": x,
                "y": 1,
                "yref": "paper",
                "yanchor": "bottom",
                "showarrow": False,
                "text": f"{limit:.4g} ms" if is_latency(kind) else words.count(limit, strip=True),
                "font": {"color": "var(--budget)", "size": 12},
            }
        )
    return {"data": data, "layout": layout}


def below_view(summary: Summary, kind: str = "macs") -> int:
    """How many complete networks are so bad that the front's figure starts above them."""
    lowest = lowest_shown(summary)
    return sum((t.val_acc or 0) < lowest for t in summary.costed(kind))


def hypervolume(summary: Summary) -> Figure:
    """The hypervolume after each complete network, in the order in which they were started."""
    history = [(place, *point) for place, point in enumerate(summary.hypervolume_history, 1)]
    total = len(history)
    if total > STEPS:  # a step that is none is not seen
        rises = [b for a, b in pairwise(history) if b[2] > a[2]]
        history = [history[0], *evenly(rises, STEPS), history[-1]]
    data = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": [place for place, _, _ in history],
            "y": [value for _, _, value in history],
            "customdata": [number for _, number, _ in history],
            "line": {"shape": "hv", "color": "var(--accent)", "width": 2},
            "fill": "tozeroy",
            "fillcolor": "var(--wash)",
            "hovertemplate": "after %{x} networks (trial %{customdata}): %{y:.2f}<extra></extra>",
        }
    ]
    if len(history) == 1:
        data[0]["mode"] = "markers"
    layout = frame(
        xaxis={"title": {"text": "Networks trained completely", "standoff": 12}, **whole_axis(1, total)},
        yaxis={"title": {"text": "Hypervolume (% × decades)", "standoff": 10}, "rangemode": "tozero"},
        height=300,
        margin={"l": 62, "r": 18, "t": 12, "b": 52},
    )
    return {"data": data, "layout": layout}


def curves(summary: Summary) -> Figure:
    """Validation accuracy over epochs of every trial that has a curve; the front's drawn strongly."""
    with_curve = [t for t in summary.trials if t.points]
    last = max(epoch for t in with_curve for epoch, _ in t.points)
    behind = [t for t in with_curve if t.number not in summary.front_numbers]
    shown = {t.number for t in evenly(behind, max(CURVES // last, 100))} | summary.front_numbers
    with_curve = [t for t in with_curve if t.number in shown]
    groups = (
        ("other networks", "var(--faint)", 1.1, "solid", lambda t: t.state not in ("stopped", "failed")),
        ("stopped or failed", "var(--bad)", 1.3, "2px,3px", lambda t: t.state in ("stopped", "failed")),
        ("Pareto front", "var(--accent)", 2.2, "solid", None),
    )
    data = []
    for title, color, width, dash, belongs in groups:
        chosen = [
            t
            for t in with_curve
            if (t.number in summary.front_numbers if belongs is None else belongs(t))
            and (belongs is None or t.number not in summary.front_numbers)
        ]
        if not chosen:
            continue
        # One trace for all of a group, with gaps: a thousand curves stay quick.
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers" if all(len(t.points) < 40 for t in chosen) else "lines",
                "name": title,
                "x": with_gaps([epoch for epoch, _ in t.points] for t in chosen),
                "y": with_gaps([acc for _, acc in t.points] for t in chosen),
                "customdata": with_gaps([t.number for _ in t.points] for t in chosen),
                "connectgaps": False,
                "line": {"color": color, "width": width, "dash": dash},
                "marker": {"color": color, "size": 4 if width > 2 else 3},
                "hovertemplate": "trial %{customdata}, epoch %{x}: %{y:.1f} %<extra></extra>",
            }
        )
    layout = frame(
        xaxis={"title": {"text": "Epoch", "standoff": 12}, **whole_axis(1, last)},
        yaxis={"title": {"text": f"{story.title(summary)} (%)", "standoff": 10}},
        height=360,
        margin={"l": 62, "r": 18, "t": 12, "b": 56},
        showlegend=True,
    )
    return {"data": data, "layout": layout}


def _dots(number: int) -> dict[str, float]:
    """Many points are drawn small and translucent, so that a cloud shows where it is dense."""
    return {"size": 8, "opacity": 1.0} if number <= 150 else {"size": 6, "opacity": 0.55}


def _points(trials: Sequence[Trial], kind: str, measure: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "x": [on_axis(kind, t.cost(kind)) for t in trials],
        "y": [getattr(t, measure) for t in trials],
        "customdata": [t.number for t in trials],
    }


def _xs(data: Sequence[Figure]) -> list[float]:
    return [x for trace in data for x in trace["x"]]


def _reference(summary: Summary) -> dict[str, Any]:
    def text(name: str, acc: float, macs: float, input_size: str) -> str:
        at = f"at {input_size}" if input_size else "(input size not stated)"
        return f"<b>{html.escape(name)}</b>  {words.percent(acc)}<br>{words.count(macs)} MACs {html.escape(at)}"

    points = summary.reference
    return {
        "type": "scatter",
        "mode": "markers+text" if len(points) <= NAMED else "markers",
        "name": "reference",
        "x": [p.macs for p in points],
        "y": [p.acc for p in points],
        "text": [html.escape(p.name) for p in points],
        "textposition": "bottom right",
        "textfont": {"color": "var(--reference)", "size": 11},
        "marker": {"symbol": "diamond", "color": "var(--reference)", "size": 9},
        "hovertext": [text(p.name, p.acc, p.macs, p.input_size) for p in points],
        "hovertemplate": "%{hovertext}<extra></extra>",
    }

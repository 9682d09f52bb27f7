"""The interactive figures, as plotly JSON.

Colours are written ``var(--name)``: the page's script puts in what the style sheet says for light, dark and print
before it draws. The hover text of a trial is kept once for all figures (:func:`hover_texts`); a trace asks for it
with ``hovertext: "@trials"`` and carries the trials' numbers as ``customdata``.
"""

from __future__ import annotations

import html
import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from .. import _text as words
from ..engine.storage.trial import Trial
from . import story
from .axes import NAMED, TITLES, accuracy_range, axis_title, log_ticks, lowest_shown
from .data import Summary, value_key

Figure = dict[str, Any]
_HOVER = {"hovertext": "@trials", "hovertemplate": "%{hovertext}<extra></extra>"}
_MANY = 12  # more values of a parameter than this are drawn on a number line


def hover_texts(summary: Summary) -> dict[int, str]:
    """Trial number -> what its points say on hover: accuracy, costs and every parameter. Escaped for plotly."""
    texts = {}
    for t in summary.trials:
        lines = [f"<b>Trial {t.number}</b>  {summary.acc(t)}"]
        lines.append(f"{words.count(t.macs)} MACs, {words.count(t.activations)} activations {summary.at}")
        lines.append(f"{words.count(t.params)} parameters")
        lines += [f"{html.escape(k)} = {html.escape(words.scalar(v))}" for k, v in t.setting.items()]
        texts[t.number] = "<br>".join(lines)
    return texts


def figures(summary: Summary) -> dict[str, Figure]:
    """Every figure of the page by the id of its place; those that have nothing to show are left out."""
    result: dict[str, Figure] = {}
    if summary.complete:
        for kind in TITLES:
            if summary.costed(kind):
                result[f"front-{kind}"] = front(summary, kind)
        result["hypervolume"] = hypervolume(summary)
        for index, name in enumerate(varied(summary)):
            result[f"parameter-{index}-acc"] = parameter(summary, name, "val_acc")
            result[f"parameter-{index}-macs"] = parameter(summary, name, "macs")
    if any(len(t.points) > 1 for t in summary.trials):
        result["curves"] = curves(summary)
    return result


def varied(summary: Summary) -> list[str]:
    """The parameters of which complete trials have at least two values: only those can be compared."""
    return [
        name
        for name in summary.parameters
        if len({value_key(t.setting[name]) for t in summary.complete if name in t.setting}) > 1
    ]


def front(summary: Summary, kind: str = "macs") -> Figure:
    """Accuracy against a cost on a logarithmic axis: front, dominated networks, budgets, reference points."""
    trials = summary.costed(kind)
    best = [t for t in summary.front_by(kind) if t.cost(kind) > 0]
    numbers = {t.number for t in best}
    others = [t for t in trials if t.number not in numbers]
    data = [
        {
            **_points(others, kind, "val_acc"),
            "name": "other networks",
            "mode": "markers",
            "marker": {"color": "var(--faint)", **_dots(len(others))},
            **_HOVER,
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
            **_HOVER,
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
                **_HOVER,
            }
        )
    if kind == "macs" and summary.reference:
        data.append(_reference(summary))
    budgets = [b for b in summary.budgets if b.kind == kind]
    layout = _layout(
        xaxis={
            **_log_axis([x for trace in data for x in trace["x"]] + [b.limit for b in budgets]),
            "title": {"text": axis_title(summary, kind), "standoff": 14},
        },
        yaxis={**_accuracy_axis(summary, data), "title": {"text": f"{story.title(summary)} (%)", "standoff": 10}},
        height=470,
        margin={"l": 62, "r": 18, "t": 40, "b": 58},
        showlegend=True,
    )
    for budget in budgets:
        x = math.log10(budget.limit)
        layout["shapes"].append(
            {
                "type": "line",
                "x0": budget.limit,
                "x1": budget.limit,
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
                "text": words.count(budget.limit, strip=True),
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
    history = summary.hypervolume_history
    data = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": list(range(1, len(history) + 1)),
            "y": [value for _, value in history],
            "customdata": [number for number, _ in history],
            "line": {"shape": "hv", "color": "var(--accent)", "width": 2},
            "fill": "tozeroy",
            "fillcolor": "var(--wash)",
            "hovertemplate": "after %{x} networks (trial %{customdata}): %{y:.2f}<extra></extra>",
        }
    ]
    if len(history) == 1:
        data[0]["mode"] = "markers"
    layout = _layout(
        xaxis={"title": {"text": "Networks trained completely", "standoff": 12}, **_whole(1, len(history))},
        yaxis={"title": {"text": "Hypervolume (% × decades)", "standoff": 10}, "rangemode": "tozero"},
        height=300,
        margin={"l": 62, "r": 18, "t": 12, "b": 52},
    )
    return {"data": data, "layout": layout}


def parameter(summary: Summary, name: str, measure: str) -> Figure:
    """Accuracy (or MACs) of the complete networks by the value of one parameter, with the median of each value."""
    trials = [t for t in summary.complete if name in t.setting]
    values = [v for v in summary.parameters[name] if any(value_key(t.setting[name]) == value_key(v) for t in trials)]
    numeric = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    number_line = numeric and len(values) > _MANY
    columns = {value_key(v): i for i, v in enumerate(values)}

    def place(trial: Trial) -> float:
        value = trial.setting[name]
        # Spread by the trial's number with the golden ratio: even, and the same in every build.
        spread = (trial.number * 0.6180339887 % 1 - 0.5) * 0.5
        return float(value) if number_line else columns[value_key(value)] + spread

    data = []
    on_front = summary.front_numbers
    for wanted, color, opacity in ((False, "var(--faint)", 0.75), (True, "var(--accent)", 1.0)):
        chosen = [t for t in trials if (t.number in on_front) is wanted]
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": [place(t) for t in chosen],
                "y": [getattr(t, measure) for t in chosen],
                "customdata": [t.number for t in chosen],
                "marker": {"color": color, "size": 6.5, "opacity": opacity},
                **_HOVER,
            }
        )
    xaxis: dict[str, Any] = {"zeroline": False, "fixedrange": True}
    if not number_line:
        xs: list[float | None] = []
        ys: list[float | None] = []
        ticks = []
        for i, value in enumerate(values):
            column = [getattr(t, measure) for t in trials if value_key(t.setting[name]) == value_key(value)]
            xs += [i - 0.34, i + 0.34, None]
            ys += [statistics.median(column), statistics.median(column), None]
            ticks.append(f"{html.escape(words.scalar(value))}<br><sub>n={len(column)}</sub>")
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": xs,
                "y": ys,
                "line": {"color": "var(--ink)", "width": 2},
                "hoverinfo": "skip",
            }
        )
        xaxis |= {
            "tickvals": list(range(len(values))),
            "ticktext": ticks,
            "range": [-0.6, len(values) - 0.4],
            "showgrid": False,
        }
    yaxis: dict[str, Any] = {"fixedrange": True, "nticks": 5}
    if measure == "macs":
        yaxis |= _log_axis([t.macs or 1 for t in trials])
    else:
        yaxis |= {k: v for k, v in _accuracy_axis(summary, data).items() if k == "range"}
    layout = _layout(xaxis=xaxis, yaxis=yaxis, height=230, margin={"l": 46, "r": 8, "t": 8, "b": 42}, dragmode=False)
    return {"data": data, "layout": layout}


def curves(summary: Summary) -> Figure:
    """Validation accuracy over epochs of every trial that has a curve; the front's drawn strongly."""
    with_curve = [t for t in summary.trials if t.points]
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
                "x": _with_gaps([epoch for epoch, _ in t.points] for t in chosen),
                "y": _with_gaps([acc for _, acc in t.points] for t in chosen),
                "customdata": _with_gaps([t.number for _ in t.points] for t in chosen),
                "connectgaps": False,
                "line": {"color": color, "width": width, "dash": dash},
                "marker": {"color": color, "size": 4 if width > 2 else 3},
                "hovertemplate": "trial %{customdata}, epoch %{x}: %{y:.1f} %<extra></extra>",
            }
        )
    last = max(epoch for t in with_curve for epoch, _ in t.points)
    layout = _layout(
        xaxis={"title": {"text": "Epoch", "standoff": 12}, **_whole(1, last)},
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
        "x": [t.cost(kind) for t in trials],
        "y": [getattr(t, measure) for t in trials],
        "customdata": [t.number for t in trials],
    }


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


def _accuracy_axis(summary: Summary, data: Sequence[dict[str, Any]]) -> dict[str, Any]:
    low, high = accuracy_range(summary, [y for trace in data for y in trace["y"] if y is not None])
    references = [p.acc for p in summary.reference]
    low = min([low, *(acc - 1 for acc in references)])
    return {"range": [low, high], "ticksuffix": ""}


def _log_axis(values: Iterable[float]) -> dict[str, Any]:
    positive = [v for v in values if v > 0]
    low, high = min(positive), max(positive)
    pad = max(0.06 * math.log10(high / low), 0.04)
    first, last = math.log10(low) - pad, math.log10(high) + pad
    ticks, labels = log_ticks(10**first, 10**last)
    return {"type": "log", "range": [first, last], "tickvals": ticks, "ticktext": labels}


def _whole(first: int, last: int) -> dict[str, Any]:
    """An axis of whole numbers."""
    step = next(s * 10**p for p in range(9) for s in (1, 2, 5) if (last - first) / (s * 10**p) <= 10)
    pad = max(0.02 * (last - first), 0.15)
    ticks = [first, *(n for n in range(step, last + 1, step) if n >= first + step / 2)]
    return {"range": [first - pad, last + pad], "tickvals": ticks}


def _with_gaps(parts: Iterable[Sequence[Any]]) -> list[Any]:
    joined: list[Any] = []
    for part in parts:
        joined += [*part, None]
    return joined[:-1]


def _layout(*, xaxis: dict[str, Any], yaxis: dict[str, Any], **other: Any) -> dict[str, Any]:
    axis = {
        "gridcolor": "var(--grid)",
        "linecolor": "var(--rule)",
        "zeroline": False,
        "automargin": True,
        "tickfont": {"color": "var(--muted)", "size": 12},
    }
    return {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "var(--sans)", "color": "var(--muted)", "size": 13},
        "hoverlabel": {
            "bgcolor": "var(--card)",
            "bordercolor": "var(--rule)",
            "font": {"family": "var(--sans)", "color": "var(--ink)", "size": 12.5},
            "align": "left",
        },
        "hovermode": "closest",
        "showlegend": False,
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": -0.2,
            "yanchor": "top",
            "font": {"color": "var(--muted)", "size": 12.5},
            "bgcolor": "rgba(0,0,0,0)",
        },
        "shapes": [],
        "annotations": [],
        "xaxis": {**axis, "showline": True, **xaxis},
        "yaxis": {**axis, **yaxis},
        **other,
    }

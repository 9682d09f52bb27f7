"""The interactive figures, as :mod:`.layout` describes them.

The hover text of a trial is kept once for all figures (:func:`hover_texts`); a trace asks for it with ``"@trials"`` and
carries the trials' numbers as ``ids``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from itertools import pairwise
from typing import Any

from .. import _text as words
from ..cost.runtimes.kinds import is_latency, latency_title
from ..engine.storage.trial import Trial
from . import story
from .axes import NAMED, axis_title, costs, lowest_shown, on_axis
from .data import Summary
from .layout import ACCENT, BAD, BUDGET, FAINT, INK, REFERENCE, Figure, accuracy_axis, frame, log_axis, whole_axis
from .layout import with_gaps as gaps
from .panels import parameter, varied
from .reference import ReferencePoint
from .thinning import CLOUD, CURVES, STEPS, cloud, evenly


def hover_texts(summary: Summary, numbers: Set[int] | None = None) -> dict[int, str]:
    """Trial number -> what its points say on hover: accuracy, costs and every parameter, a line each.

    ``numbers``: only of these trials.
    """
    texts = {}
    for t in summary.trials:
        if numbers is not None and t.number not in numbers:
            continue
        lines = [f"Trial {t.number}  {summary.acc(t)}"]
        lines.append(f"{words.count(t.macs)} MACs, {words.count(t.activations)} activations {summary.at}")
        lines.append(f"{words.count(t.params)} parameters")
        lines += [f"{latency_title(kind)}: {story.milliseconds(t, kind)}" for kind in t.latencies]
        lines += [f"{k} = {words.scalar(v)}" for k, v in t.setting.items()]
        texts[t.number] = "\n".join(lines)
    return texts


def figures(summary: Summary) -> dict[str, Figure]:
    """Name -> figure: ``front-<cost>``, ``hypervolume``, ``curves``, ``parameter-<index>-<acc or macs>``."""
    if not summary.complete:
        return {"curves": curves(summary)} if any(t.points for t in summary.trials) else {}
    result = {f"front-{kind}": front(summary, kind) for kind in costs(summary) if summary.costed(kind)}
    for index, name in enumerate(varied(summary)):
        for label, figure in parameter(summary, name).items():
            result[f"parameter-{index}-{label}"] = figure
    if summary.hypervolume_history:
        result["hypervolume"] = hypervolume(summary)
    if any(t.points for t in summary.trials):
        result["curves"] = curves(summary)
    return result


def hovered(drawn: Mapping[str, Figure]) -> frozenset[int]:
    """The numbers of the trials whose points ask for a hover text."""
    traces = [trace for figure in drawn.values() for trace in figure["data"]]
    return frozenset(n for trace in traces if trace.get("hover") == "@trials" for n in trace["ids"])


def front(summary: Summary, kind: str = "macs") -> Figure:
    """Accuracy against a cost on a logarithmic axis: front, dominated networks, budgets, reference points."""
    trials = summary.costed(kind)
    best = [t for t in summary.front_by(kind) if t.cost(kind) > 0]
    numbers = {t.number for t in best}
    shown = cloud(summary, CLOUD)
    others = [t for t in trials if t.number not in numbers and t.number in shown]
    data: list[Figure] = [
        {
            **_points(others, kind),
            "name": "other networks",
            "marker": {"color": FAINT, **_dots(len(others))},
            "hover": "@trials",
        },
        {
            **_points(best, kind),
            "name": "Pareto front",
            "line": {"shape": "hv", "color": ACCENT, "width": 2},
            "marker": {"color": ACCENT, "size": 9, "rim": "var(--paper)"},
            "bars": [summary.error(t.val_acc) or 0 for t in best],
            "hover": "@trials",
        },
    ]
    if winners := [t for t in _winners(summary) if t.cost(kind) > 0]:
        data.append(
            {
                **_points(winners, kind),
                "name": "budget winner",
                "text": [summary.points(t.val_acc or 0) for t in winners],
                "label": {"color": INK, "size": 13, "weight": 600, "above": True},
                "marker": {"symbol": "circle-open", "color": INK, "size": 16},
                "hover": "@trials",
            }
        )
    if kind == "macs":
        for apart in (False, True):
            if points := [p for p in summary.reference if p.apart is apart]:
                data.append(_reference(points, apart))
    budgets = [b for b in summary.budgets if b.kind == kind]
    xs = [x for trace in data for x in trace["x"]]
    layout = frame(
        xaxis={
            **log_axis([*xs, *(on_axis(kind, b.limit) for b in budgets)]),
            "title": axis_title(summary, kind),
        },
        yaxis={**accuracy_axis(summary, data), "title": f"{story.title(summary)} (%)"},
        height=470,
        margin=(62, 18, 40, 58),
        legend=True,
        marks=kind == "macs",
        lines=[{"x": on_axis(kind, b.limit), "text": _limit(kind, b.limit), "color": BUDGET} for b in budgets],
    )
    return {"data": data, "layout": layout}


def _winners(summary: Summary) -> list[Trial]:
    """The winners within budgets of every kind, each network once."""
    return list({w.trial.number: w.trial for w in summary.winners if w.trial}.values())


def _limit(kind: str, limit: float) -> str:
    return f"{on_axis(kind, limit):.4g} ms" if is_latency(kind) else words.count(limit, strip=True)


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
    data: list[Figure] = [
        {
            "name": "this search",
            "x": [place for place, _, _ in history],
            "y": [value for _, _, value in history],
            "ids": [number for _, number, _ in history],
            "line": {"shape": "hv", "color": ACCENT, "width": 2},
            "fill": "var(--wash)",
            "hover": "after {x} networks (trial {id}): {y:2}",
        }
    ]
    if 2 < total <= STEPS:
        places = list(range(1, total + 1))
        data.append(
            {
                "name": "the same networks in random order, expected",
                "x": places,
                "y": summary.random_order,
                "line": {"color": BUDGET, "width": 1.6, "dash": "dash"},
                "hover": "in random order, after {x} networks: {y:2}",
            }
        )
    if len(history) == 1:
        data[0]["marker"] = {"color": ACCENT, "size": 8}
    layout = frame(
        xaxis={"title": "Networks trained completely", **whole_axis(1, total)},
        yaxis={"title": "Hypervolume (% × decades)", "zero": True},
        height=300,
        margin=(62, 18, 12, 52),
        legend=True,
    )
    return {"data": data, "layout": layout}


def curves(summary: Summary) -> Figure:
    """Validation accuracy over epochs of every trial that has a curve; the front's drawn strongly."""
    with_curve = [t for t in summary.trials if t.points]
    last = max(epoch for t in with_curve for epoch, _ in t.points)
    behind = [t for t in with_curve if t.number not in summary.front_numbers]
    shown = {t.number for t in evenly(behind, max(CURVES // last, 100))} | summary.front_numbers
    with_curve = [t for t in with_curve if t.number in shown]
    ended = ("stopped", "failed")
    front = [t for t in with_curve if t.number in summary.front_numbers]
    rest = [t for t in with_curve if t.number not in summary.front_numbers]
    groups = (
        ("other networks", FAINT, 1.1, None, [t for t in rest if t.state not in ended]),
        ("stopped or failed", BAD, 1.3, "dot", [t for t in rest if t.state in ended]),
        ("Pareto front", ACCENT, 2.2, None, front),
    )
    data: list[Figure] = []
    for title, color, width, dash, chosen in groups:
        if not chosen:
            continue
        # One trace for all of a group, with gaps: a thousand curves stay quick.
        trace: Figure = {
            "name": title,
            "x": gaps([epoch for epoch, _ in t.points] for t in chosen),
            "y": gaps([acc for _, acc in t.points] for t in chosen),
            "ids": gaps([t.number for _ in t.points] for t in chosen),
            "line": {"color": color, "width": width, "dash": dash},
            "hover": f"trial {{id}}, epoch {{x}}: {{y:{summary.decimals}}}{words.THIN}%",
        }
        if all(len(t.points) < 40 for t in chosen):
            trace["marker"] = {"color": color, "size": 4 if width > 2 else 3}
        data.append(trace)
    layout = frame(
        xaxis={"title": "Epoch", **whole_axis(1, last)},
        yaxis={"title": f"{story.title(summary)} (%)"},
        height=360,
        margin=(62, 18, 12, 56),
        legend=True,
    )
    return {"data": data, "layout": layout}


def _dots(number: int) -> dict[str, float]:
    """Many points are drawn small and translucent, so that a cloud shows where it is dense."""
    return {"size": 8, "opacity": 1} if number <= 150 else {"size": 6, "opacity": 0.55}


def _points(trials: Sequence[Trial], kind: str) -> dict[str, Any]:
    return {
        "x": [on_axis(kind, t.cost(kind)) for t in trials],
        "y": [t.val_acc for t in trials],
        "ids": [t.number for t in trials],
    }


def _reference(points: Sequence[ReferencePoint], apart: bool) -> Figure:
    def text(p: ReferencePoint) -> str:
        at = f"at {p.input_size}" if p.input_size else "(input size not stated)"
        on = f" on {p.data}" if p.data else " (data not stated)" if apart else ""
        return f"{p.name}  {words.percent(p.acc)}{on}\n{words.count(p.macs)} MACs {at}"

    return {
        "name": "other data or input size" if apart else "reference",
        "x": [p.macs for p in points],
        "y": [p.acc for p in points],
        "text": [p.name for p in points] if len(points) <= NAMED else [],
        "label": {"color": REFERENCE, "size": 11},
        "marker": {"symbol": "diamond-open" if apart else "diamond", "color": REFERENCE, "size": 11},
        "hover": [text(p) for p in points],
    }

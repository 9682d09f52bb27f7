"""The panels of the parameters: accuracy and MACs of the networks by the value of one parameter."""

from __future__ import annotations

import statistics
from typing import Any

from .. import _text as words
from ..engine.storage.trial import Trial
from ..engine.surrogate.trial_features import value_key
from .data import Summary
from .layout import ACCENT, FAINT, INK, Figure, accuracy_axis, frame, log_axis
from .thinning import cloud, evenly, panel

_MANY = 12  # more values of a parameter than this are drawn on a number line


def varied(summary: Summary) -> list[str]:
    """The parameters of which complete trials have at least two values: only those can be compared."""
    return [
        name
        for name in summary.parameters
        if len({value_key(t.setting[name]) for t in summary.complete if name in t.setting}) > 1
    ]


def parameter(summary: Summary, name: str) -> dict[str, Figure]:
    """The panels of one parameter: ``acc`` and ``macs``, with the median of each value."""
    columns: dict[tuple[str, Any], list[Trial]] = {}
    for trial in summary.complete:
        if name in trial.setting:
            columns.setdefault(value_key(trial.setting[name]), []).append(trial)
    values = [v for v in summary.parameters[name] if value_key(v) in columns]
    numeric = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    number_line = numeric and len(values) > _MANY
    place = {value_key(v): float(v) if number_line else i for i, v in enumerate(values)}
    most = panel(summary)
    shown, front = cloud(summary, most), summary.front_numbers
    groups: dict[bool, list[tuple[float, Trial]]] = {False: [], True: []}
    for trial in summary.complete:
        if name in trial.setting and trial.number in shown:
            # Spread by the trial's number with the golden ratio: even, and the same in every build.
            spread = 0.0 if number_line else round((trial.number * 0.6180339887 % 1 - 0.5) * 0.5, 4)
            x = place[value_key(trial.setting[name])] + spread
            groups[trial.number in front].append((x, trial))
    points = {on_front: evenly(group, most) for on_front, group in groups.items()}
    ticks = [f"{words.scalar(value)}\nn={len(columns[value_key(value)])}" for value in (() if number_line else values)]
    panels = {}
    for label, measure in (("acc", "val_acc"), ("macs", "macs")):
        data = [_dots(points[False], measure, FAINT), _dots(points[True], measure, ACCENT)]
        xaxis: Figure = {"range": [min(place.values()), max(place.values())]}
        if number_line:
            room = 0.04 * (xaxis["range"][1] - xaxis["range"][0])
            xaxis["range"] = [xaxis["range"][0] - room, xaxis["range"][1] + room]
        else:
            data.append(_medians([[getattr(t, measure) for t in columns[value_key(v)]] for v in values]))
            xaxis = {
                "tickvals": list(range(len(values))),
                "ticktext": ticks,
                "range": [-0.6, len(values) - 0.4],
                "grid": False,
            }
        yaxis: Figure = {"ticks": 5}
        if measure == "macs":
            yaxis |= log_axis([t.macs or 1 for column in columns.values() for t in column])
        else:
            yaxis |= accuracy_axis(summary, data)
        layout = frame(xaxis=xaxis, yaxis=yaxis, height=230, margin=(46, 8, 8, 42), still=True)
        panels[label] = {"data": data, "layout": layout}
    return panels


def _dots(points: Any, measure: str, color: str) -> Figure:
    """``points``: (x, trial) each."""
    return {
        "x": [x for x, _ in points],
        "y": [getattr(t, measure) for _, t in points],
        "ids": [t.number for _, t in points],
        "marker": {"color": color, "size": 6.5},
        "hover": "@trials",
    }


def _medians(columns: list[list[float]]) -> Figure:
    """A short line at the median of each column."""
    xs: list[float | None] = []
    ys: list[float | None] = []
    for i, column in enumerate(columns):
        xs += [i - 0.34, i + 0.34, None]
        ys += [statistics.median(column), statistics.median(column), None]
    return {"x": xs, "y": ys, "line": {"color": INK, "width": 2}}

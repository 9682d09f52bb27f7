"""When each trial was trained, on lanes: as many as there were trainings at a time."""

from __future__ import annotations

import html
from collections.abc import Sequence

import markupsafe

from .. import _text as words
from ..engine.storage.trial import Trial
from .data import Summary
from .thinning import evenly

MOST = 1_500  # trials that are drawn
_LANE, _BAR, _AXIS = 15, 11, 22  # heights in pixels


def spans(summary: Summary) -> list[Trial]:
    """The trials of which both ends are known, by their start."""
    known = [t for t in summary.trials if t.started is not None and t.ended is not None and t.ended > t.started]
    return sorted(known, key=lambda t: (t.started or 0.0, t.number))


def lanes(trials: Sequence[Trial]) -> list[int]:
    """The lane of each trial: the first that is free when it starts.

    Which worker trained it is not recorded, and a trial that waited at a rung or was trained again holds its lane.
    """
    free: list[float] = []
    chosen = []
    for trial in trials:
        start, end = trial.started or 0.0, trial.ended or 0.0
        lane = next((i for i, until in enumerate(free) if until <= start + 1e-3), len(free))
        free[lane : lane + 1] = [end]
        chosen.append(lane)
    return chosen


def drawing(summary: Summary) -> markupsafe.Markup | None:
    """The lanes as SVG, with lengths in percent so that its text keeps its size; None for fewer than two trials."""
    all_spans = spans(summary)
    trials = list(evenly(all_spans, MOST))
    if len(trials) < 2:
        return None
    rows = lanes(trials)
    begin = trials[0].started or 0.0
    length = max(t.ended or 0.0 for t in trials) - begin
    height = _LANE * (max(rows) + 1) + _AXIS
    parts = []
    for fraction in (0, 0.25, 0.5, 0.75, 1):
        anchor = "start" if fraction == 0 else "end" if fraction == 1 else "middle"
        parts.append(
            f'<text x="{100 * fraction:g}%" y="{height - 5}" text-anchor="{anchor}">'
            f"{html.escape(words.duration(length * fraction) if fraction else '0')}</text>"
        )
    for trial, lane in zip(trials, rows, strict=True):
        start, end = (trial.started or 0.0) - begin, (trial.ended or 0.0) - begin
        kind = "front" if trial.number in summary.front_numbers else trial.state
        said = f"trial {trial.number}, {trial.state}, {words.duration(end - start)}"
        parts.append(
            f'<rect class="{html.escape(kind)}" x="{100 * start / length:.3f}%" y="{_LANE * lane}" '
            f'width="{max(100 * (end - start) / length, 0.1):.3f}%" height="{_BAR}"><title>{html.escape(said)}</title>'
            "</rect>"
        )
    svg = f'<svg class="timeline" width="100%" height="{height}" role="img" aria-label="When each trial was trained">'
    return markupsafe.Markup(svg + "".join(parts) + "</svg>")


def note(summary: Summary) -> str:
    """What the lanes show, and how busy they were."""
    trials = spans(summary)
    at_once = max(lanes(trials), default=0) + 1
    begin, end = (f(x for t in trials for x in (t.started or 0.0, t.ended or 0.0)) for f in (min, max))
    busy = sum((t.ended or 0.0) - (t.started or 0.0) for t in trials)
    drawn = f" {MOST:,} of {len(trials):,} trials are drawn." if len(trials) > MOST else ""
    return (
        f"A bar is a trial, from its start to its end, pauses included; {at_once:,} at a time at most, and on average "
        f"{words.fixed(busy / max(end - begin, 1e-9))}. Those of the front are dark.{drawn}"
    )

"""report.md: the result in brief, in GitHub's Markdown: good enough to paste into an issue."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from .. import _text as words
from ..cost.runtimes.kinds import latency_title
from ..engine.storage.trial import Trial
from ..space.budget import latency_kinds
from . import retrained, story
from .data import Summary
from .thinning import ROWS, evenly
from .winners import create_model, local_dir

_MANY_FAILURES = 10


def markdown(summary: Summary, problems: Mapping[str, str]) -> str:
    """The report in brief.

    Args:
        summary: the run.
        problems: budget label -> why its winner could not be exported.
    """
    parts = [
        f"# {_escape(summary.name)}",
        f"**{_escape(story.headline(summary))}**",
        _escape(story.searched(summary)),
        f"{_escape(story.status(summary))} Trials: {_escape(story.outcome(summary))}.",
        *(f"> **Warning:** {_escape(warning)}." for warning in summary.warnings),
        f"![{story.score(summary)} against MACs: the networks, the Pareto front and the budgets](front.png)",
    ]
    if summary.budgets:
        parts += ["## The winner within each budget", _winners(summary), *_lines(summary, problems)]
        parts += [_escape(story.accuracy_note(summary))] if summary.complete else []
    if summary.front:
        parts += ["## The front", _front(summary), *map(_escape, story.ranked_alike(summary))]
        if len(summary.front) > ROWS:
            parts.append(f"These are {ROWS:,} of {len(summary.front):,}; front.csv has all.")
    if summary.steps:
        unit = words.unit_name(story.gain_unit(summary))
        parts += [f"## What the next {unit} MACs buys", story.gains_note(summary), _gains(summary)]
    if summary.retrained is not None:
        parts += ["## Retrained, and scored on the test split", _escape(retrained.note(summary.retrained))]
        cells = [[_escape(cell) for cell in row] for row in retrained.rows(summary.retrained)]
        parts.append(_table(retrained.heading(summary.retrained), "llrrrrrr", cells))
    failed = [t for t in summary.trials if t.error]
    if failed:
        shown = failed[:_MANY_FAILURES]
        rows = [(f"{t.number}", _escape(t.state), f"`{_code(words.one_line(t.error))}`") for t in shown]
        parts += ["## What went wrong", _table(("Trial", "State", "Why"), "rll", rows)]
        if len(failed) > len(shown):
            parts.append(f"and {len(failed) - len(shown):,} more, in trials.csv.")
    parts += ["## How it was made", *_made(summary)]
    return "\n\n".join(parts) + "\n"


def _winners(summary: Summary) -> str:
    rows: list[Sequence[str]] = []
    timed = latency_kinds(summary.budgets)
    for winner in summary.winners:
        trial = winner.trial
        budget = _escape(story.limit(summary, winner.budget))
        if trial is None:
            rows.append((budget, "–", _escape(story.no_winner(summary, winner.budget)), "", "", "", *[""] * len(timed)))
            continue
        costs = [words.count(trial.cost(kind)) for kind in ("macs", "params", "activations")]
        loss = summary.loss(trial)
        acc = summary.acc(trial) + (f" ({summary.metric.loss} {loss})" if loss else "")
        costs += [story.milliseconds(trial, kind) for kind in timed]
        rows.append((budget, acc, *costs, f"{trial.number}: {_setting(trial)}"))
    size = summary.at
    costs = [f"MACs {size}", "Parameters", f"Activations {size}", *map(latency_title, timed)]
    return _table(("Budget", story.title(summary), *costs, "Trial"), f"l{'r' * (1 + len(costs))}l", rows)


def _lines(summary: Summary, problems: Mapping[str, str]) -> list[str]:
    """The copyable lines of every winner."""
    won = [w for w in summary.winners if w.trial]
    if not won:
        return []
    code = ["import timm, mgic_nas", ""]
    for winner in won:
        assert winner.trial is not None
        code.append(f"# {winner.budget.label}: trained")
        problem = problems.get(winner.budget.label)
        code.append(f"# no weights: {problem}" if problem else f"net = {local_dir(summary, winner)}")
        code += ["# untrained", f"net = {create_model(summary, winner.trial)}"]
    return [_block("python", "\n".join(code))]


def _front(summary: Summary) -> str:
    rows = [
        (words.count(t.macs), summary.acc(t), words.count(t.params), f"{t.number}: {_setting(t)}")
        for t in evenly(summary.front, ROWS)
    ]
    return _table((f"MACs {summary.at}", story.title(summary), "Parameters", "Trial"), "rrrl", rows)


def _gains(summary: Summary) -> str:
    unit = story.gain_unit(summary)
    rows = [
        (
            f"{words.count(step.start.macs)} → {words.count(step.end.macs)}",
            f"{summary.acc(step.start, error=False)} → {summary.acc(step.end, error=False)}",
            f"{step.gain:.{summary.decimals}f}"
            + ("" if step.error is None else f" ± {step.error:.{summary.decimals}f}"),
            f"{step.gain / step.more * unit:.3g}",
        )
        for step in summary.steps[:ROWS]
    ]
    heading = (f"MACs {summary.at}", story.score(summary), "Points gained", f"Points per {words.unit_name(unit)} MACs")
    return _table(heading, "rrrr", rows)


def _setting(trial: Trial) -> str:
    return _escape(", ".join(f"{name} {words.scalar(value)}" for name, value in trial.setting.items()))


def _made(summary: Summary) -> list[str]:
    splits = ", ".join(f"{name} {n:,}" for name, n in summary.sizes.items())
    facts_rows = [
        ("Data", f"{summary.data} ({splits})" if splits else summary.data),
        ("Sampler, seed", f"{summary.config.sampler or '–'}, {summary.config.seed}"),
        *([("Early stopping", summary.config.rungs)] if summary.config.rungs != "none" else []),
        ("Trained by", summary.config.executor + (f", on {words.listed(summary.devices)}" if summary.devices else "")),
        *story.latencies(summary),
        ("Proposals rejected untrained", story.rejections(summary)),
        ("Training time", words.duration(sum(t.seconds or 0 for t in summary.trials))),
        ("From first start to last end", words.duration(summary.record.wall_seconds)),
        ("Recipe", story.recipe(summary) or "–"),
        ("Versions", ", ".join(f"{k} {v}" for k, v in summary.config.versions.items()) or "–"),
    ]
    parts = [_table(("", ""), "ll", [(name, _escape(value)) for name, value in facts_rows])]
    if summary.command:
        parts.append(_block("sh", summary.command))
    return parts


def _table(heading: Sequence[str], align: str, rows: Iterable[Sequence[str]]) -> str:
    rule = ["---:" if side == "r" else "---" for side in align]
    lines = [[cell.replace("|", "\\|") for cell in line] for line in (heading, rule, *rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _escape(text: str) -> str:
    """Text from outside as text: neither markup nor HTML, and in one line."""
    entities = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
    text = re.sub(r"[&<>]|[\\`*_\[\]#]", lambda m: entities.get(m[0], f"\\{m[0]}"), text)
    return re.sub(r"\s*[\r\n]+\s*", " ", text)


def _block(language: str, text: str) -> str:
    """A block of code, in a fence that is longer than any in it."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text}\n{fence}"


def _code(text: str) -> str:
    """For a code span, which nothing can escape a backtick in."""
    return text.replace("`", "'")

"""report.md: the result in brief, in GitHub's Markdown: it fits into a pull request, and folds what few will read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from .. import _text as words
from ..cost.runtimes.kinds import latency_title
from ..engine.storage.trial import Trial
from ..space.budget import latency_kinds
from . import expected, health, notes, retrained, story
from .data import Summary
from .headline import headline
from .thinning import evenly
from .winners import imports, local_dir, made

_MANY_FAILURES = 5
_ROWS = 20  # of a table


def markdown(summary: Summary, problems: Mapping[str, str]) -> str:
    """The report in brief.

    Args:
        summary: the run.
        problems: budget label -> why its winner could not be exported.
    """
    parts = [
        f"# {_escape(summary.name)}",
        f"**{_escape(headline(summary))}**",
        _escape(story.searched(summary)),
        f"{_escape(story.status(summary))} Trials: {_escape(story.outcome(summary))}.",
        *(f"> **Warning:** {_escape(warning)}." for warning in summary.warnings),
        f"![{story.score(summary)} against MACs: the networks, the Pareto front and the budgets](front.png)",
    ]
    if summary.budgets:
        parts += ["## The winner within each budget", _winners(summary), *_lines(summary, problems)]
        parts += [_escape(notes.accuracy_note(summary))] if summary.complete else []
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
    if summary.front:
        front = [_front(summary), *map(_escape, story.ranked_alike(summary))]
        if len(summary.front) > _ROWS:
            front.append(f"These are {_ROWS:,} of {len(summary.front):,}; front.csv has all.")
        parts += _folded(f"The front: {words.plural(len(summary.front), 'network')}", front)
    if summary.steps:
        unit = words.unit_name(story.gain_unit(summary))
        parts += _folded(f"What the next {unit} MACs buys", [notes.gains_note(summary), _gains(summary)])
    if found := health.checks(summary):
        checks = [f"- {'✅' if c.ok else '⚠️' if c.ok is False else '•'} {c.name} {_escape(c.text)}" for c in found]
        parts += _folded("Was the search sound?", ["\n".join(checks)])
    parts += _folded("How it was made", _made(summary))
    return "\n\n".join(parts) + "\n"


def _folded(title: str, parts: Sequence[str]) -> list[str]:
    """A part that opens at a click; GitHub needs the empty lines around what is in it."""
    return [f"<details><summary>{_escape(title)}</summary>", *parts, "</details>"]


def _winners(summary: Summary) -> str:
    rows: list[Sequence[str]] = []
    timed = latency_kinds(summary.budgets)
    modelled = ("Expected", "P(best)") if summary.choice.expected else ()
    for group in summary.wins:
        first, trial = group[0], group[0].trial
        amounts, size = story.amounts([w.budget for w in group]), story.size_of(summary, first.budget)
        budget = _escape(f"{amounts} ({size})" if size else amounts)
        if trial is None:
            rows.append(
                (
                    budget,
                    "–",
                    _escape(story.no_winner(summary, first.budget)),
                    "",
                    "",
                    "",
                    *[""] * len((*modelled, *timed)),
                )
            )
            continue
        costs = [words.count(trial.cost(kind)) for kind in ("macs", "params", "activations")]
        loss = summary.loss(trial)
        acc = summary.acc(trial) + (f" ({summary.metric.loss} {loss})" if loss else "")
        costs += [story.milliseconds(trial, kind) for kind in timed]
        beside = (expected.amount(summary, group[-1].expected), expected.chance(group[-1])) if modelled else ()
        rows.append((budget, acc, *beside, *costs, f"{trial.number}: {_setting(trial)}"))
    size = summary.at
    costs = [f"MACs {size}", "Parameters", f"Activations {size}", *map(latency_title, timed)]
    heading = ("Budget", story.title(summary), *modelled, *costs, "Trial")
    return _table(heading, f"l{'r' * (len(heading) - 2)}l", rows)


def _lines(summary: Summary, problems: Mapping[str, str]) -> list[str]:
    """The copyable lines of every winner."""
    won = [(group, group[0].trial) for group in summary.wins if group[0].trial]
    if not won:
        return []
    code = [f"{imports(summary)}  # in the run's folder"]
    for group, trial in won:
        assert trial is not None
        code += ["", f"# within {words.listed(w.budget.label for w in group)}: trained, then untrained"]
        problem = problems.get(group[0].budget.label)
        code.append(f"# no weights: {problem}" if problem else f"net = {local_dir(summary, group[0])}")
        code.append(made(summary, trial))
    return [_block("python", "\n".join(code))]


def _front(summary: Summary) -> str:
    rows = [
        (words.count(t.macs), summary.acc(t), words.count(t.params), f"{t.number}: {_setting(t)}")
        for t in evenly(summary.front, _ROWS)
    ]
    return _table((f"MACs {summary.at}", story.title(summary), "Parameters", "Trial"), "rrrl", rows)


def _gains(summary: Summary) -> str:
    unit = story.gain_unit(summary)
    rows = [
        (
            f"{words.count(step.start.macs)} → {words.count(step.end.macs)}",
            f"{summary.acc(step.start, error=False)} → {summary.acc(step.end, error=False)}",
            summary.points(step.gain) + ("" if step.error is None else f" ± {summary.points(step.error)}"),
            f"{step.gain / step.more * unit:.3g}",
        )
        for step in summary.steps[:_ROWS]
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
        *story.started(summary),
        *([("Early stopping", summary.config.rungs)] if summary.config.rungs != "none" else []),
        *([("Winners chosen by", expected.how(summary))] if summary.complete else []),
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

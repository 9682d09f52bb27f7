"""report.html: one file that needs no network and no other file. Everything from outside is escaped (jinja2)."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

import jinja2
import markupsafe
import yaml

from .. import _text as words
from ..cost.runtimes.kinds import latency_title
from ..engine.storage.trial import Trial
from . import choices, diagram, expected, figures, health, notes, retrained, story, timeline
from .axes import costs
from .data import Summary, Winner
from .headline import difference, headline
from .panels import varied
from .thinning import CELLS, ROWS
from .winners import imports, local_dir, made

PLAIN = 200_000  # characters of the figures' data; a larger page has them compressed

DRAWN = 4  # winners beside each other

Block = dict[str, Any]


def page(
    summary: Summary, problems: Mapping[str, str], picture: bytes | None = None, *, live: float | None = None
) -> str:
    """The whole page.

    Args:
        summary: the run.
        problems: budget label -> why its winner could not be exported.
        picture: front.png, shown in place of the figures where scripts are switched off.
        live: seconds after which the page reloads itself; None: it does not.
    """
    drawn = figures.figures(summary)
    data = json_text({"figures": drawn, "hover": figures.hover_texts(summary, figures.hovered(drawn)) if drawn else {}})
    packed = len(data) > PLAIN
    checks = health.checks(summary)
    failures = [t for t in summary.trials if t.error]
    return template("template.html").render(
        s=summary,
        story=story,
        notes=notes,
        words=words,
        style=resource("style.css"),
        script=script(),
        live=live,
        packed=packed,
        data=_packed(data) if packed else data,
        drawn=drawn,
        kpis=_kpis(summary),
        winners=[_winner(summary, group, problems) for group in summary.wins],
        networks=_networks(summary),
        checks=checks,
        health=health.heading(checks),
        timeline=timeline.drawing(summary),
        timeline_note=timeline.note,
        knee=choices.knee_text(summary),
        cheapest=choices.cheapest_rows(summary),
        slider=json_text(choices.slider(summary)) if len(summary.front) > 1 else "",
        row_kind=diagram.timed_kind(summary),
        headline=headline(summary),
        folder=summary.name,
        steps=_steps(summary)[:ROWS],
        retrained=_retrained(summary),
        unit=words.unit_name(story.gain_unit(summary)),
        fronts=[kind for kind in costs(summary) if f"front-{kind}" in drawn],
        titles=costs(summary),
        latency_title=latency_title,
        below=figures.below_view(summary),
        parameters=list(enumerate(varied(summary))) if drawn else [],
        failures=[{"trial": t, "line": words.one_line(t.error)} for t in failures[:ROWS]],
        failed=len(failures),
        setting_names=list(summary.parameters),
        rows=[_row(summary, t) for t in _listed(summary)],
        made=_made(summary),
        space=_space(summary),
        picture=base64.b64encode(picture).decode() if picture else "",
    )


def template(name: str) -> jinja2.Template:
    """A page's template, in which everything from outside is escaped."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(count=words.count, duration=words.duration, scalar=words.scalar, percent=words.percent)
    return environment.from_string(resource(name))


def _kpis(summary: Summary) -> list[Block]:
    best, front = summary.best, summary.front
    blocks: list[Block] = []
    if best:
        blocks.append(
            {
                "name": f"Best {story.metric(summary)}",
                "value": summary.acc(best),
                "note": f"trial {best.number}, {words.count(best.macs)} MACs {summary.at}",
            }
        )
    if front:
        ends = words.count(front[0].macs)
        if len(front) > 1:
            ends = f"{ends} to {words.count(front[-1].macs)}"
        blocks.append({"name": "On the front", "value": f"{len(front):,}", "note": f"{ends} MACs {summary.at}"})
    asked = f" of {summary.config.trials:,}" if summary.ended != summary.config.trials else ""
    blocks.append({"name": "Trials", "value": f"{summary.ended:,}{asked}", "note": story.outcome(summary)})
    if summary.record.rejected:
        total = f"{sum(summary.record.rejected.values()):,}"
        blocks.append({"name": "Rejected untrained", "value": total, "note": story.reasons(summary)})
    seconds = [t.seconds for t in summary.trials if t.seconds is not None]
    if seconds:
        note = f"{words.duration(sum(seconds) / len(seconds))} a trial"
        if summary.record.wall_seconds is not None:
            note += f"; {words.duration(summary.record.wall_seconds)} from first start to last end"
        blocks.append({"name": "Training time", "value": words.duration(sum(seconds)), "note": note})
    return blocks


def _winner(summary: Summary, group: Sequence[Winner], problems: Mapping[str, str]) -> Block:
    """A card: one network, and all budgets of a kind that it wins."""
    first, trial = group[0], group[0].trial
    block: Block = {
        "title": story.amounts([w.budget for w in group]),
        "at": story.size_of(summary, first.budget),
        "trial": trial,
    }
    if trial is None:
        return {**block, "why": story.no_winner(summary, first.budget)}
    loads = imports(summary)
    problem = problems.get(first.budget.label)
    return {
        **block,
        "acc": summary.acc(trial),
        "loss": summary.loss(trial),
        "problem": problem,
        "local_dir": "" if problem else f"{loads}\nnet = {local_dir(summary, first)}",
        "create_model": f"{loads}\n{made(summary, trial)}",
        "over": _over(summary, group),
        "expected": expected.line(summary, group[-1]),
        "missing": expected.without_weights(summary, group[-1]),
    }


def _over(summary: Summary, group: Sequence[Winner]) -> str:
    """By how much a winner is better than that of the next smaller budget."""
    kind = [g for g in summary.wins if g[0].budget.kind == group[0].budget.kind and g[0].trial]
    at = next(i for i, g in enumerate(kind) if g[0] is group[0])
    start, end = (kind[at - 1][-1] if at else None), group[0]
    if start is None or start.trial is None or end.trial is None:
        return ""
    return f"{difference(summary, start.trial, end.trial)} over trial {start.trial.number}, the next smaller winner"


def _networks(summary: Summary) -> list[Block]:
    """The distinct winners, smallest first, drawn to one scale; each is compared with the one before."""
    won = {g[0].trial.number: (g, g[0].trial) for g in summary.wins if g[0].trial}
    ordered = sorted(won.values(), key=lambda pair: pair[1].macs or 0)[-DRAWN:]
    before = [None, *(trial for _, trial in ordered)]
    found = [diagram.blocks(summary, trial, start) for (_, trial), start in zip(ordered, before, strict=False)]
    scale, most = diagram.widest(found), diagram.most_macs(found)
    return [
        {
            "title": story.amounts([w.budget for w in group]),
            "trial": trial,
            "svg": diagram.drawing(drawn, scale, most),
            "differs": diagram.compared(summary, start, trial) if start else "",
        }
        for (group, trial), start, drawn in zip(ordered, before, found, strict=False)
        if drawn
    ]


def _steps(summary: Summary) -> list[Block]:
    """The steps along the front, with the share of the longest bar that each rate gets."""
    unit = story.gain_unit(summary)
    rates = [step.gain / step.more * unit for step in summary.steps]
    longest = max(rates, default=0.0)
    return [
        {
            "step": step,
            "rate": rate,
            "share": 100 * rate / longest if longest > 0 else 0,
        }
        for step, rate in zip(summary.steps, rates, strict=True)
    ]


def _retrained(summary: Summary) -> Block | None:
    found = summary.retrained
    if found is None:
        return None
    return {"note": retrained.note(found), "heading": retrained.heading(found), "rows": retrained.rows(found)}


def _listed(summary: Summary) -> list[Trial]:
    """The trials of the table, by number: all, or the front and the most accurate of very many."""
    most = max(ROWS, CELLS // (len(summary.parameters) + 11))
    best_first = sorted(
        summary.trials, key=lambda t: (t.number not in summary.front_numbers, -(t.val_acc or 0.0), t.number)
    )
    return sorted(best_first[:most], key=lambda t: t.number)


def _row(summary: Summary, trial: Trial) -> Block:
    return {"trial": trial, "front": trial.number in summary.front_numbers, "line": words.one_line(trial.error, 90)}


def _made(summary: Summary) -> list[tuple[str, str]]:
    splits = ", ".join(f"{n:,} {name}" for name, n in summary.sizes.items())
    pairs = [
        ("Model", summary.config.model),
        ("Data", f"{summary.data}, {story.data_text(summary)}"),
        (summary.metric.items.capitalize(), splits),
        ("Scored by", summary.metric.name),
        ("Budgets", words.listed(story.budgets(summary))),
        ("Trials", f"{summary.config.trials:,} asked for, {words.plural(summary.config.epochs, 'epoch')} each"),
        (
            "Sampler",
            f"{summary.config.sampler}, seed {summary.config.seed}"
            if summary.config.sampler
            else f"seed {summary.config.seed}",
        ),
        *story.started(summary),
        *([("Early stopping", summary.config.rungs)] if summary.config.rungs != "none" else []),
        *([("Winners chosen by", expected.how(summary))] if summary.complete else []),
        ("Trained by", summary.config.executor + (f", on {words.listed(summary.devices)}" if summary.devices else "")),
        *story.latencies(summary),
        ("Proposals rejected untrained", story.rejections(summary)),
        ("Recipe", story.recipe(summary)),
        ("Made", summary.config.created.replace("T", " ")),
        (
            "From first start to last end",
            words.duration(summary.record.wall_seconds) if summary.record.wall_seconds is not None else "",
        ),
        ("Versions", ", ".join(f"{name} {version}" for name, version in summary.config.versions.items())),
    ]
    return [(name, value) for name, value in pairs if value]


def _space(summary: Summary) -> str:
    """The search space as YAML."""
    space = summary.config.space
    last = {"kwargs": space.get("kwargs"), "params": space.get("params") or {}, "where": space.get("where")}
    first = {name: value for name, value in space.items() if name not in last}
    ordered = {"model": space["model"], **first, **{k: v for k, v in last.items() if v or k == "params"}}
    return str(yaml.safe_dump(ordered, sort_keys=False, default_flow_style=None, allow_unicode=True, width=88))


def json_text(value: Any) -> Any:
    """JSON that may stand inside a script element: no ``</script>``, no ``<!--``."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return markupsafe.Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def _packed(text: str) -> Any:
    """Compressed, as text that may stand inside a script element: gzip in base64."""
    return markupsafe.Markup(base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode())


def script() -> Any:
    """The page's script: the drawing of figures, then what the page does with them."""
    return markupsafe.Markup('"use strict";\n') + resource("chart.js") + resource("script.js")


@cache
def resource(name: str) -> Any:
    return markupsafe.Markup(resources.files(__package__).joinpath(name).read_text(encoding="utf-8"))

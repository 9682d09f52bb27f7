"""report.html: one file that needs no network and no other file. Everything from outside is escaped (jinja2)."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import jinja2
import markupsafe
import yaml
from plotly.offline import get_plotlyjs

from .. import _text as words
from ..cost.runtimes.kinds import latency_title
from ..engine.storage.trial import Trial
from . import figures, retrained, story
from .axes import costs
from .data import Summary, Winner
from .panels import varied
from .thinning import CELLS, ROWS
from .winners import create_model, local_dir

PLAIN = 50_000  # characters of the figures' data; a larger page has them and plotly.js compressed

Block = dict[str, Any]


def page(summary: Summary, problems: Mapping[str, str], picture: bytes | None = None) -> str:
    """The whole page.

    Args:
        summary: the run.
        problems: budget label -> why its winner could not be exported.
        picture: front.png, shown in place of the figures where scripts are switched off.
    """
    drawn = figures.figures(summary)
    data = _json({"figures": drawn, "hover": figures.hover_texts(summary, figures.hovered(drawn)) if drawn else {}})
    packed = len(data) > PLAIN
    failures = [t for t in summary.trials if t.error]
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(count=words.count, duration=words.duration, scalar=words.scalar, percent=words.percent)
    return environment.from_string(_resource("template.html")).render(
        s=summary,
        story=story,
        words=words,
        style=_resource("style.css"),
        script=_resource("script.js"),
        plotly=_plotly(packed) if drawn else "",
        packed=packed,
        data=_packed(data) if packed else data,
        drawn=drawn,
        kpis=_kpis(summary),
        winners=[_winner(summary, w, problems) for w in summary.winners],
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


def _winner(summary: Summary, winner: Winner, problems: Mapping[str, str]) -> Block:
    trial = winner.trial
    block: Block = {
        "budget": winner.budget,
        "title": story.amount(winner.budget),
        "at": story.size_of(summary, winner.budget),
        "trial": trial,
    }
    if trial is None:
        return {**block, "why": story.no_winner(summary, winner.budget)}
    return {
        **block,
        "acc": summary.acc(trial),
        "loss": summary.loss(trial),
        "problem": problems.get(winner.budget.label),
        "local_dir": local_dir(summary, winner),
        "create_model": create_model(summary, trial),
    }


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
            "sigmas": step.gain / step.error if step.error else None,
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
        *([("Early stopping", summary.config.rungs)] if summary.config.rungs != "none" else []),
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


def _json(value: Any) -> Any:
    """JSON that may stand inside a script element: no ``</script>``, no ``<!--``."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return markupsafe.Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def _packed(text: str) -> Any:
    """Compressed, as text that may stand inside a script element: gzip in base64."""
    return markupsafe.Markup(base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode())


@cache
def _resource(name: str) -> Any:
    return markupsafe.Markup(resources.files(__package__).joinpath(name).read_text(encoding="utf-8"))


@cache
def _plotly(packed: bool) -> Any:
    """plotly.js, inlined once: 4.8 MB, packed 1.9 MB, and the page needs no network."""
    return _packed(get_plotlyjs()) if packed else markupsafe.Markup(get_plotlyjs())

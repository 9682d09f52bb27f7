"""Rows of a table of the paper, trained alike and counted by the same code: of :mod:`.cifar` and :mod:`.shapes`."""

from __future__ import annotations

import argparse
import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from .._figure import PURPLE, dress, figure, label, save
from .._files import write_atomic
from .._text import fixed
from ..errors import UserError, did_you_mean
from ..families import family
from ..retraining.results import Network
from ..retraining.single import describe as described
from ..retraining.start import Asked, load, train_networks
from ..run import load_run
from ..tasks.base import DataInfo
from ._record import Table, describe, say
from ._runtimes import alternate, inference, missing, version

KEY = ("row", "seed")
COLUMNS = (*KEY, "arch_id", "params", "macs", "val_acc", "test_acc", "test_images", "seconds")
TIMES = ("row", "runtime", "version", "ms")
BATCH = 32  # images of a timed inference
RUNTIMES_SHOWN = ("torch", "onnxruntime", "openvino")
DRAWN = ("onnxruntime", "torch")  # the first that was measured
SECONDS = 20.0  # of CPU, for timing all rows in one runtime
LEAST = 3.0  # points from the bottom of the picture to its top: one score is known to half a point


class Shown(NamedTuple):
    """A row: its arguments, what the paper reports of it, and how it is drawn.

    ``model`` is named where it is not that of all rows; ``searched`` where a search found it.
    """

    arguments: Mapping[str, Any]
    paper: str
    color: str
    marker: str
    model: str = ""
    searched: bool = False


class Comparison(NamedTuple):
    """What is trained alike.

    Attributes:
        rows: by name, in the order of the page; the first is what the others are compared with.
        score: what ``test_acc`` is: "top-1 %".
        heading: of the page.
        lines: of the page: what was trained on what.
        about: of the picture, a line.
    """

    rows: Mapping[str, Shown]
    score: str
    heading: str
    lines: Sequence[str]
    about: str


def networks(
    comparison: Comparison, names: Sequence[str], model: str, common: Mapping[str, Any], info: DataInfo
) -> dict[str, Network]:
    """Row -> its network on some data, ``common`` being the arguments of all. UserError for an unknown row."""
    found = {}
    for name in names:
        if (row := comparison.rows.get(name)) is None:
            raise UserError(f"--rows: no row {name!r}.{did_you_mean(name, comparison.rows)}")
        arguments = dict(row.arguments) if row.model else {**common, **row.arguments}
        found[name] = described(row.model or model, arguments, info)
    return found


def winners(folder: str | Path) -> dict[str, Shown]:
    """The winners of a run as rows, by the budgets that they won, and their plain twins.

    A twin has a winner's blocks, widths and depths without levels: what the winner owes to them, and not to MGIC.
    UserError where the folder is no run.
    """
    run = load_run(folder)
    labels: dict[str, list[str]] = {}
    rows: dict[str, Shown] = {}
    for budget, winner in run.winners().items():
        if winner is not None:
            won = labels.setdefault(winner.trial.arch_id, [])
            rows.pop(_searched(won), None)
            won.append(budget)
            rows[_searched(won)] = Shown(winner.arguments, "–", PURPLE, "*", run.config.model, searched=True)
    return {**rows, **_twins(rows)}


def _twins(rows: Mapping[str, Shown]) -> dict[str, Shown]:
    """The plain networks in the layouts of winners, each once."""
    twins: dict[str, Shown] = {}
    seen: set[str] = set()
    for name, row in rows.items():
        known = family(row.model)
        if "levels" in known.arguments:
            arguments = {**row.arguments, "levels": "none"}
            if (arch_id := known.arch_id(arguments)) not in seen | {known.arch_id(row.arguments)}:
                seen.add(arch_id)
                twins[f"{name}, without levels"] = Shown(arguments, "–", PURPLE, "X", row.model)
    return twins


def _searched(labels: Sequence[str]) -> str:
    return f"searched, {' and '.join(labels)}"


def add_options(parser: argparse.ArgumentParser, rows: Mapping[str, Shown], out: str, **defaults: int) -> None:
    """The options that every such command has."""
    parser.add_argument("--out", type=Path, required=True, help=f"folder of the results, for example {out}")
    parser.add_argument("--rows", nargs="+", default=list(rows), metavar="ROW", help="of: " + "; ".join(rows))
    parser.add_argument("--epochs", type=int, default=defaults["epochs"], help="of a training (default: %(default)s)")
    parser.add_argument(
        "--seeds", type=int, default=defaults["seeds"], help="trainings of each network (default: %(default)s)"
    )
    parser.add_argument("--concurrent", type=int, help="trainings at a time (default: what the machine holds)")
    parser.add_argument("--weights", type=Path, help="folder of weights and checkpoints (default: OUT/trainings)")


def compare(
    comparison: Comparison,
    rows: Mapping[str, Network],
    asked: Asked,
    fixed: Mapping[str, Any],
    out: Path,
    weights: Path | None,
) -> None:
    """Trains and times what is left, then writes the page and the picture.

    Args:
        comparison: what it is about.
        rows: the networks, by the names of its rows.
        asked: how they are trained.
        fixed: what all rows of the folder share, by column.
        out: the folder.
        weights: of the trainings; None for one in ``out``.
    """
    info = load(asked.data).info
    table = Table(out / "results.csv", COLUMNS, KEY, fixed)
    times = Table(out / "times.csv", TIMES, ("row", "runtime"), {"input": "x".join(map(str, info.input_size))})
    try:
        measure(table, rows, asked, weights or out / "trainings")
        measure_times(times, rows, info)
    finally:
        if points := gather(comparison, table, times):
            write_atomic(out / "README.md", page(comparison, points, table, times))
            draw(comparison, points, out / "accuracy.png")
    say(f"{out}: results.csv, times.csv, README.md, accuracy.png")


def measure(table: Table, rows: Mapping[str, Network], asked: Asked, folder: Path) -> None:
    """Makes the trainings that are left, first those of the first seed, and adds a row for each."""
    for seeds in range(1, asked.seeds + 1):
        done = train_networks(folder, dataclasses.replace(asked, seeds=seeds), list(rows.values()))
        for name, network in rows.items():
            for trained in done.trained:
                found = trained.result
                if found["arch_id"] == network.arch_id and table.find(row=name, seed=trained.seed) is None:
                    table.append(
                        {
                            "row": name,
                            "seed": trained.seed,
                            "arch_id": network.arch_id,
                            "params": network.params,
                            "macs": network.macs,
                            "val_acc": found["val_acc"],
                            "test_acc": found["test"]["acc"],
                            "test_images": found["test"]["items"],
                            "seconds": found["seconds"],
                        }
                    )


def measure_times(table: Table, rows: Mapping[str, Network], info: DataInfo) -> None:
    """CPU milliseconds an image of the networks with their BatchNorms folded, in turns, one thread."""
    x = torch.randn(BATCH, *info.input_size)
    for runtime in RUNTIMES_SHOWN:
        left = [name for name in rows if table.find(row=name, runtime=runtime) is None]
        if not left or missing(runtime):
            continue
        works = {name: inference(build(rows[name], info), x, runtime) for name in rows}
        for name, taken in alternate(works, SECONDS).items():
            if name in left:
                ms = 1000 * statistics.median(taken) / BATCH
                table.append({"row": name, "runtime": runtime, "version": version(runtime), "ms": f"{ms:.4g}"})


def build(network: Network, info: DataInfo) -> torch.nn.Module:
    """A row's network, untrained."""
    return family(network.model).build(network.config, info.num_classes, info.in_chans)


class Point(NamedTuple):
    """What is known of a row; accuracies are percent, of each seed."""

    name: str
    params: int
    macs: int
    test: list[float]
    val: list[float]
    ms: dict[str, float]  # runtime -> an image


def gather(comparison: Comparison, table: Table, times: Table) -> list[Point]:
    """The rows that were trained, in their order."""
    points = []
    for name in comparison.rows:
        found = sorted((row for row in table.rows if row["row"] == name), key=lambda row: int(row["seed"]))
        if found:
            test, val = ([float(row[column]) for row in found] for column in ("test_acc", "val_acc"))
            ms = {row["runtime"]: float(row["ms"]) for row in times.rows if row["row"] == name}
            points.append(Point(name, int(found[0]["params"]), int(found[0]["macs"]), test, val, ms))
    return points


def draw(comparison: Comparison, points: Sequence[Point], path: Path) -> None:
    """accuracy.png: test accuracy against MACs, and against the time in the runtime of :data:`DRAWN`."""
    runtimes = [name for name in DRAWN if all(name in point.ms for point in points)][:1]
    made = figure(5.6 * (1 + len(runtimes)), 4.6)
    panels = made.subplots(1, 1 + len(runtimes), squeeze=False, sharey=True)[0]
    labels: list[list[tuple[float, float, str]]] = [[] for _ in panels]
    for axes, runtime, texts in zip(panels, [None, *runtimes], labels):
        for point in points:
            shown = comparison.rows[point.name]
            if runtime is None or runtime in point.ms:
                x = point.macs / 1e6 if runtime is None else point.ms[runtime]
                mean = statistics.fmean(point.test)
                size = 13 if shown.marker == "*" else 8
                axes.plot(
                    [x], [mean], shown.marker, color=shown.color, markersize=size, markeredgecolor="white", zorder=4
                )
                axes.scatter([x] * len(point.test), point.test, s=12, color=shown.color, alpha=0.45, linewidths=0)
                text = point.name.replace("MGIC ", "").replace("s_c=", "").replace(" s_g=", ", ")
                texts.append((x, mean, text))
        searched = [point for point in points if comparison.rows[point.name].searched]
        if len(searched) > 1:
            costs = [p.macs / 1e6 if runtime is None else p.ms[runtime] for p in searched]
            front = sorted(zip(costs, (statistics.fmean(p.test) for p in searched)))
            axes.plot(*zip(*front), color=PURPLE, linewidth=1, alpha=0.6)
        axes.margins(x=0.22, y=0.12)
        axes.locator_params(axis="x", nbins=6)
        if runtime is None:
            dress(axes, "Score against MACs", comparison.about, "M MACs", f"test {comparison.score}")
        else:
            dress(axes, f"... and against time in {runtime}", f"one thread, batches of {BATCH}", "ms an image")
    low, high = panels[0].get_ylim()
    if high - low < LEAST:
        panels[0].set_ylim((low + high - LEAST) / 2, (low + high + LEAST) / 2)
    for axes, texts in zip(panels, labels):
        label(axes, texts)
    save(made, path)


def _signed(value: float) -> str:
    return f"{'-' if value < 0 else '+'}{fixed(abs(value), 2)}"


def page(comparison: Comparison, points: Sequence[Point], table: Table, times: Table) -> str:
    """README.md: a row a network, as the paper's tables have them."""
    runtimes = [name for name in RUNTIMES_SHOWN if any(name in point.ms for point in points)]
    first = next((point for point in points if point.name == next(iter(comparison.rows))), None)
    lines = [
        f"# {comparison.heading}",
        "",
        *comparison.lines,
        f"- ms: CPU time of an image, BatchNorms folded, batches of {BATCH}, one thread, all rows in turns",
        "- in brackets: mean difference to the first row, of the same seeds",
        "",
        f"| network | params | M MACs | {''.join(f'ms, {name} | ' for name in runtimes)}test {comparison.score} "
        "| seeds | paper |",
        f"| --- | ---: | ---: | {'---: | ' * len(runtimes)}---: | ---: | ---: |",
    ]
    for point in points:
        ms = "".join(f"{point.ms[name]:.3f} | " if name in point.ms else "– | " for name in runtimes)
        text = fixed(statistics.fmean(point.test), 2)
        if first is not None and point != first:
            text += f" ({_signed(statistics.fmean(a - b for a, b in zip(point.test, first.test)))})"
        seeds = ", ".join(f"{score:.2f}" for score in point.test)
        lines.append(
            f"| {point.name} | {point.params:,} | {point.macs / 1e6:.2f} | {ms}{text} | {seeds} "
            f"| {comparison.rows[point.name].paper} |"
        )
    versions = ", ".join(f"{name} {of}" for name, of in {row["runtime"]: row["version"] for row in times.rows}.items())
    lines += ["", "![Score against MACs and time](accuracy.png)", "", *_against_winners(comparison, points)]
    hours = sum(float(row["seconds"]) for row in table.rows) / 3600
    lines.append(
        f"{len(table.rows)} trainings, {hours:.1f} hours, {describe(table.rows[-1])}; timed in {versions}."
        if versions
        else f"{len(table.rows)} trainings, {hours:.1f} hours, {describe(table.rows[-1])}."
    )
    return "\n".join(lines) + "\n"


def _against_winners(comparison: Comparison, points: Sequence[Point]) -> list[str]:
    """What a search found beside the rows made by hand; nothing where no row is a search's."""
    found = [point for point in points if comparison.rows[point.name].searched]
    if not found:
        return []
    lines = ["## What the search found", "", "| row | best winner within its MACs | difference | params |"]
    lines.append("| --- | --- | ---: | ---: |")
    for point in points:
        if point in found:
            continue
        within = [winner for winner in found if winner.macs <= point.macs]
        if not within:
            lines.append(f"| {point.name} | none is so cheap | | |")
            continue
        best = max(within, key=lambda winner: statistics.fmean(winner.test))
        difference = statistics.fmean(a - b for a, b in zip(best.test, point.test))
        lines.append(f"| {point.name} | {best.name} | {_signed(difference)} | {best.params / point.params:.2f}x |")
    lines.append("")
    for point in (*found, *(point for point in points if comparison.rows[point.name].model and point not in found)):
        row = comparison.rows[point.name]
        arguments = ", ".join(f"{key}={value!r}" for key, value in row.arguments.items())
        lines.append(f"- {point.name}: `{row.model}({arguments})`")
    return [*lines, ""]

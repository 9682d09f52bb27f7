"""A comparison as text, as plain values, and as a page with a picture."""

from __future__ import annotations

import itertools
import json
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from .._figure import GREY, INK, MUTED, ORANGE, PURPLE, RULE, TEAL, dress, figure, save
from .._files import write_atomic, write_csv
from .._text import aligned, count, plural, size_text
from ..engine.storage.config import RUN_YAML
from ..errors import UserError
from . import judgement
from .cells import TableMaker, middle, percent, spread
from .compare import BASELINE, OPTUNA, SHARES, Comparison, Standing
from .ranking import SHARE, difference, mean_ranks, ranks
from .table import TABLE_YAML

COLOURS = {
    "cost+thaw": TEAL,
    "cost+halving": "#2f6fb0",
    "cost": "#4fa8a2",
    "tpe": ORANGE,
    "tpe-univariate": "#dd9a5d",
    "nsga2": PURPLE,
    "random": GREY,
    "stratified": MUTED,
}
FURTHER = (INK, "#b8336a", "#2f6fb0", "#8a8f1f")
BEST = "cost+thaw"
REPLAY_JSON = "replay.json"  # of a folder that a comparison was written to


def text(comparisons: Comparison | Sequence[Comparison]) -> str:
    """The tables for a terminal: of one comparison or of several."""
    found = [comparisons] if isinstance(comparisons, Comparison) else comparisons
    pages = [_page(comparison, _plain) for comparison in found]
    return "\n\n\n".join([*([_over_tables(found, _plain)] if len(found) > 1 else []), *pages])


def to_dict(comparison: Comparison) -> dict[str, Any]:
    """Plain values, for JSON; infinities and what is not known are None."""
    found = {
        "table": comparison.facts,
        "seeds": comparison.seeds,
        "first_seed": comparison.first_seed,
        "most_trials": comparison.most_trials,
        "concurrent": comparison.concurrent,
        "bounds": {
            name: {f"{share:.2f}": epochs for share, epochs in bound.items()}
            for name, bound in comparison.bounds.items()
        },
        "grid_epochs": comparison.grid,
        "grid_trials": comparison.trials_grid,
        "checkpoints": comparison.checkpoints,
        "ratios_at_0.95": _ratios(comparison),
        "ranks_at_0.95": ranks(comparison),
        "contestants": [
            {
                "name": s.name,
                "epochs": {f"{share:.2f}": values for share, values in s.epochs.items()},
                "median_epochs": {f"{share:.2f}": s.median(share) for share in SHARES},
                "trials": {f"{share:.2f}": values for share, values in s.trials.items()},
                "hypervolume_by_epochs": s.curve,
                "hypervolume_by_trials": s.by_trials,
                "regret": s.regret,
                "winners": s.winners,
                "honest": judgement.to_dict(s.honest),
            }
            for s in comparison.standings
        ],
    }
    return cast(dict[str, Any], _finite(found))


def _finite(value: Any) -> Any:
    """A value as JSON can hold it: NaN and infinities are None."""
    if isinstance(value, dict):
        return {key: _finite(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(held) for held in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def to_json(comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """Plain values: of one comparison as :func:`to_dict`, of several with their mean ranks."""
    if len(comparisons) == 1:
        return to_dict(comparisons[0])
    return {"mean_ranks_at_0.95": mean_ranks(comparisons), "comparisons": [to_dict(c) for c in comparisons]}


def prepare(folder: str | Path) -> None:
    """Makes the folder that :func:`write` fills, before anything is searched.

    UserError where it cannot be made or written into, or holds other things than an earlier comparison.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = {path.name for path in folder.iterdir()}
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, ValueError) as error:
        raise UserError(f"--out {folder} cannot be made: {getattr(error, 'strerror', None) or error}.") from None
    others = sorted(name for name in held if not name.startswith(f".{REPLAY_JSON}."))  # what a killed write leaves
    foreign = held & {RUN_YAML, TABLE_YAML}
    if foreign or (others and REPLAY_JSON not in held):
        raise UserError(
            f"--out {folder} is no earlier replay's folder and not empty ({min(foreign or others)}, ...): name another "
            "folder."
        )


def write(comparisons: Sequence[Comparison], folder: str | Path, command: str) -> None:
    """Writes replay.json, replay.csv, README.md and a picture for each table where :func:`prepare` made a folder."""
    folder = Path(folder)
    try:
        _write(comparisons, folder, command)
    except OSError as error:
        raise UserError(f"--out {folder} cannot be written: {error.strerror or error}.") from None


def _write(comparisons: Sequence[Comparison], folder: Path, command: str) -> None:
    write_atomic(folder / REPLAY_JSON, json.dumps(to_json(comparisons), indent=1, allow_nan=False) + "\n")
    parts = [f"# Simulated searches\n\nMade by `{command}`."]
    if len(comparisons) > 1:
        parts.append(_over_tables(comparisons, _markdown))
    write_csv(folder / "replay.csv", judgement.COLUMNS, judgement.rows(comparisons))
    for number, comparison in enumerate(comparisons):
        picture = "replay.png" if len(comparisons) == 1 else f"replay-{number + 1}.png"
        _picture(comparison, folder / picture)
        heading = [] if len(comparisons) == 1 else [f"## {comparison.facts['table']}"]
        parts += [*heading, f"![hypervolume against epochs]({picture})", _page(comparison, _markdown)]
    write_atomic(folder / "README.md", "\n\n".join(parts) + "\n")


def _over_tables(comparisons: Sequence[Comparison], table: TableMaker) -> str:
    """Median epochs to 95 % on each table, and the mean rank, the best first."""
    means = mean_ranks(comparisons)
    rows = []
    for name in sorted(means, key=lambda name: means[name]):
        standings = [standing for c in comparisons if (standing := c.find(name))]
        rows.append([name, *(middle(s.epochs[SHARE]) for s in standings), f"{means[name]:.1f}"])
    head = [f"epochs to {percent(SHARE)}, median", *(c.facts["table"] for c in comparisons), "mean rank"]
    found = [table(head, rows), *judgement.over_tables(comparisons, list(means), table)]
    return "\n\n".join(found)


def _page(comparison: Comparison, table: TableMaker) -> str:
    facts = comparison.facts
    size = size_text(facts["input_size"])
    low, high = (count(v) for v in facts["macs"])
    inside = facts["within"]
    lines = [
        f"{facts['table']}: {facts['architectures']} architectures of {low} to {high} MACs at {size}, "
        f"{facts['trainings']} trainings of {facts['epochs']} epochs"
        + (f" ({facts['missing']} of {facts['architectures'] * facts['seeds']} missing)" if facts["missing"] else ""),
        (
            f"{inside['architectures']} of them within {count(inside['macs'])} MACs, the largest budget: "
            if inside
            else ""
        )
        + f"true accuracies (mean over seeds) {facts['accuracy'][0]:.2f} to {facts['accuracy'][1]:.2f} %, "
        f"{facts['front']} on the front; spread between architectures {facts['spread']:.2f}"
        + (f", noise of one training {facts['noise']:.2f} (standard deviations)" if facts["noise"] else "")
        + (
            f"; rank correlation of two seeds {facts['rank_correlation_of_seeds']:.2f}"
            if facts["rank_correlation_of_seeds"] is not None
            else ""
        ),
        f"hypervolume over accuracy and log MACs from {facts['reference']['val_acc']:.2f} % and "
        f"{count(facts['reference']['macs'])} MACs: {facts['hypervolume']:.3f}; {plural(comparison.seeds, 'seed')}"
        + (f" from {comparison.first_seed} on" if comparison.first_seed else "")
        + f", {comparison.concurrent} at a time"
        + (f", at most {comparison.most_trials} trainings each" if comparison.most_trials else ""),
    ]
    shares = [*map(percent, SHARES)]
    rows = [
        [s.name, *(spread(s.epochs[share]) for share in SHARES), *(middle(s.trials[share]) for share in SHARES)]
        for s in comparison.standings
    ]
    for name, bound in comparison.bounds.items():
        rows.append([name, *(f"{bound[share]:.0f}" for share in SHARES), *[""] * len(SHARES)])
    head = ["epochs trained to", *shares, *(f"trials to {share}" for share in shares)]
    parts = [*lines, table(head, rows)]
    if len(comparison.standings) > 1:
        first = comparison.standings[0].name
        rank = ranks(comparison)
        rows = [
            [s.name, f"{rank[s.name]:g}", "" if s.name == first else str(difference(comparison, s.name, first))]
            for s in comparison.standings
        ]
        parts.append(table([f"at {shares[1]}", "rank", f"epochs more than {first}, paired ± s.e."], rows))
    ratios = _ratios(comparison)
    for name, ratio in ratios.items():
        parts.append(f"{BEST} needs {ratio:.2f} of the epochs of {name} for 95 %")
    for label, best in facts["best_within"].items():
        budget = f"budget {label}: regret in %, true best {best:.2f} %"
        head = [budget, *(f"after {e}" for e in comparison.checkpoints), "winner at the end"]
        parts.append(table(head, [_regrets(s, label) for s in comparison.standings]))
    parts += judgement.page(comparison, table)
    return "\n\n".join(parts)


def _regrets(s: Standing, label: str) -> list[str]:
    winner = s.winners[label]
    shown = ["-" if value is None or not math.isfinite(value) else f"{value:.2f}" for value in s.regret[label]]
    return [s.name, *shown, "-" if winner is None else f"{winner:.2f}"]


def _ratios(comparison: Comparison) -> dict[str, float]:
    """The ratios that README states: against stratified random search, and against the best of Optuna's."""
    found = {
        f"{BASELINE} random search": comparison.ratio(BEST, [BASELINE]),
        f"the best of {', '.join(OPTUNA)}": comparison.ratio(BEST, OPTUNA),
    }
    return {name: ratio for name, ratio in found.items() if ratio is not None and math.isfinite(ratio)}


def _plain(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join(aligned([head, *rows]))


def _markdown(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in lines)


def _picture(comparison: Comparison, path: Path) -> None:
    """The share of the hypervolume against epochs: medians, and the middle half of the seeds."""
    made = figure(8.4, 5.0)
    axes = made.add_subplot()
    facts = comparison.facts
    dress(
        axes,
        "What a search finds for its training",
        f"{facts['table']}: {facts['architectures']} architectures; median and middle half of {comparison.seeds} "
        "simulated searches",
        "epochs trained, over all architectures (log scale)",
        "of the true front's hypervolume (%)",
    )
    axes.axhline(95, color=RULE, linewidth=0.9, linestyle=(0, (5, 4)), zorder=1)
    further = itertools.cycle(FURTHER)
    for s in comparison.standings:
        colour = COLOURS.get(s.name) or next(further)
        low, middle, high = ([100 * v for v in band] for band in zip(*s.curve, strict=True))
        axes.fill_between(comparison.grid, low, high, color=colour, alpha=0.10, linewidth=0)
        bold = s.name == BEST
        axes.plot(comparison.grid, middle, color=colour, linewidth=2.4 if bold else 1.4, label=s.name, zorder=3 + bold)
    axes.set_xscale("log")
    axes.set_ylim(0, 101)
    ticks = [tick for tick in (5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000) if tick <= comparison.grid[-1]]
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlim(comparison.grid[0], comparison.grid[-1])
    axes.legend(frameon=False, fontsize=9, labelcolor=INK, loc="lower right")
    save(made, path)

"""The honest yardstick (:mod:`.honest`) of a comparison as text, plain values, and rows of a csv."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from .cells import TableMaker, middle, percent, spread
from .compare import LUCK, SHARES, Comparison
from .honest import Estimate, Honest
from .ranking import SHARE

COLUMNS = ("table", "contestant", "seed", "measure", "at", "value")


def page(comparison: Comparison, table: TableMaker) -> list[str]:
    """The parts of a comparison's page."""
    facts = comparison.facts["honest"]
    if facts is None:
        return [f"denoised truth, unseen trainings: {LUCK}"]
    judged = [(s.name, s.honest) for s in comparison.standings if s.honest]
    mean, better = facts["by_mean"], facts["by_denoised"]
    lines = [
        f"denoised truth (each mean shrunken towards what the other architectures say of it): hypervolume "
        f"{facts['hypervolume']:.3f}, so {percent(facts['luck'])} of the recorded one is luck",
        f"with each training left out in turn: it is {mean['rmse']:.2f} points (rms) from the mean of the others, "
        f"{better['rmse']:.2f} from the denoised others; the front by the mean claims {mean['claimed']:.3f} and is "
        f"worth {mean['kept']:.3f} on it, by the denoised {better['claimed']:.3f} and {better['kept']:.3f}"
        + (
            f"; the former has {percent(facts['two_on_third'])} of the hypervolume that the training's own front has"
            if facts["two_on_third"] is not None
            else ""
        ),
        table(
            ["epochs trained, denoised truth, to", *map(percent, SHARES)],
            [[name, *(spread(found.epochs[share]) for share in SHARES)] for name, found in judged],
        ),
        table(
            [
                "the front handed over, unseen trainings: % of the denoised hypervolume, mean ± s.e.",
                *_points(comparison),
            ],
            [
                *([name, *(_cell(f, 100, 1) for f in found.fronts)] for name, found in judged),
                ["everything trained once", *[""] * len(comparison.checkpoints), f"{100 * facts['everything']:.1f}"],
            ],
        ),
    ]
    for label in comparison.facts["best_within"]:
        lines.append(
            table(
                [
                    f"budget {label}: regret of the winner on unseen trainings, points, mean ± s.e.",
                    *_points(comparison),
                ],
                [[name, *(_cell(r, 1, 2) for r in found.regrets[label])] for name, found in judged],
            )
        )
    return lines


def over_tables(comparisons: Sequence[Comparison], names: Sequence[str], table: TableMaker) -> list[str]:
    """Median epochs to 95 % by the denoised truth, of the tables that have one."""
    able = [c for c in comparisons if c.facts["honest"] is not None]
    if not able:
        return []
    found = [[name, *(middle(s.honest.epochs[SHARE]) for s in _of(able, name) if s.honest)] for name in names]
    head = [f"epochs to {percent(SHARE)}, denoised truth, median", *(c.facts["table"] for c in able)]
    return [table(head, found)]


def _of(comparisons: Sequence[Comparison], name: str) -> list[Any]:
    return [standing for c in comparisons if (standing := c.find(name))]


def to_dict(honest: Honest | None) -> dict[str, Any] | None:
    """Plain values, for JSON: infinities are None, estimates [mean, standard error]."""
    if honest is None:
        return None

    def number(value: float) -> float | None:
        return value if math.isfinite(value) else None

    def estimates(values: Sequence[Estimate | None]) -> list[list[float | None] | None]:
        return [None if v is None else [number(v[0]), number(v[1])] for v in values]

    return {
        "epochs": {f"{share:.2f}": [number(v) for v in values] for share, values in honest.epochs.items()},
        "median_epochs": {f"{share:.2f}": number(honest.median(share)) for share in honest.epochs},
        "front_unseen": estimates(honest.fronts),
        "regret_unseen": {label: estimates(values) for label, values in honest.regrets.items()},
        "regret_unseen_at_end": honest.ends,
    }


def rows(comparisons: Sequence[Comparison]) -> Iterator[dict[str, Any]]:
    """One value a row, by seed; empty where there is none (a share never found, nothing within a budget)."""
    for comparison in comparisons:
        for standing in comparison.standings:
            measures: list[tuple[str, str, Sequence[float | None]]] = []
            for share, values in standing.epochs.items():
                measures.append(("epochs, recorded truth", f"{share:.2f}", values))
            if standing.honest:
                for share, values in standing.honest.epochs.items():
                    measures.append(("epochs, denoised truth", f"{share:.2f}", values))
                for label, ends in standing.honest.ends.items():
                    measures.append(("regret at the end, unseen trainings", label, ends))
            for measure, at, several in measures:
                for seed, value in enumerate(several, comparison.first_seed):
                    yield {
                        "table": comparison.facts["table"],
                        "contestant": standing.name,
                        "seed": seed,
                        "measure": measure,
                        "at": at,
                        "value": "" if value is None or not math.isfinite(value) else value,
                    }


def _points(comparison: Comparison) -> list[str]:
    return [*(f"after {epochs}" for epochs in comparison.checkpoints), "at the end"]


def _cell(estimate: Estimate | None, factor: float, digits: int) -> str:
    if estimate is None:
        return "-"
    mean, error = (factor * value for value in estimate)
    return f"{mean:.{digits}f}" + (f" ± {error:.{digits}f}" if math.isfinite(error) else "")

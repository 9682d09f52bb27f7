"""The honest yardstick (:mod:`.honest`) of a comparison as text, plain values, and rows of a csv."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
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
    lines = [
        f"denoised truth (each mean shrunken towards what the other architectures say of it): hypervolume "
        f"{facts['hypervolume']:.3f}, {_luck(comparison.facts)}",
        _left_out(facts),
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


def _luck(facts: Mapping[str, Any]) -> str:
    luck = facts["honest"]["luck"]
    if luck < 0:
        return f"no smaller than the recorded {facts['hypervolume']:.3f}: no luck shows in that"
    return f"so {percent(luck)} of the recorded one is luck"


def _left_out(facts: Mapping[str, Any]) -> str:
    """What the estimates say of a training that they do not know."""
    mean, better = facts["by_mean"], facts["by_denoised"]
    parts = [
        f"the front by the mean claims {mean['claimed']:.3f} and is worth {mean['kept']:.3f} on it, by the denoised "
        f"{better['claimed']:.3f} and {better['kept']:.3f}"
    ]
    if mean["rmse"] is not None:
        parts.insert(
            0,
            f"it is {mean['rmse']:.2f} points (rms) from the mean of the others, {better['rmse']:.2f} from the "
            "denoised others",
        )
    if facts["two_on_third"] is not None:
        share = percent(facts["two_on_third"])
        parts.append(f"the former has {share} of the hypervolume that the training's own front has")
    return f"with each training left out in turn: {'; '.join(parts)}"


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
    """Plain values, estimates as [mean, standard error]; some are infinite or not known."""
    if honest is None:
        return None
    return {
        "epochs": {f"{share:.2f}": values for share, values in honest.epochs.items()},
        "median_epochs": {f"{share:.2f}": honest.median(share) for share in honest.epochs},
        "front_unseen": honest.fronts,
        "regret_unseen": honest.regrets,
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

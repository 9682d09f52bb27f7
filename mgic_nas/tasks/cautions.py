"""What limits the worth of a result: too few images to compare networks by, or to learn a class from; luck."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .._text import standard_error
from .metrics import Metric
from .own import NAME as OWN

LARGEST_ERROR = 2.0  # points of standard error of an accuracy; above it most differences between networks are luck
FEWEST_OF_A_CLASS = 5  # training images
SURELY = 2.0  # standard errors above chance from which an accuracy is not chance


def of_data(metric: Metric, data: Mapping[str, Any]) -> list[str]:
    """One line for everything about the data that no training can mend.

    Args:
        metric: what accuracies are.
        data: the fields of :class:`~mgic_nas.tasks.base.DataInfo`, as run.yaml has them.
    """
    found = []
    val = int((data.get("sizes") or {}).get("val") or 0)
    error = standard_error(50.0, val) if metric.of_items else None
    if error is not None and error > LARGEST_ERROR:
        enough = math.ceil(50.0**2 / LARGEST_ERROR**2)
        found.append(
            f"{val:,} validation {metric.items} tell networks apart badly: an accuracy has a standard error of up to "
            f"{error:.1f} points; {enough:,} would make it {LARGEST_ERROR:g} (?val=N takes more from the training part)"
        )
    name, count = data.get("smallest_class") or ("", None)
    if count is not None and count < FEWEST_OF_A_CLASS:
        items = metric.item if count == 1 else metric.items
        found.append(f"the class {name!r} has {count} training {items}, too few to learn it")
    return found


def chance(metric: Metric, data: Mapping[str, Any], num_classes: int) -> float:
    """The percentage that guessing, or always naming the most frequent class, reaches at most."""
    blind = data.get("blind")
    return max(metric.floor(num_classes), float(blind) if metric.of_items and blind is not None else 0.0)


def is_chance(metric: Metric, data: Mapping[str, Any], num_classes: int, score: float | None) -> bool:
    """Whether a score may be reached without looking at an input: two standard errors above that are not."""
    if score is None:
        return False
    floor = chance(metric, data, num_classes)
    val = (data.get("sizes") or {}).get("val")
    error = standard_error(floor, val) if metric.of_items else None
    return score <= floor or score < floor + SURELY * (error or 0.0)


def of_winners(
    metric: Metric, data: Mapping[str, Any], num_classes: int, scores: Mapping[str, float | None]
) -> list[str]:
    """One line where winners may have learned nothing. ``scores``: budget label -> percent."""
    known = [score for score in scores.values() if score is not None]
    if str(data.get("spec", "")).startswith(f"{OWN}:") and known and 0 < max(known) <= 1:
        return [
            f"no winner is above {max(known):.2f} %: accuracies are percent, so a train function that has shares of 1 "
            "must return 100 times these"
        ]
    lucky = [label for label, score in scores.items() if is_chance(metric, data, num_classes, score)]
    if not lucky:
        return []
    floor = chance(metric, data, num_classes)
    blind = f"the most frequent class has {floor:.1f} %" if floor > metric.floor(num_classes) else f"{floor:.1f} %"
    needed = f"more epochs, more {metric.items}" + " or other labels" * metric.of_classes
    who = f"the winner within {lucky[0]} is" if len(lucky) == 1 else f"the winners within {', '.join(lucky)} are"
    return [f"{who} not measurably better than {metric.blind} ({blind}): it takes {needed}"]

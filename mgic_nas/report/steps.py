"""From one network to a costlier one: what the extra MACs bought, and whether that is more than noise."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..engine.storage.trial import Trial
from ..tasks.paired import paired_error
from ..train.right import read_right

NOISE = 2.0  # standard errors; a smaller difference may be luck


@dataclass(frozen=True)
class Step:
    """``gain`` points of accuracy for ``more`` MACs, ``error`` the standard error of the gain.

    ``paired``: the error is that of a difference on the same inputs, not of two independent accuracies.
    """

    start: Trial
    end: Trial
    more: float
    gain: float
    error: float | None
    paired: bool = False

    @property
    def sigmas(self) -> float | None:
        """The gain in standard errors; None where none is known."""
        return self.gain / self.error if self.error else None

    @property
    def noise(self) -> bool:
        """Whether the inputs that both were scored on cannot tell the two apart."""
        return self.error is not None and abs(self.gain) < NOISE * self.error


class Answers:
    """Which validation inputs the networks of a run got right, read once each.

    Args:
        trials_folder: of the run.
        items: the size of the validation split; 0 where there are no answers to single inputs.
    """

    def __init__(self, trials_folder: Path, items: int) -> None:
        self._folder = trials_folder
        self._items = items
        self._known: dict[int, NDArray[np.bool_] | None] = {}

    def right(self, trial: Trial) -> NDArray[np.bool_] | None:
        """(items,) of one network; None where that was not kept, as in runs of earlier versions."""
        if not self._items or trial.val_acc is None or trial.result_attempt is None:
            return None
        if trial.number not in self._known:
            folder = trial.attempts_folder(self._folder) / f"attempt-{trial.result_attempt}"
            self._known[trial.number] = read_right(folder, self._items, trial.val_acc)
        return self._known[trial.number]


def compared(
    start: Trial,
    end: Trial,
    errors: tuple[float | None, float | None],
    right: tuple[NDArray[np.bool_] | None, NDArray[np.bool_] | None],
) -> Step:
    """The step between two networks.

    Args:
        start, end: the networks, with accuracies and MACs.
        errors: of their accuracies, each for itself.
        right: which inputs each got right, where that is known.
    """
    first, second = right
    error: float | None = None
    if first is not None and second is not None:
        error = paired_error(first, second)
    elif errors[0] is not None and errors[1] is not None:
        error = math.hypot(errors[0], errors[1])
    more, gain = (end.macs or 0) - (start.macs or 0), (end.val_acc or 0) - (start.val_acc or 0)
    return Step(start, end, more, gain, error, first is not None and second is not None)


def hull(front: Sequence[Trial]) -> Iterator[tuple[Trial, Trial]]:
    """The neighbours on the concave hull of a front (cheapest first): each step gains the most per MAC from its start.

    Between neighbours on the front the rate can be anything, where two networks happen to cost nearly the same.
    """
    accs = np.array([t.val_acc or 0.0 for t in front])
    macs = np.array([t.macs or 0.0 for t in front])
    at = 0
    while at < len(front) - 1:
        rates = (accs[at + 1 :] - accs[at]) / (macs[at + 1 :] - macs[at])
        start, at = at, len(front) - 1 - int(np.argmax(rates[::-1]))  # of equal rates the longest step
        yield front[start], front[at]

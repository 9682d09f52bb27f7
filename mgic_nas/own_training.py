"""A search whose trainings are a function of the user's: its arguments, checked."""

from __future__ import annotations

import functools
import hashlib
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ._portable import place_of
from ._text import NO_INPUT
from .engine.schedulers.registry import DEFAULT_SCHEDULER
from .errors import UserError
from .space.budget import COUNTS, Budget, latency_kinds
from .tasks import own
from .tasks.base import DataInfo
from .train.function import keeps_checkpoints, portable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .engine.storage.trial import Trial
    from .space import SearchSpace

WORK = "mgic_nas.train.function:work"
EPOCHS = 1  # of a function of which nothing else is said


@dataclass(frozen=True)
class OwnTraining:
    """A train function.

    Attributes:
        function: as text, for the workers.
        place: ``module:name``, for people, with a hash of what a partial or an object carries.
        keeps_checkpoints: whether a paused training goes on where it was.
    """

    function: str
    place: str
    keeps_checkpoints: bool

    @classmethod
    def of(cls, train: Callable[..., Any] | None) -> OwnTraining | None:
        """UserError where it is no train function, or a worker cannot import it."""
        if train is None:
            return None
        return cls(portable(train), place_of(train) + _carried(train), keeps_checkpoints(train))

    def info(self) -> DataInfo:
        """What is known of its data."""
        return own.info(self.place)

    @property
    def spec(self) -> str:
        return f"{own.NAME}:{self.place}"

    def notes(self, rungs: str) -> list[str]:
        """What the user should know before it begins."""
        if rungs == DEFAULT_SCHEDULER or self.keeps_checkpoints:
            return []
        return [
            f"{self.place} takes no checkpoint, so with {rungs} a paused training begins again when it goes on: a "
            "parameter checkpoint (the path of a file for its state) spares that"
        ]


def _carried(train: Any) -> str:
    """``#`` and a hash of the values that a partial, a callable object or a bound method brings, if any.

    With others it is another training. Only plain values count, since others read differently in each process.
    """
    found: list[str] = []
    while isinstance(train, functools.partial):
        found += [repr(value) for value in train.args if _is_plain(value)]
        found += [f"{name}={value!r}" for name, value in sorted(train.keywords.items()) if _is_plain(value)]
        train = train.func
    owner = getattr(train, "__self__", train)
    if not isinstance(owner, type | types.FunctionType | types.BuiltinFunctionType | types.ModuleType):
        state = getattr(owner, "__dict__", {})
        found += [f"{name}={value!r}" for name, value in sorted(state.items()) if _is_plain(value)]
    return f"#{hashlib.sha256(', '.join(found).encode()).hexdigest()[:8]}" if found else ""


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(_is_plain(part) for pair in value.items() for part in pair)
    return value is None or isinstance(value, str | bool | int | float)


def check(
    space: SearchSpace, own_training: OwnTraining | None, budgets: Sequence[Budget], data: object, recipe: object
) -> None:
    """UserError where the arguments of a search do not fit each other."""
    if own_training is None:
        if not space.builds:
            raise UserError("the settings of this space are no networks: pass train=, the function that trains one.")
        if data is None:
            raise UserError("name the data, such as data='fashion'.")
        return
    if recipe is not None:
        raise UserError("a recipe is for networks that mgic_nas trains: leave it out beside train=.")
    if space.builds:
        if data is None:
            raise UserError("name the data, too: what the networks of the space cost depends on its input size.")
        return
    if data is not None:
        raise UserError("data is for networks of mgic_nas: leave it out, and load what you need in train.")
    if kinds := latency_kinds(budgets):
        raise UserError(f"{kinds[0]} is measured of networks: let cost= give it, in a unit of whole numbers.")
    _refuse_unknown_kinds(space, budgets)


def _refuse_unknown_kinds(space: SearchSpace, budgets: Iterable[Budget]) -> None:
    """UserError for a budget on something of which the space's cost says nothing."""
    setting = next(iter(space.settings()))
    cost = space.cost(setting, NO_INPUT, 1)
    for budget in budgets:
        if budget.kind in COUNTS and not getattr(cost, budget.kind):
            raise UserError(
                f"budget {budget.label}: cost= says nothing of {budget.kind}: let it return a dict of "
                f"{{'macs': ..., '{budget.kind}': ...}}."
            )


def refuse_other_costs(folder: object, space: SearchSpace, trials: Iterable[Trial]) -> None:
    """UserError where the space's cost function says something else than when a run's trials were trained."""
    for trial in trials:
        if trial.macs is not None and trial.setting.keys() == space.params.keys():
            now = space.cost(trial.setting, NO_INPUT, 1).macs
            if now != trial.macs:
                raise UserError(
                    f"{folder}: cost= says {now:,} for trial {trial.number}, which had {trial.macs:,} when it was "
                    "trained: pass the function as it was, or name another folder."
                )

"""What a search starts from, as it is asked for: an earlier run, designs to be trained first, and what is believed."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ._text import count
from .engine.proposals.candidate import LazyCandidate, SearchProblem
from .engine.proposals.filters import Budgets, Where
from .engine.samplers.registry import DEFAULT_SAMPLER, SAMPLERS
from .engine.storage.config import RUN_YAML, RunConfig
from .engine.storage.record import read_record
from .engine.storage.starting import Earlier, config_of, network_of, read_earlier, read_known
from .engine.storage.trial import Trial
from .engine.surrogate.choice import choice_of
from .errors import UserError
from .space import SearchSpace
from .space.designs import fitted, written_designs
from .space.elsewhere import differences, in_words, placed
from .space.parameters import Setting
from .space.prior import Prior, prior_of, read_prior


@dataclass(frozen=True)
class Start:
    """What a search starts from.

    Attributes:
        earlier: what an earlier run found; None where there is none.
        folder: of that run, absolute; empty where there is none.
        enqueued: settings that are trained first.
        prior: what the user believes of the values of parameters.
        notes: what the user should know of them, a line each.
    """

    earlier: Earlier | None
    folder: str
    enqueued: list[Setting]
    prior: Prior
    notes: list[str]


def starting(
    start_from: Any, enqueue: Any, prior: Any, space: SearchSpace, folder: Path, old: RunConfig | None
) -> Start:
    """Reads all three. Where the run ``old`` in ``folder`` goes on, what it started from is read from its own copy.

    A prior that is given takes the place of the one that ``old`` has.

    UserError where one cannot be read, or a design or a value is none of the space.
    """
    if not isinstance(start_from, str | os.PathLike | None):
        raise UserError(f"from must be a run's folder, not {start_from!r}.")
    notes: list[str] = []
    earlier, source = None, old.earlier if old else ""
    if start_from is not None:
        source = os.path.abspath(start_from)
        if source == os.path.abspath(folder):
            raise UserError(f"from: {start_from} is the run itself: name another folder for the new one (--out).")
    if old is not None and source != old.earlier:
        was = f"started from {old.earlier}" if old.earlier else "started from no other"
        raise UserError(f"{folder} is a run that {was}: only a new run can start from {source}: name another folder.")
    if source:
        earlier = read_known(folder, space) if old is not None else None
        if earlier is None:
            earlier, line = read_earlier(Path(source), space)
            notes.append(f"starts from {line}: trusted as far as this search proves it right")
    # The run's own may have been changed by anybody.
    found = [fitted(space, one, f"{folder / RUN_YAML}, enqueue") for one in (old.enqueue if old else ())]
    for given in _several(enqueue):
        if isinstance(given, str | os.PathLike) and (Path(given) / RUN_YAML).is_file():
            settings, left_out = _winning_settings(Path(given), space)
            notes += [f"{line}: it is left out" for line in left_out]
        else:
            settings = [fitted(space, written, where) for where, written in written_designs(given)]
        found += [setting for setting in settings if setting not in found]
    believed = prior_of(space, prior) if prior else {}
    if old is not None and not believed:
        believed = read_prior(space, old.prior, f"{folder / RUN_YAML}, prior")
    return Start(earlier, source, found, believed, notes)


def winners_of(folder: Path) -> list[Trial]:
    """The winners of a run within its budgets, each once, the cheapest budget first."""
    config, record = config_of(folder, "enqueue"), read_record(folder)
    choice = choice_of(config, record)
    won = (choice.winner(record.entries, [budget]) for budget in config.parsed_budgets())
    found = {trial.number: trial for trial in won if trial is not None}
    if not found:
        raise UserError(f"{folder} has no winner yet: nothing was trained to the end within its budgets.")
    return [*found.values()]


def _winning_settings(folder: Path, space: SearchSpace) -> tuple[list[Setting], list[str]]:
    """The winners of a run that are networks of a space, and of the others why they are none, a line each.

    UserError where none is.
    """
    config = config_of(folder, "enqueue")
    settings: list[Setting] = []
    left_out: list[str] = []
    for trial in winners_of(folder):
        where, network = f"{folder}, trial {trial.number}", network_of(config, trial)
        try:
            setting = placed(space, network, where)
            if differs := differences(space, setting, network):
                what = ", ".join(in_words(name, *values, "its") for name, values in differs.items())
                raise UserError(f"{where}: {what}, so it is another network")
            settings.append(setting)
        except UserError as error:
            left_out.append(str(error).rstrip("."))
    if not settings:
        raise UserError(f"enqueue: {folder} has no winner of this space: {left_out[0]}.")
    return settings, left_out


def unfit(problem: SearchProblem, trained: Container[str] = ()) -> list[str]:
    """A line for each enqueued design that is not trained: outside the budgets, or against the space's conditions.

    ``trained``: the arch_ids of the run's trials.
    """
    where, budgets = Where(), Budgets(problem.budgets)
    lines = []
    for setting in problem.enqueued:
        candidate = LazyCandidate(setting, problem)
        name = ", ".join(f"{key}={value}" for key, value in setting.items())
        if rejection := where(candidate):
            why = "it is against where" if rejection.reason == "where" else "the model cannot be built so"
            lines.append(f"enqueued {name} is not trained: {why}")
        elif budgets(candidate) and candidate.arch_id not in trained:
            cost = candidate.cost
            known = ((cost.macs, "MACs"), (cost.params, "parameters"), (cost.activations, "activations"))
            costs = ", ".join(f"{count(number)} {unit}" for number, unit in known if number)
            lines.append(f"enqueued {name} is not trained: it is over the largest budget with {costs}")
    return lines


def refuse_unused(option: str, sampler: str, rungs: str = "none") -> None:
    """UserError where neither the rungs nor the sampler is known to use an earlier run; a prior is the sampler's.

    A sampler from outside says that it does by ``uses_earlier = True`` on its factory.
    """
    if rungs != "thaw" and not getattr(SAMPLERS.load(sampler), "uses_earlier", sampler == DEFAULT_SAMPLER):
        whose = f"the sampler {DEFAULT_SAMPLER}" + (", or the rungs thaw" if option == "from" else "")
        raise UserError(f"{option} is for {whose}; {sampler} is not known to make use of it.")


def _several(enqueue: Any) -> Iterable[Any]:
    if enqueue is None:
        return ()
    if isinstance(enqueue, str | os.PathLike | Mapping):
        return [enqueue]
    if not isinstance(enqueue, list | tuple):
        raise UserError(f"enqueue takes settings, a file or a run's folder, or a list of such, not {enqueue!r}.")
    return enqueue

"""What a search starts from, as it is asked for: an earlier run, designs to be trained first, and what is believed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ._text import count
from .engine.proposals.candidate import LazyCandidate, SearchProblem
from .engine.proposals.filters import Budgets, Where
from .engine.samplers.registry import DEFAULT_SAMPLER, SAMPLERS
from .engine.storage.config import RUN_YAML, RunConfig
from .engine.storage.starting import Earlier, read_earlier, read_known, settings_of, winners_of
from .errors import UserError
from .space import SearchSpace
from .space.designs import fitted, written_designs
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
        run = isinstance(given, str | os.PathLike) and (Path(given) / RUN_YAML).is_file()
        designs = winners_of(Path(given)) if run else written_designs(given)
        settings, left_out = settings_of(space, designs, lenient=run)
        if run and not settings:
            raise UserError(f"enqueue: {given} has no winner of this space: {left_out[0]}.")
        notes += left_out
        found += [setting for setting in settings if setting not in found]
    believed = prior_of(space, prior) if prior else {}
    if old is not None and not believed:
        believed = read_prior(space, old.prior, f"{folder / RUN_YAML}, prior")
    return Start(earlier, source, found, believed, notes)


def unfit(problem: SearchProblem) -> list[str]:
    """A line for each enqueued design that is not trained: outside the budgets, or against the space's conditions."""
    where, budgets = Where(), Budgets(problem.budgets)
    lines = []
    for setting in problem.enqueued:
        candidate = LazyCandidate(setting, problem)
        name = ", ".join(f"{key}={value}" for key, value in setting.items())
        if rejection := where(candidate):
            why = "it is against where" if rejection.reason == "where" else "the model cannot be built so"
            lines.append(f"enqueued {name} is not trained: {why}")
        elif budgets(candidate):
            cost = candidate.cost
            lines.append(
                f"enqueued {name} is not trained: it is over the largest budget with {count(cost.macs)} MACs, "
                f"{count(cost.params)} parameters, {count(cost.activations)} activations"
            )
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

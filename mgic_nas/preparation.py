"""The arguments of a search, checked and resolved: nothing is written."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from . import own_training, train
from .cost.runtimes.kinds import csv_stem
from .engine.executors.registry import check_address, choose
from .engine.executors.slots import parse_gpus_per_trial
from .engine.proposals.candidate import SearchProblem
from .engine.samplers.registry import DEFAULT_SAMPLER, SAMPLERS
from .engine.schedulers.registry import DEFAULT_SCHEDULER, SCHEDULERS
from .engine.stopping import Stopping
from .engine.storage.config import (
    EXPECTED,
    MEASURED,
    RunConfig,
    at_least_one,
    check_keep,
    check_seed,
    check_winner,
    continued,
    find_run,
    more_than_zero,
    now,
    version_warning,
    versions,
)
from .engine.storage.folder import refuse_links
from .engine.storage.latency_table import check_csv_names
from .engine.storage.measuring import refuse_missing, try_out
from .engine.storage.predicting import Prediction
from .engine.storage.record import Record, record_so_far
from .engine.storage.study import STUDY_DB
from .engine.storage.trial import FINISHED, Trial
from .errors import UserError
from .families import start_of
from .own_training import EPOCHS, OwnTraining
from .planning import AUTO_TRIALS, DEFAULT_TRIALS, default_epochs, default_trials, refuse_impossible, refuse_misfit
from .progress import say
from .space import SearchSpace, parse_budgets
from .space.budget import latency_kinds, refuse_unnamed
from .space.parameters import unwrapped
from .space.prior import recorded_prior
from .starting import refuse_unused, starting, unfit
from .tasks import cautions, metric_of, resolve_spec
from .train.job import Setup
from .train.loop import cached_data
from .train.making import check_recipe
from .train.recipes import resumed_recipe

if TYPE_CHECKING:
    from .train import Recipe

DEFAULT_RECIPE = "quick"
AUTO = "auto"  # trials: as many as are worth it
DEFAULT_WORTH = 0.1  # points, of the next trainings


@dataclass(frozen=True)
class Given:
    """The arguments of :func:`search` that say what is searched."""

    space: SearchSpace | str | Path
    data: str | None
    budgets: Iterable[str | float] | str | float | None
    trials: int | str | None = None
    epochs: int | None = None
    out: str | Path | None = None
    executor: str | None = None
    sampler: str | None = None
    rungs: str | None = None
    concurrent: int | None = None
    gpus_per_trial: str | float = "auto"
    seed: int = 0
    keep: str = "front"
    address: str | None = None
    storage: str | Path | None = None
    recipe: str | Mapping[str, object] | Recipe | None = None
    latencies: Iterable[str | Path] | str | Path | None = None
    train: Callable[..., Any] | None = None
    start_from: str | Path | None = None
    enqueue: Iterable[str | Path | Mapping[str, Any]] | str | Path | Mapping[str, Any] = ()
    winner: str | None = None
    hours: float | None = None
    worth: float | None = None
    prior: Iterable[str] | str | Mapping[str, Any] = ()


_NUMBERS = ("trials", "epochs", "concurrent", "gpus_per_trial", "seed", "hours", "worth", "budgets")


class Prepared(NamedTuple):
    """A search that can begin, or go on after ``trials``."""

    folder: Path
    config: RunConfig
    problem: SearchProblem
    trials: tuple[Trial, ...] = ()
    own: OwnTraining | None = None


def prepare(given: Given, keep: bool = True) -> Prepared:
    """Checks everything, and writes nothing but what was timed into the user's cache: with ``keep``.

    Raises:
        UserError: wrong input.
    """
    # Cheap checks first: a typing error should not wait for the data.
    given = dataclasses.replace(given, **{what: unwrapped(getattr(given, what)) for what in _NUMBERS})
    for what in ("trials", "epochs", "concurrent"):
        if (number := getattr(given, what)) is not None and (what, number) != ("trials", AUTO):
            at_least_one(what, number)
    for what in ("hours", "worth"):
        if (limit := getattr(given, what)) is not None:
            more_than_zero(what, limit)
    for what in ("out", "storage"):
        path = getattr(given, what)
        if not (path is None or isinstance(path, str | os.PathLike)):
            raise UserError(f"{what} must be a folder's path, not {path!r}.")
    check_seed(given.seed)
    check_keep(given.keep)
    if given.winner is not None:
        check_winner(given.winner)
    if given.recipe is not None:
        train.get_recipe(given.recipe)
    if given.out:
        find_run(Path(given.out))
    SAMPLERS.check(_first(given.sampler, DEFAULT_SAMPLER))
    SCHEDULERS.check(_first(given.rungs, DEFAULT_SCHEDULER))
    share = parse_gpus_per_trial(given.gpus_per_trial)
    address = given.address
    if address is not None and given.executor == "local":
        raise UserError("an address is of a Ray cluster: use it with --executor ray.")
    name = choose("ray" if address is not None and given.executor is None else given.executor, say)
    if address is not None:
        check_address(address)
    own = OwnTraining.of(given.train)
    budgets = () if given.budgets is None else given.budgets
    limits = parse_budgets([budgets] if isinstance(budgets, str | int | float) else budgets)
    tables = _tables(given.latencies)
    if tables is not None:
        refuse_unnamed(latency_kinds(limits), [path.stem for path in tables])
    refuse_missing(latency_kinds(limits))
    if not limits:
        raise UserError("name at least one budget, such as --budget 5M (MACs) or --budget params=1M.")

    space = given.space if isinstance(given.space, SearchSpace) else SearchSpace.from_yaml(given.space)
    own_training.check(space, own, limits, given.data, given.recipe)
    if given.data is not None:
        spec = resolve_spec(given.data)
        data = cached_data(spec)
        info = data.info
    else:
        assert own is not None
        spec, data, info = own.spec, None, own.info()
    about = {"spec": spec, **dataclasses.asdict(info)}
    folder = Path(given.out or Path("runs") / _slug(f"{Path(space.source).stem}-{info.name}"))
    old = find_run(folder)
    space = space.started_as(None if old is None else old.space)
    recipe = train.get_recipe(_first(given.recipe, (old and old.recipe) or None, DEFAULT_RECIPE))
    if old is not None and given.recipe is not None:
        recipe = resumed_recipe(given.recipe, old.recipe)
    if own is None and data is not None:
        check_recipe(recipe, data)
    usual = EPOCHS if own is not None else default_epochs(info.sizes["train"], recipe)
    epochs = _first(given.epochs, old and old.epochs, usual)
    if tables is None:  # as when the run was made, as far as budgets are on them still
        stems = set(map(csv_stem, latency_kinds(limits)))
        tables = tuple(p for p in map(Path, old.latencies if old else ()) if p.stem in stems)
    complete = space.with_start(start_of(space.model).first)  # of a run that does not name it
    sampler = _first(given.sampler, old and old.sampler, DEFAULT_SAMPLER)
    rungs = _first(given.rungs, old and old.rungs, DEFAULT_SCHEDULER)
    start = starting(given.start_from, given.enqueue, given.prior, space, folder, old)
    if old is None or (sampler, rungs) == (old.sampler, old.rungs):  # else it is refused below: they may not change
        if start.earlier is not None:
            refuse_unused("from", sampler, rungs)
        if start.prior:
            refuse_unused("prior", sampler)
    problem = SearchProblem(
        complete,
        info.input_size,
        info.num_classes,
        limits,
        epochs,
        earlier=start.earlier,
        enqueued=tuple(start.enqueued),
        prior=start.prior,
    )
    if old is not None:
        refuse_links(folder, [STUDY_DB])  # before it is read
    record = record_so_far(folder) if old is not None else None
    trials = () if record is None else record.entries
    ends = _ends(given, folder, old, record)
    config = RunConfig(
        name=Path(os.path.abspath(folder)).name,  # also of "..", which is no name
        space=space.to_dict(),
        space_source=_source(space),
        data=about,
        budgets=[b.label for b in limits],
        trials=_first(ends.trials, old and old.trials, DEFAULT_TRIALS),
        epochs=epochs,
        recipe={} if own is not None else recipe.to_dict(),
        # What was not named is what the run was made with, also where a later version has other defaults.
        sampler=sampler,
        rungs=rungs,
        seed=given.seed,
        keep=given.keep,
        executor=name,
        concurrent=given.concurrent,
        gpus_per_trial=share,
        address=address,
        storage=None if given.storage is None else str(Path(given.storage).absolute()),
        versions=versions(),
        created=now(),
        latencies=[str(path) for path in tables],
        trained_by=own.place if own is not None else "",
        earlier=start.folder,
        enqueue=start.enqueued,
        prior=recorded_prior(start.prior),
        winner=_first(given.winner, old and old.winner, EXPECTED if metric_of(spec).of_items else MEASURED),
        worth=ends.worth,
        hours=ends.hours,
    )
    notes = [f"{info.name}: {note}" for note in info.notes]  # what was left out, converted or found twice
    notes += [f"{info.name}: warning: {line}" for line in cautions.of_data(metric_of(spec), about)]
    notes += [*start.notes, *unfit(problem, {trial.arch_id for trial in trials}), *ends.notes]
    if old is not None:
        if own is not None and old.trained_by and old.trained_by != own.place:
            notes.append(f"{folder} was trained by {old.trained_by}, and goes on with {own.place}")
        config = continued(old, config, folder)
        if not space.builds:
            own_training.refuse_other_costs(folder, space, trials)
        if warning := version_warning(old):
            notes.append(f"{folder}: {warning}")
    else:
        config.refuse_occupied_storage()
    if old is None or old.budgets != config.budgets:
        refuse_impossible(problem, space, info, given.data)
    if old is None and own is None and data is not None:
        refuse_misfit(problem, data)
    if own is not None:
        notes += own.notes(config.rungs)
    if old is None or (old.budgets, old.latencies) != (config.budgets, config.latencies):
        notes += try_out(config, problem.feasible, keep)
    if ends.auto or (old is None and given.trials is None):
        most = AUTO_TRIALS if ends.auto else DEFAULT_TRIALS
        config = dataclasses.replace(config, trials=default_trials(problem, most, config, trials))
    prediction = None
    if latency_kinds(limits) and sum(trial.state in FINISHED for trial in trials) < config.trials:
        prediction = Prediction(config, problem.feasible, keep)
        notes += map(str, prediction.outlooks.values())
    for note in notes:  # now, so that wrong input is one line alone
        say(note)
    if prediction is not None and keep:
        problem = dataclasses.replace(problem, predictors=prediction.predictors())
        for kind, predictor in problem.predictors.items():
            say(f"{kind}: predicted; {predictor.accuracy}")
    made = {kind: str(predictor.accuracy) for kind, predictor in problem.predictors.items()}
    config = dataclasses.replace(config, predicted={**(old.predicted if old else {}), **made})
    return Prepared(folder, config, problem, trials, own)


class _Ends(NamedTuple):
    """What ends a search: a number of trials (None: left open), as many as are worth it (``auto``), and two limits."""

    auto: bool
    trials: int | None
    worth: float | None
    hours: float | None
    notes: list[str]


def _ends(given: Given, folder: Path, old: RunConfig | None, record: Record | None) -> _Ends:
    """What is named changes, and of the run ``old`` the rest stays.

    But a limit that has ended it already does not where more trials are asked for without naming it: that would be to
    ask for nothing.
    """
    auto = given.trials == AUTO or (old is None and given.trials is None and given.hours is not None)
    number = given.trials if isinstance(given.trials, int) else None
    limits = {name: _first_or_none(getattr(given, name), old and getattr(old, name)) for name in ("worth", "hours")}
    notes = []
    if old is not None and number is not None and record is not None and number > len(record.entries) > 0:
        for name, limit in limits.items():
            alone = dataclasses.replace(old, **{"worth": None, "hours": None, name: getattr(old, name)})
            if limit is not None and getattr(given, name) is None and Stopping(alone).ended_before(record.ended):
                limits[name] = None
                notes.append(f"{folder} ended with --{name} {limit:g}, which --trials {number} takes the place of")
    if auto and limits["worth"] is None:
        limits["worth"] = DEFAULT_WORTH
    return _Ends(auto, number, limits["worth"], limits["hours"], notes)


def _first_or_none(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def _tables(given: Any) -> tuple[Path, ...] | None:
    """The csvs of measurements, absolute; None where none was named."""
    if given is None:
        return None
    several: Any = [given] if isinstance(given, str | os.PathLike) else given
    if not isinstance(several, list | tuple) or not all(isinstance(path, str | os.PathLike) for path in several):
        raise UserError(f"latencies must be the path of a csv, or a list of such, not {given!r}.")
    return check_csv_names(map(Path, several))


def _first(*values: Any) -> Any:
    """The first that is not None."""
    return next(value for value in values if value is not None)


def setup_of(config: RunConfig, folder: Path, own: OwnTraining | None = None) -> Setup:
    return Setup(
        model=config.model,
        data=config.data["spec"],
        epochs=config.epochs,
        recipe=train.get_recipe(config.recipe or DEFAULT_RECIPE),
        folder=str(config.trials_folder(folder)),
        fingerprint=config.data["fingerprint"],
        function=None if own is None else own.function,
    )


def _source(space: SearchSpace) -> str:
    """Where a space can be read again: its file or shipped name; empty for one made in Python."""
    source = space.source
    return source if source.endswith("(shipped)") or Path(source).is_file() else ""


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text.replace(" (shipped)", "")).strip("-") or "run"

"""Trains networks on a full recipe, several seeds each: the one way for a run's winners and for any network."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._signals import terminable
from ..engine.executors.packing import FEWEST_TRIALS, PROBE_SHARE, probed
from ..engine.executors.registry import check_address, choose, executor
from ..engine.executors.slots import parse_gpus_per_trial, plan, this_machine
from ..engine.faults import machine_faults
from ..engine.storage.config import at_least_one, now, versions
from ..errors import UserError
from ..families import family
from ..tasks import resolve_spec
from ..train.job import Final, Setup
from ..train.loop import cached_data
from ..train.making import check_recipe
from ..train.recipes import Recipe, get_recipe, resumed_recipe
from ..train.teacher import check_teacher, resolve_teacher, teacher_id
from ..train.timing import image_seconds, passes
from .config import TrainingConfig, check_weights
from .results import Network, Trainings
from .source import Retraining

if TYPE_CHECKING:
    from ..tasks.base import Data, DataInfo

DEFAULT_RECIPE = "full"
DEFAULT_EPOCHS = 30

Say = Callable[[str], None]


@dataclass(frozen=True)
class Asked:
    """How networks are to be trained, as a user says it. None: as the folder's earlier trainings, or the default.

    Attributes:
        data: what is learned, as :func:`mgic_nas.tasks.load_data` takes it.
        epochs: of each training.
        seeds: trainings of each network, with the seeds 0, 1, ...
        recipe: a name, a mapping with changes to one, or a :class:`Recipe`.
        with_val: train on the validation images too.
        weights: ``last``, or ``best`` by the validation split.
        teacher: a timm name or ``local-dir:FOLDER``, which is learned from as well as from the labels.
        executor, concurrent, gpus_per_trial, address: as of a search.
    """

    data: str
    epochs: int | None = None
    seeds: int = 1
    recipe: str | Mapping[str, object] | Recipe | None = None
    with_val: bool = False
    weights: str | None = None
    teacher: str | None = None
    executor: str | None = None
    concurrent: int | None = None
    gpus_per_trial: str | float = "auto"
    address: str | None = None


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def check_asked(asked: Asked) -> None:
    """UserError for what can be told before data are read."""
    for name in ("epochs", "seeds", "concurrent"):
        if (number := getattr(asked, name)) is not None:
            at_least_one(name, number)
    check_weights(asked.weights or "last", asked.with_val)
    if asked.recipe is not None:
        get_recipe(asked.recipe)
    parse_gpus_per_trial(asked.gpus_per_trial)
    if asked.address is not None:
        check_address(asked.address)


def load(spec: str) -> Data:
    """The data of a spec, read once in this process."""
    return cached_data(resolve_spec(spec))


def train_networks(
    folder: Path,
    asked: Asked,
    networks: Sequence[Network],
    say: Say = say,
    note: Callable[[DataInfo], str] = lambda info: "",
    named: Callable[[str], str] = lambda teacher: teacher,
    work: Path | None = None,
) -> Trainings:
    """Trains what is not trained yet in ``folder``, and writes its table.

    Args:
        folder: of the trainings, see :mod:`mgic_nas.retraining`.
        asked: how they are trained.
        networks: which; those that share an architecture are trained once.
        say: called with lines for a person.
        note: what limits the worth of a test score on some data, a line.
        named: what the text that names a teacher stands for, as :mod:`mgic_nas.train.teacher` takes it.
        work: a folder that all nodes share, for what workers write; by default one in ``folder``.

    Raises:
        UserError: wrong input, before anything is written; or other trainings in ``folder``.
        MachineFault: the machine lacks something; the same call goes on.
        TrainingFailed: some trainings failed; the others are done.
        KeyboardInterrupt: everything done so far is kept, and the same call goes on.
    """
    with terminable():
        check_asked(asked)
        name = choose(asked.executor, say)
        data = load(asked.data)
        config, teacher = _config(folder, asked, data, named)
        if data.info.sizes.get("test"):
            config = dataclasses.replace(config, note=note(data.info))
        networks = sorted({one.arch_id: one for one in networks}.values(), key=lambda one: one.macs)
        recipe = get_recipe(config.recipe)
        check_recipe(recipe, data, config.epochs, config.with_val)
        taught = [] if teacher is None else check_teacher(teacher, data)
        for one in networks:
            _check_network(one, recipe, data.info)
        for line in [f"{data.info.name}: {note}" for note in data.info.notes] + taught:
            say(line)
        with machine_faults(folder), Retraining(folder, config, data.info, networks, asked.seeds, say, work) as source:
            if source.done_before:
                left = source.total - source.done_before
                done = f"{source.done_before} of {source.total} trainings are done already"
                say(f"{folder}: {done}{'' if left else ', so there is nothing to do'}")
            if not source.done:
                setup = Setup(
                    model=networks[0].model,
                    data=config.data["spec"],
                    epochs=config.epochs,
                    recipe=recipe,
                    folder=str(source.trials_folder),
                    fingerprint=config.data["fingerprint"],
                    final=Final(config.with_val, config.weights, teacher),
                )
                concurrent = _concurrent(asked, source, setup, networks[-1], say)
                cached_data.cache_clear()  # only workers need it now
                where = {"address": asked.address} if name == "ray" else {}
                executor(name)(source, setup, concurrent, asked.gpus_per_trial, **where)
            source.write_table()
            source.refuse_faults()
            return Trainings(folder, folder.with_name(f"{folder.name}.csv"), config, tuple(source.trained()))


def _config(folder: Path, asked: Asked, data: Data, named: Callable[[str], str]) -> tuple[TrainingConfig, str | None]:
    """What is asked for, completed by what the folder's earlier trainings were made with; and its teacher, resolved."""
    old = TrainingConfig.load(folder)
    name = asked.teacher or (old.teacher.get("name") if old else None)
    teacher = None if name is None else resolve_teacher(named(str(name)))
    recipe = get_recipe(asked.recipe if asked.recipe is not None else (old.recipe if old else DEFAULT_RECIPE))
    if old is not None and asked.recipe is not None:
        recipe = resumed_recipe(asked.recipe, old.recipe)
    config = TrainingConfig(
        data={"spec": data.spec, **_plain(dataclasses.asdict(data.info))},
        epochs=asked.epochs or (old.epochs if old else DEFAULT_EPOCHS),
        recipe=recipe.to_dict(),
        with_val=asked.with_val or bool(old and old.with_val),
        weights=asked.weights or (old.weights if old else "last"),
        teacher={} if teacher is None else {"name": name, "weights": teacher_id(teacher)},
        versions=versions(),
        created=now(),
    )
    if old is not None:
        old.refuse_other(config, folder)
    return config, teacher


def _check_network(one: Network, recipe: Recipe, info: DataInfo) -> None:
    """UserError where it cannot be built for these data."""
    known = family(one.model)
    if recipe.drop_path and "drop_path_rate" not in known.arguments:
        raise UserError(f"{one.model} takes no drop_path_rate: leave drop_path out of the recipe.")


def _concurrent(asked: Asked, source: Retraining, setup: Setup, costliest: Network, say: Say) -> int | None:
    """How many at a time: as many as train best where there are many, and no more than there are in all.

    Not than are left: after an interruption each must have the same threads as before, or its numbers change.
    """
    if asked.concurrent is not None or asked.address is not None:
        return asked.concurrent
    slots = plan(None, asked.gpus_per_trial, this_machine())
    concurrent = min(source.total, slots.concurrent)
    if asked.gpus_per_trial != "auto" or source.total < FEWEST_TRIALS:
        return concurrent
    patience = None
    if not slots.gpus:
        work = passes(source.config.epochs, source.config.data["sizes"])
        seconds = work * image_seconds(setup, costliest.config, slots.threads)
        patience = PROBE_SHARE * seconds * source.total / slots.concurrent
    packed = probed(source.folder, setup, lambda: costliest.config, source.total, say, patience)
    return concurrent if packed is None else min(source.total, packed.concurrent)


def _plain(value: Any) -> Any:
    """Tuples as lists."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value

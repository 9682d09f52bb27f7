"""What a search is about to do, before its first training: five lines on data, input, space, trainings and cost."""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from ._text import amount, plural, rough_duration, size_text
from .engine.executors.packing import PROBE_SHARE, Packing, packing
from .engine.executors.slots import plan as plan_slots
from .engine.executors.slots import this_machine, visible_gpus
from .engine.proposals.candidate import SearchProblem
from .engine.stopping import AHEAD
from .engine.storage.config import RunConfig
from .engine.storage.measuring import table_of
from .engine.storage.trial import Trial
from .errors import UserError
from .families import family
from .space.budget import latency_kinds
from .space.feasible import Candidate, FeasibleSet
from .space.search_space import SearchSpace
from .space.survey import impossible, largest_side, overview
from .space.survey_result import Fit, Survey
from .tasks import metric_of, resolve_spec
from .tasks._random import seeded
from .tasks.base import Data, DataInfo
from .train.job import Setup
from .train.recipes import Recipe, get_recipe
from .train.timing import image_seconds, passes

DEFAULT_TRIALS = 16
AUTO_TRIALS = 1_000  # at most, of a search that ends by itself
FEWEST_EPOCHS = 3
STEPS = 240  # updates that a training has at least, where the epochs are left open
DRAWN = (
    60  # random networks of a space that is not enumerated, among which the cheapest, middle and costliest are found
)

Say = Callable[[str], None]


def default_trials(problem: SearchProblem, most: int, config: RunConfig, trials: Sequence[Trial] = ()) -> int:
    """``most``, or the trials so far and all networks that fit beside them where those are fewer."""
    left = untried(problem, config, trials)
    return most if left is None else max(1, len(trials), min(most, len(trials) + left))


def untried(problem: SearchProblem, config: RunConfig, trials: Sequence[Trial]) -> int | None:
    """How many networks are within all budgets, as far as counts and csvs of latencies say, and in none of the trials.

    None of a space that is not enumerated.
    """
    with contextlib.suppress(UserError):
        if problem.feasible.small:
            candidates = problem.feasible.candidates
            tried = {trial.arch_id: trial for trial in trials}
            if tables := _tables(problem, config):
                limits = config.limits()
                ids = (candidates.arch_id(i) for i in range(len(candidates)))
                fast = {a for a in ids if all(s.get(a, math.inf) <= limits[kind] for kind, s in tables.items())}
                return len(fast - tried.keys())
            limits = problem.feasible.limits
            within = sum(all(t.cost(kind) <= limit for kind, limit in limits.items()) for t in tried.values())
            return max(0, len(candidates) - within)
    return None


def _tables(problem: SearchProblem, config: RunConfig) -> dict[str, Mapping[str, float]]:
    """Kind of latency -> arch_id -> seconds, of those that csvs say."""
    found = {kind: table_of(config, kind, problem.space) for kind in latency_kinds(problem.budgets)}
    return {kind: table.seconds for kind, table in found.items() if table is not None}


def default_epochs(images: int, recipe: Recipe) -> int:
    """As many epochs as give :data:`STEPS` updates, so that few images are not seen too rarely to learn from."""
    return max(FEWEST_EPOCHS, math.ceil(STEPS / _steps(images, recipe)))


def _steps(images: int, recipe: Recipe) -> int:
    """Updates of an epoch; see :meth:`mgic_nas.tasks.base.Split.steps`."""
    return max(1, images // recipe.batch_size)


def refuse_impossible(problem: SearchProblem, space: SearchSpace, info: DataInfo, data: str | None) -> None:
    """UserError where some budget cannot be met, naming the nearest network and the input size at which it could."""
    given = space, problem.input_size, problem.num_classes, problem.budgets
    if found := impossible(*given):
        side = data is not None and _resizable(data) and largest_side(*given)
        raise UserError(
            f"{found}; with images of {side} pixels or fewer it can be met: --data '{_resized(data, side)}'"
            if data is not None and side
            else found
        )


def refuse_misfit(problem: SearchProblem, data: Data) -> None:
    """UserError where none of three networks takes the inputs, or gives what the task learns from: one line for all.

    A space of networks for images searched on point clouds is such. What fails in some networks alone is found by
    their trials, and recorded there.
    """
    x, y = next(iter(data.val.batches(2)))
    problems = []
    with seeded(0), torch.inference_mode():
        for candidate in _three(problem.feasible):
            try:
                config = problem.space.config(candidate.setting)
                net = family(problem.space.model).build(config, problem.num_classes, problem.input_size[0])
                data.task.loss(net.eval()(x), y)
            except MemoryError:
                return
            except Exception as error:
                problems.append(f"{type(error).__name__}: {' '.join(str(error).split())[:150]}")
            else:
                return
    raise UserError(
        f"{problem.space.model} does not fit {data.info.name}, inputs of {size_text(problem.input_size)} and its task "
        f"({problems[0]}): name a space of networks for such data."
    )


def _resizable(data: str) -> bool:
    """Whether the data take an input size."""
    with contextlib.suppress(UserError):
        return bool(resolve_spec(_resized(data, 32)))
    return False


def _resized(data: str, side: int) -> str:
    source, _, query = data.partition("?")
    kept = [item for item in query.split("&") if item and not item.startswith("size=")]
    return f"{source}?{'&'.join([*kept, f'size={side}'])}"


@dataclass(frozen=True)
class Estimate:
    """Seconds of a whole training: of the cheapest, the middle and the costliest network, alone on its threads."""

    low: float
    middle: float
    high: float

    def scaled(self, factor: float) -> Estimate:
        return Estimate(self.low * factor, self.middle * factor, self.high * factor)


@dataclass(frozen=True)
class Plan:
    """What is left of a search.

    Attributes:
        trials: trainings that are left.
        concurrent: how many at a time.
        packing: what a probe chose; None without one.
        estimate: None where nothing could be measured before the first training.
        lines: for a person.
    """

    trials: int
    concurrent: int
    packing: Packing | None
    estimate: Estimate | None
    lines: tuple[str, ...]

    @property
    def seconds(self) -> float | None:
        """Of everything that is left, about."""
        return None if self.estimate is None else math.ceil(self.trials / self.concurrent) * self.estimate.middle

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; times in seconds."""
        return {
            "trials_left": self.trials,
            "concurrent": self.concurrent,
            "seconds": self.seconds,
            "seconds_a_training": self.estimate and asdict(self.estimate),
            "lines": [line.strip() for line in self.lines],
        }

    def __str__(self) -> str:
        return "\n".join(self.lines)


def make_plan(
    folder: Path,
    config: RunConfig,
    problem: SearchProblem,
    setup: Setup,
    trials: Sequence[Trial],
    left: int,
    say: Say,
    keep: bool = True,
) -> Plan:
    """What ``left`` trainings will be like.

    On a CPU the cheapest, the middle and the costliest network are trained on one batch each. Where that says that a
    probe of how many train best at a time takes less than :data:`PROBE_SHARE` of the search, it is made and corrects
    the estimate. On GPUs there is only the probe, in processes of its own: here no CUDA context is made.

    Args:
        folder: of the run; with ``keep`` a probe's result is written there.
        config: of the run.
        problem: what is searched.
        setup: of its trainings.
        trials: those so far.
        left: trainings that are still to be made.
        say: called with the line of a probe.
        keep: write; else nothing is written.
    """
    fit, left = _fitting(config, problem, trials, left)
    if setup.function is not None:
        return _plan_of_function(config, problem, fit, left)
    on_cpu = not visible_gpus() or config.gpus_per_trial == 0
    slots = plan_slots(config.concurrent, config.gpus_per_trial, this_machine())
    images = {name: int(config.data["sizes"][name]) for name in ("train", "val")}
    work = passes(config.epochs, images)
    estimate = _measure(problem, setup, slots.threads, work) if on_cpu and config.address is None else None
    patience = None if estimate is None else PROBE_SHARE * estimate.middle * left / slots.concurrent
    found = packing(folder, config, problem, setup, left, say, patience, keep)
    concurrent = found.concurrent if found else slots.concurrent
    if found and (rate := found.rate):
        costliest = work * concurrent / max(1, len(visible_gpus())) / rate  # the rate is one GPU's
        estimate = estimate.scaled(costliest / estimate.high) if estimate else Estimate(costliest, costliest, costliest)
    lines = (
        f"  data      {_data(config)}",
        f"  input     {_input(config)}",
        f"  space     {_space(problem, config)}",
        f"  training  {_training(config, fit, left, images['train'], concurrent)}",
        f"  cost      {_cost(estimate, left, concurrent, config, probed=bool(found and found.rate))}",
    )
    return Plan(left, concurrent, found, estimate, lines)


def _fitting(config: RunConfig, problem: SearchProblem, trials: Sequence[Trial], left: int) -> tuple[int, int]:
    """(trials in all, those left): fewer than were asked for where fewer networks fit that were not tried yet."""
    fit = default_trials(problem, config.trials, config, trials)
    new = min(left, max(0, config.trials - len(trials)))  # the others were begun
    return fit, left - new + min(new, max(0, fit - len(trials)))


def _plan_of_function(config: RunConfig, problem: SearchProblem, fit: int, left: int) -> Plan:
    """Of trainings by a function of the user's, which nobody can measure before the first."""
    slots = plan_slots(config.concurrent, config.gpus_per_trial, this_machine())
    stopping = "" if config.rungs == "none" else f", early stopping {config.rungs}"
    most, ends = _most(config)
    lines = (
        f"  space     {_space(problem, config)}",
        f"  training  {most}{_trials(config, fit, left)} by {config.trained_by}, sampler "
        f"{config.sampler}{stopping}, {slots.concurrent} at a time{ends}",
        f"  cost      {_cost(None, left, slots.concurrent, config, probed=False)}",
    )
    return Plan(left, slots.concurrent, None, None, lines)


def _measure(problem: SearchProblem, setup: Setup, threads: int, work: float) -> Estimate | None:
    """None where one of the networks cannot be trained: its trial will say why."""
    seconds: dict[str, float] = {}
    try:
        for candidate in (chosen := list(_three(problem.feasible))):
            if candidate.arch_id not in seconds:
                config = problem.space.config(candidate.setting)
                seconds[candidate.arch_id] = work * image_seconds(setup, config, threads)
        low, middle, high = sorted(seconds[candidate.arch_id] for candidate in chosen)
    except Exception:
        return None
    return Estimate(low, middle, high)


def _three(feasible: FeasibleSet) -> Iterator[Candidate]:
    """The networks with the fewest, the median and the most MACs; of a space that is not enumerated, of random ones."""
    if feasible.small:
        candidates = feasible.candidates
        order = candidates.macs.argsort(kind="stable")
        yield from (candidates[int(order[at])] for at in (0, len(order) // 2, -1))
    else:
        rng = random.Random(0)
        drawn = sorted(filter(None, (feasible.draw(rng) for _ in range(DRAWN))), key=lambda c: c.cost.macs)
        yield from (drawn[at] for at in (0, len(drawn) // 2, -1))


def _data(config: RunConfig) -> str:
    data, metric = config.data, metric_of(config.data["spec"])
    sizes = data["sizes"]
    parts = [f"{sizes['train']:,} {metric.items} to train on, {sizes['val']:,} to validate"]
    parts.append(f"{sizes['test']:,} to test, never read" if sizes.get("test") else "no test split")
    text = f"{data['name']}: {', '.join(parts)}"
    if metric.of_classes:
        text += f"; {config.num_classes:,} classes"
    if data.get("smallest_class"):
        name, count = data["smallest_class"]
        text += f", the smallest {name!r} with {count:,}"
    if data.get("left_out"):
        return f"{text}; {data['left_out']:,} broken ones left out"
    noted = any("left out" in note for note in data.get("notes") or ())  # files of other kinds, a test part
    return text + ("; what is left out is said in the notes" if noted else "; nothing left out")


def _input(config: RunConfig) -> str:
    why = config.data.get("sized")
    return size_text(config.input_size) + (f" ({why})" if why else "")


def _space(problem: SearchProblem, config: RunConfig) -> str:
    assert isinstance(problem.space, SearchSpace)
    tables = _tables(problem, config)
    found = overview(problem.space, problem.input_size, problem.num_classes, problem.budgets, measured=tables)
    size = f"{found.distinct:,} distinct networks" if found.exact else f"{found.settings:,} settings"
    fits = [f"{fit.label} {_fits(found, fit)}" for fit in found.budgets]
    return f"{found.space}: {config.model}, {size}; within {', '.join(fits)}"


def _fits(found: Survey, fit: Fit) -> str:
    if fit.verdict == "measured":
        return "measured in the search"
    if fit.measured is not None:
        return f"{fit.fits:,} of {fit.measured:,} in the csv"
    if fit.fits is not None:
        return f"{fit.fits:,}"
    return f"about {amount(fit.share * found.allowed, 2)}" if fit.share else "few"


def _trials(config: RunConfig, fit: int, left: int) -> str:
    all_of_them = f", all that fit (of {config.trials:,} asked for)" if fit < config.trials else ""
    begun = "" if left >= fit else f" ({left:,} left)"
    return f"{plural(fit, 'trial')}{all_of_them}{begun} of {plural(config.epochs, 'epoch')}"


def _training(config: RunConfig, fit: int, left: int, images: int, concurrent: int) -> str:
    recipe = get_recipe(config.recipe)
    steps = config.epochs * _steps(images, recipe)
    stopping = "" if config.rungs == "none" else f", early stopping {config.rungs}"
    batch = min(recipe.batch_size, images)
    most, ends = _most(config)
    return (
        f"{most}{_trials(config, fit, left)}, {plural(steps, 'step')} of {batch} "
        f"(--trials and --epochs choose others); recipe {recipe.name}, sampler {config.sampler}{stopping}, "
        f"{concurrent} at a time{ends}"
    )


def _most(config: RunConfig) -> tuple[str, str]:
    """What stands before and after the trials where something may end the search before its last one."""
    return ("at most ", f"; {ending}") if (ending := _ending(config)) else ("", "")


def _ending(config: RunConfig) -> str:
    """What may end the search before its last trial; empty where nothing does."""
    ends = [f"after {config.hours:g} hour{'s' * (config.hours != 1)}"] if config.hours is not None else []
    if config.worth is not None:
        ends.append(f"once another {AHEAD} are expected to add less than {config.worth:g} points (--worth)")
    return f"ends {' or '.join(ends)}" if ends else ""


def _cost(estimate: Estimate | None, left: int, concurrent: int, config: RunConfig, probed: bool) -> str:
    if estimate is None:
        return "said after the first training"
    rounds = math.ceil(left / concurrent)
    low, middle, high = (rough_duration(rounds * s) for s in (estimate.low, estimate.middle, estimate.high))
    at_most = "at most " if config.rungs != "none" or _ending(config) else "about "
    measured = "the probe" if probed else "one batch of three networks"
    return (
        f"{at_most}{middle} of training in all ({low} if every network were the cheapest, {high} if the costliest), by "
        f"{measured}; corrected after the first training"
    )

"""What a driver measures latencies with: one :class:`Latencies` for each kind that a budget of the run is on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ... import cost, families  # their functions load torch when they are called
from ..._version import __version__
from ...cost import runtimes
from ...cost.runtimes.cache import LatencyCache
from ...cost.runtimes.kinds import RuntimeKind, csv_stem, is_latency, runtime_kind
from ...cost.runtimes.registry import RUNTIMES
from ...errors import UserError
from ...space.budget import Budget
from .latencies import THREADS, Latencies, Measure, Place, here, of_torch
from .latency_table import LatencyTable, read_table

if TYPE_CHECKING:
    from torch import nn

    from ...space.feasible import FeasibleSet, Space
    from .config import RunConfig

FORM = 1  # of the network that is timed: raise it where the same arch_id gives another one from then on


def of_run(folder: Path | None, config: RunConfig, feasible: FeasibleSet) -> tuple[Latencies, ...]:
    """What a driver measures with, the quick kinds first; nothing where no budget of the run is on a latency.

    Args:
        folder: of the run; None where it has none, and then nothing is measured.
        config: of the run.
        feasible: the architectures that are within the budgets on counts.

    Raises:
        UserError: a csv of measurements that cannot be read, or holds no network of the space.
    """
    limits = {kind: limit for kind, limit in config.limits().items() if is_latency(kind)}
    if folder is None:
        return ()
    found = []
    for kind in sorted(limits, key=_slowness):
        table = table_of(config, kind, feasible.space)
        place, measure = _of_table(config, table) if table else _of_machine(config, runtime_kind(kind))
        latencies = Latencies(folder, place, measure, limits[kind], kind)
        if table:
            latencies.settings = table.settings
            latencies.lacking.update((_arch_ids(feasible) or set()) - table.seconds.keys())
        found.append(latencies)
    return tuple(found)


def _slowness(kind: str) -> tuple[bool, bool, str]:
    """A csv is looked up; a compiler takes half a minute for each network."""
    runtime = runtime_kind(kind)
    return runtime is not None and runtime.runtime == "compile", csv_stem(kind) is None, kind


def refuse_missing(kinds: Iterable[str]) -> None:
    """UserError, with the command that installs it, where the package of a runtime that is to be timed is missing."""
    for kind in kinds:
        if runtime := runtime_kind(kind):
            RUNTIMES.load(runtime.runtime).refuse_missing()


def try_out(config: RunConfig, feasible: FeasibleSet, keep: bool = True) -> list[str]:
    """Reads the csvs of measurements and times the cheapest network in each runtime, before anything is written.

    Args:
        config: of the run.
        feasible: the architectures that are within the budgets on counts.
        keep: what was timed, in the user's cache.

    Returns:
        How many networks of a small space each csv covers, and what of it was not taken as it stands, a line each.

    Raises:
        UserError: a csv holds no network within the budgets, or a runtime cannot run these networks.
    """
    notes = []
    for kind, limit in config.limits().items():
        if not is_latency(kind):
            continue
        if table := table_of(config, kind, feasible.space):
            notes += [table.note] if table.note else []
            if (fit := _arch_ids(feasible)) is not None:
                known = len(fit & table.seconds.keys())
                notes.append(
                    f"{kind}: {table.path.name} has measurements of {known:,} of {len(fit):,} networks that fit"
                )
                if not known:
                    raise UserError(
                        f"{table.path} measures none of the {len(fit):,} networks of {feasible.space.source} within "
                        "the other budgets, and what it lacks is not trained."
                    )
            fastest = min(table.seconds[a] for a in (table.seconds if fit is None else fit & table.seconds.keys()))
            if fastest > limit:
                raise UserError(
                    f"Budget {Budget(kind, limit).label}: of the networks in {table.path.name} that are within the "
                    f"other budgets the fastest takes {fastest * 1e3:.4g} ms."
                )
        elif (runtime := runtime_kind(kind)) and (cheapest := feasible.cheapest(frozenset())):
            _, measure = _of_machine(config, runtime, keep)
            measure(cheapest.arch_id, feasible.space.config(cheapest.setting))
    return notes


def place_of(config: RunConfig, kind: str) -> Place:
    """Where and how this machine would measure a kind of latency for a run."""
    if stem := csv_stem(kind):
        return _place(config, f"{stem}.csv", "")
    return here(config.input_size, config.gpus_per_trial, runtime_kind(kind))[0]


def table_of(config: RunConfig, kind: str, space: Space) -> LatencyTable | None:
    """The csv that a kind of latency is from; None for one that is measured here."""
    stem = csv_stem(kind)
    if stem is None:
        return None
    return read_table(next(Path(p) for p in config.latencies if Path(p).stem == stem), space)


def _arch_ids(feasible: FeasibleSet) -> set[str] | None:
    """Of all in a small set; None for one that is not, or cannot be enumerated."""
    try:
        return {feasible.candidates.arch_id(i) for i in range(len(feasible.candidates))} if feasible.small else None
    except UserError:  # the model refuses some setting
        return None


def _place(config: RunConfig, name: str, digest: str) -> Place:
    return Place(config.input_size, name, threads=0, batch=0, runtime=digest)


def _of_table(config: RunConfig, table: LatencyTable) -> tuple[Place, Measure]:
    # With what it held: a csv that was changed since is looked up again.
    return _place(config, table.path.name, table.digest), lambda arch_id, _: table.seconds.get(arch_id)


def _of_machine(config: RunConfig, kind: RuntimeKind | None, keep: bool = True) -> tuple[Place, Measure]:
    if kind is None:
        return of_torch(config)
    place, device = here(config.input_size, config.gpus_per_trial, kind)
    known = cache_of_networks(config, place)

    def measure(arch_id: str, arguments: Mapping[str, Any]) -> float:
        seconds = known.get(arch_id)
        if seconds is None:
            seconds = timed(config.model, arguments, config.input_size, config.num_classes, kind, device)
            if keep:
                known.put(arch_id, seconds)
        return seconds

    return place, measure


def cache_of_networks(config: RunConfig, place: Place) -> LatencyCache:
    """What was measured so of the networks of a run's model."""
    about = {"input_size": list(place.input_size), "num_classes": config.num_classes, "model": config.model}
    return LatencyCache({**key_of(place), **about})


def key_of(place: Place) -> dict[str, Any]:
    """What a latency depends on besides the network and the size of its input."""
    return {
        "processor": place.device,
        "runtime": place.runtime,
        "threads": place.threads,
        "batch": place.batch,
        "mgic_nas": __version__,
        "form": FORM,
    }


def timed(
    model: str,
    arguments: Mapping[str, Any],
    input_size: tuple[int, int, int],
    num_classes: int,
    kind: RuntimeKind,
    device: str,
) -> float:
    """Seconds of a batch in a runtime, of the network in the form that ships.

    Raises:
        UserError: a package of the runtime is missing, or it cannot run the network.
    """
    net = families.family(model).build(dict(arguments), num_classes, input_size[0])
    return timed_net(net, input_size, kind, device)


def timed_net(net: nn.Module, input_size: tuple[int, int, int], kind: RuntimeKind | None, device: str) -> float:
    """Seconds of a batch in a runtime, in the form that ships; without one of one image in torch, as it trains."""
    net = net.to(device)
    if kind is None:
        return cost.image_latency(net, input_size, threads=THREADS)
    return runtimes.shipped_latency(kind.runtime, net, input_size, batch=kind.batch, threads=kind.threads)

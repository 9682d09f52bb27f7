"""run.yaml: how a run was made, and what may still change when it goes on."""

from __future__ import annotations

import dataclasses
import datetime
import importlib.metadata
import json
import math
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ..._files import write_atomic
from ..._version import __version__
from ...cost.runtimes.kinds import csv_stem
from ...errors import UserError
from ...families.names import in_timm
from ...space.budget import Budget, hard_limits, latency_kinds, parse_budgets, refuse_unnamed
from ...space.parameters import unwrapped
from . import recorded
from .latency_table import check_csv_names

RUN_YAML = "run.yaml"
KEEP = ("front", "all")
EXPECTED, MEASURED = "expected", "measured"
WINNERS = (EXPECTED, MEASURED)
FORMAT = 1

# What the same run may be continued with. Everything else decides what a trial's result means.
_WHERE = ("executor", "concurrent", "address", "gpus_per_trial")
_MAY_DIFFER = frozenset({"trials", "budgets", "enqueue", "prior", "latencies", "winner", "worth", "hours", *_WHERE})
# Where it came from, not what it is: never compared.
_PROVENANCE = frozenset({"name", "space_source", "versions", "created"})
_CODE = frozenset({"family", "cost"})  # of a space: where its code was, which may have moved
_FOUND = frozenset({"predicted"})  # when it was made or went on: the latest counts
_LIBRARIES = ("torch", "timm", "optuna", "ray", "numpy")


@dataclass(frozen=True)
class RunConfig:
    """The resolved configuration of a run: plain values only, so that it is YAML and back unchanged.

    Attributes:
        name: the run's name (its folder's, when it was made) and its study's.
        space: the search space as ``SearchSpace.to_dict()`` gives it; ``space_source`` its file or shipped name.
        data: ``spec`` (what the user wrote), ``fingerprint``, and every field of ``tasks.DataInfo``.
        budgets: labels, which ``parse_budget`` reads: ``["0.5M", "1M", "params=1M"]``.
        trials: how many architectures are to be started in all.
        epochs: of training, each.
        recipe: how one is trained.
        sampler, seed: who proposes.
        rungs: early stopping, ``none`` or ``halving``.
        keep: whose weights are kept, ``front`` or ``all``.
        executor, concurrent, gpus_per_trial, address: where it is trained, as far as the user said.
        storage: the shared folder that holds ``<name>/trials``; None: the run folder does.
        latencies: the csvs of measurements that budgets ``latency-<stem>`` name, absolute; written where there are any.
        predicted: kind of latency -> how well it was predicted, in words; written where any was.
        trained_by: ``module:name`` of the user's function that trains, for people; written where there is one.
        earlier: the folder of the run that it started from, absolute; what that found is copied beside run.yaml.
        enqueue: settings that are trained first.
        prior: what the user believes, as :func:`.prior.recorded_prior` gives it. All three are written where there are
            any.
        winner: by which accuracy winners are chosen, ``expected`` or ``measured``; runs before there was a choice do
            not have it, and are ``measured``.
        worth: points of accuracy that the next trainings must be expected to add, or the search ends; None: it ends
            with ``trials``.
        hours: of training, after which no further one starts.
        versions: of Python and of the libraries that it was made with.
        created: when, ISO 8601 with the zone.
    """

    name: str
    space: dict[str, Any]
    data: dict[str, Any]
    budgets: list[str]
    trials: int
    epochs: int
    recipe: dict[str, Any]
    sampler: str
    seed: int = 0
    rungs: str = "none"
    keep: str = "front"
    executor: str = "local"
    concurrent: int | None = None
    gpus_per_trial: str | float = "auto"
    address: str | None = None
    storage: str | None = None
    space_source: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    created: str = ""
    format: int = FORMAT
    latencies: list[str] = field(default_factory=list)
    predicted: dict[str, str] = field(default_factory=dict)
    trained_by: str = ""
    earlier: str = ""
    enqueue: list[dict[str, Any]] = field(default_factory=list)
    prior: list[dict[str, Any]] = field(default_factory=list)
    winner: str = MEASURED
    worth: float | None = None
    hours: float | None = None

    def __post_init__(self) -> None:
        for name in ("trials", "epochs", "concurrent"):
            if (number := getattr(self, name)) is not None or name != "concurrent":
                object.__setattr__(self, name, at_least_one(name, number))
        check_seed(self.seed)
        check_keep(self.keep)
        check_winner(self.winner)
        for name in ("worth", "hours"):
            if (limit := getattr(self, name)) is not None:
                object.__setattr__(self, name, more_than_zero(name, limit))
        stems = [path.stem for path in check_csv_names(self.latencies)]
        kinds = latency_kinds(self.parsed_budgets())
        refuse_unnamed(kinds, stems)
        if unused := [stem for stem in stems if stem not in map(csv_stem, kinds)]:
            raise UserError(f"latencies: no budget is on {unused[0]}.csv: name one, such as latency-{unused[0]}=5ms.")
        # Tuples would come back from YAML as lists, and then differ.
        for name in ("space", "data", "recipe", "budgets", "versions", "latencies", "predicted", "enqueue", "prior"):
            object.__setattr__(self, name, _plain(name, getattr(self, name)))

    @property
    def model(self) -> str:
        """The timm name of the searched model."""
        return str(self.space["model"])

    @property
    def in_timm(self) -> bool:
        """Whether timm builds the networks, also where their family is not known in this process."""
        return not _CODE & self.space.keys() and in_timm(self.model)

    @property
    def input_size(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        channels, height, width = self.data["input_size"]
        return channels, height, width

    @property
    def num_classes(self) -> int:
        return int(self.data["num_classes"])

    def limits(self) -> dict[str, float]:
        """kind -> the largest budget of that kind: what no trained network exceeds."""
        return hard_limits(self.parsed_budgets())

    def parsed_budgets(self) -> tuple[Budget, ...]:
        """The budgets, MACs first, each kind from the smallest up."""
        return parse_budgets(self.budgets)

    def trials_folder(self, folder: str | Path) -> Path:
        """Where this run's workers write, absolute: in its own folder, or under ``storage``."""
        if self.storage is None:
            return (Path(folder) / "trials").absolute()
        if self.name in ("", ".", "..") or Path(self.name).name != self.name:
            raise UserError(f"{self.name!r} is no name for a folder in the storage: name the run's folder (--out).")
        return (Path(self.storage) / self.name / "trials").absolute()

    def refuse_occupied_storage(self) -> None:
        """UserError where ``storage`` holds another run of this name already: call it for a new run only."""
        if self.storage is None:
            return
        trials = self.trials_folder("")
        try:
            occupied = next(trials.iterdir(), None) is not None
        except FileNotFoundError:
            return
        except OSError as error:
            raise UserError(f"storage {trials} cannot be used: {error.strerror}.") from None
        if occupied:
            raise UserError(
                f"{trials} already holds the trials of another run named {self.name}: "
                "give this run another name (--out), or another --storage."
            )

    def to_yaml(self) -> str:
        """The text of run.yaml."""
        values = dataclasses.asdict(self)
        for name in ("latencies", "predicted", "trained_by", "earlier", "enqueue", "prior"):
            if not values[name]:
                del values[name]
        for name, absent in (("winner", MEASURED), ("worth", None), ("hours", None)):
            if values[name] == absent:
                del values[name]
        return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100)

    def save(self, folder: str | Path) -> None:
        """Writes run.yaml, whole or not at all."""
        write_atomic(Path(folder) / RUN_YAML, self.to_yaml())

    @classmethod
    def load(cls, folder: str | Path) -> RunConfig:
        """What run.yaml in ``folder`` says; UserError where there is none or it cannot be read."""
        try:
            return recorded.load(cls, Path(folder) / RUN_YAML, "a run", FORMAT, _RULES)
        except (FileNotFoundError, NotADirectoryError):
            raise UserError(f"{folder} is not a run: it has no {RUN_YAML}.") from None


_RULES = (
    *((name, recorded.TEXT) for name in ("name", "sampler", "rungs", "keep", "executor", "space_source", "created")),
    *((name, recorded.TEXT) for name in ("trained_by", "winner")),
    *((name, recorded.TEXT_OR_NONE) for name in ("address", "storage")),
    ("space", recorded.MAPPING),
    *recorded.SPACE_AND_DATA,
    ("budgets", recorded.TEXTS),
    ("latencies", recorded.TEXTS),
    ("predicted", recorded.MAPPING_OF_TEXTS),
    ("recipe", recorded.MAPPING),
    ("earlier", recorded.TEXT),
    ("enqueue", recorded.MAPPINGS),
    ("prior", recorded.MAPPINGS),
    ("gpus_per_trial", recorded.TEXT_OR_NUMBER),
    *((name, recorded.NUMBER) for name in ("worth", "hours")),
    ("versions", recorded.MAPPING),
)


def at_least_one(name: str, value: Any) -> int:
    """``value`` where it is a whole number from 1 up, else a UserError that names it."""
    value = unwrapped(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UserError(f"{name} must be a whole number from 1 up, not {value!r}.")
    return value


def more_than_zero(name: str, value: Any) -> float:
    """``value`` where it is a number above zero, else a UserError that names it."""
    value = unwrapped(value)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 < value < math.inf:
        raise UserError(f"{name} must be a number above 0, not {value!r}.")
    return float(value)


def check_seed(value: Any) -> None:
    """UserError where ``value`` is no seed."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise UserError(f"seed must be a whole number from 0 up, not {value!r}.")


def check_keep(value: Any) -> None:
    """UserError where ``value`` is not one of :data:`KEEP`."""
    if value not in KEEP:
        raise UserError(f"keep must be {' or '.join(KEEP)}, not {value!r}.")


def check_winner(value: Any) -> None:
    """UserError where ``value`` is not one of :data:`WINNERS`."""
    if value not in WINNERS:
        raise UserError(f"winner must be {' or '.join(WINNERS)}, not {value!r}.")


def versions() -> dict[str, str]:
    """Of Python and the libraries that decide what a result is; those not installed are left out."""
    found = {"python": platform.python_version(), "mgic_nas": __version__}
    for library in _LIBRARIES:
        try:
            found[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def now() -> str:
    """This moment, ISO 8601 with the zone, to the second."""
    return datetime.datetime.now().astimezone().isoformat(timespec="seconds")


def find_run(folder: str | Path) -> RunConfig | None:
    """The configuration of the run in ``folder``; None where a new run may be made there.

    UserError where the folder is something else: a file, or a folder with other things in it. What a driver leaves
    that was killed before it had written run.yaml (a lock, a temporary file) does not count.
    """
    folder = Path(folder)
    try:
        if (folder / RUN_YAML).exists():
            return RunConfig.load(folder)
        others = [p.name for p in folder.iterdir() if p.name != ".lock" and not p.name.startswith(f".{RUN_YAML}.")]
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        raise UserError(f"{folder} is a file; name a folder for the run.") from None
    except UserError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise UserError(f"{folder} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    if others:
        raise UserError(
            f"{folder} is not a run (it has no {RUN_YAML}) and not empty ({sorted(others)[0]}, ...): "
            "name another folder for the run."
        )
    return None


def continued(old: RunConfig, new: RunConfig, folder: str | Path) -> RunConfig:
    """The configuration with which the run ``old`` goes on when it is asked for as ``new``.

    UserError, naming the field and both values, where ``new`` changes what may not change.
    """
    for name in (f.name for f in dataclasses.fields(RunConfig)):
        if name in _MAY_DIFFER | _PROVENANCE | _FOUND:
            continue
        before, after = getattr(old, name), getattr(new, name)
        if name == "trained_by":
            if bool(before) != bool(after):
                mend = f"pass train= again, as it was ({before})" if before else "leave train= out"
                raise UserError(f"{folder} is a run trained by {before or 'mgic_nas'}: {mend}, or name another folder.")
            if before.partition(":")[2] != after.partition(":")[2]:  # its module may have another name now
                raise UserError(
                    f"{folder} is a run trained by {before}, not {after}: accuracies of two functions, or of one with "
                    "other arguments, do not compare. Name another folder for a new run."
                )
            continue
        if name == "space":
            before, after = ({k: v for k, v in space.items() if k not in _CODE} for space in (before, after))
        if name == "data":  # the same images at another path are the same data
            if before.get("fingerprint") == after.get("fingerprint"):
                continue
            if before.get("spec") != after.get("spec"):
                before, after = before.get("spec"), after.get("spec")
        if found := difference(name, before, after):
            where, was, asked = found
            raise UserError(
                f"{folder} is a run with {where} = {short(was)}, not {short(asked)}: only "
                f"{', '.join(sorted(_MAY_DIFFER))} may change when a run goes on. Name another folder for a new run."
            )
    return dataclasses.replace(new, **{name: getattr(old, name) for name in _PROVENANCE})


def version_warning(old: RunConfig) -> str:
    """One line on the libraries that have changed since the run was made, or nothing."""
    current = versions()
    changed = [
        f"{library} {was} -> {current.get(library, 'not installed')}"
        for library, was in old.versions.items()
        if current.get(library) != was and library in current
    ]
    return f"made with other versions ({', '.join(changed)}): later results may differ slightly" if changed else ""


def difference(where: str, before: Any, after: Any) -> tuple[str, Any, Any] | None:
    """The first place at which two plain values differ: its dotted name and both values there."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in [*before, *(k for k in after if k not in before)]:
            found = difference(f"{where}.{key}", before.get(key, _ABSENT), after.get(key, _ABSENT))
            if found:
                return found
        # The order of the parameters is the order in which they are proposed and enumerated.
        return (f"the order of {where}", list(before), list(after)) if list(before) != list(after) else None
    same = before == after and type(before) is type(after)
    return None if same or _equal_numbers(before, after) else (where, before, after)


def _equal_numbers(a: Any, b: Any) -> bool:
    return not isinstance(a, bool) and not isinstance(b, bool) and isinstance(a, int | float) and a == b


class _Absent:
    def __repr__(self) -> str:
        return "nothing"


_ABSENT = _Absent()


def short(value: Any) -> str:
    """For a message, of 100 characters at most."""
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


def _plain(name: str, value: Any) -> Any:
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise UserError(f"{name} holds something that run.yaml cannot: {error}.") from None

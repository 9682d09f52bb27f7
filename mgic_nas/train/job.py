"""What a worker needs: one job, and what all jobs of a run share. And where it writes."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .._files import read_json
from .._registry import Registration, registrations
from .recipes import Recipe, get_recipe


@dataclass(frozen=True)
class Job:
    """One attempt of one trial, or of a part of its epochs.

    Attributes:
        number: the trial's number in the run.
        attempt: counts the jobs of a trial; each writes into a folder of its own.
        config: keyword arguments of the model.
        first_epoch: the epochs that are trained already: 0 for a new trial.
        last_epoch: the epochs that are trained when the job ends.
        checkpoint: the ``checkpoint.pt`` to continue from; needed exactly where ``first_epoch`` is above 0.
        seed: of the initial weights, the batch order and the augmentation.
    """

    number: int
    attempt: int
    config: dict[str, Any] = field(hash=False)
    first_epoch: int
    last_epoch: int
    checkpoint: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.first_epoch < self.last_epoch:
            raise ValueError(f"a job from epoch {self.first_epoch} to {self.last_epoch} trains nothing")
        if (self.first_epoch > 0) != (self.checkpoint is not None):
            raise ValueError(f"a job from epoch {self.first_epoch} with the checkpoint {self.checkpoint}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Job:
        return cls(**values)


#: Which epoch's weights a training leaves: the last one's, or those with the highest accuracy on the validation split.
WEIGHTS = ("last", "best")


@dataclass(frozen=True)
class Final:
    """What is particular about training a network that is to be used.

    It leaves checkpoints as it goes, and is scored on the test split at its end.

    Attributes:
        with_val: train on the validation images too; then there is no accuracy on them.
        weights: one of :data:`WEIGHTS`.
        teacher: what is also learned from, as :func:`.teacher.resolve_teacher` gives it; None: the labels alone.
    """

    with_val: bool = False
    weights: str = "last"
    teacher: str | None = None


@dataclass(frozen=True)
class Setup:
    """What all jobs of a run share.

    Attributes:
        model: the family's name.
        data: a spec for :func:`mgic_nas.tasks.load_data`.
        epochs: of a whole training. The learning-rate schedule spans them, however few a job trains.
        recipe: how; a preset's name or a mapping, as :func:`get_recipe` takes them, becomes a recipe.
        folder: the run's ``trials`` folder, absolute; only :func:`work` writes there.
        device: "auto" (CUDA where there is one, else the CPU) or a torch device.
        threads: CPU threads of a training; None leaves torch's number.
        fingerprint: of the data that the run began with; a worker that finds other data refuses.
        registrations: what was registered from outside the package in the process that makes this object; a worker
            registers it again. Never written to disk.
        final: None for a training of a search.
        function: what trains in place of this package, as :func:`.function.portable` gives it. Never written to disk.
    """

    model: str
    data: str
    epochs: int
    recipe: Recipe
    folder: str
    device: str = "auto"
    threads: int | None = None
    fingerprint: str | None = None
    registrations: tuple[Registration, ...] = field(default_factory=registrations)
    final: Final | None = None
    function: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "recipe", get_recipe(self.recipe))
        object.__setattr__(self, "folder", str(self.folder))
        object.__setattr__(self, "registrations", tuple(tuple(entry) for entry in self.registrations))  # JSON has lists
        if isinstance(self.final, Mapping):
            object.__setattr__(self, "final", Final(**self.final))
        if self.epochs < 1:
            raise ValueError(f"a training of {self.epochs} epochs")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        values = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        final = None if self.final is None else dataclasses.asdict(self.final)
        return values | {"recipe": self.recipe.to_dict(), "final": final}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Setup:
        return cls(**values)


def attempt_folder(folder: str | os.PathLike[str], number: int, attempt: int) -> Path:
    """Where one attempt of one trial is written: ``folder/<number>/attempt-<attempt>``."""
    return Path(folder) / str(number) / f"attempt-{attempt}"


def make_attempt_folder(folder: str | os.PathLike[str], number: int, attempt: int) -> Path:
    """Makes :func:`attempt_folder`, and ``folder`` where there is none, but nothing above it.

    A run that was renamed or unmounted meanwhile must not begin anew at its old place: FileNotFoundError.
    """
    made = attempt_folder(folder, number, attempt)
    for path in (made.parent.parent, made.parent, made):  # parents=True would make those above, too
        path.mkdir(exist_ok=True)
    return made


def begin_attempt(folder: str | os.PathLike[str], number: int, attempt: int) -> Path:
    """An empty :func:`attempt_folder`: what an earlier try at it left is taken away. FileExistsError for a result."""
    made = attempt_folder(folder, number, attempt)
    if (made / "result.json").exists():
        raise FileExistsError(f"{made} has a result already: a new job needs a new attempt number")
    if made.exists():
        shutil.rmtree(made)
    return make_attempt_folder(folder, number, attempt)


def checkpoint_name(epochs: int) -> str:
    """Of what is left after so many epochs of a training that is not over."""
    return f"checkpoint-{epochs}.pt"


def latest_checkpoint(folder: str | os.PathLike[str], number: int) -> tuple[int, Path] | None:
    """(epochs, path) of the most trained checkpoint among a trial's attempts; None where there is none."""
    paths = Path(folder, str(number)).glob(f"attempt-*/{checkpoint_name(0).replace('0', '*')}")
    found = [(int(stem), path) for path in paths if (stem := path.stem.partition("-")[2]).isdecimal()]
    return max(found, default=None)


def attempts(folder: str | os.PathLike[str], number: int) -> list[int]:
    """The attempts of a trial that have a folder, in order."""
    names = (path.name.partition("-")[2] for path in Path(folder, str(number)).glob("attempt-*"))
    return sorted(int(name) for name in names if name.isdecimal())


def read_result(folder: str | os.PathLike[str], number: int, attempt: int) -> dict[str, Any] | None:
    """The ``result.json`` of an attempt, or None where it did not end."""
    result: dict[str, Any] | None = read_json(attempt_folder(folder, number, attempt) / "result.json")
    return result

"""What a worker is told: which candidate, how far, and everything that all candidates share."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .recipes import Recipe, get_recipe


@dataclass(frozen=True)
class Job:
    """One hand-out of one trial.

    Attributes:
        number: the trial's number in the run.
        attempt: counts the hand-outs of a trial; each writes into a folder of its own.
        config: keyword arguments of the model.
        first_epoch: the epoch to go on with, from 0: so many epochs are done already.
        last_epoch: so many epochs are done in all when the job ends.
        checkpoint: the ``checkpoint.pt`` to go on from; needed exactly where ``first_epoch`` is above 0.
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
    def from_dict(cls, values: Mapping[str, Any]) -> "Job":
        return cls(**values)


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
    """

    model: str
    data: str
    epochs: int
    recipe: Recipe
    folder: str
    device: str = "auto"
    threads: int | None = None
    fingerprint: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "recipe", get_recipe(self.recipe))
        object.__setattr__(self, "folder", str(self.folder))
        if self.epochs < 1:
            raise ValueError(f"a training of {self.epochs} epochs")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        values = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        return values | {"recipe": self.recipe.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Setup":
        return cls(**values)

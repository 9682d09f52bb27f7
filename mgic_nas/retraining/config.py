"""training.yaml: how networks are trained, the same for all of a folder."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from .._files import write_atomic
from ..engine.storage import recorded
from ..engine.storage.config import at_least_one, difference, short
from ..errors import UserError
from ..train.job import WEIGHTS

TRAINING_YAML = "training.yaml"
FORMAT = 1
_MUST_AGREE = ("epochs", "with_val", "weights", "teacher", "recipe")


@dataclass(frozen=True)
class TrainingConfig:
    """The resolved configuration of some trainings: plain values only.

    Attributes:
        data: ``spec`` and every field of ``tasks.DataInfo``.
        epochs: of each.
        recipe: how one is trained.
        with_val: on the validation images too.
        weights: ``last`` or ``best``.
        teacher: what they also learn from, its ``name`` and an id of its ``weights``; empty for nothing.
        note: what limits the worth of the test score, a line; empty for nothing.
        versions: of Python and of the libraries.
        created: when, ISO 8601 with the zone.
    """

    data: dict[str, Any]
    epochs: int
    recipe: dict[str, Any]
    with_val: bool = False
    weights: str = "last"
    teacher: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    created: str = ""
    format: int = FORMAT

    def __post_init__(self) -> None:
        at_least_one("epochs", self.epochs)
        check_weights(self.weights, self.with_val)

    def save(self, folder: Path) -> None:
        text = yaml.safe_dump(dataclasses.asdict(self), sort_keys=False, allow_unicode=True, width=100)
        write_atomic(folder / TRAINING_YAML, text)

    @classmethod
    def load(cls, folder: Path) -> TrainingConfig | None:
        """What ``folder`` says; None where nothing was trained there. UserError where it cannot be read."""
        try:
            return recorded.load(cls, folder / TRAINING_YAML, "trainings", FORMAT, _RULES)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def refuse_other(self, new: TrainingConfig, folder: Path) -> None:
        """UserError, naming the field, where ``new`` would put trainings of another kind beside these."""
        elsewhere = "name another folder with --out, or leave that option out to go on here"
        if self.data.get("fingerprint") != new.data["fingerprint"]:
            was, asked = self.data.get("spec"), new.data["spec"]
            if was == asked:
                raise UserError(f"{folder}: the data {asked} are not what they were: restore them, or {elsewhere}.")
            raise UserError(f"{folder} was trained on {was!r}, not on {asked!r}: {elsewhere}.")
        for name in _MUST_AGREE:
            if found := difference(name, getattr(self, name), getattr(new, name)):
                where, was, asked = found
                raise UserError(
                    f"{folder} was trained with {where} = {short(was)}, not {short(asked)}: {elsewhere}. "
                    "Only seeds and networks may be added."
                )


def check_weights(weights: Any, with_val: Any) -> None:
    """UserError where these are not wanted together."""
    if weights not in WEIGHTS:
        raise UserError(f"weights must be {' or '.join(WEIGHTS)}, not {weights!r}.")
    if not isinstance(with_val, bool):
        raise UserError(f"with_val must be true or false, not {with_val!r}.")
    if with_val and weights == "best":
        raise UserError("the best weights are chosen on the validation images, and these are trained on: use the last.")


_RULES = (
    ("data", recorded.MAPPING._replace(needed=True)),
    *((name, rule) for name, rule in recorded.SPACE_AND_DATA if name.startswith("data.")),
    ("epochs", recorded.WHOLE),
    ("recipe", recorded.MAPPING),
    ("teacher", recorded.MAPPING),
    *((f"teacher.{name}", recorded.TEXT) for name in ("name", "weights")),
    ("versions", recorded.MAPPING),
    *((name, recorded.TEXT) for name in ("weights", "note", "created")),
)

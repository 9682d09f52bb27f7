"""What a train function of a user's learns: this package neither reads its data nor knows its task."""

from __future__ import annotations

from .._text import NO_INPUT
from ..errors import UserError
from .base import Data, DataInfo

NAME = "function"


def info(place: str) -> DataInfo:
    """What is known of the data of a train function, which ``place`` names: nothing. Costs are the space's own."""
    return DataInfo(
        name=place,
        num_classes=1,
        input_size=NO_INPUT,
        mean=(),
        std=(),
        classes=(),
        interpolation="",
        crop_pct=1.0,
        fingerprint="",
        sizes={},
    )


def resolve(spec: str) -> str:
    """UserError: it is no data set."""
    raise UserError(
        f"{NAME}:{spec} is no data set: what is trained there is known to the train function alone, which has its own "
        "weights, scores and exports."
    )


def load(spec: str, *, seed: int = 0) -> Data:
    """UserError, as :func:`resolve`."""
    resolve(spec)
    raise AssertionError

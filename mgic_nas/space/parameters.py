"""One parameter of a search space: an ordered grid of plain values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ..errors import did_you_mean
from .conditions import Scalar
from .document import Path, Place

MOST_VALUES = 10_000  # of one parameter
_MOST_STAGES = 1_000
_KEYS = ("choices", "low", "high", "step", "per_stage")


@dataclass(frozen=True)
class Parameter:
    """What the space says about one argument of the model.

    Attributes:
        name: the argument.
        values: its grid, in order.
        bounds: (low, high, step) where it was written as a range; the grid ends exactly on high.
        per_stage: how many independent values it has, one per stage of the network; None for a single one.
    """

    name: str
    values: tuple[Scalar, ...]
    bounds: tuple[float, float, float] | None = None
    per_stage: int | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The flat names: ``s_g``, or ``width_mult.0``, ``width_mult.1``, ..."""
        if self.per_stage is None:
            return (self.name,)
        return tuple(f"{self.name}.{i}" for i in range(self.per_stage))

    def to_dict(self) -> dict[str, Any]:
        """What the YAML says of it."""
        written: dict[str, Any] = (
            dict(zip(("low", "high", "step"), self.bounds)) if self.bounds else {"choices": list(self.values)}
        )
        return written if self.per_stage is None else {**written, "per_stage": self.per_stage}


def read_parameter(name: str, written: Any, path: Path, place: Place) -> Parameter:
    """The parameter that ``written`` (the value at ``path``) describes. UserError naming the line and the mend."""
    forms = "{choices: [...]} or {low: ..., high: ..., step: ...}"
    if not isinstance(written, dict):
        hint = f"{{choices: {written}}}" if isinstance(written, (list, tuple)) else forms
        raise place.error(path, f"{name} is {_shown(written)}: write {name}: {hint}, or move a fixed value to kwargs.")
    for key in written:
        if key not in _KEYS:
            raise place.error((*path, key), f"{name} has the unknown key {key!r}.{did_you_mean(str(key), _KEYS)}")
    ranged = [key for key in ("low", "high", "step") if key in written]
    if "choices" in written and ranged:
        raise place.error((*path, ranged[0]), f"{name} has choices and {ranged[0]}: keep one of the two.")
    per_stage = _per_stage(name, written, path, place)
    if "choices" in written:
        return Parameter(name, _choices(name, written["choices"], (*path, "choices"), place), None, per_stage)
    if "low" not in written or "high" not in written:
        raise place.error(path, f"{name} has no values: write {name}: {forms}.")
    values, bounds = _range(name, written, path, place)
    return Parameter(name, values, bounds, per_stage)


def _per_stage(name: str, written: dict[str, Any], path: Path, place: Place) -> int | None:
    if "per_stage" not in written:
        return None
    value = written["per_stage"]
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST_STAGES:
        raise place.error(
            (*path, "per_stage"),
            f"per_stage of {name} is {_shown(value)}: write the number of stages, such as per_stage: 3.",
        )
    return value


def _choices(name: str, written: Any, path: Path, place: Place) -> tuple[Scalar, ...]:
    if not isinstance(written, (list, tuple)):
        raise place.error(path, f"choices of {name} is {_shown(written)}: write a list, such as [2, 4, 8].")
    if not written:
        raise place.error(path, f"choices of {name} is empty: write at least one value.")
    if len(written) > MOST_VALUES:
        raise place.error(path, f"{name} has {len(written):,} choices; {MOST_VALUES:,} is the most.")
    first: dict[Scalar, int] = {}
    for i, value in enumerate(written):
        if not (value is None or isinstance(value, (str, int, float))):
            mend = "per_stage: N gives one value per stage" if isinstance(value, (list, tuple)) else "quote text"
            raise place.error((*path, i), f"choice {_shown(value)} of {name} is no number, text or true/false: {mend}.")
        if not (value is None or isinstance(value, str) or is_finite(value)):
            raise place.error((*path, i), f"choice {_shown(value)} of {name} is not a finite number.")
        if value in first:
            same = written[first[value]]
            as_which = "" if type(same) is type(value) else f" (it equals {same!r})"
            raise place.error((*path, i), f"{name} has the choice {value!r} twice{as_which}: keep one.")
        first[value] = i
    return tuple(written)


def _range(
    name: str, written: dict[str, Any], path: Path, place: Place
) -> tuple[tuple[Scalar, ...], tuple[float, float, float]]:
    for key in ("low", "high", "step"):
        value = written.get(key, 1)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not is_finite(value):
            raise place.error((*path, key), f"{key} of {name} is {_shown(value)}: write a number{_exponent(value)}.")
    low, high = written["low"], written["high"]
    if "step" not in written and not (isinstance(low, int) and isinstance(high, int)):
        raise place.error(path, f"{name} goes from {low} to {high} without a step: add one, such as step: 0.25.")
    step = written.get("step", 1)
    if low > high:
        raise place.error((*path, "low"), f"low of {name} is {low}, above high, {high}: swap them.")
    if step <= 0:
        raise place.error((*path, "step"), f"step of {name} is {step}: it must be above zero.")
    if (high - low) / step >= MOST_VALUES:
        raise place.error(path, f"{name} has more than {MOST_VALUES:,} values from {low} to {high}: widen the step.")
    # In decimal, as the person wrote it: 0.25 + 3 * 0.05 is 0.4 and nothing beside it.
    start, stop, stride = (Decimal(repr(x)) for x in (low, high, step))
    count = int((stop - start) // stride) + 1
    last = start + (count - 1) * stride
    if last != stop:
        raise place.error(
            (*path, "step"),
            f"step {step} of {name} does not lead from {low} to {high}: write high: {last} or high: {last + stride}.",
        )
    whole = all(isinstance(x, int) for x in (low, high, step))
    number = int if whole else float
    return tuple(number(start + k * stride) for k in range(count)), (number(low), number(high), number(step))


def is_finite(value: float) -> bool:
    """False for infinities, NaN, and whole numbers beyond all floats."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def unwrapped(value: Any) -> Any:
    """Python's numbers for those of numpy, lists for arrays; everything else as it is."""
    return value.tolist() if hasattr(value, "tolist") else value


def _exponent(value: Any) -> str:
    """YAML 1.1 reads 1e-3 as text."""
    try:
        return f", as in {float(value)!r}" if isinstance(value, str) else ""
    except ValueError:
        return ""


def _shown(value: Any) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


Setting = dict[str, Scalar]  # flat: {"s_g": 4, "width_mult.0": 0.5, "width_mult.1": 1.0}


InputSize = tuple[int, int, int]  # C, H, W

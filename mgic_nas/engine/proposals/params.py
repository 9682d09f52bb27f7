"""A search space as Optuna's distributions, and Optuna's parameters as settings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from ...space.feasible import Space
from ...space.parameters import Setting


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """The space's parameters: choices as Categorical, ranges as Int or Float with their step."""
    found: dict[str, BaseDistribution] = {}
    for name, values in space.params.items():
        if not space.is_range(name):
            found[name] = CategoricalDistribution(values)
            continue
        low, high, step = space.bounds(name)
        if all(isinstance(v, int) for v in values):
            found[name] = IntDistribution(int(low), int(high), step=int(step))
        else:
            found[name] = FloatDistribution(float(low), float(high), step=float(step))
    return found


def to_setting(space: Space, proposal: Mapping[str, Any]) -> Setting:
    """Optuna's values as the space's own: a float that is off its grid by rounding is put back on it, 8.0 is 8."""
    return {
        name: min(values, key=lambda v: abs(v - proposal[name]))
        if space.is_range(name)
        else _own(values, proposal[name])
        for name, values in space.params.items()
    }


def _own(values: Sequence[Any], value: Any) -> Any:
    """The choice that a value is: by equality, or a float up to rounding; the value itself where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    for own in values:
        if isinstance(own, int | float) and not isinstance(own, bool) and math.isclose(own, value, rel_tol=1e-12):
            return own
    return value

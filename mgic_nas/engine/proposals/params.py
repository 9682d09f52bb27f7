"""A search space as Optuna's distributions, and Optuna's parameters as settings."""

from __future__ import annotations

from collections.abc import Mapping
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
    """Optuna's values as the space's own: a float that is off its grid by rounding is put back on it."""
    return {
        name: min(values, key=lambda v: abs(v - proposal[name])) if space.is_range(name) else proposal[name]
        for name, values in space.params.items()
    }

"""What a user believes beforehand: which values of the parameters are good, and how much likelier than the others."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..errors import UserError, did_you_mean
from .designs import position, shown
from .document import read_yaml
from .search_space import SearchSpace

WEIGHT = 4.0  # of a value that is named without one; those that are not named have 1
MOST = 1e6

#: Parameter of a space -> value -> weight, of those that have another than 1.
Prior = dict[str, dict[Any, float]]


def prior_of(space: SearchSpace, given: Any, where: str = "prior") -> Prior:
    """The weights that are meant.

    Args:
        space: whose parameters; of one per stage the plain name is for all stages, ``w.0`` for the first.
        given: texts ``s_g=8`` or ``s_g=8:2.5``, one or a list of them; or a mapping of each name to a value, or to
            weights by value. A value that is not named has weight 1, one without a weight :data:`WEIGHT`.
        where: how messages call it.

    Raises:
        UserError: what is no such thing, an unknown parameter or value, a weight that is not above 0, or a value twice.
    """
    prior: Prior = {}
    for name, value, weight in _written(given, where):
        columns = [c for p in space.parameters if p.name == name for c in p.columns] or [name]
        for column in columns:
            if column not in space.params:
                raise UserError(f"{where}: the space has no parameter {name!r}.{did_you_mean(name, space.params)}")
            values = space.params[column]
            if (at := position(values, value)) is None:
                some = ", ".join(map(shown, values[:8])) + (", ..." if len(values) > 8 else "")
                raise UserError(f"{where}: {name} is {shown(value)}, which is not in the space ({some}).")
            weights = prior.setdefault(column, {})
            if values[at] in weights:
                raise UserError(f"{where}: {name}={shown(value)} is given twice: keep one.")
            weights[values[at]] = weight
    return prior


def recorded_prior(prior: Prior) -> list[dict[str, Any]]:
    """As run.yaml holds it."""
    return [
        {"param": name, "value": value, "weight": weight}
        for name, weights in prior.items()
        for value, weight in weights.items()
    ]


def read_prior(space: SearchSpace, recorded: Sequence[Mapping[str, Any]], where: str) -> Prior:
    """What :func:`recorded_prior` wrote. UserError where it is no prior of the space."""
    given: dict[str, dict[Any, Any]] = {}
    for entry in recorded:
        if set(entry) != {"param", "value", "weight"}:
            raise UserError(f"{where}: {dict(entry)} is not param, value and weight.")
        given.setdefault(str(entry["param"]), {})[entry["value"]] = entry["weight"]
    return prior_of(space, given, where)


def log_weights(prior: Prior, params: Mapping[str, Sequence[Any]]) -> dict[str, dict[Any, float]]:
    """Parameter -> value -> log of its weight against the mean of all values of the parameter."""
    found = {}
    for name, weights in prior.items():
        mean = math.fsum(weights.get(value, 1.0) for value in params[name]) / len(params[name])
        found[name] = {value: math.log(weights.get(value, 1.0) / mean) for value in params[name]}
    return found


def _written(given: Any, where: str) -> Iterable[tuple[str, Any, float]]:
    """(name, value, weight) of each value that is named."""
    if isinstance(given, Mapping):
        for name, values in given.items():
            weights = values.items() if isinstance(values, Mapping) else [(values, WEIGHT)]
            yield from ((str(name), value, _weight(weight, where)) for value, weight in weights)
        return
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        raise UserError(f"{where} takes texts such as s_g=8 or s_g=8:2, or a mapping of them, not {given!r}.")
    for text in texts:
        name, equals, rest = text.partition("=")
        value, colon, weight = rest.rpartition(":")
        if not colon:
            value, weight = rest, str(WEIGHT)
        if not equals or not name.strip() or not value.strip():
            raise UserError(f"{where} takes name=value or name=value:weight, such as s_g=8:2, not {text!r}.")
        yield name.strip(), read_yaml(value, f"{where} {text}")[0], _weight(weight, where)


def _weight(weight: Any, where: str) -> float:
    try:
        number = float(weight)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(weight, bool) or not 1 / MOST <= number <= MOST:
        raise UserError(f"{where}: {weight!r} is no weight: 4 makes a value four times likelier than one not named.")
    return number

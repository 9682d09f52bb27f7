"""What a search space says, checked: every error names the file, the line and the mend."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import UserError, did_you_mean
from ..families import OWN_MODULES, Family, family
from .conditions import Condition, Names, compile_condition
from .document import Path, Place
from .parameters import Parameter, read_parameter

_KEYS = ("model", "family", "kwargs", "params", "where", "description")
_OWN = re.compile(r"([A-Za-z_][\w.]*):([A-Za-z_][\w.-]*)")
IN_PYTHON = "pass it to mgic_nas.SearchSpace(params=..., cost=...) in Python"
_FROM_DATA = frozenset({"num_classes", "in_chans", "input_size", "img_size"})


@dataclass(frozen=True)
class Definition:
    """The checked content of a search space."""

    family: Family
    kwargs: dict[str, Any]
    parameters: tuple[Parameter, ...]
    conditions: tuple[Condition, ...]
    description: str
    source: str


def read_definition(written: Any, place: Place, known: Family | None = None) -> Definition:
    """The definition in ``written``, the value of a YAML document or of a Python dict.

    Args:
        written: the value.
        place: where it stands.
        known: its family, where it is not to be looked up by what is written.

    Raises:
        UserError: anything that cannot be searched, down to a single choice that the model refuses.
    """
    if written is None:
        raise place.error((), "is empty: a search space has a model and params.")
    if not isinstance(written, dict):
        raise place.error((), "is not a search space: write model: and params: at the top level.")
    for key in written:
        _refuse_data_arguments(key, (key,), place)
        if key == "cost" and known is None:
            raise place.error((key,), f"cost is a function, which no file names: {IN_PYTHON}.")
        if key not in _KEYS and not (known is not None and key == "cost"):
            raise place.error((key,), f"unknown key {key!r}.{did_you_mean(str(key), _KEYS)}")
    model = _model(written, place) if known is None else known
    kwargs = _kwargs(written, model, place)
    parameters = _parameters(written, model, kwargs, place)
    _check_each_value(model, kwargs, parameters, place)
    description = written.get("description")
    if not (description is None or isinstance(description, str)):
        raise place.error(("description",), "description must be text: quote it.")
    return Definition(
        model,
        kwargs,
        parameters,
        _conditions(written, model, kwargs, parameters, place),
        description or "",
        place.source,
    )


def _model(written: dict[str, Any], place: Place) -> Family:
    name = written.get("model")
    if written.get("family") is not None:
        return _own_family(written["family"], name, place)
    if not isinstance(name, str):
        raise place.error(("model",), "names no model: write model: mgic_resnet20 (`mgic-nas models` lists them).")
    try:
        return family(name)
    except UserError as error:
        raise place.error(("model",), str(error)) from None


def _own_family(named: Any, model: Any, place: Place) -> Family:
    """The family that a module of the user's has registered: nothing is imported because a file names it."""
    match = _OWN.fullmatch(named) if isinstance(named, str) else None
    if match is None:
        raise place.error(("family",), f"family is {named!r}: write the module and the name, my_module:my_family.")
    module, name = match.groups()
    if model not in (None, name):
        raise place.error(("model",), f"model {model!r} and family {named!r} differ: keep family alone.")
    if (known := OWN_MODULES.get(name)) == module:
        return family(name)
    if known is not None:
        raise place.error(("family",), f"{name} is registered by {known}: write family: {known}:{name}.")
    if module in sys.modules:
        raise place.error(("family",), f"{module} registers no family {name!r} (mgic_nas.register_family).")
    raise place.error(
        ("family",),
        f"{named} names code, which is imported only if you trust it: --trust {module} (in Python: import {module}).",
    )


def _kwargs(written: dict[str, Any], model: Family, place: Place) -> dict[str, Any]:
    kwargs = written.get("kwargs")
    if kwargs is None:
        return {}
    if not isinstance(kwargs, dict):
        raise place.error(("kwargs",), "kwargs must be a mapping of fixed arguments, such as {depths: 1}.")
    for key in kwargs:
        _check_argument(key, ("kwargs", key), model, place)
    return kwargs


def _parameters(
    written: dict[str, Any], model: Family, kwargs: Mapping[str, Any], place: Place
) -> tuple[Parameter, ...]:
    params = written.get("params")
    if params is None or params == {}:
        raise place.error(("params",), "has no params: nothing to search. Write params: {s_g: {choices: [4, 8]}}.")
    if not isinstance(params, dict):
        raise place.error(("params",), "params must be a mapping, such as {s_g: {choices: [4, 8]}}.")
    parameters = []
    for key, value in params.items():
        path = ("params", key)
        _check_argument(key, path, model, place)
        if key in kwargs:
            raise place.error(path, f"{key} stands in kwargs too: keep it in one of the two.")
        parameters.append(read_parameter(key, value, path, place))
    return tuple(parameters)


def _check_argument(key: Any, path: Path, model: Family, place: Place) -> None:
    _refuse_data_arguments(key, path, place)
    if key not in model.arguments:
        raise place.error(path, f"{model.name} has no argument {key!r}.{did_you_mean(str(key), model.arguments)}")


def _refuse_data_arguments(key: Any, path: Path, place: Place) -> None:
    if key in _FROM_DATA:
        raise place.error(path, f"{key} comes from the data: leave it out.")


def _check_each_value(model: Family, kwargs: dict[str, Any], parameters: tuple[Parameter, ...], place: Place) -> None:
    """Asks the model for every single value once, so that a wrong one is found now and not at trial 17."""

    def config(pick: int) -> dict[str, Any]:
        return {**kwargs, **{p.name: _spread(p, p.values[pick]) for p in parameters}}

    # A value counts as wrong where the model refuses it beside its defaults and beside both ends of the space.
    contexts = [dict(kwargs), config(0), config(-1)]

    def check(name: str, value: Any, path: Path, shown: str) -> None:
        reasons = []
        for context in contexts:
            if (reason := _refusal(model, {**context, name: value})) is None:
                return
            reasons.append(reason)
        # A network that is built for it may lack the others beside its defaults.
        raise place.error(path, f"{shown} is refused by {model.name}: {reasons[1 if hasattr(model, 'check') else 0]}")

    for name, value in kwargs.items():
        check(name, value, ("kwargs", name), f"{name}: {value!r}")
    for p in parameters:
        for i, value in enumerate(p.values):
            path = ("params", p.name) if p.bounds else ("params", p.name, "choices", i)
            per_stage = "" if p.per_stage is None else f" with per_stage: {p.per_stage}"
            check(p.name, _spread(p, value), path, f"the value {value!r} of {p.name}{per_stage}")


def _spread(parameter: Parameter, value: Any) -> Any:
    return value if parameter.per_stage is None else [value] * parameter.per_stage


def _refusal(model: Family, config: dict[str, Any]) -> str | None:
    try:
        getattr(model, "check", model.canonical)(config)
    except (UserError, TypeError) as error:
        return str(error)
    return None


def _conditions(
    written: dict[str, Any],
    model: Family,
    kwargs: Mapping[str, Any],
    parameters: tuple[Parameter, ...],
    place: Place,
) -> tuple[Condition, ...]:
    where = written.get("where")
    if where is None:
        return ()
    single = isinstance(where, str)
    if not single and not isinstance(where, list):
        raise place.error(("where",), 'where must be a list of conditions, such as ["s_c >= s_g"].')
    columns: dict[str, int | tuple[int, ...]] = {}
    grids: list[Any] = []
    for p in parameters:
        first = len(grids)
        columns[p.name] = first if p.per_stage is None else tuple(range(first, first + p.per_stage))
        grids += [p.values] * len(p.columns)
    names = Names(columns, grids, kwargs, model.arguments)
    conditions = []
    for i, text in enumerate([where] if single else where):
        path = ("where",) if single else ("where", i)
        if not isinstance(text, str):
            raise place.error(path, f'the condition {text!r} is not text: write one such as "s_c >= s_g".')
        try:
            conditions.append(compile_condition(text, names))
        except UserError as error:
            raise place.error(path, str(error)) from None
    return tuple(conditions)

"""Networks of another space as settings of this one, and which fixed arguments the two do not share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..families.names import recorded_config, start_of
from .designs import fitted, shown
from .parameters import Parameter, Setting
from .search_space import SearchSpace

MODEL = "model"  # among the names of what differs
_SILENT = object()  # an argument that is not named: the model's own default


@dataclass(frozen=True)
class Network:
    """A network of another space.

    Attributes:
        model: its name.
        config: all its arguments that were named; the start that an early version did not record may be left out.
        arch_id: its own; empty where it is not known.
    """

    model: str
    config: Mapping[str, Any]
    arch_id: str = ""


def placed(space: SearchSpace, network: Network, where: str) -> Setting:
    """The setting of the space with a network's values of all that is searched; what the space fixes is not compared.

    An argument that the network does not name has the model's default.

    UserError where a value is not one of the space's, or not known, or the model refuses the setting.
    """
    theirs = recorded_config(network.model, network.config)
    written: dict[str, Any] = {}
    for p in space.parameters:
        if len(p.values) == 1:
            continue
        value = theirs.get(p.name, _SILENT)
        if value is _SILENT and network.model == space.model:
            value = _default(space, theirs, p)
        if value is not _SILENT:
            written[p.name] = value
    setting = fitted(space, written, where)
    space.arch_id(setting)
    return setting


def differences(
    space: SearchSpace, setting: Setting, network: Network, alike: Iterable[str] = ()
) -> dict[str, tuple[str, str]]:
    """What makes a network another one than the space's setting is: argument -> its value and the setting's, in words.

    Args:
        space: of the setting.
        setting: as :func:`placed` gives it.
        network: of another space.
        alike: arguments that are not compared, such as those of the start.
    """
    if network.arch_id and network.arch_id == space.arch_id(setting):
        return {}
    here = recorded_config(space.model, space.config(setting))
    theirs = recorded_config(network.model, network.config)
    theirs = {**theirs, **{name: here[name] for name in alike if name in here}}
    found = {}
    if network.model != space.model:
        found[MODEL] = network.model, space.model
        names = [*theirs]  # what it does not name is its own model's default, which this one's is not
    elif space.same(here, theirs):
        return {}
    else:
        names = [*{**theirs, **here}]
    names = [n for n in names if not _equal(theirs.get(n, _SILENT), here.get(n, _SILENT))]
    # A default that is written down, or an argument without influence, makes no other network.
    telling = [n for n in names if not space.same(here, _with(here, n, theirs.get(n, _SILENT)))]
    for name in telling or (names if MODEL not in found else ()):
        found[name] = _said(theirs.get(name, _SILENT)), _said(here.get(name, _SILENT))
    return found


def start_names(model: str) -> frozenset[str]:
    """The arguments of a model that change its first weights alone."""
    return frozenset(start_of(model).first)


def searched(written: Mapping[str, Any]) -> frozenset[str]:
    """The arguments that may differ between the networks of a space, which is given as a run records it."""
    params = written.get("params")
    params = params if isinstance(params, Mapping) else {}
    return frozenset(name for name, parameter in params.items() if not _one_value(parameter))


def in_words(name: str, theirs: str, here: str, whose: str) -> str:
    """``its depths is 1, here 2``"""
    return f"{whose} {name} is {theirs}, here {here}"


def _default(space: SearchSpace, theirs: Mapping[str, Any], p: Parameter) -> Any:
    """The value of a parameter that leaves a network what it is without it; :data:`_SILENT` where none does."""
    for value in p.values:
        written = value if p.per_stage is None else [value] * p.per_stage
        if space.same(theirs, {**theirs, p.name: written}):
            return written
    return _SILENT


def _with(config: Mapping[str, Any], name: str, value: Any) -> dict[str, Any]:
    changed = {key: kept for key, kept in config.items() if key != name}
    return changed if value is _SILENT else {**changed, name: value}


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return list(a) == list(b)
    return (type(a) is type(b) or (_number(a) and _number(b))) and bool(a == b)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _said(value: Any) -> str:
    return "the model's default" if value is _SILENT else shown(value)


def _one_value(written: Any) -> bool:
    if not isinstance(written, Mapping):
        return False
    choices = written.get("choices")
    return len(choices) == 1 if isinstance(choices, list | tuple) else written.get("low") == written.get("high")

"""Families of a user: a builder of networks under a name, or settings whose cost a function says."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from timm.models import is_model
from torch import nn

from .._portable import from_text, module_of, place_of, to_text
from .._registry import remember
from .._text import NO_INPUT
from ..cost.rows_cost import Cost
from ..errors import UserError, did_you_mean
from ..models import family_modules
from .base import FROM_DATA, Family, Named, frozen
from .counted import META, CountedFamily
from .names import FAMILIES, OWN_MODULES, SETTINGS, start_of
from .registry import family

_NAME = re.compile(r"[A-Za-z_][\w.-]*")

Build = Callable[[Mapping[str, Any], int, int], nn.Module]
CanonicalForm = Callable[[Mapping[str, Any]], Hashable]
NetworkCost = Callable[[Mapping[str, Any], tuple[int, int, int], int], Any]


@dataclass(frozen=True)
class Definition:
    """What :func:`register_family` was told."""

    name: str
    build: Build
    arguments: frozenset[str]
    canonical: CanonicalForm | None
    cost: NetworkCost | None
    input_size: tuple[int, int, int]
    num_classes: int
    code: str  # "module:name" of the builder

    @property
    def identity(self) -> tuple[Any, ...]:
        return self.code, self.arguments, self.input_size, self.num_classes


_DEFINED: dict[str, Definition | str] = {}  # a text in a worker, until it is asked for


def register_family(
    name: str,
    build: Build | Family | type[Family] | Any,
    arguments: Iterable[str] | None = None,
    *,
    canonical: CanonicalForm | None = None,
    cost: NetworkCost | None = None,
    input_size: tuple[int, int, int] = (3, 224, 224),
    num_classes: int = 1000,
) -> None:
    """Makes networks of your own searchable: ``model: NAME`` in a space, and a name for the rest of the package.

    Call it at the top level of the module that defines ``build``: worker processes import that module by its name.

    Args:
        name: of the model; none that timm or this package has.
        build: ``build(config, num_classes, in_chans)`` gives the network, with its first weights. Or an object (a
            class) that has ``build`` and ``arguments``, and may have ``canonical`` and ``cost``, as the protocol
            :class:`mgic_nas.families.Family` does.
        arguments: the keys that a config may have: what a space can search or fix.
        canonical: ``canonical(config)`` gives a hashable value of plain numbers, texts and tuples, the same for two
            configs exactly where they are one architecture, which is then trained once. By default the config itself.
        cost: ``cost(config, input_size, num_classes)`` for one (C, H, W) image: the MACs, a dict of ``macs``,
            ``params`` and ``activations``, or a :class:`mgic_nas.Cost`. By default the network is built on the meta
            device and its convolutions and linear layers are counted in a forward pass.
        input_size, num_classes: of the network where nothing else is said.

    Raises:
        UserError: the name is taken, or something that a worker process cannot import.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UserError(f"{name!r} is no name for a family: letters, digits, '_', '.' and '-', a letter first.")
    definition = _defined(name, build, arguments, canonical, cost, input_size, num_classes)
    known = _DEFINED.get(name)
    if known is not None:
        known = _definition(name)
        if known.identity != definition.identity:
            raise UserError(f"there is a family named {name!r} already, {known.code}: choose another name.")
    elif name == SETTINGS or name in FAMILIES or _ours(name) or is_model(name):
        raise UserError(f"there is a model named {name!r} already: choose another name.")
    elif start_of(name).now:
        raise UserError(f"{name!r} begins as this package's own names do: choose another name.")
    text = to_text(definition, f"family {name!r}")
    _DEFINED[name] = definition
    OWN_MODULES[name] = definition.code.partition(":")[0]
    remember(f"{__name__}:OWN", name, text)
    FAMILIES.register(name, _make, travels=False)
    family.cache_clear()


def _defined(
    name: str,
    build: Any,
    arguments: Any,
    canonical: Any,
    cost: Any,
    input_size: Any,
    num_classes: Any,
) -> Definition:
    what = f"family {name!r}"
    if isinstance(build, type):
        try:
            build = build()
        except Exception as error:
            raise UserError(f"{what}: {build.__qualname__}() raised {type(error).__name__}: {error}.") from None
    place = build
    if hasattr(build, "build"):
        arguments = getattr(build, "arguments", None) if arguments is None else arguments
        canonical, cost = (own or getattr(build, key, None) for own, key in ((canonical, "canonical"), (cost, "cost")))
        build = build.build
    for key, function in (("build", build), ("canonical", canonical), ("cost", cost)):
        if not callable(function) and not (function is None and key != "build"):
            raise UserError(f"{what}: {key} must be a function, not {function!r}.")
    if arguments is None or isinstance(arguments, str) or not isinstance(arguments, Iterable):
        raise UserError(f"{what}: name its arguments, what a space may search: arguments=['width', 'depth'].")
    names = frozenset(arguments)
    for one in names:
        if not isinstance(one, str) or one in FROM_DATA:
            why = "comes from the data" if one in FROM_DATA else "is no argument's name"
            raise UserError(f"{what}: {one!r} {why}: leave it out of arguments.")
    size = tuple(input_size) if isinstance(input_size, list | tuple) else ()
    if len(size) != 3 or not all(isinstance(n, int) and n > 0 for n in size):
        raise UserError(f"{what}: input_size must be (C, H, W), such as (3, 32, 32), not {input_size!r}.")
    if not isinstance(num_classes, int) or num_classes < 1:
        raise UserError(f"{what}: num_classes must be a whole number from 1 up, not {num_classes!r}.")
    try:
        code = place_of(place)
    except UserError as error:
        raise UserError(f"{what}: {error}") from None
    channels, height, width = size
    return Definition(name, build, names, canonical, cost, (channels, height, width), num_classes, code)


def _ours(name: str) -> bool:
    return name == "mgicified" or any(name in module.archs for module in family_modules())


def _definition(name: str) -> Definition:
    found = _DEFINED[name]
    if isinstance(found, str):
        loaded: Definition = from_text(found, f"the family {name!r}")
        _DEFINED[name] = found = loaded
    return found


def _make(name: str) -> Family:
    return OwnFamily(_definition(name))


class _Own:
    """Where a worker registers the families of its driver again; see :mod:`mgic_nas._registry`."""

    def __contains__(self, name: object) -> bool:
        return name in _DEFINED

    def register(self, name: str, text: str) -> None:
        _DEFINED[name] = text
        FAMILIES.register(name, _make, travels=False)


OWN = _Own()


class OwnFamily(CountedFamily):
    """A registered builder as a :class:`~mgic_nas.families.Family`."""

    def __init__(self, definition: Definition) -> None:
        super().__init__()
        self._definition = definition
        self.name = definition.name
        self.arguments = definition.arguments
        self.input_size = definition.input_size
        self.num_classes = definition.num_classes
        #: What a space and a run say of it, for people.
        self.code = {"family": f"{definition.code.partition(':')[0]}:{definition.name}"}

    def canonical(self, config: Mapping[str, Any]) -> Hashable:
        self.refuse_unknown(config)
        if self._definition.canonical is None:
            return self.name, _frozen_config(config)
        found = _called(f"{self.name}: canonical", self._definition.canonical, dict(config))
        return self.name, _plain_form(found, f"{self.name}: canonical")

    def check(self, config: Mapping[str, Any]) -> None:
        """UserError where the config has unknown arguments, or no network can be built from it."""
        self.canonical(config)
        if self._definition.cost is None:
            self.build(config, self.num_classes, self.input_size[0], device=META)

    def cost(self, config: Mapping[str, Any], input_size: tuple[int, int, int], num_classes: int) -> Cost:
        if self._definition.cost is not None:
            what = f"{self.name}: cost"
            return as_cost(_called(what, self._definition.cost, dict(config), input_size, num_classes), what)
        try:
            found = super().cost(config, input_size, num_classes)
        except Exception as error:
            reason = str(error).removesuffix(".")
            raise UserError(
                f"{reason}; it was built and run on the meta device to count it: pass cost= to register_family where "
                "that cannot be."
            ) from error
        if not found.macs:
            raise UserError(
                f"{self.name} has neither convolutions nor linear layers that could be counted: pass cost= to "
                "register_family."
            )
        return found

    def build(self, config: Mapping[str, Any], num_classes: int, in_chans: int, **kwargs: Any) -> nn.Module:
        data_config, device = kwargs.pop("pretrained_cfg_overlay", None), kwargs.pop("device", None)
        made = f"{self.name} cannot be built from {dict(config)}"
        with torch.device(device) if device is not None else torch.device("cpu"):
            net = _called(made, self._definition.build, {**config, **kwargs}, num_classes, in_chans)
        if not isinstance(net, nn.Module):
            raise UserError(f"{made}: build gave {type(net).__name__}, not a torch.nn.Module.")
        if data_config:
            net.pretrained_cfg = dict(data_config)  # type: ignore[assignment]
        return net


class _Everything:
    """The arguments of what nobody knows: any."""

    def __contains__(self, name: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(())


@dataclass(eq=False)
class SettingsFamily(Named):
    """Settings that are no arguments of a network: only what they cost is known, by a function.

    Attributes:
        cost_of: ``cost_of(setting)``: the MACs or what takes their place, a dict of them, or a Cost.
    """

    cost_of: Callable[[dict[str, Any]], Any]
    name: str = SETTINGS
    arguments: Any = field(default_factory=_Everything)
    input_size: tuple[int, int, int] = NO_INPUT
    num_classes: int = 1

    def __post_init__(self) -> None:
        if not callable(self.cost_of):
            raise UserError(f"cost must be a function of a setting, not {self.cost_of!r}.")

    @property
    def code(self) -> dict[str, str]:
        return {"cost": _shown(self.cost_of)}

    def canonical(self, config: Mapping[str, Any]) -> Hashable:
        return self.name, _frozen_config(config)

    def cost(self, config: Mapping[str, Any], input_size: tuple[int, int, int], num_classes: int) -> Cost:
        return as_cost(_called("cost", self.cost_of, dict(config)), "cost")

    def build(self, config: Mapping[str, Any], num_classes: int, in_chans: int, **kwargs: Any) -> nn.Module:
        raise UserError(
            "the settings of this search are no network of mgic_nas: your train function knows what they are."
        )


@dataclass(eq=False)
class RecordedFamily(Named):
    """What a run or a table says of a family that this process does not know. Nothing is imported for it.

    Attributes:
        name: of the model.
        code: ``{"family": "module:name"}`` or ``{"cost": "module:name"}``, as it was recorded.
    """

    name: str
    code: dict[str, str]
    arguments: Any = field(default_factory=_Everything)
    input_size: tuple[int, int, int] = NO_INPUT
    num_classes: int = 1

    def canonical(self, config: Mapping[str, Any]) -> Hashable:
        return self.name, _frozen_config(config)

    def cost(self, config: Mapping[str, Any], input_size: tuple[int, int, int], num_classes: int) -> Cost:
        raise self._unknown()

    def build(self, config: Mapping[str, Any], num_classes: int, in_chans: int, **kwargs: Any) -> nn.Module:
        raise self._unknown()

    def _unknown(self) -> UserError:
        if "cost" in self.code:
            return UserError(
                f"the settings of this run are no network of mgic_nas; {self.code['cost']} said what they cost, and is "
                "not imported by itself."
            )
        module = self.code["family"].partition(":")[0]
        return UserError(
            f"{self.name} is a family of {module}, which is not imported by itself: import it first (on the command "
            f"line: --trust {module})."
        )


def recorded_family(written: Mapping[str, Any]) -> Family | None:
    """The family of a recorded space that code of somebody makes: as this process knows it, else a stand-in.

    None where the space names a model alone.
    """
    found = {key: str(written[key]) for key in ("family", "cost") if isinstance(written.get(key), str)}
    if not found:
        return None
    name = str(written.get("model"))
    if "family" in found and name in OWN_MODULES:
        return family(name)
    return RecordedFamily(name, found)


def as_cost(value: Any, what: str) -> Cost:
    """A cost from what a user's function gives. UserError, beginning with ``what``, where that is none."""
    if isinstance(value, Cost):
        given = {f.name: getattr(value, f.name) for f in fields(Cost)}
    elif isinstance(value, Mapping):
        given = dict(value)
    else:
        given = {"macs": value}
    known = [f.name for f in fields(Cost)]
    for kind in given:
        if kind not in known:
            raise UserError(f"{what} gave an unknown kind {kind!r}.{did_you_mean(str(kind), known)}")
    if "macs" not in given:
        raise UserError(f"{what} gave no macs: the second objective.")
    counts = {kind: _whole(number, kind, what) for kind, number in given.items()}
    return Cost(
        counts["macs"],
        counts.get("macs_without_transfers", counts["macs"]),
        counts.get("params", 0),
        counts.get("activations", 0),
    )


def _whole(number: Any, kind: str, what: str) -> int:
    number = number.item() if hasattr(number, "item") else number
    whole = isinstance(number, int | float) and not isinstance(number, bool) and math.isfinite(number)
    if not whole or number != int(number) or number < (kind == "macs") or number >= 1 << 62:
        raise UserError(f"{what} gave {number!r} as {kind}: give whole numbers from 1 up; take a smaller unit.")
    return int(number)


def _called(what: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """What a user's function gives; whatever it raises as one line."""
    try:
        return function(*arguments)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{what}: {type(error).__name__}: {error}") from error


def _frozen_config(config: Mapping[str, Any]) -> Hashable:
    return tuple(sorted((key, frozen(value)) for key, value in config.items()))


def _plain_form(value: Any, what: str) -> Hashable:
    """UserError for what has not the same hash in every process."""
    if isinstance(value, list | tuple):
        return tuple(_plain_form(one, what) for one in value)
    if isinstance(value, Mapping):
        return tuple((str(key), _plain_form(one, what)) for key, one in sorted(value.items()))
    value = value.item() if hasattr(value, "item") else value
    if value is None or isinstance(value, str | int | float):
        return value
    raise UserError(f"{what} gave {value!r}: give numbers, texts, and tuples or dicts of them.")


def _shown(function: Any) -> str:
    try:
        return place_of(function)
    except UserError:
        return str(getattr(function, "__qualname__", type(function).__qualname__))


__all__ = ["OWN", "OwnFamily", "RecordedFamily", "SettingsFamily", "as_cost", "module_of", "recorded_family"]

"""What may be searched: a grid of settings of one model's arguments."""

from __future__ import annotations

import copy
import itertools
import math
import operator
import os
import random
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import UserError, did_you_mean
from ..families import SettingsFamily, recorded_family
from ..families.names import create_model_line, start_of
from .conditions import Scalar, Values
from .document import Place, read_yaml
from .parameters import InputSize, Setting
from .reader import Definition, read_definition
from .shipped import read_space
from .thresholds import EXACT_SIZE, VALIDATION_DRAWS, WHERE_DRAWS

if TYPE_CHECKING:
    from ..cost import Cost
    from ..families import Family


class SearchSpace:
    """A model, its fixed arguments, and a grid of values for the searched ones.

    A *setting* names one value for every flat parameter; a *config* is the dict of keyword arguments that
    ``timm.create_model`` takes. Several settings can be one architecture (:meth:`canonical`).
    Make one in Python, or with :meth:`from_yaml` or :meth:`from_dict`.

    Attributes:
        model: name of the timm model, or of whatever else builds the networks.
        kwargs: its fixed arguments.
        params: flat name -> the ordered grid of its values.
        parameters: the parameters as they were written, with ``per_stage`` ones in one piece.
        where: the conditions that every setting meets.
        description: free text.
        source: the file, or how messages call this space.
        size: number of settings, before ``where``.
    """

    def __init__(
        self,
        params: Mapping[str, Any],
        *,
        model: str | None = None,
        kwargs: Mapping[str, Any] | None = None,
        where: str | Sequence[str] | None = None,
        cost: Callable[[dict[str, Any]], Any] | None = None,
        description: str = "",
    ) -> None:
        """A space that is made in Python.

        Args:
            params: name -> a list of choices, a ``range``, or a dict as in YAML, such as ``{"low": 1, "high": 4}``.
            model: whose arguments they are; with ``cost`` none: the settings are whatever ``search(train=...)`` makes
                of them.
            kwargs: fixed arguments, or values that are the same in every setting.
            where: conditions that every setting meets, such as ``"width >= depth"``.
            cost: ``cost(setting)``: the MACs of a setting or what takes their place, a whole number; or a dict of
                ``macs``, ``params`` and ``activations``.
            description: free text.

        Raises:
            UserError: anything that cannot be searched.
        """
        if not isinstance(params, Mapping):
            raise UserError(f"params must be a dict, such as {{'width': [16, 32]}}, not {params!r}.")
        written: dict[str, Any] = {"params": {name: _written(p) for name, p in params.items()}}
        given = {"kwargs": kwargs and dict(kwargs), "where": where, "description": description}
        written |= {key: value for key, value in given.items() if value}
        if cost is None:
            if model is None:
                raise UserError("a space has a model, or cost= says what its settings cost: give one of the two.")
            self._define(read_definition(_plain({"model": model, **written}), Place("search space")))
        else:
            if model is not None:
                raise UserError(f"the cost of {model} is known: leave cost= out, or model=.")
            self._define(read_definition(_plain(written), Place("search space"), SettingsFamily(cost)))

    @classmethod
    def _of(cls, definition: Definition) -> SearchSpace:
        space = cls.__new__(cls)
        space._define(definition)
        return space

    def _define(self, definition: Definition) -> None:
        self._family = definition.family
        self.model = definition.family.name
        self.kwargs = definition.kwargs
        self.parameters = definition.parameters
        self.description = definition.description
        self.source = definition.source
        self.params: dict[str, tuple[Scalar, ...]] = {column: p.values for p in self.parameters for column in p.columns}
        self.names = tuple(self.params)
        self._grids = tuple(self.params.values())
        self.size = math.prod(map(len, self._grids))
        self._ranges = {column: p.bounds for p in self.parameters for column in p.columns if p.bounds}
        self._conditions = definition.conditions
        self.where = tuple(c.text for c in self._conditions)
        self._slots: list[tuple[str, Callable[[Values], Any]]] = []
        first = 0
        for p in self.parameters:
            stop = first + len(p.columns)
            pick = first if p.per_stage is None else slice(first, stop)
            self._slots.append((p.name, operator.itemgetter(pick)))
            first = stop
        self._allowed: list[int] | None = None
        self._try_some()

    @classmethod
    def from_yaml(cls, path_or_name: str | os.PathLike[str]) -> SearchSpace:
        """The space in a YAML file, or a shipped one by its name (``"quickstart"``).

        UserError naming the file, the line and the mend for anything that cannot be searched.
        """
        text, source = read_space(path_or_name)
        return cls._of(read_definition(*read_yaml(text, source)))

    @classmethod
    def from_dict(cls, written: Mapping[str, Any], source: str = "search space") -> SearchSpace:
        """The space that a dict of the YAML's form describes. UserError as in :meth:`from_yaml`, without lines."""
        return cls._of(read_definition(_plain(written), Place(source)))

    @classmethod
    def from_recorded(cls, written: Mapping[str, Any], source: str) -> SearchSpace:
        """The space of a run or a table. One of an early version does not say how its networks began: as they did then.

        Of code that the record names nothing is imported: what is not registered in this process has no cost and
        builds nothing. UserError as in :meth:`from_dict`.
        """
        space = cls._of(read_definition(_plain(written), Place(source), recorded_family(written)))
        return space.with_start(start_of(space.model).first)

    def with_start(self, start: Mapping[str, Any]) -> SearchSpace:
        """The same space, whose networks begin as ``start`` says where no argument of the space says otherwise."""
        names = {p.name for p in self.parameters}
        missing = {k: v for k, v in start.items() if k not in self.kwargs and k not in names}
        if not missing:
            return self
        return SearchSpace.from_dict({**self.to_dict(), "kwargs": {**self.kwargs, **missing}}, self.source)

    def started_as(self, recorded: Mapping[str, Any] | None) -> SearchSpace:
        """The same space, with the start that ``recorded`` (its form in an older run or table) names, or today's."""
        start = start_of(self.model).now
        if recorded is not None:
            kwargs = recorded.get("kwargs") or {}
            start = {k: kwargs[k] for k in start if k in kwargs}
        return self.with_start(start)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for YAML or JSON; ``from_dict`` gives an equal space back."""
        written: dict[str, Any] = {"description": self.description} if self.description else {}
        written["model"] = self.model
        written |= self.code
        if self.kwargs:
            written["kwargs"] = copy.deepcopy(self.kwargs)
        written["params"] = {p.name: p.to_dict() for p in self.parameters}
        if self.where:
            written["where"] = list(self.where)
        return written

    @property
    def code(self) -> dict[str, str]:
        """What of it is somebody's code, for people: ``{"family": "module:name"}`` or ``{"cost": "module:name"}``."""
        return dict(getattr(self._family, "code", {}))

    @property
    def builds(self) -> bool:
        """Whether its settings are networks; else they are what a function is trained with."""
        return "cost" not in self.code

    # --- settings ------------------------------------------------------------------------------------------------

    @property
    def enumerable(self) -> bool:
        """Whether the space is small enough for exact answers: at most a million settings."""
        return self.size <= EXACT_SIZE

    def is_range(self, name: str) -> bool:
        """Whether a flat parameter was written as low, high and step: its order and distances mean something."""
        return name in self._ranges

    def bounds(self, name: str) -> tuple[float, float, float]:
        """(low, high, step) of a range; all int where its values are. KeyError for choices."""
        return self._ranges[name]

    def settings(self) -> Iterator[Setting]:
        """Every allowed setting in a fixed order: the last parameter changes fastest."""
        for _, values in self.enumerate_values():
            yield dict(zip(self.names, values))

    def sample(self, rng: random.Random) -> Setting:
        """A random setting, uniform over the allowed ones. UserError where none is found in many draws."""
        return dict(zip(self.names, self.sample_values(rng)))

    def allows(self, setting: Mapping[str, Scalar]) -> bool:
        """Whether a setting meets the conditions of ``where``."""
        return self.allows_values(self._values(setting))

    def config(self, setting: Mapping[str, Scalar]) -> dict[str, Any]:
        """The keyword arguments for ``timm.create_model``: fixed ones, and ``per_stage`` ones gathered to lists."""
        config = self._config(self._values(setting))
        return {k: list(v) if isinstance(v, tuple) else copy.deepcopy(v) for k, v in config.items()}

    def create_model_line(self, setting: Mapping[str, Scalar], num_classes: int, in_chans: int) -> str:
        """The line that builds a setting's network, untrained, after ``import timm, mgic_nas``."""
        by_timm = False if self.code else None
        return create_model_line(self.model, self.config(setting), num_classes, in_chans, by_timm)

    # --- architectures -------------------------------------------------------------------------------------------

    def canonical(self, setting: Mapping[str, Scalar]) -> Hashable:
        """Equal for two settings exactly where they are the same architecture."""
        return self.canonical_values(self._values(setting))

    def arch_id(self, setting: Mapping[str, Scalar]) -> str:
        """12 hex digits that name the architecture of a setting."""
        return self.arch_id_values(self._values(setting))

    def same(self, config: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
        """Whether two dicts of arguments are one architecture of the model; not where it refuses either."""
        try:
            return bool(self._family.canonical(config) == self._family.canonical(other))
        except (UserError, TypeError):
            return False

    def cost(self, setting: Mapping[str, Scalar], input_size: InputSize, num_classes: int) -> Cost:
        """What a setting's network costs for one image of ``input_size`` (C, H, W)."""
        return self.cost_values(self._values(setting), input_size, num_classes)

    # --- the same on tuples of values, in the order of ``params``: what is asked for a million settings ------------

    def _values(self, setting: Mapping[str, Scalar]) -> tuple[Scalar, ...]:
        try:
            values = tuple([setting[name] for name in self.names])
        except KeyError as error:
            raise UserError(f"{self.source}: the setting lacks {error.args[0]!r}.") from None
        if len(setting) != len(values):
            extra = next(name for name in setting if name not in self.params)
            raise UserError(f"{self.source}: no parameter {extra!r}.{did_you_mean(extra, self.names)}")
        return values

    def values_at(self, number: int) -> tuple[Scalar, ...]:
        """The values of a setting by its number in the order of enumeration, whether or not it meets ``where``."""
        values = []
        for grid in reversed(self._grids):
            number, k = divmod(number, len(grid))
            values.append(grid[k])
        return tuple(reversed(values))

    def enumerate_values(self) -> Iterator[tuple[int, tuple[Scalar, ...]]]:
        """(number, values) of every allowed setting, in the order of :meth:`settings`."""
        numbered = enumerate(itertools.product(*self._grids))
        if not self._conditions:
            return numbered
        return ((i, values) for i, values in numbered if self.allows_values(values))

    def allows_values(self, values: Values) -> bool:
        """As :meth:`allows`."""
        condition = None
        try:
            for condition in self._conditions:
                if not condition.run(values):
                    return False
        except (ArithmeticError, TypeError) as error:
            text = condition.text if condition else ""
            raise UserError(
                f"{self.source}: condition {text!r} has no answer for {self._shown(values)}: {error}."
            ) from None
        return True

    def sample_values(self, rng: random.Random) -> tuple[Scalar, ...]:
        """As :meth:`sample`."""
        for _ in range(WHERE_DRAWS):
            values = self.values_at(rng.randrange(self.size))
            if self.allows_values(values):
                return values
        if self.enumerable:
            if self._allowed is None:
                self._allowed = [i for i, _ in self.enumerate_values()]
            return self.values_at(rng.choice(self._allowed))
        where = " and ".join(self.where)
        raise UserError(f"{self.source}: none of {WHERE_DRAWS:,} random settings meets where: {where}. Loosen it.")

    def _config(self, values: Values) -> dict[str, Any]:
        config = dict(self.kwargs)
        for name, pick in self._slots:
            config[name] = pick(values)
        return config

    def canonical_values(self, values: Values) -> Hashable:
        """As :meth:`canonical`."""
        try:
            return self._family.canonical(self._config(values))
        except (UserError, TypeError) as error:
            raise self._refused(values, error) from None

    def arch_id_values(self, values: Values) -> str:
        """As :meth:`arch_id`."""
        try:
            return self._family.arch_id(self._config(values))
        except (UserError, TypeError) as error:
            raise self._refused(values, error) from None

    def cost_values(self, values: Values, input_size: InputSize, num_classes: int) -> Cost:
        """As :meth:`cost`."""
        try:
            return self._family.cost(self._config(values), input_size, num_classes)
        except (UserError, TypeError) as error:
            raise self._refused(values, error) from None

    def _refused(self, values: Values, error: Exception) -> UserError:
        reason = " ".join(str(error).split())
        return UserError(
            f"{self.source}: {self.model} refuses the setting {self._shown(values)}: {reason} "
            "Exclude such settings by a condition in where."
        )

    def _shown(self, values: Values) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in zip(self.names, values))

    def _try_some(self) -> None:
        """UserError where ``where`` leaves nothing, or the model refuses some random setting that it leaves."""
        if self.enumerable and next(self.enumerate_values(), None) is None:
            raise UserError(f"{self.source}: no setting meets where: {' and '.join(self.where)}. Loosen it.")
        rng = random.Random(0)
        for _ in range(VALIDATION_DRAWS):
            self.canonical_values(self.sample_values(rng))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SearchSpace):
            return NotImplemented
        return self.names == other.names and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash((self.model, self.names, self.where))

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self.to_dict(), self.source, self._family if self.code else None)

    def __repr__(self) -> str:
        return f"SearchSpace({self.source!r}, model={self.model!r}, size={self.size:,})"


def _restore(written: dict[str, Any], source: str, family: Family | None) -> SearchSpace:
    return SearchSpace._of(read_definition(written, Place(source), family))


def _written(parameter: Any) -> Any:
    """A list of choices or a range, as YAML has it."""
    if isinstance(parameter, range) and len(parameter) and parameter.step > 0:
        return {"low": parameter[0], "high": parameter[-1], "step": parameter.step}
    return {"choices": list(parameter)} if isinstance(parameter, list | tuple | range) else parameter


def _plain(value: Any) -> Any:
    """Lists for tuples, dicts for mappings and Python's numbers for numpy's: the types of a YAML document."""
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if hasattr(value, "item") and not hasattr(value, "__len__"):
        return value.item()
    return value

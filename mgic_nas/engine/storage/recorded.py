"""YAML that this package wrote, and that anybody may have changed since: run.yaml and table.yaml, read and checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from ...errors import UserError
from ...space.budget import parse_budgets
from ...space.document import Kind, Place, read_yaml

_KIND = Kind("what mgic_nas writes", characters=20_000_000, nodes=100_000, recorded=True)

T = TypeVar("T")

#: Settings of a recipe that came after the first files, with what those were trained with.
FIRST_RECIPE = {"fused": False}


class Rule(NamedTuple):
    """What a field must be: whether a value fits, the same in words, and whether it has to be there."""

    fits: Callable[[Any], bool]
    expected: str
    needed: bool = False


def load(cls: type[T], path: Path, what: str, version: int, rules: Iterable[tuple[str, Rule]]) -> T:
    """The dataclass ``cls`` that a file holds.

    Args:
        cls: with ``format`` among its fields.
        path: of the file.
        what: it describes, for messages: ``a run``.
        version: of the format that is read.
        rules: of its fields, see :func:`check`.

    Raises:
        UserError: it cannot be read, lacks fields, has others, or a value does not fit.
        FileNotFoundError, NotADirectoryError: there is none.
    """
    values, place = read(path)
    if not isinstance(values, dict):
        raise UserError(f"{path} does not describe {what}.")
    if values.get("format", version) != version:
        raise UserError(f"{path} is of format {values['format']}; this version of mgic_nas reads {version}.")
    fields = dataclasses.fields(cls)  # type: ignore[arg-type]
    needed = {f.name for f in fields if f.default is f.default_factory is dataclasses.MISSING}
    if missing := sorted(needed - values.keys()):
        raise UserError(f"{path} does not describe {what}: {', '.join(missing)} missing.")
    if unknown := sorted(values.keys() - {f.name for f in fields}):
        raise UserError(f"{path} has fields that this version of mgic_nas does not know: {', '.join(unknown)}.")
    check(values, rules, place)
    if recipe := values.get("recipe"):
        values["recipe"] = recipe | {name: value for name, value in FIRST_RECIPE.items() if name not in recipe}
    try:
        parse_budgets(values.get("budgets", ()))
    except UserError as error:
        raise place.error(("budgets",), f"budgets: {error}") from None
    try:
        return cls(**values)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def read(path: Path) -> tuple[Any, Place]:
    """The value in a YAML file, and where its parts stand.

    Raises:
        UserError: it cannot be read, or is no YAML of plain values.
        FileNotFoundError, NotADirectoryError: there is none.
    """
    try:
        if path.stat().st_size > _KIND.characters:
            raise UserError(f"{path} is too large: {path.stat().st_size:,} bytes.")
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise
    except UnicodeDecodeError:
        raise UserError(f"{path} cannot be read: not a text file (UTF-8).") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError as error:  # a null byte in the path
        raise error if isinstance(error, UserError) else UserError(f"{path} cannot be read: {error}.") from None
    return read_yaml(text, str(path), _KIND)


def check(values: dict[str, Any], rules: Iterable[tuple[str, Rule]], place: Place) -> None:
    """UserError with the line of the first value that does not fit its rule. What is not there fits.

    Args:
        values: a mapping.
        rules: dotted name (``data.input_size``) -> rule.
        place: of ``values``.
    """
    for dotted, rule in rules:
        path = tuple(dotted.split("."))
        value: Any = values
        for key in path:
            value = value.get(key, _ABSENT) if isinstance(value, dict) else _ABSENT
        if value is _ABSENT and rule.needed:
            raise place.error(path, f"{dotted} is missing.")
        if value is not _ABSENT and not rule.fits(value):
            shown = repr(value)
            shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
            raise place.error(path, f"{dotted} must be {rule.expected}, not {shown}.")


_ABSENT = object()


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value < 1 << 62


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _list_of(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(fits, value))


def _or_none(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or fits(value)


def _mapping_of(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, dict) and all(map(fits, value.values()))


def _class_and_count(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and _text(value[0]) and _number(value[1])


TEXT = Rule(_text, "text (in quotes)")
TEXT_OR_NONE = Rule(_or_none(_text), "text (in quotes) or null")
TEXT_OR_NUMBER = Rule(lambda value: _text(value) or _number(value), "text or a number")
TEXTS = Rule(_list_of(_text), "a list of texts")
WHOLE = Rule(_whole, "a whole number from 1 up")
MAPPING = Rule(lambda value: isinstance(value, dict), "a mapping")
MAPPINGS = Rule(_list_of(MAPPING.fits), "a list of mappings")
MAPPING_OF_TEXTS = Rule(_mapping_of(_text), "a mapping to texts")
NUMBERS = Rule(_or_none(_list_of(_number)), "a list of numbers")
NUMBER = Rule(_or_none(_number), "a number")

#: Of what a run and a table were made from.
SPACE_AND_DATA: tuple[tuple[str, Rule], ...] = (
    ("space", MAPPING._replace(needed=True)),
    ("space.model", TEXT._replace(needed=True)),
    ("space.params", MAPPING),
    ("space.kwargs", Rule(_or_none(MAPPING.fits), MAPPING.expected)),
    ("data", MAPPING._replace(needed=True)),
    ("data.spec", TEXT._replace(needed=True)),
    (
        "data.input_size",
        Rule(
            lambda value: _list_of(_whole)(value) and len(value) == 3,
            "three whole numbers, such as [1, 14, 14]",
            needed=True,
        ),
    ),
    ("data.num_classes", WHOLE._replace(needed=True)),
    *((f"data.{name}", TEXT_OR_NONE) for name in ("name", "fingerprint", "interpolation")),
    *((f"data.{name}", NUMBERS) for name in ("mean", "std")),
    *((f"data.{name}", NUMBER) for name in ("crop_pct", "blind", "left_out")),
    ("data.notes", TEXTS),
    ("data.sized", TEXT),
    ("data.smallest_class", Rule(_or_none(_class_and_count), "a class and its number of images, such as [cat, 12]")),
    ("data.classes", Rule(lambda value: value is None or isinstance(value, list), "a list")),
    ("data.sizes", Rule(_or_none(_mapping_of(lambda n: n is None or (_number(n) and n >= 0))), "a mapping to numbers")),
)

"""Known designs as settings of a space: written by people, in a file, or chosen in another search."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .._files import read_csv
from ..errors import UserError, did_you_mean
from .assignments import assignments
from .document import read_yaml
from .parameters import Setting, unwrapped
from .search_space import SearchSpace

MOST = 1_000  # designs of one file
_LARGEST = 10_000_000  # bytes

ARCH_ID = "arch_id"  # of a design of trials.csv: which network it was there
Design = tuple[str, Mapping[str, Any]]  # how messages call it, and what is written of it


def fitted(space: SearchSpace, written: Mapping[str, Any], where: str) -> Setting:
    """The setting of the space that a design is; texts may stand for numbers.

    Args:
        space: of which every parameter must be named, but for those with one value; ``w: 0.5`` is for all stages,
            ``w: [0.5, 1.0]`` and ``w.0: 0.5`` for each.
        written: name -> value.
        where: how messages call the design.

    Raises:
        UserError: a parameter is missing or unknown, a value is not one of the space's, or the design says by an
            ``arch_id`` that it is another network.
    """
    written = {str(name): unwrapped(value) for name, value in written.items()}
    arch_id = "" if ARCH_ID in space.params else str(written.pop(ARCH_ID, None) or "")
    flat: dict[str, Any] = {}
    for p in space.parameters:
        if p.name in written and p.per_stage is not None:
            value = written[p.name]
            stages = list(value) if isinstance(value, list | tuple) else [value] * p.per_stage
            if len(stages) != p.per_stage:
                raise UserError(f"{where}: {p.name} has {len(stages)} values; the space has {p.per_stage} stages.")
            flat.update(zip(p.columns, stages))
    known = {p.name for p in space.parameters}
    for name, value in written.items():
        if name in space.params:
            if name in flat:
                raise UserError(f"{where}: {name} is given twice: keep one.")
            flat[name] = value
        elif name not in known:
            _refuse_other(space, name, value, where)
    setting: Setting = {}
    for name, values in space.params.items():
        if name not in flat and len(values) > 1:
            raise UserError(f"{where} does not say {name}: write {name}={shown(values[0])} or another of its values.")
        at = position(values, flat[name]) if name in flat else 0
        if at is None:
            some = ", ".join(map(shown, values[:8])) + (", ..." if len(values) > 8 else "")
            raise UserError(f"{where}: {name} is {shown(flat[name])}, which is not in the space ({some}).")
        setting[name] = values[at]
    _refuse_stranger(space, setting, arch_id, where)
    return setting


def _refuse_other(space: SearchSpace, name: str, value: Any, where: str) -> None:
    """UserError for what is no parameter, but for a fixed argument at its value."""
    if name not in space.kwargs:
        raise UserError(f"{where}: the space has no parameter {name!r}.{did_you_mean(name, space.params)}")
    fixed = space.kwargs[name]
    same = [*value] == fixed if isinstance(value, list | tuple) else not isinstance(fixed, list) and _same(fixed, value)
    if not same:
        raise UserError(
            f"{where}: {name} is {shown(value)}, and the space fixes it at {shown(fixed)}: leave it out, or change the "
            "space's kwargs."
        )


def _refuse_stranger(space: SearchSpace, setting: Setting, arch_id: str, where: str) -> None:
    """UserError where a setting is another network in this space than where it was taken from."""
    if arch_id and arch_id != (own := space.arch_id(setting)):
        raise UserError(
            f"{where} is the network {arch_id}, and in this space, whose fixed arguments or model are others, its "
            f"settings are {own}: leave arch_id out to train that one."
        )


def written_designs(given: str | os.PathLike[str] | Mapping[str, Any]) -> list[Design]:
    """What a text such as ``s_g=8,width_mult=0.5``, a mapping, or the path of a YAML or csv names.

    A YAML is a list of mappings; a csv has a column for each parameter, ``s_g`` or ``p.s_g`` as in trials.csv, and any
    others.

    UserError for what is none of these, or cannot be read.
    """
    if isinstance(given, Mapping):
        return [("enqueue", {str(key): value for key, value in given.items()})]
    if not isinstance(given, str | os.PathLike):
        raise UserError(f"enqueue takes settings, a file or a run's folder, not {given!r}.")
    text = os.fspath(given)
    if "=" in text and not Path(text).exists():
        return [(f"enqueue {text!r}", assignments("--enqueue", _parts(text)))]
    path = Path(text)
    suffix = path.suffix.lower()
    if suffix not in (".yaml", ".yml", ".csv"):
        raise UserError(
            f"enqueue {text!r} is neither settings (s_g=8,width_mult=0.5) nor a YAML, a csv or a run's folder."
        )
    found = _of_csv(path) if suffix == ".csv" else _of_yaml(path)
    if not 0 < len(found) <= MOST:
        raise UserError(f"{path} holds {len(found):,} designs: name 1 to {MOST:,}.")
    return found


def _of_yaml(path: Path) -> list[Design]:
    value, _ = read_yaml(_read(path), str(path))
    several = [value] if isinstance(value, dict) else value
    if not isinstance(several, list) or not all(isinstance(one, dict) for one in several):
        raise UserError(f"{path} must be a list of settings such as - {{s_g: 8, width_mult: 0.5}}.")
    return [(f"{path}, design {number}", one) for number, one in enumerate(several, 1)]


def _of_csv(path: Path) -> list[Design]:
    _read(path)
    try:
        rows = read_csv(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}.") from None
    # Of trials.csv the parameters are p.NAME, and everything else is no part of the design.
    plain = not any(column.startswith("p.") for column in (rows[0] if rows else ()))
    return [
        (
            f"{path}, row {line}",
            {k.removeprefix("p."): v for k, v in row.items() if plain or k.startswith("p.") or k == ARCH_ID},
        )
        for line, row in enumerate(rows, 2)
    ]


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST:
            raise UserError(f"{path} is too large: {path.stat().st_size:,} bytes.")
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"there is no file {path}: name a YAML or csv of designs, or a run's folder.") from None
    except UserError:
        raise
    except UnicodeDecodeError:
        raise UserError(f"{path} cannot be read: not a text file (UTF-8).") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from None


def _parts(text: str) -> list[str]:
    """Split at commas that are in no brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "[({") - (letter in "])}")
        if letter == "," and depth <= 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def position(values: Iterable[Any], wanted: Any) -> int | None:
    """Of the value that is meant, which may be written as text; None where it is none of them."""
    return next((at for at, value in enumerate(values) if _same(value, wanted)), None)


def _same(value: Any, wanted: Any) -> bool:
    """Whether a value of the space is meant: also where a number, a truth or nothing is written as text."""
    wanted = unwrapped(wanted)
    if isinstance(wanted, str) and not isinstance(value, str):
        if value is None or isinstance(value, bool):
            return wanted.strip().lower() in {str(value).lower(), *(["", "null", "~"] if value is None else [])}
        try:
            wanted = float(wanted)
        except ValueError:
            return False
    if isinstance(value, bool) or isinstance(wanted, bool) or value is None or isinstance(value, str):
        return type(value) is type(wanted) and bool(value == wanted)
    return isinstance(wanted, int | float) and math.isclose(value, wanted, rel_tol=1e-9)


def shown(value: Any) -> str:
    """A value in a message."""
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."

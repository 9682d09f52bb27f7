"""Latencies that somebody measured on another device: a csv of networks of a space and their milliseconds."""

from __future__ import annotations

import hashlib
import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..._files import csv_rows
from ..._text import plural
from ...cost.runtimes.kinds import PREFIX, csv_stem
from ...errors import UserError

if TYPE_CHECKING:
    from ...space.feasible import Space
    from ...space.parameters import Setting

MILLISECONDS = "latency_ms"
_NAME = re.compile(r"[a-z0-9_]+(-[a-z0-9_]+)*")
_LARGEST = 100_000_000  # bytes
_ROUNDING = 1.005  # times: rows of one network that differ by less say the same in three digits


@dataclass(frozen=True)
class LatencyTable:
    """The measurements of a csv, of the networks of one space.

    Attributes:
        path: of the csv.
        seconds: arch_id -> seconds: of several rows of one architecture their median.
        settings: arch_id -> a setting of the space, where the csv names networks by their parameters.
        strangers: rows of networks that are not in the space.
        digest: of the content.
        spread: by which factor rows of one architecture differ at most; 1 where none has several.
    """

    path: Path
    seconds: Mapping[str, float]
    settings: Mapping[str, Setting]
    strangers: int
    digest: str
    spread: float = 1.0

    @property
    def kind(self) -> str:
        """``latency-jetson`` for ``jetson.csv``."""
        return PREFIX + self.path.stem

    @property
    def note(self) -> str:
        """What was not taken as it stands, a line; empty where nothing was."""
        parts = []
        if self.strangers:
            parts.append(f"{plural(self.strangers, 'row')} of networks that are not in the space left out")
        if self.spread >= _ROUNDING:
            parts.append(f"rows of one network differ by up to {self.spread:.3g} times: the median counts")
        return f"{self.path.name}: {'; '.join(parts)}" if parts else ""


def check_csv_names(paths: Iterable[str | Path]) -> tuple[Path, ...]:
    """The paths, absolute. UserError where a name gives no kind of latency, or two give the same."""
    found: dict[str, Path] = {}
    for given in paths:
        path = Path(given)
        stem = path.stem
        if path.suffix.lower() != ".csv":
            raise UserError(f"latencies: {given} is no csv: measurements are named by a file such as jetson.csv.")
        if not _NAME.fullmatch(stem) or csv_stem(PREFIX + stem) is None:
            proper = re.sub(r"[^a-z0-9_]+", "-", stem.lower()).strip("-") or "device"
            why = "the name is a runtime's" if _NAME.fullmatch(stem) else "it becomes the name of a budget"
            proper = f"my-{proper}" if _NAME.fullmatch(stem) else proper
            raise UserError(f"latencies: {given}: {why}; rename it with a-z, 0-9, _ and -, such as {proper}.csv.")
        if stem in found and found[stem] != path.absolute():
            raise UserError(f"latencies: {found[stem]} and {path.absolute()} are both named {stem}: rename one.")
        found[stem] = path.absolute()
    return tuple(found.values())


def read_table(path: Path, space: Space) -> LatencyTable:
    """The measurements in a csv with a column ``latency_ms``, and ``arch_id`` or every parameter of the space.

    Parameters may be written as in trials.csv (``p.s_g``). Of several rows for one architecture the median counts.

    Raises:
        UserError: it cannot be read, lacks columns, holds no number where one should be, or no network of the space.
    """
    rows, columns, digest = _read(path)
    names = {name: columns.get(name, columns.get(f"p.{name}")) for name in space.params}
    missing = [name for name, column in names.items() if column is None]
    if missing and "arch_id" not in columns:
        raise UserError(
            f"{path} has neither a column arch_id nor all parameters of the space: it lacks {', '.join(missing)}."
        )
    times: dict[str, list[float]] = {}
    settings: dict[str, Setting] = {}
    strangers = 0
    for line, row in enumerate(rows, 2):
        seconds = _seconds(path, line, row.get(columns[MILLISECONDS], ""))
        if "arch_id" in columns:
            arch_id = row.get(columns["arch_id"], "").strip()
            setting = None
        else:
            setting = _setting(space, {name: row.get(str(column), "") for name, column in names.items()})
            arch_id = "" if setting is None else _arch_id(space, setting)
        if not arch_id:
            strangers += 1
            continue
        times.setdefault(arch_id, []).append(seconds)
        if setting is not None:
            settings.setdefault(arch_id, setting)
    if not times:
        raise UserError(f"{path} has no measurement of a network of {space.source}.")
    spread = max(max(found) / min(found) for found in times.values())
    medians = {arch_id: statistics.median(found) for arch_id, found in times.items()}
    return LatencyTable(path, medians, settings, strangers, digest, spread)


def read_network(path: Path, arch_ids: Set[str], model: str) -> float:
    """Seconds of one network in a csv that names networks by ``arch_id``: the median of its rows.

    Args:
        path: of the csv.
        arch_ids: names of the network, of which any counts.
        model: its name, for messages.

    Raises:
        UserError: the csv cannot be read, names networks by the parameters of a space, or lacks this one.
    """
    rows, columns, _ = _read(path)
    if "arch_id" not in columns:
        raise UserError(
            f"{path} names networks by the parameters of a space, so it says nothing of a network alone: profile the "
            "space, or give the csv a column arch_id."
        )
    times = [
        _seconds(path, line, row.get(columns[MILLISECONDS], ""))
        for line, row in enumerate(rows, 2)
        if row.get(columns["arch_id"], "").strip() in arch_ids
    ]
    if not times:
        raise UserError(f"{path} has no measurement of this {model} (arch_id {' or '.join(sorted(arch_ids))}).")
    return statistics.median(times)


def _read(path: Path) -> tuple[list[dict[str, str]], dict[str, str], str]:
    """(rows, names of the columns without blanks -> as written, digest of the content)."""
    try:
        if path.stat().st_size > _LARGEST:
            raise UserError(f"{path} is too large: {path.stat().st_size:,} bytes.")
        content = path.read_bytes()
        rows = csv_rows(content.decode("utf-8-sig").splitlines())
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"{path} is not there: name a csv of measurements, or put it back.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise UserError(f"{path} cannot be read: {error}.") from None
    if not rows:
        raise UserError(f"{path} holds no measurements: it needs a heading and a row for each network.")
    columns = {name.strip(): name for row in rows for name in row}
    if MILLISECONDS not in columns:
        raise UserError(f"{path} has no column {MILLISECONDS}.")
    return rows, columns, hashlib.sha256(content).hexdigest()[:12]


def _seconds(path: Path, line: int, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise UserError(f"{path}, line {line}: {MILLISECONDS} must be a number above zero, not {text[:40]!r}.")
    return value / 1e3


def _setting(space: Space, cells: Mapping[str, str]) -> Setting | None:
    """The setting of the space that a row's cells name; None where it is none."""
    setting: dict[str, Any] = {}
    for name, values in space.params.items():
        at = _index(values, cells[name].strip())
        if at is None:
            return None
        setting[name] = values[at]
    return setting if space.allows(setting) else None


def _index(values: Sequence[Any], text: str) -> int | None:
    for i, value in enumerate(values):
        if text == ("" if value is None else str(value)) or _same_number(value, text):
            return i
    return None


def _same_number(value: Any, text: str) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isclose(float(text), value, rel_tol=1e-9)
    except ValueError:
        return False


def _arch_id(space: Space, setting: Setting) -> str:
    try:
        return space.arch_id(setting)
    except UserError:  # the model cannot be built so
        return ""

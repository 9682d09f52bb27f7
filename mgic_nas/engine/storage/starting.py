"""What a run starts from: the accuracies of an earlier one, and the winners of one.

The earlier run is read and never written. Its accuracies are copied into the new run's folder when that is made, so
that to go on needs the earlier one no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..._files import read_csv, write_csv
from ...errors import UserError
from ...space.designs import Design, fitted
from ...space.parameters import Setting
from ...space.search_space import SearchSpace
from .config import RUN_YAML, RunConfig
from .record import read_record
from .trial import COMPLETE, Trial
from .winner import winner

KNOWN_CSV = "known.csv"  # in the run's folder: p.<parameter>, val_acc of the earlier run


@dataclass(frozen=True)
class Earlier:
    """Accuracies of settings of this search's space, percent, from an earlier one."""

    settings: tuple[Setting, ...]
    accs: tuple[float, ...]


def read_earlier(folder: str | Path, space: SearchSpace) -> tuple[Earlier, str]:
    """What a run found of the networks that a space has too, and one line about it.

    UserError where there is no run, or it has no network of the space trained to the end.
    """
    config = _config(folder, "from")
    complete = [t for t in read_record(folder).entries if t.state == COMPLETE]
    trials = [(t, t.val_acc) for t in complete if t.val_acc is not None]
    pairs: list[tuple[Setting, float]] = []
    reason = ""
    for trial, acc in trials:
        try:
            pairs.append((fitted(space, _written(config, trial), f"trial {trial.number}", lenient=True), acc))
        except UserError as error:
            reason = reason or str(error)
    if not trials:
        raise UserError(f"{folder} has no network that was trained to the end: there is nothing to start from.")
    if not pairs:
        raise UserError(f"{folder} has no network of this space: {reason}")
    line = f"{len(pairs)} of the {len(trials)} networks of {folder} ({config.data['spec']}, {config.epochs} epochs)"
    if len(pairs) < len(trials):
        line += f"; the others are not in this space ({reason.rstrip('.')})"
    return Earlier(tuple(s for s, _ in pairs), tuple(a for _, a in pairs)), line


def winners_of(folder: str | Path) -> list[Design]:
    """The winners of a run within its budgets, each once, the cheapest budget first."""
    config = _config(folder, "enqueue")
    entries = read_record(folder).entries
    found = {w.number: w for b in config.parsed_budgets() if (w := winner(entries, [b])) is not None}
    if not found:
        raise UserError(f"{folder} has no winner yet: nothing was trained to the end within its budgets.")
    return [(f"{folder}, trial {trial.number}", _written(config, trial)) for trial in found.values()]


def keep_known(folder: Path | None, earlier: Earlier | None, space: Any) -> Earlier | None:
    """Copies what an earlier run found into a run's folder, where there is none yet; gives back what is there.

    UserError where the copy cannot be read.
    """
    if folder is None or (earlier is None and not (folder / KNOWN_CSV).exists()):
        return earlier
    if not (folder / KNOWN_CSV).exists() and earlier is not None:
        names = list(space.params)
        rows = [
            {**{f"p.{n}": s[n] for n in names}, "val_acc": a} for s, a in zip(earlier.settings, earlier.accs)
        ]  # fmt: skip
        write_csv(folder / KNOWN_CSV, [*(f"p.{n}" for n in names), "val_acc"], rows)
    return read_known(folder, space)


def read_known(folder: Path, space: Any) -> Earlier | None:
    """The copy in a run's folder; None where there is none."""
    path = folder / KNOWN_CSV
    if not path.exists():
        return None
    try:
        rows = read_csv(path)
        pairs = [(_setting(space, row), float(row["val_acc"])) for row in rows]
    except (OSError, KeyError, ValueError) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else getattr(error, "strerror", None) or error
        raise UserError(f"{path} cannot be read: {reason}; put it back, or name another folder.") from None
    if wrong := [acc for _, acc in pairs if not -1e6 < acc <= 100]:
        raise UserError(f"{path}: {wrong[0]} is no accuracy in percent.")
    return Earlier(tuple(s for s, _ in pairs), tuple(a for _, a in pairs))


def settings_of(space: SearchSpace, designs: Iterable[Design], lenient: bool) -> tuple[list[Setting], list[str]]:
    """The settings that designs are, and of those that are none in a ``lenient`` reading why, a line each."""
    found: list[Setting] = []
    notes: list[str] = []
    for where, written in designs:
        try:
            found.append(fitted(space, written, where, lenient))
        except UserError as error:
            if not lenient:
                raise
            notes.append(f"{str(error).rstrip('.')}: it is left out")
    return found, notes


def _config(folder: str | Path, option: str) -> RunConfig:
    if not (Path(folder) / RUN_YAML).is_file():
        raise UserError(f"{option}: {folder} is not a run: it has no {RUN_YAML}.")
    return RunConfig.load(folder)


def _written(config: RunConfig, trial: Trial) -> Mapping[str, Any]:
    """All that is known of a network's arguments: the space's fixed ones too."""
    return {**(config.space.get("kwargs") or {}), **trial.setting}


def _setting(space: Any, row: Mapping[str, str]) -> Setting:
    """By the texts of the space's values, which :func:`keep_known` wrote."""
    setting: Setting = {}
    for name, values in space.params.items():
        texts = {"" if value is None else str(value): value for value in values}
        if row[f"p.{name}"] not in texts:
            raise ValueError(f"{name} {row[f'p.{name}'][:40]!r} is not in the space")
        setting[name] = texts[row[f"p.{name}"]]
    return setting

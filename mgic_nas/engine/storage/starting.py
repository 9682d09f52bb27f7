"""What a run starts from: the accuracies of an earlier one.

The earlier run is read and never written. Its accuracies are copied into the new run's folder when that is made, so
that to go on needs the earlier one no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..._files import read_csv, write_csv
from ..._text import plural
from ...errors import UserError
from ...space.elsewhere import Network, differences, in_words, placed, searched, start_names
from ...space.parameters import Setting
from ...space.search_space import SearchSpace
from .config import RUN_YAML, RunConfig
from .record import read_record
from .trial import COMPLETE, Trial

KNOWN_CSV = "known.csv"  # in the run's folder: p.<parameter>, val_acc of the earlier run


@dataclass(frozen=True)
class Earlier:
    """Accuracies of settings of this search's space, percent, from an earlier one."""

    settings: tuple[Setting, ...]
    accs: tuple[float, ...]


def read_earlier(folder: str | Path, space: SearchSpace) -> tuple[Earlier, str]:
    """What a run found of the networks that a space has too, and one line about it.

    Where the whole run has another model or other fixed arguments than the space, its networks are taken for the
    space's, and the line says what differs. Of networks that differ in an argument which the run searched and the space
    fixes, only those that agree are taken, so that each setting is one network.

    UserError where there is no run, or it has no network of the space trained to the end.
    """
    config = config_of(folder, "from")
    complete = [t for t in read_record(folder).entries if t.state == COMPLETE]
    trials = [(t, t.val_acc) for t in complete if t.val_acc is not None]
    own = searched(config.space)
    found: dict[tuple[Any, ...], tuple[Setting, float]] = {}
    differing: dict[str, tuple[str, str]] = {}
    reason = ""
    for trial, acc in trials:
        where = f"trial {trial.number}"
        try:
            setting, differs = _compared(space, network_of(config, trial), own, where)
            if (key := tuple(setting.values())) in found:
                raise UserError(f"{where} is here what another network is")
        except UserError as error:
            reason = reason or str(error)
        else:
            found[key] = setting, acc
            differing = {**differs, **differing}
    if not trials:
        raise UserError(f"{folder} has no network that was trained to the end: there is nothing to start from.")
    if not found:
        raise UserError(f"{folder} has no network of this space: {reason}")
    epochs = plural(config.epochs, "epoch")
    line = f"{len(found)} of the {len(trials)} networks of {folder} ({config.data['spec']}, {epochs})"
    for name, (theirs, here) in differing.items():
        line += f"; {in_words(name, theirs, here, 'their')}"
    if len(found) < len(trials):
        line += f"; the others are not in this space ({reason.rstrip('.')})"
    return Earlier(tuple(s for s, _ in found.values()), tuple(a for _, a in found.values())), line


def _compared(
    space: SearchSpace, network: Network, own: frozenset[str], where: str
) -> tuple[Setting, dict[str, tuple[str, str]]]:
    """A network's setting, and what its whole run has otherwise; UserError where it alone differs.

    ``own``: what its run searched. How its weights began makes it no other network.
    """
    setting = placed(space, network, where)
    differs = differences(space, setting, network, start_names(space.model) - own)
    for name, (theirs, here) in differs.items():
        if name in own:
            raise UserError(f"{where}: {name} is {theirs}, here {here}")
    return setting, differs


def network_of(config: RunConfig, trial: Trial) -> Network:
    """A network of a run, with all its arguments: the space's fixed ones too."""
    return Network(config.model, {**(config.space.get("kwargs") or {}), **trial.config}, trial.arch_id)


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


def config_of(folder: str | Path, option: str) -> RunConfig:
    """Of the run that an option names; UserError where there is none."""
    if not (Path(folder) / RUN_YAML).is_file():
        raise UserError(f"{option}: {folder} is not a run: it has no {RUN_YAML}.")
    return RunConfig.load(folder)


def _setting(space: Any, row: Mapping[str, str]) -> Setting:
    """By the texts of the space's values, which :func:`keep_known` wrote."""
    setting: Setting = {}
    for name, values in space.params.items():
        texts = {"" if value is None else str(value): value for value in values}
        if row[f"p.{name}"] not in texts:
            raise ValueError(f"{name} {row[f'p.{name}'][:40]!r} is not in the space")
        setting[name] = texts[row[f"p.{name}"]]
    return setting

"""The shell command that makes a run again, and paths and names as one types them.

Everything that is shown to be copied is valid in the run's own folder, wherever that is: a run may be moved, renamed,
committed or sent after its report was built.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from ..engine.storage.config import MEASURED, RunConfig
from ..train.recipes import RECIPES, ROUNDING

_NEAR = 3  # folders above a run's that a path may begin from


def command(config: RunConfig, folder: str | Path) -> str:
    """The shell command that goes on with this run, from its folder; empty for a space or recipe made in Python."""
    source, recipe = config.space_source, _recipe(config)
    if not source or not recipe or config.trained_by:
        return ""
    words = ["mgic-nas", "search", _space(source, folder), "--data", shown_data(config, folder)]
    for budget in config.budgets:
        words += ["--budget", budget]
    for path in config.latencies:
        words += ["--latencies", shown(path, folder)]
    words += ["--trials", str(config.trials), "--epochs", str(config.epochs)]
    for name in ("worth", "hours"):
        if (limit := getattr(config, name)) is not None:
            words += [f"--{name}", f"{limit:g}"]
    words += ["--sampler", config.sampler, "--seed", str(config.seed), "--executor", config.executor]
    if config.rungs != "none":
        words += ["--rungs", config.rungs]
    if recipe != "quick":
        words += ["--recipe", recipe]
    if config.concurrent is not None:
        words += ["--concurrent", str(config.concurrent)]
    if config.gpus_per_trial != "auto":
        words += ["--gpus-per-trial", str(config.gpus_per_trial)]
    if config.winner != MEASURED:
        words += ["--winner", config.winner]
    if config.keep != "front":
        words += ["--keep", config.keep]
    if config.storage is not None:
        words += ["--storage", config.storage]
    return shlex.join([*words, "--out", "."])


def shown(path: str | Path, folder: str | Path) -> str:
    """A path as one types it in a run's folder: relative where it is in its neighbourhood, else absolute."""
    full = os.path.abspath(path)
    relative = Path(os.path.relpath(full, os.path.abspath(folder)))
    return full if os.pardir in relative.parts[_NEAR:] else relative.as_posix()


def _space(source: str, folder: str | Path) -> str:
    """A shipped space by its name, a file by its path."""
    name = source.removesuffix(" (shipped)")
    return name if name != source or not os.path.isfile(source) else shown(source, folder)


def _recipe(config: RunConfig) -> str:
    """The recipe's name, if that says all of it."""
    name = str(config.recipe.get("name", "quick"))
    if name not in RECIPES:
        return ""
    preset = RECIPES[name].to_dict()
    told = {key: value for key, value in config.recipe.items() if key not in ROUNDING}
    return name if all(preset.get(key, value) == value for key, value in told.items()) else ""


def shown_data(config: RunConfig, folder: str | Path) -> str:
    """The data's spec as one types it in a run's folder."""
    data, mark, options = str(config.data.get("spec", config.data.get("name", ""))).partition("?")
    return (shown(data, folder) if os.path.isabs(data) else data) + mark + options


def space_name(source: str) -> str:
    """``quickstart`` for ``quickstart (shipped)`` or ``spaces/quickstart.yaml``."""
    return Path(source.removesuffix(" (shipped)")).name.removesuffix(".yaml")

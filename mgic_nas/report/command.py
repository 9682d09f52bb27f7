"""The shell command that makes a run again, and paths and names as one types them."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from ..engine.storage.config import RunConfig
from ..train.recipes import RECIPES, ROUNDING


def command(config: RunConfig, folder: str | Path) -> str:
    """The shell command that makes this run anew (or goes on with it); empty for a space or recipe made in Python."""
    source, recipe = config.space_source, _recipe(config)
    if not source or not recipe:
        return ""
    words = ["mgic-nas", "search", source.removesuffix(" (shipped)"), "--data", shown_data(config)]
    for budget in config.budgets:
        words += ["--budget", budget]
    for path in config.latencies:
        words += ["--latencies", shown(path, up=1)]
    words += ["--trials", str(config.trials), "--epochs", str(config.epochs)]
    words += ["--sampler", config.sampler, "--seed", str(config.seed), "--executor", config.executor]
    if config.rungs != "none":
        words += ["--rungs", config.rungs]
    if recipe != "quick":
        words += ["--recipe", recipe]
    if config.concurrent is not None:
        words += ["--concurrent", str(config.concurrent)]
    if config.gpus_per_trial != "auto":
        words += ["--gpus-per-trial", str(config.gpus_per_trial)]
    if config.keep != "front":
        words += ["--keep", config.keep]
    if config.storage is not None:
        words += ["--storage", config.storage]
    return shlex.join([*words, "--out", shown(folder)])


def shown(folder: str | Path, up: int = 0) -> str:
    """A path as one types it: relative below the working directory, or from ``up`` folders above it; else absolute."""
    full = os.path.abspath(folder)
    relative = Path(os.path.relpath(full))
    return full if os.pardir in relative.parts[up : up + 1] else relative.as_posix()


def _recipe(config: RunConfig) -> str:
    """The recipe's name, if that says all of it."""
    name = str(config.recipe.get("name", "quick"))
    if name not in RECIPES:
        return ""
    preset = RECIPES[name].to_dict()
    told = {key: value for key, value in config.recipe.items() if key not in ROUNDING}
    return name if all(preset.get(key, value) == value for key, value in told.items()) else ""


def shown_data(config: RunConfig) -> str:
    """The data's spec as one types it."""
    data, mark, options = str(config.data.get("spec", config.data.get("name", ""))).partition("?")
    return (shown(data, up=1) if os.path.isabs(data) else data) + mark + options


def space_name(source: str) -> str:
    """``quickstart`` for ``quickstart (shipped)`` or ``spaces/quickstart.yaml``."""
    return Path(source.removesuffix(" (shipped)")).name.removesuffix(".yaml")

"""How a run was made: run.yaml as the report needs it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import _text as words
from ..tasks.metrics import TOP1, Metric
from ..tasks.registry import metric_of

if TYPE_CHECKING:
    from ..engine.storage.config import RunConfig
    from ..space import Budget


@dataclass(frozen=True)
class Facts:
    """What is known of a run besides its trials.

    Attributes:
        name: the run's own name (its folder's).
        model: the searched model's timm name.
        data: the data as the user named it; ``data_name`` as it calls itself.
        num_classes, input_size, mean, std, interpolation, crop_pct: of the data; they go into the winners' config.
        classes: the names of the classes, where known.
        sizes: images per split, ``train``, ``val`` and ``test``.
        metric: what ``val_acc`` is.
        budgets: every budget, MACs first, smallest first.
        trials: how many architectures were asked for; epochs: of training each.
        model_kwargs: the arguments that the space fixes for every network.
        params: the searched parameters as the space's YAML writes them.
        space: the space's source (its file or shipped name).
        where: the conditions of the space.
        command: the shell command that makes this run again; empty where it cannot be told.
        ended: why the search proposes nothing more; empty while it may.
        over: the run came to its end; what is paused then was not worth more training.
        rejected: proposals that were never trained, by reason.
        uniform: how many networks were drawn uniformly, because the sampler found none that is new and fits.
        devices: what the trials were trained on.
        timed: where a budget is on latency, how it was measured, in words.
        wall_seconds: from the first trial's start to the last one's end, pauses included; None if unknown.
        created: when the run was made, ISO 8601.
        recipe, versions: how a network is trained, and with what.
        other: further fields of the space.
    """

    name: str
    model: str
    data: str
    num_classes: int
    input_size: tuple[int, int, int]
    budgets: tuple[Budget, ...]
    trials: int
    epochs: int
    seed: int = 0
    data_name: str = ""
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    interpolation: str = "bilinear"
    crop_pct: float = 1.0
    classes: tuple[str, ...] = ()
    sizes: Mapping[str, int] = field(default_factory=dict)
    model_kwargs: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    where: tuple[str, ...] = ()
    space: str = ""
    sampler: str = ""
    rungs: str = "none"
    executor: str = ""
    keep: str = "front"
    command: str = ""
    ended: str = ""
    over: bool = False
    rejected: Mapping[str, int] = field(default_factory=dict)
    uniform: int = 0
    devices: tuple[str, ...] = ()
    timed: str = ""
    wall_seconds: float | None = None
    created: str = ""
    metric: Metric = TOP1
    recipe: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    other: Mapping[str, Any] = field(default_factory=dict)

    @property
    def val_images(self) -> int | None:
        """How many inputs (images, point clouds, samples) an accuracy was measured on."""
        return self.sizes.get("val") or None

    @property
    def data_text(self) -> str:
        """``fashion: 10 classes, images of 1×14×14``, without the name."""
        shape = words.size_text(self.input_size, "×")
        if not self.metric.of_classes:
            return f"{words.plural(self.input_size[0], 'input')}, {words.plural(self.num_classes, 'output')}"
        of = f"{self.input_size[1]:,} points" if self.metric.item == "point cloud" else shape
        return f"{self.num_classes:,} classes, {self.metric.items} of {of}"


def facts_of(
    config: RunConfig,
    folder: str | Path,
    *,
    rejected: Mapping[str, int] | None = None,
    uniform: int = 0,
    ended: str = "",
    over: bool = False,
    wall_seconds: float | None = None,
    devices: Iterable[str] = (),
    timed: str = "",
) -> Facts:
    """The facts of the run that ``config`` describes, in ``folder``.

    Args:
        config: what run.yaml says.
        folder: where the run is; it may have been moved or renamed since.
        rejected: proposals that were never trained, by reason.
        uniform: how many networks were drawn uniformly, because the sampler found none that is new and fits.
        ended: why the search proposes nothing more; empty while it may.
        over: the run came to its end.
        wall_seconds: from the first trial's start to the last one's end.
        devices: what the trials were trained on.
        timed: how latencies were measured, in words.
    """
    data, space = config.data, config.space
    kept = {"params", "where", "model", "kwargs"}
    channels, height, width = config.input_size
    return Facts(
        name=Path(folder).resolve().name or config.name,
        model=config.model,
        data=_shown_data(config),
        data_name=str(data.get("name", "")),
        num_classes=config.num_classes,
        input_size=(channels, height, width),
        budgets=tuple(config.parsed_budgets()),
        trials=config.trials,
        epochs=config.epochs,
        seed=config.seed,
        mean=tuple(data.get("mean") or ()),
        std=tuple(data.get("std") or ()),
        interpolation=str(data.get("interpolation") or "bilinear"),
        crop_pct=float(data.get("crop_pct") or 1.0),
        classes=tuple(str(name) for name in data.get("classes") or ()),
        sizes={str(k): int(v) for k, v in (data.get("sizes") or {}).items()},
        model_kwargs=dict(space.get("kwargs") or {}),
        params=dict(space.get("params") or {}),
        where=tuple(str(condition) for condition in space.get("where") or ()),
        space=_space_name(config.space_source),
        sampler=config.sampler,
        rungs=config.rungs,
        executor=config.executor,
        keep=config.keep,
        command=command(config, folder),
        ended=ended,
        over=over,
        rejected=dict(rejected or {}),
        uniform=uniform,
        devices=tuple(sorted(set(devices))),
        timed=timed,
        wall_seconds=wall_seconds,
        metric=metric_of(str(data.get("spec", ""))),
        created=config.created,
        recipe=dict(config.recipe),
        versions=dict(config.versions),
        other={k: v for k, v in space.items() if k not in kept},
    )


def command(config: RunConfig, folder: str | Path) -> str:
    """The shell command that makes this run anew (or goes on with it); empty for a space or recipe made in Python."""
    source, recipe = config.space_source, _recipe(config)
    if not source or not recipe:
        return ""
    words = ["mgic-nas", "search", source.removesuffix(" (shipped)"), "--data", _shown_data(config)]
    for budget in config.budgets:
        words += ["--budget", budget]
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
    """A path as one types it: relative below the working directory, or from so many folders up; else absolute."""
    full = os.path.abspath(folder)
    relative = Path(os.path.relpath(full))
    return full if os.pardir in relative.parts[up : up + 1] else relative.as_posix()


def _recipe(config: RunConfig) -> str:
    """The recipe's name, if that says all of it."""
    from ..train.recipes import RECIPES

    name = str(config.recipe.get("name", "quick"))
    if name not in RECIPES:
        return ""
    preset = RECIPES[name].to_dict()
    return name if all(preset.get(key, value) == value for key, value in config.recipe.items()) else ""


def _shown_data(config: RunConfig) -> str:
    """The data's spec as one types it."""
    data, mark, options = str(config.data.get("spec", config.data.get("name", ""))).partition("?")
    return (shown(data, up=1) if os.path.isabs(data) else data) + mark + options


def _space_name(source: str) -> str:
    return Path(source.removesuffix(" (shipped)")).name.removesuffix(".yaml")

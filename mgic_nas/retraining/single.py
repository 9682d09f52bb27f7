"""``train_network()``: one network, ours or any of timm's, trained and scored."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from timm.models import get_pretrained_cfg

from ..errors import UserError
from ..families import create_model_line, family, in_timm
from ..families.base import FROM_DATA
from .results import Network, Trainings
from .start import Asked, check_asked, load, train_networks

if TYPE_CHECKING:
    from ..tasks.base import DataInfo
    from ..train import Recipe

FOLDER = "train"  # in the folder that the user names, beside train.csv
_LOADING = {"checkpoint_path", "pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "cache_dir"}  # timm's


def train_network(
    name: str,
    data: str,
    arguments: Mapping[str, Any] | None = None,
    epochs: int | None = None,
    seeds: int = 1,
    out: str | Path | None = None,
    recipe: str | Mapping[str, object] | Recipe | None = None,
    with_val: bool = False,
    weights: str | None = None,
    teacher: str | None = None,
    executor: str = "local",
    concurrent: int | None = None,
    gpus_per_trial: str | float = "auto",
) -> Trainings:
    """Trains one network from scratch, and scores it once on the test split. The same call again goes on.

    Args:
        name: a timm name, ours or another, or one of :func:`mgic_nas.create_model`.
        data: what is learned, as :func:`mgic_nas.search` takes it; classes, channels and input size are its own.
        arguments: of the network: ``{"s_g": 8}``.
        epochs: of each training; by default 30.
        seeds: trainings, with the seeds 0, 1, ...; more extend.
        out: a folder, by default ``runs/<name>-<data>``. Other networks may be trained beside it, with the same data,
            epochs and recipe.
        recipe: how it is trained: by default ``"full"``.
        with_val: train on the validation images too.
        weights: ``"last"`` (default), or ``"best"`` by the validation split.
        teacher: a timm name, with its pretrained weights, or ``"local-dir:FOLDER"``: it learns from that one's answers,
            too.
        executor, concurrent, gpus_per_trial: as of :func:`mgic_nas.search`.

    Raises:
        UserError, MachineFault, TrainingFailed, KeyboardInterrupt: as :func:`mgic_nas.search`.
    """
    if out is not None and not isinstance(out, str | os.PathLike):
        raise UserError(f"out must be a folder's path, not {out!r}.")
    asked = Asked(data, epochs, seeds, recipe, with_val, weights, teacher, executor, concurrent, gpus_per_trial)
    check_asked(asked)
    known, config = family(name), dict(arguments or {})
    for key in config:
        if key in _LOADING:
            raise UserError(f"{key}: the network is trained from scratch; leave it out.")
        if key in FROM_DATA:
            raise UserError(f"{key} follows from the data; leave it out (?size=32 behind the data's name resizes).")
    info = load(data).info
    network = describe(known.name, config, info)
    root = Path(out) if out is not None else Path("runs") / _slug(f"{name}-{info.name}")
    return train_networks(root / FOLDER, asked, [network])


def describe(name: str, config: dict[str, Any], info: DataInfo) -> Network:
    """A network on some data. UserError where it cannot be built so."""
    known = family(name)
    cfg = get_pretrained_cfg(name) if in_timm(name) and ":" not in name else None
    if cfg is not None and cfg.fixed_input_size:  # a transformer's tokens are counted when it is built
        config = {**config, "img_size": info.input_size[1:]}
    cost = known.cost(config, info.input_size, info.num_classes)
    arch_id = known.arch_id(config)
    folder = _slug(name) + (f"-{arch_id}" if config else "")
    line = create_model_line(name, config, info.num_classes, info.in_chans)
    return Network(folder, name, config, arch_id, cost.macs, cost.params, line=line)


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.") or "network"

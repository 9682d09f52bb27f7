"""``register_run()``: a run's winners under timm names, with weights."""

from __future__ import annotations

import dataclasses
import re
import warnings
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import timm
from timm.models import DefaultCfg, PretrainedCfg, is_model, model_entrypoint, register_model
from torch import nn

from . import families
from .errors import UserError
from .results import Run, Winner
from .run import load_run

PREFIX = "mgicrun_"
#: What timm's ``register_model`` reads beside a function of this module: name -> cfg.
default_cfgs: dict[str, DefaultCfg] = {}
_OF_RUN: dict[str, Path] = {}  # name -> the folder of the run that it is of


def register_run(run: str | Path | Run) -> list[str]:
    """Makes a run's winners timm names: ``mgicrun_<run>_<budget>``, of ``a-z``, ``0-9`` and ``_``.

    The winner within 0.5M of ``runs/demo`` becomes ``mgicrun_demo_0p5m``::

        mgic_nas.register_run("runs/demo")
        timm.list_models("mgicrun_*")
        net = timm.create_model("mgicrun_demo_0p5m", pretrained=True).eval()

    Its ``pretrained_cfg`` has the data's mean, std, input size and class names. Other arguments (``num_classes``,
    ``in_chans``, ``drop_rate``, ...) are as timm has them for any network with weights. Names live in this process; the
    same run again brings them up to date.

    Returns:
        The names, in the order of the budgets; a budget without a winner has none.

    Raises:
        UserError: no run, one whose networks timm does not build, or a name that something else has: it is never
            replaced.
    """
    found = run if isinstance(run, Run) else load_run(run)
    if by := found.config.trained_by:
        raise UserError(f"{found.folder}: {by} trained its winners, and their weights are that function's own.")
    if not found.config.in_timm:
        raise UserError(
            f"{found.folder}: timm does not build {found.config.model}: mgic_nas.load_winner gives its winners."
        )
    folder = found.folder.resolve()
    winners = {
        f"{PREFIX}{_slug(folder.name)}_{_slug(label, decimals=True)}": winner
        for label, winner in found.winners().items()
        if winner is not None
    }
    for name in winners:
        if is_model(name) and _OF_RUN.get(name) != folder:
            whose = f"the run {_OF_RUN[name]}" if name in _OF_RUN else "another model"
            raise UserError(f"the name {name} is taken by {whose}: rename the folder {folder}.")
    for name, winner in winners.items():
        default_cfgs[name] = DefaultCfg(deque([""]), {"": _cfg(name, winner)})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a name of the same run, that it is registered again
            register_model(_entrypoint(name, winner))
        _OF_RUN[name] = folder
    return [*winners]


def _slug(text: str, decimals: bool = False) -> str:
    """A text in ``[a-z0-9_]``; with ``decimals`` 0.5M is 0p5m."""
    lower = text.lower()
    if decimals:
        lower = re.sub(r"(?<=\d)\.(?=\d)", "p", lower)
    return re.sub(r"[^a-z0-9]+", "_", lower).strip("_") or "run"


def _cfg(name: str, winner: Winner) -> PretrainedCfg:
    known = {field.name for field in dataclasses.fields(PretrainedCfg)}
    net: Any = winner.create_model(pretrained=False)
    own = {key: value for key, value in net.pretrained_cfg.items() if key in known and key not in ("url", "tag")}
    return PretrainedCfg(
        **own
        | winner.carried.data_config()
        | {
            "architecture": name,
            "file": None if winner.weights is None else str(winner.weights.absolute()),
            "source": "file",
            "num_classes": winner.config.num_classes,
            "label_names": winner.carried.label_names or None,
        }
    )


def _entrypoint(name: str, winner: Winner) -> Callable[..., nn.Module]:
    model, arguments = families.timm_call(winner.config.model, winner.arguments)
    own = {**arguments, "num_classes": winner.config.num_classes, "in_chans": winner.config.input_size[0]}

    def create(pretrained: bool = False, **kwargs: Any) -> nn.Module:
        cfg = kwargs.pop("pretrained_cfg", None) or timm.models.get_pretrained_cfg(name)
        net: Any = model_entrypoint(model)(pretrained=pretrained, pretrained_cfg=cfg, **{**own, **kwargs})
        # Saved by timm it comes back in any process, where this name is not known.
        net.pretrained_cfg = net.default_cfg = {**net.pretrained_cfg, "architecture": model}
        net._model_args = {**getattr(net, "_model_args", {}), **own}
        built: nn.Module = net
        return built

    create.__name__ = create.__qualname__ = name
    create.__module__ = __name__
    create.__doc__ = f"{winner.line}, trained: trial {winner.trial.number} of {winner.folder}."
    return create

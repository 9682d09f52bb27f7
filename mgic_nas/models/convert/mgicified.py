"""``timm.create_model("mgicified", base="resnet18", s_g=16, s_c=32)``: any converted network under one timm name.

So a converted network that was saved by timm comes back with its weights, and a search can build it like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import timm
import torch
from timm.models import (
    build_model_with_cfg,
    generate_default_cfgs,
    get_pretrained_cfg,
    is_model,
    list_models,
    register_model,
)
from timm.models._features_fx import FeatureGraphNet
from torch import nn

from ...errors import UserError, did_you_mean
from ..mgic import TRANSFER_INIT, ZERO_INIT_CORRECTION
from ..rows import check_levels
from .also import check_also
from .blueprint import convert

_WEIGHTS = ("url", "file", "state_dict", "hf_hub_id", "hf_hub_filename", "source", "tag", "custom_load", "label_offset")
_ONLY_FEATURES = ("features_only", "feature_cls", "feature_cfg", "out_indices")
_ONLY_LOADING = ("pretrained_cfg_overlay", "cache_dir", "pretrained_model_args")


def _cfg(base: str) -> dict[str, Any]:
    """The base's own preprocessing, stem and classifier, without its weights: they would not fit."""
    cfg = get_pretrained_cfg(base)  # None for a deprecated name
    fields = cfg.to_dict() if cfg else timm.create_model(base, device=torch.device("meta")).pretrained_cfg
    return {**{k: v for k, v in fields.items() if k not in _WEIGHTS}, "url": "", "architecture": "mgicified"}


default_cfgs = generate_default_cfgs({"mgicified": _cfg("resnet18")})


def _given_cfg(base: str, cfg: Any) -> dict[str, Any]:
    """The cfg of saved weights as it is; else the base's, with what the given one changes of the registered one.

    timm's scripts look up what is registered and pass it on: it is one base's, and its mean and std not another's.
    """
    if not cfg or isinstance(cfg, str):
        return _cfg(base)
    given: dict[str, Any] = dict(cfg) if isinstance(cfg, dict) else cfg.to_dict()
    if any(given.get(key) for key in _WEIGHTS):
        return given
    registered = default_cfgs["mgicified"].default.to_dict()
    return {**_cfg(base), **{k: v for k, v in given.items() if k not in registered or registered[k] != v}}


def _also(names: tuple[str, ...]) -> dict[str, Any]:
    return {"also": list(names)} if names else {}  # a list: what JSON gives back


def _build(base: str, choices: dict[str, Any], **kwargs: Any) -> nn.Module:
    net = timm.create_model(base, **kwargs)
    _convert(net, choices)
    return net


def _convert(net: nn.Module, choices: dict[str, Any]) -> None:
    if "levels" not in choices:
        convert(net, **choices)


def _features(base: str, choices: dict[str, Any], pretrained: bool, cfg: dict[str, Any], **kwargs: Any) -> nn.Module:
    """The base's own ``features_only`` network, converted where it stands; hooks follow their blocks."""
    loading = {k: kwargs.pop(k) for k in _ONLY_LOADING if k in kwargs}
    kwargs.setdefault("in_chans", cfg["input_size"][0])
    if "feature_cls" in kwargs.get("feature_cfg", {}):  # the other way of saying it
        kwargs["feature_cls"] = kwargs["feature_cfg"]["feature_cls"]
        kwargs["feature_cfg"] = {k: v for k, v in kwargs["feature_cfg"].items() if k != "feature_cls"}
    rest = {k: v for k, v in kwargs.items() if k not in _ONLY_FEATURES}
    if kwargs.get("feature_cls") == "fx":  # traces the blocks away: convert first

        def convert_and_trace(net: nn.Module, **feature_cfg: Any) -> nn.Module:
            _convert(net, choices)
            return FeatureGraphNet(net, **feature_cfg)

        net = timm.create_model(base, **{**kwargs, "feature_cls": convert_and_trace})
    else:
        net = _build(base, choices, **kwargs)
    if pretrained:
        whole = mgicified(True, base=base, pretrained_cfg=cfg, **choices, **loading, **rest)
        _copy_weights(whole, net)
    return net


def _copy_weights(whole: nn.Module, features: nn.Module) -> None:
    """From a network to a feature extractor of it, which may hold it in a child or have renamed ``a.0`` to ``a_0``."""
    weights = {name.replace(".", "_"): tensor for name, tensor in whole.state_dict().items()}
    with torch.no_grad():
        for name, tensor in features.state_dict().items():
            _, _, inner = name.partition(".")
            names = (name.replace(".", "_"), inner.replace(".", "_"))
            tensor.copy_(next(weights[n] for n in names if n in weights))


@register_model
def mgicified(
    pretrained: bool = False,
    base: str = "resnet18",
    s_g: int = 64,
    s_c: int = 64,
    min_levels: int = 0,
    min_groups: int = 1,
    levels: str = "auto",
    transfer_init: str = TRANSFER_INIT,
    zero_init_correction: bool = ZERO_INIT_CORRECTION,
    also: str | Sequence[str] = (),
    **kwargs: Any,
) -> nn.Module:
    """The timm network ``base`` with its residual blocks in MGIC form; further arguments are those of ``base``.

    ``levels="none"`` leaves every block as it is: ``base`` itself. ``also`` is that of :func:`mgic_nas.mgicify`.
    """
    if not isinstance(base, str) or not is_model(base):
        raise UserError(f"Unknown model {base!r}.{did_you_mean(str(base), list_models())}")
    choices: dict[str, Any] = {"s_g": s_g, "s_c": s_c, "min_levels": min_levels, "min_groups": min_groups}
    choices |= {"transfer_init": transfer_init, "zero_init_correction": zero_init_correction}
    choices |= _also(check_also(also))
    if check_levels(levels):
        choices["levels"] = levels
    cfg = _given_cfg(base, kwargs.pop("pretrained_cfg", None))
    net: Any
    if kwargs.get("features_only"):
        net = _features(base, choices, pretrained, cfg, **kwargs)
    else:
        net = build_model_with_cfg(
            partial(_build, base, choices), "mgicified", pretrained, pretrained_cfg=cfg, **kwargs
        )
    net._model_args = {**getattr(net, "_model_args", {}), "base": base, **choices}
    return net


def name_as_mgicified(net: Any) -> None:
    """Lets timm save a network that was converted after it was built, so that it comes back converted."""
    cfg = getattr(net, "pretrained_cfg", None) or {}
    base = cfg.get("architecture")
    if not base or not is_model(base):
        return
    kept = {k: v for k, v in cfg.items() if k not in _WEIGHTS}
    net.pretrained_cfg = net.default_cfg = {**kept, "url": "", "architecture": "mgicified"}
    report = net.mgic_report
    names = ("s_g", "s_c", "min_levels", "min_groups", "transfer_init", "zero_init_correction")
    choices = {k: getattr(report, k) for k in names}
    choices |= _also(report.also)
    net._model_args = {**getattr(net, "_model_args", {}), "base": base, **choices}

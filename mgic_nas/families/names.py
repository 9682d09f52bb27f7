"""Model names of a search, and how people write them in Python. Imports nothing heavy: reports use it too."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from .._registry import Registry

if TYPE_CHECKING:
    from .base import Family

#: The networks that are no timm names, by the module of :mod:`mgic_nas.models` that builds them: its ``NETWORKS``,
#: repeated here so that a line can be printed without importing torch.
NETWORKS = {
    "segmentation": ("mgic_lraspp_mobilenetv3_large", "mgic_lraspp_mobilenetv3_small"),
    "points": ("dgcnn", "diffgcn", "mgic_diffgcn"),
    "implicit": ("implicit_mobilenetv3", "implicit_ghostnet", "implicit_mgic_mobilenetv3"),
}


class Start(NamedTuple):
    """How the networks of a family begin: arguments that change the first weights alone.

    Attributes:
        first: in the versions that did not record it. A config, an arch_id and a run that do not name an argument mean
            this value.
        now: as ``create_model`` has it, and new searches name it.
    """

    first: dict[str, Any]
    now: dict[str, Any]


_TRANSFERS = Start(
    {"transfer_init": "uniform", "zero_init_correction": False},
    {"transfer_init": "aggregation", "zero_init_correction": True},
)
_RESNET = Start(
    {**_TRANSFERS.first, "zero_init_last": True, "group_fan": False},
    {**_TRANSFERS.now, "zero_init_last": True, "group_fan": True},
)
_MOBILENET = Start({**_TRANSFERS.first, "zero_init_last": False}, {**_TRANSFERS.now, "zero_init_last": True})
#: By how the model's name begins; repeated from the models' signatures for the same reason as :data:`NETWORKS`.
_STARTS = {
    "mgic_resn": _RESNET,
    "mgic_mobilenetv3": _MOBILENET,
    "mgic_lraspp": _MOBILENET,
    "mgicif": _TRANSFERS,
    "mgic_diffgcn": _TRANSFERS,
    "implicit_": _TRANSFERS,
}


def start_of(model: str) -> Start:
    """How the networks of a model begin; of other people's models nothing is known."""
    return next((start for begin, start in _STARTS.items() if model.startswith(begin)), Start({}, {}))


def recorded_config(model: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """A config that a run or a table holds, with the start that it means where it does not name it."""
    return {**start_of(model).first, **config}


#: Makers of families, called with the model's name. Row families, ``mgicify:NAME`` and timm's names are not listed:
#: :func:`~mgic_nas.families.registry.family` recognises them. From outside the package:
#: ``FAMILIES.register("mine", "my_package.families:MyFamily")``.
FAMILIES: Registry[Callable[[str], Family]] = Registry(
    "model",
    {name: "mgic_nas.families.networks:NetworkFamily" for names in NETWORKS.values() for name in names},
    home=f"{__name__}:FAMILIES",
)

#: The model's name in a run whose settings are no network's.
SETTINGS = "settings"

#: Families that :func:`~mgic_nas.families.own.register_family` made in this process -> the module of their builder.
OWN_MODULES: dict[str, str] = {}


def network_names() -> list[str]:
    """The names in :data:`FAMILIES`: networks that timm does not build."""
    return sorted(FAMILIES)


def timm_call(model: str, config: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The name and the arguments with which ``timm.create_model`` builds a config of a model.

    ``mgicify:resnet18`` is how a search space names a converted network; to timm it is ``mgicified`` with a base.
    """
    prefix, colon, base = model.partition(":")
    if colon and prefix == "mgicify":
        return "mgicified", {"base": base, **config}
    return model, dict(config)


def in_timm(model: str) -> bool:
    """Whether ``timm.create_model`` builds a model of a search; else :func:`mgic_nas.create_model` does."""
    return model not in FAMILIES


def create_model_line(
    model: str, config: Mapping[str, Any], num_classes: int, in_chans: int, by_timm: bool | None = None
) -> str:
    """The line that builds a network, untrained, after ``import timm, mgic_nas``; of :data:`SETTINGS` a dict.

    Arguments of its start that are this version's defaults are left out. ``by_timm``: whether timm builds it, where
    this process may not know its family.
    """
    if model == SETTINGS:
        return f"dict({', '.join(f'{k}={literal(v)}' for k, v in config.items())})"
    now = start_of(model).now
    ordered = sorted(config.items(), key=lambda item: item[0] in now)  # the start last
    name, arguments = timm_call(model, {k: v for k, v in ordered if k not in now or v != now[k]})
    arguments |= {"num_classes": num_classes, "in_chans": in_chans}
    module = "timm" if (in_timm(model) if by_timm is None else by_timm) else "mgic_nas"
    return f"{module}.create_model({literal(name)}, {', '.join(f'{k}={literal(v)}' for k, v in arguments.items())})"


def literal(value: Any) -> str:
    """A value as people write it in Python, texts in double quotes."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(literal, value))}]"
    return repr(value)

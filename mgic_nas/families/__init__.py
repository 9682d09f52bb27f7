"""What the search needs of a network family: ``canonical``, ``cost``, ``build``.

:func:`family` finds one by its name. Row families get all three from their rows; others are counted once on the meta
device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_exports

if TYPE_CHECKING:
    from .base import Family
    from .mgicified import MgicifiedFamily
    from .names import (
        FAMILIES,
        OWN_MODULES,
        SETTINGS,
        create_model_line,
        in_timm,
        literal,
        network_names,
        recorded_config,
        start_of,
        timm_call,
    )
    from .own import SettingsFamily, recorded_family, register_family
    from .registry import family, model_names

__all__ = [
    "FAMILIES",
    "OWN_MODULES",
    "SETTINGS",
    "Family",
    "MgicifiedFamily",
    "SettingsFamily",
    "create_model_line",
    "family",
    "in_timm",
    "literal",
    "model_names",
    "network_names",
    "recorded_config",
    "recorded_family",
    "register_family",
    "start_of",
    "timm_call",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "FAMILIES": ".names",
        "Family": ".base",
        "MgicifiedFamily": ".mgicified",
        "OWN_MODULES": ".names",
        "SETTINGS": ".names",
        "SettingsFamily": ".own",
        "create_model_line": ".names",
        "family": ".registry",
        "in_timm": ".names",
        "literal": ".names",
        "model_names": ".registry",
        "network_names": ".names",
        "recorded_config": ".names",
        "recorded_family": ".own",
        "register_family": ".own",
        "start_of": ".names",
        "timm_call": ".names",
    },
)

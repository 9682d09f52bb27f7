"""Model names of a search as timm knows them. Imports nothing: reports use it too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def timm_call(model: str, config: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The name and the arguments with which ``timm.create_model`` builds a config of a model.

    ``mgicify:resnet18`` is how a search space names a converted network; to timm it is ``mgicified`` with a base.
    """
    prefix, colon, base = model.partition(":")
    if colon and prefix == "mgicify":
        return "mgicified", {"base": base, **config}
    return model, dict(config)

"""Packages that may be missing."""

from __future__ import annotations

import importlib
from typing import Any

from ..errors import UserError


def package(name: str) -> Any:
    """The module of a package that is no dependency; UserError, with the command that installs it, for none."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        top = name.partition(".")[0]
        extra = "openvino" if top == "openvino" else "export"
        whole = f"pip install '.[{extra}]' in a clone for all that is needed with it"
        raise UserError(f"{name} cannot be used ({error}): pip install {top}, or {whole}.") from None

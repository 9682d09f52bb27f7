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
        raise UserError(f"{name} cannot be used ({error}): pip install {name.partition('.')[0]}.") from None

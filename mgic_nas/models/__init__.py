"""What the networks are.

A family is one file ``mgic_<family>.py`` in timm's shape; it is found by its name, so a new one touches no other file.
Importing this package imports torch and timm and registers every name.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

_FAMILY_FILES = sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name.startswith("mgic_"))


def family_modules() -> list[ModuleType]:
    """The imported family files, each with ``archs`` (name -> arguments) and its rows function."""
    return [importlib.import_module(f"{__name__}.{name}") for name in _FAMILY_FILES]


family_modules()
importlib.import_module(f"{__name__}.convert.mgicified")  # one entry point for every converted network; no rows

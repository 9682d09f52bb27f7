"""The family of any model name."""

from __future__ import annotations

from functools import cache

from timm.models import is_model, list_models

from ..errors import UserError, did_you_mean
from ..models import family_modules
from .base import Family
from .counted import TimmFamily
from .mgicified import MgicifiedFamily
from .names import FAMILIES
from .rows import RowFamily


def model_names() -> list[str]:
    """Every registered MGIC name."""
    return sorted(name for module in family_modules() for name in module.archs)


@cache
def family(name: str) -> Family:
    """The family behind a model name: ours, one of :data:`FAMILIES`, or any that timm knows. UserError for others."""
    for module in family_modules():
        if name in module.archs:
            return RowFamily(name, module)
    if isinstance(name, str) and (name == "mgicified" or name.startswith("mgicify:")):
        return MgicifiedFamily(name)
    if name in FAMILIES:
        return FAMILIES.load(name)(name)
    if isinstance(name, str) and is_model(name):
        return TimmFamily(name)
    known = [*model_names(), *FAMILIES, *list_models()]
    raise UserError(
        f"Unknown model {name!r}.{did_you_mean(str(name), known)} `mgic-nas models` lists ours; "
        "a family of your own is known once its module is imported (on the command line: --trust MODULE)."
    )

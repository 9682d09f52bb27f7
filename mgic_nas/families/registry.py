"""What the search needs of any family: ``canonical``, ``cost``, ``build``.

Row families get all three from their rows. Any other timm name is counted once on the meta device and remembered.
"""

from __future__ import annotations

from functools import cache

from timm.models import is_model, list_models

from ..errors import UserError, did_you_mean
from ..models import family_modules
from .base import Family
from .counted import TimmFamily
from .mgicified import MgicifiedFamily
from .networks import network_family, network_names
from .rows import RowFamily


def model_names() -> list[str]:
    """Every registered MGIC name."""
    return sorted(name for module in family_modules() for name in module.archs)


@cache
def family(name: str) -> Family:
    """The family behind a model name. UserError for a name that timm does not know."""
    for module in family_modules():
        if name in module.archs:
            return RowFamily(name, module)
    if isinstance(name, str) and (name == "mgicified" or name.startswith("mgicify:")):
        return MgicifiedFamily(name)
    if isinstance(name, str) and is_model(name):
        return TimmFamily(name)
    if found := network_family(name):
        return found
    known = [*model_names(), *network_names(), *list_models()]
    raise UserError(f"Unknown model {name!r}.{did_you_mean(str(name), known)} `mgic-nas models` lists ours.")

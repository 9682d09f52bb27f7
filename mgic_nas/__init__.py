"""mgic_nas: neural architecture search over multigrid-in-channels (MGIC) networks.

Importing it registers the ``mgic_*`` names with timm (lazily: timm itself is not imported here).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._lazy import lazy_exports
from ._registration import register_with_timm
from ._version import __version__

if TYPE_CHECKING:
    from .cost import Cost
    from .cost.fused import fuse
    from .errors import Interrupted, MachineFault, UserError
    from .families import register_family
    from .networks import create_model, load_winner, mgicify
    from .profiling import profile
    from .recalibration import recalibrate
    from .registered_runs import register_run
    from .retraining.single import train_network
    from .run import Run, load_run, search
    from .scoring import score
    from .shipping import export_network
    from .space import SearchSpace
else:  # so that a type checker reports a name that does not exist
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "Cost": ".cost",
            "Interrupted": ".errors",
            "MachineFault": ".errors",
            "Run": ".run",
            "SearchSpace": ".space",
            "UserError": ".errors",
            "create_model": ".networks",
            "export_network": ".shipping",
            "fuse": ".cost.fused",
            "load_run": ".run",
            "load_winner": ".networks",
            "mgicify": ".networks",
            "profile": ".profiling",
            "recalibrate": ".recalibration",
            "register_family": ".families",
            "register_run": ".registered_runs",
            "score": ".scoring",
            "search": ".run",
            "train_network": ".retraining.single",
        },
    )


__all__ = [
    "Cost",
    "Interrupted",
    "MachineFault",
    "Run",
    "SearchSpace",
    "UserError",
    "__version__",
    "create_model",
    "export_network",
    "fuse",
    "load_run",
    "load_winner",
    "mgicify",
    "profile",
    "recalibrate",
    "register_family",
    "register_run",
    "score",
    "search",
    "train_network",
]

register_with_timm()

"""What may be searched: YAML to :class:`SearchSpace`, budgets, and what a space holds before anything is trained."""

from __future__ import annotations

import importlib
from typing import Any

_API = {
    "SearchSpace": "._space",
    "Candidate": "._feasible",
    "Candidates": "._feasible",
    "Budget": "._budget",
    "parse_budget": "._budget",
    "parse_budgets": "._budget",
    "hard_limits": "._budget",
    "within": "._budget",
    "Survey": "._survey",
    "survey": "._survey",
    "shipped_spaces": "._shipped",
}

__all__ = sorted(_API)


def __getattr__(name: str) -> Any:
    if name in _API:
        return getattr(importlib.import_module(_API[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

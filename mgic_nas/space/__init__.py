"""What may be searched: YAML to :class:`SearchSpace`, budgets, and what a space holds before anything is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_exports

if TYPE_CHECKING:
    from .budget import Budget, hard_limits, parse_budget, parse_budgets, within
    from .feasible import Candidate, Candidates, FeasibleSet, Space
    from .search_space import SearchSpace
    from .shipped import shipped_spaces
    from .survey_result import Survey

__all__ = [
    "Budget",
    "Candidate",
    "Candidates",
    "FeasibleSet",
    "SearchSpace",
    "Space",
    "Survey",
    "hard_limits",
    "parse_budget",
    "parse_budgets",
    "shipped_spaces",
    "within",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "Budget": ".budget",
        "Candidate": ".feasible",
        "Candidates": ".feasible",
        "FeasibleSet": ".feasible",
        "SearchSpace": ".search_space",
        "Space": ".feasible",
        "Survey": ".survey_result",
        "hard_limits": ".budget",
        "parse_budget": ".budget",
        "parse_budgets": ".budget",
        "shipped_spaces": ".shipped",
        "within": ".budget",
    },
)

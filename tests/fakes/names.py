"""The registered names as tests run over them: all of them, or one of each kind."""

from __future__ import annotations

from typing import Any

import pytest

from mgic_nas.families import family, model_names

NAMES = model_names()
#: One MGIC block a stage, on several levels.
SHORT: dict[str, Any] = {"depths": 1, "s_g": 8, "s_c": 8}


def narrow(name: str) -> dict[str, Any]:
    """Arguments of a network that is short and narrow: names that differ in depths and widths alone are equal then."""
    exp_mult = {"exp_mult": 1.0} if "exp_mult" in family(name).arguments else {}
    return {**SHORT, "s_c": 16, "width_mult": 0.25, **exp_mult}


def one_of_each_kind() -> list[Any]:
    """The names as parameters of a test; those that are equal to an earlier one once they are narrow are slow tests."""
    seen: set[str] = set()
    found = []
    for name in NAMES:
        arch_id = family(name).arch_id(narrow(name))
        found.append(pytest.param(name, marks=[pytest.mark.slow] if arch_id in seen else []))
        seen.add(arch_id)
    return found

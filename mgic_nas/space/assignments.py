"""``--set name=value``: settings as people type them, with values as in YAML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import UserError
from .document import read_yaml


def assignments(option: str, texts: Sequence[str], example: str = "s_g=8") -> dict[str, Any]:
    """Name -> value. UserError, naming the option, for a text that is none, no YAML behind it, or a name twice."""
    config: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UserError(f"{option} takes name=value, such as {example}, not {text!r}.")
        key = key.strip()
        if key in config:
            raise UserError(f"{option} {key} is given twice: keep one.")
        try:
            config[key] = read_yaml(value, "")[0]
        except UserError as error:
            reason = str(error).removeprefix(", line 1").removeprefix(":").strip()
            raise UserError(
                f"{option} {key}: {value!r} is not a value ({reason}); lists are written [0.5, 1.0]."
            ) from None
        if config[key] is None and value.strip() not in ("null", "~"):
            raise UserError(f"{option} {key} has no value: write one, or null.")
    return config


def recipe_of(name: str | None, settings: Sequence[str], default: str) -> str | dict[str, Any] | None:
    """What ``--recipe`` and ``--set-recipe`` say together; None where they say nothing."""
    changes = assignments("--set-recipe", settings, "lr=0.05")
    return {"name": name or default, **changes} if changes else name

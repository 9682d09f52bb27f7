"""Modules that a user trusts on the command line: imported because he names them, never because a file does."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable

from .errors import UserError

_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def import_trusted(modules: Iterable[str]) -> None:
    """Imports each, which registers what it has for searches.

    The current folder is not put on the path: a module is found where Python finds any other.

    Raises:
        UserError: no module's name, or it cannot be imported.
    """
    for module in modules:
        if not _NAME.fullmatch(module):
            raise UserError(f"--trust takes a module's name, such as my_package.families, not {module!r}.")
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module}.".startswith(f"{error.name}."):
                raise UserError(f"--trust {module}: it needs {error.name}, which is not installed.") from None
            raise UserError(
                f"--trust {module}: there is no such module; the current folder is not searched: install it, or name "
                "its folder in PYTHONPATH."
            ) from None
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".removesuffix(".")
            raise UserError(f"--trust {module}: it cannot be imported: {reason}.") from None

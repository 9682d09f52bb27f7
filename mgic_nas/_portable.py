"""Functions, classes and objects of a user as text for worker processes, which import them by their place.

Only from a driver to its workers: nothing of it is ever written into a run, and nothing that is read is a text of this
kind. What a script defines goes by the script's own name, as which its folder makes it importable.
"""

from __future__ import annotations

import base64
import contextlib
import importlib
import importlib.util
import io
import os
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from types import BuiltinFunctionType, FunctionType
from typing import Any

from ._registry import NotImportable
from .errors import UserError

MOST_BYTES = 1_000_000  # of what travels with every job

_importing: list[str] = []  # what this process imports at this moment because a job needs it


def to_text(value: Any, what: str) -> str:
    """``value`` as text.

    Raises:
        UserError: it is (or holds) something that another process cannot import, such as a lambda.
    """
    buffer = io.BytesIO()
    try:
        _Pickler(buffer).dump(value)
    except UserError as error:
        raise UserError(f"{what}: {error}") from None
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        reason = " ".join(str(error).split())[:200].removesuffix(".")
        raise UserError(
            f"{what} cannot be given to worker processes ({reason}): define it at the top level of a module."
        ) from None
    if len(found := buffer.getvalue()) > MOST_BYTES:
        raise UserError(
            f"{what} carries {len(found):,} bytes, which would go with every job: load its data inside the function."
        )
    return base64.b64encode(found).decode()


def from_text(text: str, what: str) -> Any:
    """What :func:`to_text` was given, with its modules imported now.

    Raises:
        NotImportable: one of them cannot be imported in this process.
    """
    with importing(what):
        return pickle.loads(base64.b64decode(text))


@contextlib.contextmanager
def importing(what: str) -> Iterator[None]:
    """Around an import that a job or a user asked for; whatever a module raises is a :class:`NotImportable`."""
    _importing.append(what)
    try:
        yield
    except NotImportable:
        raise
    except Exception as error:
        raise NotImportable(f"{what} cannot be imported in this process: {type(error).__name__}: {error}.") from None
    finally:
        _importing.pop()


def refuse_while_importing(call: str) -> None:
    """UserError where a module makes ``call`` at its import: a worker that needs a function of it would make it too."""
    if _importing:
        raise UserError(
            f"{call} is called when {_importing[-1]} is imported: put the call under if __name__ == '__main__':"
        )


def module_of(value: Any) -> str:
    """The name under which another process can import the module of a function, a class, or an object's class.

    Raises:
        UserError: it was defined in an interactive session, or in a script that cannot be imported.
    """
    while hasattr(value, "func") and hasattr(value, "args"):  # functools.partial
        value = value.func
    kinds = (type, FunctionType, BuiltinFunctionType)
    name = (value if isinstance(value, kinds) else getattr(value, "__func__", type(value))).__module__
    return script_module() if name == "__main__" else str(name)


def place_of(value: Any) -> str:
    """``module:name`` of a function, a class, or an object's class, for people."""
    while hasattr(value, "func") and hasattr(value, "args"):
        value = value.func
    name = getattr(value, "__qualname__", type(value).__qualname__)
    return f"{module_of(value)}:{name}"


def script_module() -> str:
    """The name under which another process can import the script that runs."""
    main = sys.modules["__main__"]
    if (spec := getattr(main, "__spec__", None)) is not None:  # python -m
        return str(spec.name)
    file = getattr(main, "__file__", None)
    if file is None:
        raise UserError("it is defined in an interactive session: move it to a module (a .py file), and import it.")
    stem = Path(file).stem
    found = importlib.util.find_spec(stem) if stem.isidentifier() else None
    if found is None or found.origin is None or not os.path.samefile(found.origin, file):
        raise UserError(f"it is defined in {file}, which cannot be imported as {stem!r}: rename the file.")
    return stem


class _Pickler(pickle.Pickler):
    """What a script defines is named by the script's module."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, type | FunctionType) and obj.__module__ == "__main__" and "<" not in obj.__qualname__:
            return _attribute, (script_module(), obj.__qualname__)
        return NotImplemented


def _attribute(module: str, name: str) -> Any:
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found

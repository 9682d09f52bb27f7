"""Names of samplers, schedulers, executors, families, blocks and tasks: one light registry for each kind.

A registry maps names to objects, or to ``"module:attribute"`` texts that are imported when the object is asked for, so
that to know the names costs nothing. Whoever adds to a kind from outside the package calls :meth:`Registry.register`.

Trainings run in other processes, where a registration made in the driver's process has not happened. So the entries
of the kinds that a training needs travel with every job's setup (:func:`registrations`) and are made again in the
worker (:func:`register_again`). They are never written to disk: no run folder names code.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from .errors import UserError, did_you_mean

T = TypeVar("T")

Registration = tuple[str, str, str]  # home of the registry, name, "module:attribute"

_REGISTRATIONS: dict[tuple[str, str], str] = {}  # (home, name) -> "module:attribute", from outside the package


class NotImportable(UserError):
    """A registered name whose module cannot be imported in this process."""


class Registry(Generic[T]):
    """The names of one kind, in the order in which they were given.

    Args:
        kind: what an entry is, for messages: ``"sampler"``.
        entries: name -> object, or ``"module:attribute"``.
        home: ``"module:attribute"`` of this registry itself, where trainings need its entries; empty where only the
            driver does.
    """

    def __init__(self, kind: str, entries: Mapping[str, T | str], home: str = "") -> None:
        self.kind = kind
        self._entries: dict[str, T | str] = dict(entries)
        self._home = home

    def register(self, name: str, entry: T | str, travels: bool = True) -> None:
        """Adds a name.

        Args:
            name: a new one, or the name of the same entry (registering again changes nothing).
            entry: the object, or ``"module:attribute"`` of it.
            travels: to the worker processes, where trainings need it; else somebody else sees to that
                (:func:`remember`).

        Raises:
            UserError: the name belongs to another entry.
        """
        known = self._entries.get(name)
        if known is not None and known != entry and _target(known) != _target(entry):
            raise UserError(f"there is a {self.kind} named {name!r} already: choose another name.")
        if travels and self._home and _target(entry).endswith("?"):
            raise TypeError(f"register a {self.kind} by its place, 'module:attribute': worker processes import it.")
        self._entries.setdefault(name, entry)
        if travels and self._home and not _target(entry).startswith("mgic_nas."):
            _REGISTRATIONS[self._home, name] = _target(entry)

    def check(self, name: str) -> str:
        """``name`` where it is registered, else a UserError that names those that are."""
        if not isinstance(name, str) or name not in self._entries:
            hint = did_you_mean(str(name), self._entries) or f" Known: {', '.join(sorted(self._entries))}."
            raise UserError(f"Unknown {self.kind} {name!r}.{hint}")
        return name

    def load(self, name: str) -> T:
        """The object of a name, imported now where need be. UserError for an unknown name."""
        entry = self._entries[self.check(name)]
        if isinstance(entry, str):
            entry = self._entries[name] = _load(entry, f"{self.kind} {name!r}")
        return entry

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._entries))

    def __len__(self) -> int:
        return len(self._entries)


def remember(home: str, name: str, text: str) -> None:
    """Adds to :func:`registrations`: a worker calls ``register(name, text)`` of the object at ``home``."""
    _REGISTRATIONS[home, name] = text


def registrations() -> tuple[Registration, ...]:
    """What was registered in this process from outside the package and trainings may need."""
    return tuple((home, name, target) for (home, name), target in _REGISTRATIONS.items())


def register_again(found: Iterable[Registration]) -> None:
    """Makes another process's :func:`registrations` in this one.

    Each is imported when it is asked for, so that one which is not needed may be missing here; one that is needed
    then raises :class:`NotImportable`.
    """
    for home, name, target in found:
        registry: Registry[object] = _load(home, "registry")
        if name not in registry:  # importing its module may have registered it
            registry.register(name, target)


def _target(entry: object) -> str:
    if isinstance(entry, str):
        return entry
    return f"{getattr(entry, '__module__', '?')}:{getattr(entry, '__qualname__', '?')}"


def _load(target: str, what: str) -> Any:
    module, _, attribute = target.partition(":")
    if module == "__main__":
        raise NotImportable(
            f"the {what} was registered from a script, which a worker process cannot import: "
            "move it to a module beside the script and import it from there."
        )
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise NotImportable(f"the {what} cannot be imported from {module!r} in this process: {error}.") from None

"""Registers the models with timm, whichever of the two is imported first, without importing timm here.

timm has no plug-in mechanism, and importing it costs seconds that ``mgic-nas --help`` should not pay. So where timm
is not loaded yet, a finder waits for it and registers right after timm's own package has executed.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType


def _register() -> None:
    importlib.import_module("mgic_nas.models")


class _TimmLoader(Loader):
    """timm's own loader, and our registration after it."""

    def __init__(self, loader: Loader, finder: MetaPathFinder) -> None:
        self._loader = loader
        self._finder = finder

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        # Only now: somebody who merely calls importlib.util.find_spec("timm") must not use the finder up.
        if self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)
            _register()

    def __getattr__(self, name: str) -> object:  # get_data, is_package, ...: whatever timm's loader offers
        return getattr(self._loader, name)


class _TimmFinder(MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "timm":
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _TimmLoader(spec.loader, self)
        return spec


def register_with_timm() -> None:
    """Registers now where timm is loaded, else when it will be."""
    if "timm" in sys.modules and hasattr(sys.modules["timm"], "create_model"):
        _register()
    elif not any(isinstance(finder, _TimmFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _TimmFinder())

"""A table by its path: one that ``mgic-nas record`` made, or somebody else's."""

from __future__ import annotations

from pathlib import Path

from .columns import is_foreign
from .foreign import ForeignTable
from .table import Table

AnyTable = Table | ForeignTable


def open_table(path: str | Path) -> AnyTable:
    """UserError where there is none, or none that can be read."""
    return ForeignTable(path) if is_foreign(Path(path)) else Table(path)

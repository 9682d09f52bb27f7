"""The paper's tables beside what this code gives: parameters and MACs counted live, accuracies where recorded.

    from mgic_nas.tables import compare, text, to_json, page
    tables = compare(["5", "7"])          # no numbers: every table
    print(text(tables))

``mgic-nas tables`` prints them; ``mgic-nas tables --markdown > runs/tables/README.md`` makes the page that explains
what is left of a difference.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mgic_nas.tables._compare import Compared, ComparedTable, compare
    from mgic_nas.tables._write import page, text, to_json

_API = {
    "Compared": "_compare",
    "ComparedTable": "_compare",
    "compare": "_compare",
    "page": "_write",
    "text": "_write",
    "to_json": "_write",
}

__all__ = ["Compared", "ComparedTable", "compare", "page", "text", "to_json"]


def __getattr__(name: str) -> Any:
    if name in _API:
        return getattr(importlib.import_module(f"{__name__}.{_API[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

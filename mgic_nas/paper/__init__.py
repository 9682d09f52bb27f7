"""The paper's tables beside what this code gives: parameters and MACs counted live, accuracies where recorded.

    from mgic_nas.paper.compare import compare
    from mgic_nas.paper import text, to_json, page
    tables = compare(["5", "7"])          # no numbers: every table
    print(text(tables))

``mgic-nas tables`` prints them; ``mgic-nas tables --markdown > runs/tables/README.md`` makes the page that explains
what is left of a difference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_exports

if TYPE_CHECKING:
    from .compare import Compared, ComparedTable
    from .write import page, text, to_json

__all__ = ["Compared", "ComparedTable", "page", "text", "to_json"]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "Compared": ".compare",
        "ComparedTable": ".compare",
        "page": ".write",
        "text": ".write",
        "to_json": ".write",
    },
)

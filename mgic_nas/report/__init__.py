"""What came out of a run, for a person: report.html, report.md, front.png, tables, and winners that timm loads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


def build(folder: str | Path, reference: str | Path | None = None, echo: Callable[[str], object] | None = None) -> Path:
    """Builds the report of a run from what is on disk: while it runs, after it was interrupted, when it is over.

    Writes trials.csv, front.csv, budgets.csv, winners/<budget>/, front.png, report.md and report.html into the run's
    folder, each whole or not at all. Winners that have not changed are not written again, those of earlier builds
    that no longer win are removed.

    Args:
        folder: the run (the folder with run.yaml).
        reference: a csv of points to lay over the front: columns name, macs or gmacs, top1 or val_acc.
        echo: called with one line for everything worth telling: a winner whose weights are missing, say.

    Returns:
        The path of report.html.

    Raises:
        UserError: no run in the folder, or a reference csv that cannot be read or lacks columns.
    """
    from ._build import build as build_now

    return build_now(folder, reference, echo)

"""Builds everything that a report is, from what is on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .._files import alone, write_atomic
from ..engine.storage.config import RunConfig
from ..engine.storage.record import write_trials_csv
from ..engine.storage.study import STUDY_DB
from . import notes
from .data import Summary
from .gather import gather
from .markdown import markdown
from .page import page
from .picture import front_png
from .tables import budgets_csv, front_csv
from .watched import RELOAD_SECONDS, is_watched
from .winners import export_winners


def build(
    folder: str | Path,
    reference: str | Path | None = None,
    echo: Callable[[str], object] | None = None,
    *,
    apart: bool = False,
) -> Path:
    """Builds the report of a run from what is on disk: while it runs, after it was interrupted, when it is over.

    Writes trials.csv, front.csv, budgets.csv, winners/<budget>/, front.png, report.md and report.html into the run's
    folder, each whole or not at all. Winners that have not changed are not written again, those of earlier builds
    that no longer win are removed.

    Args:
        folder: the run (the folder with run.yaml).
        reference: a csv of points to lay over the front: columns name, macs or gmacs, top1 or val_acc, data,
            input_size. Those of other data or another input size are left out.
        echo: called with one line for everything worth telling: a winner whose weights are missing, say.
        apart: with the points of other data or another input size, drawn visibly apart.

    Returns:
        The path of report.html.

    Raises:
        UserError: no run in the folder, or a reference csv that cannot be read or lacks columns.
    """
    folder = Path(folder)
    written(folder, reference, echo or (lambda line: None), apart=apart)
    return folder / "report.html"


def written(folder: Path, reference: str | Path | None, say: Callable[[str], object], *, apart: bool) -> Summary:
    """What :func:`build` does; returns what the report is of."""
    RunConfig.load(folder)  # nothing is touched in a folder that is no run
    with alone(folder):
        summary = gather(folder, reference, apart=apart)
        if summary.left_out:
            say(notes.left_out(summary))
        if (folder / STUDY_DB).exists():
            write_trials_csv(folder, summary.record.entries, tuple(summary.record.timed))
        write_atomic(folder / "front.csv", front_csv(summary))
        problems = export_winners(summary)
        for label, problem in problems.items() if not summary.config.trained_by else ():
            say(f"no winner written for the budget {label}: {problem}")
        write_atomic(folder / "budgets.csv", budgets_csv(summary, problems))
        picture = front_png(summary)
        write_atomic(folder / "front.png", picture)
        write_atomic(folder / "report.md", markdown(summary, problems))
        # Last, since it refers to the other files.
        live = RELOAD_SECONDS if is_watched(folder) else None
        write_atomic(folder / "report.html", page(summary, problems, picture, live=live))
    return summary

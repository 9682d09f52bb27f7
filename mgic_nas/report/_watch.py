"""Keeps the report of a run fresh while a search is at work."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ..engine.storage.config import RunConfig
from ..engine.storage.study import STUDY_DB
from ._build import written
from .watched import watched

LOOK_SECONDS = 1.0  # between two looks at the files
LEAST_SECONDS = 5.0  # between two reports ...
REST = 10.0  # ... and as many times as long as building one took


def watch(
    folder: str | Path,
    reference: str | Path | None = None,
    echo: Callable[[str], object] | None = None,
    *,
    apart: bool = False,
    sleep: Callable[[float], object] = time.sleep,
) -> Path:
    """Builds a run's report again whenever the run has changed, until it is complete; its page reloads itself.

    However it ends, the page is built once more at the end, and reloads itself no longer.

    Args:
        folder, reference, echo, apart: as of :func:`~mgic_nas.report.build`.
        sleep: waits so many seconds.

    Returns:
        The path of report.html.

    Raises:
        UserError: no run in the folder, or another process watches it.
    """
    folder = Path(folder)
    trials = RunConfig.load(folder).trials_folder(folder)
    say = echo or (lambda line: None)
    said: set[str] = set()

    def once(line: str) -> None:
        if line not in said:
            said.add(line)
            say(line)

    try:
        with watched(folder):
            say(f"watching {folder}: open {folder / 'report.html'}; Ctrl-C ends")
            over = False
            while not over:
                seen, begin = _stamp(folder, trials), time.monotonic()
                summary = written(folder, reference, once, apart=apart)
                over = summary.over
                rest = max(LEAST_SECONDS, REST * (time.monotonic() - begin))
                while not over and (_stamp(folder, trials) == seen or time.monotonic() - begin < rest):
                    sleep(LOOK_SECONDS)
    finally:
        written(folder, reference, once, apart=apart)
    say(f"{folder} is complete")
    return folder / "report.html"


def _stamp(folder: Path, trials: Path) -> tuple[tuple[str, int, int], ...]:
    """What changes when the run does: of its study, and of the curves of trainings under way."""
    return tuple(sorted(_states(folder, trials)))


def _states(folder: Path, trials: Path) -> Iterator[tuple[str, int, int]]:
    for path in (*folder.glob(f"{STUDY_DB}*"), folder / "run.yaml", *trials.glob("*/attempt-*/epochs.csv")):
        try:
            state = path.stat()
        except OSError:
            continue
        yield str(path), state.st_mtime_ns, state.st_size

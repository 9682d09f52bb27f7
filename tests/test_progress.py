"""What a person sees while a search runs."""

import io
import math
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

import mgic_nas
from mgic_nas.engine import events
from mgic_nas.engine.events import Counts, Event
from mgic_nas.errors import UserError
from mgic_nas.progress import Progress, Refreshed
from mgic_nas.tasks import Metric
from mgic_nas.tasks.metrics import EXPLAINED, MIOU, TOP1
from mgic_nas.tensorboard import TensorBoard


def counts(**changes: Any) -> Counts:
    values: dict[str, Any] = dict.fromkeys(
        ("started", "complete", "stopped", "failed", "paused", "running", "queued", "uniform"), 0
    )
    return Counts(**{"trials": 12, **values, **changes})


def happen(progress: Progress) -> None:
    """Two trials of three epochs: one is finished, one fails."""
    progress(Event(events.OPENED, counts()))
    for number in (0, 1):
        progress(Event(events.HANDED_OUT, counts(running=number + 1, started=number + 1), number, 1))
    for epoch in (1, 2, 3):
        progress(Event(events.EPOCH, counts(running=2), 0, 1, result={"epoch": epoch, "val_acc": 70.0}))
    done = counts(complete=1, running=1, best={"0.5M": None, "2M": 71.234})
    result = {"val_acc": 71.234, "seconds": 47.2}
    progress(Event(events.FINISHED, done, 0, 1, {"macs": 1_281_584}, result))
    progress(Event(events.RETRIED, done, 1, 1, text="worker killed by SIGKILL"))
    failed = counts(started=2, complete=1, failed=1, best={"0.5M": None, "2M": 71.234})
    progress(Event(events.FAILED, failed, 1, 2, text="ValueError: no such layer"))
    progress(Event(events.REJECTED, failed, text="duplicate"))
    progress(Event(events.EXHAUSTED, failed, text="no untried architecture is left within the budgets"))
    progress.close()


def test_one_line_a_trial_where_there_is_no_terminal() -> None:
    """In a log file every finished trial is a line with its accuracy, its cost and the image size it holds for."""
    stream = io.StringIO()
    happen(Progress(3, (1, 14, 14), stream))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 4
    assert lines[0].startswith(
        "[ 1/12] trial 0: 71.23 % with 1.28M MACs at 1x14x14, trained in 47 s; best 71.2 % within 2M; about "
    )
    assert lines[0].endswith(" left")
    assert lines[1:] == [
        "trial 1 failed, trying again: worker killed by SIGKILL",
        "trial 1 failed: ValueError: no such layer",
        "no untried architecture is left within the budgets: the search ends after 2 of 12 trials",
    ]


@pytest.mark.parametrize(
    ("metric", "text"),
    [
        (TOP1, "trial 0: top-1 71.23 % with "),
        (MIOU, "trial 0: mIoU 71.23 % with "),
        (EXPLAINED, "trial 0: explained variance 71.23 % (MSE 0.0123) with "),
    ],
)
def test_the_score_is_named(metric: Metric, text: str) -> None:
    """43 % mIoU is good and 43 % top-1 is not: a percentage alone says nothing."""
    stream = io.StringIO()
    result = {"val_acc": 71.234, "val_loss": 0.01234, "seconds": 47.2}
    progress = Progress(3, (1, 14, 14), stream, metric=metric)
    progress(Event(events.FINISHED, counts(complete=1, best={"2M": 71.234}), 0, 1, {"macs": 1_281_584}, result))
    assert text in stream.getvalue()
    assert f"best {metric.short} 71.2 % within 2M" in stream.getvalue()


def test_a_bar_on_a_terminal() -> None:
    pytest.importorskip("tqdm")
    stream = io.StringIO()
    happen(Progress(3, (1, 14, 14), stream, bar=True))
    text = stream.getvalue()
    assert "best 71.2 % within 2M" in text
    assert "2/12 trials" in text
    assert "1 failed" in text
    assert "left" in text
    assert "trial 1 failed: ValueError: no such layer\n" in text
    lines = [line.rpartition("\r")[2] for line in text.split("\n")]
    assert any(line.startswith("[ 1/12] trial 0: 71.23 % with 1.28M MACs") for line in lines)  # with nothing before it


def test_no_bar_before_the_first_training() -> None:
    """What is said while the search is prepared would be glued to it."""
    pytest.importorskip("tqdm")
    stream = io.StringIO()
    Progress(3, (1, 14, 14), stream, bar=True)(Event(events.OPENED, counts()))
    assert stream.getvalue() == ""


def test_report_is_brought_up_to_date_while_the_search_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where nobody reads the progress any more, as after a lost connection."""
    built: list[Path] = []
    monkeypatch.setattr("mgic_nas.report.build", built.append)

    def closed(event: Event) -> None:
        raise BrokenPipeError

    refreshed = Refreshed(tmp_path, closed, every=0.0)
    with pytest.warns(UserWarning, match="the observer closed failed"):
        refreshed(Event(events.OPENED, counts()))
    assert not built
    refreshed(Event(events.FINISHED, counts(complete=1), 0, 1))
    assert built == [tmp_path]
    later = Refreshed(tmp_path, every=3600.0)
    later(Event(events.FINISHED, counts(complete=1), 0, 1))
    assert len(built) == 1


def test_resumed_run_says_where_it_stands() -> None:
    stream = io.StringIO()
    Progress(3, (1, 14, 14), stream)(Event(events.OPENED, counts(started=7, complete=5, failed=1)))
    assert stream.getvalue() == "going on: 6 of 12 trials are done\n"


class Writer:
    """What a trial's SummaryWriter was told."""

    made: ClassVar[dict[str, list[tuple[str, float, int]]]] = {}
    closed: ClassVar[list[str]] = []

    def __init__(self, folder: str) -> None:
        self._name = Path(folder).name
        self.made.setdefault(self._name, [])

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.made[self._name].append((name, value, step))

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.closed.append(self._name)


def test_trials_are_curves_in_tensorboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=Writer))
    board = TensorBoard(tmp_path)
    for epoch, acc in ((1, 50.0), (2, math.nan), (3, 60.0)):
        board(Event(events.EPOCH, counts(), 4, 1, result={"epoch": epoch, "val_acc": acc, "device": "cpu"}))
    board(Event(events.FINISHED, counts(), 4, 1, {"macs": 100}))
    board(Event(events.EPOCH, counts(), 5, 1, result={"epoch": 1, "val_acc": 40.0}))
    board.close()
    assert Writer.made["trial-4"] == [("val_acc", 50.0, 1), ("val_acc", 60.0, 3), ("cost/macs", 100, 0)]
    assert Writer.closed == ["trial-4", "trial-5"]


def test_what_cannot_be_called_is_no_observer(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="observers"):
        mgic_nas.search("quickstart", "fashion", "1M", out=tmp_path / "run", observers=["wandb"])  # type: ignore[list-item]
    assert not (tmp_path / "run").exists()

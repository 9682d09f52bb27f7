"""The local executor with real worker processes and a training that takes no time."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
from fakes.engine import accuracy, pids, read_result, write_result

from mgic_nas.engine.executors import local
from mgic_nas.errors import UserError
from mgic_nas.train import Setup

WORK = "fakes.engine:work"


def setup(run: Any) -> Setup:
    return Setup(model="fake", data="fake", epochs=3, recipe="quick", folder=str(run.trials))


def execute(run: Any, concurrent: int = 2, mishaps: dict[str, Any] | None = None, **changes: Any) -> None:
    (run.folder.parent / "mishaps.json").write_text(json.dumps(mishaps or {}))
    with run.open(**changes) as controller:
        local.execute(controller, setup(run), concurrent, gpus_per_trial=0, work=WORK)
        assert controller.done


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(processes: set[int], within: float = 10.0) -> bool:
    until = time.monotonic() + within
    while any(map(alive, processes)):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def test_search_runs_to_its_end_and_leaves_no_process(run: Any) -> None:
    execute(run, trials=8)
    assert [row["state"] for row in run.rows()] == ["complete"] * 8
    assert len(pids(run.folder)) == 2  # workers are used again: each start costs seconds of importing torch
    assert gone(pids(run.folder))


def test_mishaps_are_recorded_with_their_reason_and_the_search_goes_on(run: Any) -> None:
    """One bad network of many: the user reads why it failed, and loses nothing else."""
    mishaps = {"raise": ["a1b1"], "nan": ["a2b1"], "memory": ["a3b1"], "kill": ["a4b1"], "kill_first": ["a5b1"]}
    mishaps["poison"] = ["a6b1"]
    execute(run, mishaps=mishaps, trials=100, budgets=["8k"])
    rows = {row["arch_id"]: row for row in run.rows()}
    # Some attempts beside others, which may have been at fault, and the last one alone.
    errors = {a: row["error"].partition(" (in each of ")[0] for a, row in rows.items() if row["state"] == "failed"}
    assert errors == {
        "a1b1": "ValueError: no such layer",
        "a2b1": "val_acc is nan after epoch 2",
        "a3b1": "MemoryError: cannot allocate 1 TB",
        "a4b1": "worker killed by SIGKILL, perhaps out of memory",
        "a6b1": "RuntimeError: CUDA error: an illegal memory access was encountered",
    }
    assert all(rows[arch]["state"] == "complete" for arch in rows.keys() - errors.keys())
    assert rows["a5b1"]["val_acc"] == accuracy({"a": 5, "b": 1})
    trace = next(run.trials.glob(f"{rows['a1b1']['number']}/attempt-1/error.txt")).read_text()
    assert "fakes/engine.py" in trace  # one line in the table, the whole story beside the trial
    assert gone(pids(run.folder))


def test_workers_that_cannot_start_end_the_search_with_the_reason(run: Any) -> None:
    """A broken installation must not burn through every trial."""
    with run.open() as controller:
        with pytest.raises(RuntimeError, match=r"workers do not start: .*no_such_module"):
            local.execute(controller, setup(run), 1, gpus_per_trial=0, work="no_such_module:work")
        assert controller.counts.started == 0


def test_error_in_the_controller_is_raised_and_workers_end(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with run.open() as controller:

        def broken(*_: object) -> bool:
            raise OSError("disk full")

        monkeypatch.setattr(controller, "report", broken)
        with pytest.raises(OSError, match="disk full"):
            local.execute(controller, setup(run), 2, gpus_per_trial=0, work=WORK)
    assert gone(pids(run.folder))


DRIVER = """
import sys
sys.path[:0] = {paths!r}
from fakes import engine as fakes
{imports}
from mgic_nas.engine.controller import Controller
from mgic_nas.engine.proposals.candidate import SearchProblem
from mgic_nas.engine.executors import local
from mgic_nas.train import Setup
folder = {folder!r}
config = fakes.make_config(trials={trials})
problem = SearchProblem.of_run(config, fakes.FakeSpace())
controller = Controller(folder, config, problem=problem, read_result=fakes.read_result)
setup = Setup(model="fake", data="fake", epochs=3, recipe="quick", folder=folder + "/trials")
try:
    local.execute(controller, setup, 2, gpus_per_trial=0, work="fakes.engine:work")
finally:
    controller.close()
"""


def driver(run: Any, trials: int, seconds: float, imports: str = "", **mishaps: Any) -> subprocess.Popen[bytes]:
    """A driver in a process of its own, started as ``python -c``: there is no main module to import again."""
    (run.folder.parent / "mishaps.json").write_text(json.dumps({"seconds": seconds, **mishaps}))
    paths = [str(Path(__file__).parents[2]), *sys.path]
    script = DRIVER.format(paths=paths, folder=str(run.folder), trials=trials, imports=imports)
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        # Tests that run in the background of a shell inherit that Ctrl-C is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def wait_for(run: Any, lines: int, process: subprocess.Popen[bytes]) -> None:
    """Until so many epochs were trained in all."""
    until = time.monotonic() + 60
    while sum(p.read_text().count("\n") for p in run.trials.glob("*/attempt-*/epochs.csv")) < lines:
        assert process.poll() is None, process.stderr and process.stderr.read().decode()
        assert time.monotonic() < until, "the search does not move"
        time.sleep(0.02)


def test_driver_killed_again_and_again_counts_every_trial_once(run: Any) -> None:
    """kill -9 of the driver at arbitrary moments, then the same command."""
    lines = 0
    for more in (4, 5, 9):
        process = driver(run, 8, seconds=0.15)
        wait_for(run, lines + more, process)
        process.kill()
        process.wait()
        assert gone(pids(run.folder)), "workers outlive their driver"
        lines = sum(p.read_text().count("\n") for p in run.trials.glob("*/attempt-*/epochs.csv"))
        assert run.rows()  # readable at once, whatever the driver was doing
    finished = {r["number"]: r for r in run.rows() if r["state"] == "complete"}
    execute(run, trials=8)
    rows = {row["number"]: row for row in run.rows()}
    assert len(rows) == len({row["arch_id"] for row in rows.values()}) == 8
    assert {row["state"] for row in rows.values()} == {"complete"}
    for number, row in finished.items():
        assert {**row, "on_front": None} == {**rows[number], "on_front": None}
        assert not (run.trials / str(number) / "attempt-3").exists() or row["val_acc"] == rows[number]["val_acc"]


def test_orphan_that_still_writes_when_the_run_goes_on(run: Any) -> None:
    """A remote worker of a killed driver finishes attempt 1 while attempt 2 is being trained: one counted result."""
    process = driver(run, 2, seconds=0.5)
    wait_for(run, 2, process)
    process.kill()
    process.wait()
    number = run.rows()[0]["number"]

    def finish_orphan(event: Any) -> None:
        if event.kind == "epoch" and event.number == number and event.result["epoch"] == 1:
            write_result(run.trials, number, 1, 71.0)

    run.events = type("Observer", (), {"append": staticmethod(finish_orphan)})()
    execute(run, trials=2)
    row = next(row for row in run.rows() if row["number"] == number)
    assert (row["state"], row["val_acc"]) == ("complete", 71.0)
    assert read_result(run.trials, number, 2) is None  # it was stopped before its end
    assert gone(pids(run.folder))


def test_interrupted_driver_ends_quickly_and_can_go_on(run: Any) -> None:
    """Ctrl-C: workers end at once, what was done is in trials.csv, and the rest is trained by the same command."""
    process = driver(run, 8, seconds=0.3)
    wait_for(run, 9, process)
    # Workers keep in step, and between two jobs of both nothing would be running.
    begun = run.trials.glob("*/attempt-*/epochs.csv")
    while all((path.parent / "result.json").exists() for path in begun):
        begun = run.trials.glob("*/attempt-*/epochs.csv")
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGINT)
    process.wait(60)
    assert gone(pids(run.folder))
    table = (run.folder / "trials.csv").read_text()
    assert "complete" in table
    assert "running" in table
    assert process.stderr is not None
    assert b"KeyboardInterrupt" in process.stderr.read()
    execute(run, trials=8)
    assert [row["state"] for row in run.rows()] == ["complete"] * 8


def test_killed_worker_is_replaced(run: Any) -> None:
    """The kernel's out-of-memory kill of one worker costs one attempt, not the search."""
    (run.folder.parent / "mishaps.json").write_text(json.dumps({"seconds": 0.2}))
    killed: list[int] = []

    def kill_once(event: Any) -> None:
        if event.kind == "epoch" and not killed:
            killed.append(max(pids(run.folder)))
            os.kill(killed[0], signal.SIGKILL)

    run.events = type("Observer", (), {"append": staticmethod(kill_once)})()
    execute(run, mishaps={"seconds": 0.2}, trials=4)
    assert [row["state"] for row in run.rows()] == ["complete"] * 4
    assert len(pids(run.folder)) == 3
    assert gone(pids(run.folder))


def test_addition_from_outside_the_package_is_there_in_the_workers(run: Any, toy: str) -> None:
    """A block or data source of the user's own: registered in the driver, needed where the training runs."""
    process = driver(run, 4, seconds=0.1, imports=f"import {toy}", toy="toy")
    wait_for(run, 4, process)
    process.kill()
    process.wait()
    assert gone(pids(run.folder))
    execute(run, mishaps={"toy": "toy"}, trials=4)
    assert [row["state"] for row in run.rows()] == ["complete"] * 4
    assert toy not in (run.folder / "run.yaml").read_text()


def test_missing_module_ends_the_search_with_one_line(
    run: Any, toy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not with as many failed trials as there are networks: it is trained once the module is there again."""
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(tmp_path)])
    with pytest.raises(UserError, match=f"toy 'toy' cannot be imported from '{toy}' in this process: No module named"):
        execute(run, mishaps={"toy": "toy"}, trials=4)
    assert {row["state"] for row in run.rows()} == {"running"}
    execute(run, trials=4)  # not needed, so not missed
    assert [row["state"] for row in run.rows()] == ["complete"] * 4

"""The Ray executor with a Ray of its own (never ``ray stop``: other people's clusters may run on this machine)."""

import json
import os
import re
import signal as signals
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
from fakes.engine import accuracy, pids

from mgic_nas.errors import UserError
from mgic_nas.train import Setup

pytest.importorskip("ray.tune")

WORK = "fakes.engine:work"


def setup(run: Any) -> Setup:
    return Setup(model="fake", data="fake", epochs=3, recipe="quick", folder=str(run.trials))


def execute(run: Any, mishaps: dict[str, Any] | None = None, **changes: Any) -> None:
    from mgic_nas.engine.executors import ray

    (run.folder.parent / "mishaps.json").write_text(json.dumps(mishaps or {}))
    with run.open(**changes) as controller:
        ray.execute(controller, setup(run), 2, gpus_per_trial=0, work=WORK)
        assert controller.done


def descendants(pid: int) -> set[int]:
    """All processes below one."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
    found, new = set(), {pid}
    while new:
        new = {child for child, parent in parents.items() if parent in new} - found
        found |= new
    return found


def gone(processes: set[int], within: float = 60.0) -> bool:
    def alive(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
        except FileNotFoundError:
            return False

    until = time.monotonic() + within
    while any(map(alive, processes)):
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


@pytest.mark.timeout(240)
def test_search_with_mishaps_runs_to_its_end_quietly(run: Any, capfd: pytest.CaptureFixture[str]) -> None:
    """Killed workers are replaced, errors come back as text, stdout stays free for results, nothing is left behind."""
    mishaps = {"raise": ["a1b1"], "nan": ["a2b1"], "kill_first": ["a5b1"], "poison": ["a6b1"]}
    execute(run, mishaps, trials=100, budgets=["8k"])
    rows = {row["arch_id"]: row for row in run.rows()}
    # Some attempts beside others, which may have been at fault, and the last one alone.
    errors = {a: row["error"].partition(" (in each of ")[0] for a, row in rows.items() if row["state"] == "failed"}
    assert errors == {
        "a1b1": "ValueError: no such layer",
        "a2b1": "val_acc is nan after epoch 2",
        "a6b1": "RuntimeError: CUDA error: an illegal memory access was encountered",
    }
    assert all(rows[arch]["state"] == "complete" for arch in rows.keys() - errors.keys())
    assert rows["a5b1"]["val_acc"] == accuracy({"a": 5, "b": 1})
    assert any(event.kind == "retried" for event in run.events)
    assert not (run.folder / ".tune").exists()
    assert gone(pids(run.folder))
    assert gone(descendants(os.getpid()))
    out, err = capfd.readouterr()
    assert out == ""
    assert "Trial" not in err  # none of Tune's tables


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_error_in_the_controller_is_not_lost_in_tune(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tune logs what a searcher raises and goes on; a full disk must end the search with its own words."""
    from mgic_nas.engine.executors import ray

    with run.open(trials=4) as controller:

        def broken(*_: object) -> None:
            raise OSError("disk full")

        monkeypatch.setattr(controller, "finish", broken)
        with pytest.raises(OSError, match="disk full"):
            ray.execute(controller, setup(run), 2, gpus_per_trial=0, work=WORK)
    monkeypatch.undo()
    assert gone(pids(run.folder))
    execute(run, trials=4)
    assert [row["state"] for row in run.rows()] == ["complete"] * 4


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere.invalid:6379", "ray://127.0.0.1:10001", "nonsense", "a:b"])
def test_no_cluster_at_the_address_is_one_clear_line(run: Any, address: str) -> None:
    """Left to itself Ray tries for many minutes."""
    from mgic_nas.engine.executors import ray

    with run.open() as controller, pytest.raises(UserError, match=re.escape(repr(address))):
        ray.execute(controller, setup(run), 2, gpus_per_trial=0, work=WORK, address=address)


DRIVER = """
import sys
sys.path[:0] = {paths!r}
from fakes import engine as fakes
{imports}
from mgic_nas.engine.controller import Controller
from mgic_nas.engine.proposals.candidate import SearchProblem
from mgic_nas.engine.executors import ray
from mgic_nas.train import Setup
folder = {folder!r}
config = fakes.make_config(trials=8)
problem = SearchProblem.of_run(config, fakes.FakeSpace())
controller = Controller(folder, config, problem=problem, read_result=fakes.read_result)
setup = Setup(model="fake", data="fake", epochs=3, recipe="quick", folder=folder + "/trials")
try:
    ray.execute(controller, setup, {concurrent}, gpus_per_trial=0, work="fakes.engine:work", address={address!r})
finally:
    controller.close()
"""


def driver(
    run: Any, concurrent: int = 2, address: str | None = None, imports: str = "", **mishaps: Any
) -> subprocess.Popen[bytes]:
    (run.folder.parent / "mishaps.json").write_text(json.dumps({"seconds": 0.4, **mishaps}))
    paths = [str(Path(__file__).parents[2]), *sys.path]
    script = DRIVER.format(paths=paths, folder=str(run.folder), concurrent=concurrent, address=address, imports=imports)
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stderr=subprocess.PIPE)


def epochs(run: Any) -> int:
    """How many were trained in all."""
    return sum(path.read_text().count("\n") for path in run.trials.glob("*/attempt-*/epochs.csv"))


def wait_for(run: Any, count: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 120
    while epochs(run) < count:
        assert process.poll() is None, process.stderr and process.stderr.read().decode()
        assert time.monotonic() < until, "the search does not move"
        time.sleep(0.05)


def check_all_counted_once(run: Any, finished: dict[int, float]) -> None:
    rows = {row["number"]: row for row in run.rows()}
    assert [row["state"] for row in rows.values()] == ["complete"] * 8
    assert len({row["arch_id"] for row in rows.values()}) == 8
    assert finished.items() <= {number: row["val_acc"] for number, row in rows.items()}.items()


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("signal", [signals.SIGKILL, signals.SIGINT])
def test_driver_that_is_killed_or_interrupted_goes_on(run: Any, signal: signals.Signals) -> None:
    """All trials are counted once, although workers of the dead driver may still be writing; no process is left."""
    process = driver(run)
    wait_for(run, 8, process)
    below = descendants(process.pid)
    assert len(below) > 3
    process.send_signal(signal)
    process.wait(60)
    finished = {r["number"]: r["val_acc"] for r in run.rows() if r["state"] == "complete"}
    assert finished
    execute(run, trials=8)
    check_all_counted_once(run, finished)
    assert gone(below)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_cluster_that_loses_a_node_and_a_driver_loses_no_trial(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three nodes on this machine. Unlike a Ray of its own, a cluster goes on when its driver is killed."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[2]), *sys.path]))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        cluster.add_node(num_cpus=1)
        lost = cluster.add_node(num_cpus=1)
        process = driver(run, 3, cluster.address)
        wait_for(run, 7, process)
        process.kill()
        process.wait()
        finished = {r["number"]: r["val_acc"] for r in run.rows() if r["state"] == "complete"}
        before = epochs(run)
        process = driver(run, 3, cluster.address)
        wait_for(run, before + 6, process)
        cluster.remove_node(lost, allow_graceful=False)
        _, said = process.communicate(timeout=200)
        assert process.returncode == 0, said.decode()
        assert b"raylet" not in said
    finally:
        cluster.shutdown()
    check_all_counted_once(run, finished)
    assert gone(pids(run.folder))


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_addition_from_outside_the_package_is_there_in_the_actors(
    run: Any, toy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Registered in the driver, which is killed and goes on; a missing module is one line."""
    process = driver(run, imports=f"import {toy}", toy="toy")
    wait_for(run, 4, process)
    process.kill()
    process.wait()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "path", [path for path in sys.path if path != str(tmp_path)])
        with pytest.raises(UserError, match=f"toy 'toy' cannot be imported from '{toy}' in this process: No module"):
            execute(run, mishaps={"toy": "toy"}, trials=8)
    assert "failed" not in [row["state"] for row in run.rows()]
    execute(run, mishaps={"toy": "toy"}, trials=8)
    check_all_counted_once(run, {})

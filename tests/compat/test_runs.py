"""Runs of bb2c7bb are opened, reported and gone on with, in another folder than the one that they were made in."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

import mgic_nas
from compat import common

OPENED: dict[str, Any] = common.load("opened")


def results(run: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in run.glob("trials/*/attempt-*/result.json")}


@pytest.mark.parametrize("name", common.RUNS)
def test_old_run_opens_and_reports(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    common.unpack(name, tmp_path)
    monkeypatch.chdir(tmp_path)
    found, expected = common.opened(Path("run")), OPENED[name]
    files, recorded = found.pop("files"), dict(expected["files"])
    assert not common.differences(found, {k: v for k, v in expected.items() if k != "files"})
    for file, text in recorded.items():
        assert common.as_reported(file, files[file]) == common.as_reported(file, text), file


def goes_on(run: Path, command: list[str], expected: str) -> None:
    """What was done is not repeated, what was not is trained as bb2c7bb would have done, and nothing fails."""
    before = results(run)
    done = common.call(*command, cwd=run.parent)
    assert done.returncode == 0, done.stderr
    assert {row["state"] for row in common.read_csv(run / "trials.csv")} <= {"complete", "paused"}, done.stderr
    assert common.trials(run / "trials.csv") == common.trials(common.DATA / expected)
    after = results(run)
    assert {path: after[path] for path in before} == before
    assert mgic_nas.load_run(run).best().create_model()


@pytest.mark.timeout(300)
@pytest.mark.slow
@pytest.mark.parametrize("name", ["finished", "killed"])
def test_same_command_goes_on(name: str, tmp_path: Path) -> None:
    run = common.unpack(name, tmp_path)
    goes_on(run, common.RUNS[name], f"{name}-resumed.csv")
    assert {row["state"] for row in common.read_csv(run / "trials.csv")} == {"complete"}


@pytest.mark.timeout(300)
@pytest.mark.slow
def test_finished_run_is_extended(tmp_path: Path) -> None:
    goes_on(common.unpack("finished", tmp_path), common.MORE_TRIALS, "finished-extended.csv")


@pytest.mark.timeout(300)
def test_paused_trainings_go_on_from_the_checkpoints_in_the_run(tmp_path: Path) -> None:
    """The study names them in /tmp/made-with-bb2c7bb, which is gone: they are trials/<n>/attempt-<k>/checkpoint.pt."""
    run = common.unpack("paused", tmp_path)
    study = b"".join(path.read_bytes() for path in run.glob("study.db*"))
    assert re.search(rb"/tmp/made-with-bb2c7bb/paused/run/trials/\d+/attempt-\d+/checkpoint.pt", study)
    # Seconds are of a measurement: only an epoch that is not trained again has the same.
    epochs = {path.parents[1].name: json.loads(text)["curve"] for path, text in sorted(results(run).items())}
    goes_on(run, common.RUNS["paused"], "paused-resumed.csv")
    complete = [row["number"] for row in common.read_csv(run / "trials.csv") if row["state"] == "complete"]
    for number in {*complete} & {*epochs}:
        curves = [json.loads(path.read_bytes())["curve"] for path in run.glob(f"trials/{number}/*/result.json")]
        assert max(curves, key=len)[: len(epochs[number])] == epochs[number]
    assert {*complete} & {*epochs}

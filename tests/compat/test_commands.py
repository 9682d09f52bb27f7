"""Commands that train nothing say what they said at bb2c7bb, of the recorded runs in runs/ too."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

import mgic_nas
from compat import common

RECORDED: dict[str, Any] = common.load("commands")


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of runs/: `report` writes into the run."""
    folder = tmp_path_factory.mktemp("compat")
    shutil.copytree(common.ROOT / "runs", folder / "runs", ignore=shutil.ignore_patterns("report.html"))
    return folder


@pytest.mark.parametrize("recorded", RECORDED["commands"], ids=[c["command"] for c in RECORDED["commands"]])
def test_says_what_it_said(recorded: dict[str, Any], copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(copied)
    common.shipped(monkeypatch)
    done = common.call_here(*recorded["command"].split())
    if recorded["command"] == "report runs/cifar10_small":  # at bb2c7bb: everything written, and then exit code 2
        assert done["code"] == 0
        assert done["stdout"].startswith("runs/cifar10_small: 14 of 14 trials (14 complete)")
        return
    assert (done["code"], done["stderr"]) == (recorded["code"], recorded["stderr"])
    if recorded["command"].startswith("tables"):  # more rows since, one of them counted now, and longer notes
        lost = set(_rows(recorded["stdout"])) - set(_rows(done["stdout"]))
        assert {name for name, _ in lost} <= {"Ghost-ResNet-56"}
        return
    if recorded["stdout"].startswith(("{", "[")):
        assert not common.differences(json.loads(done["stdout"]), json.loads(recorded["stdout"]))
    else:
        assert done["stdout"] == recorded["stdout"]


def _rows(written: str) -> list[tuple[str, str]]:
    """(network, what is printed and counted of it) of each row of the tables, as JSON or Markdown.

    Not what was measured: the recorded runs grow.
    """
    if written.startswith(("{", "[")):
        rows = [row for table in json.loads(written) for row in table["rows"]]
        return [(row["name"], json.dumps({**row, "measured": None})) for row in rows]
    lines = [line for line in written.splitlines() if line.startswith("|")]
    return [(line.split("|")[1].strip(), re.sub(r"[\d.]+ \(\d+\) \|$", "|", line)) for line in lines]


@pytest.mark.parametrize("name", common.SUBCOMMANDS)
def test_every_option_is_still_there(name: str) -> None:
    done = common.call_here(name, "--help")
    assert done["code"] == 0
    assert set(common.options(done["stdout"])) >= set(RECORDED["options"][name])


def test_recorded_search_is_read_and_reported(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """runs/cifar10_small has no study.db: its configuration and its report come from the tables."""
    monkeypatch.chdir(copied)
    run = Path("runs/cifar10_small")
    config = mgic_nas.load_run(run).config
    assert (config.model, config.trials, config.input_size) == ("mgic_resnet20", 14, (3, 32, 32))
    common.call_here("report", str(run))
    assert (run / "report.html").is_file()
    for name, text in RECORDED["cifar10_small"].items():
        found = common.without_start((run / name).read_text())
        assert common.as_reported(name, found) == common.as_reported(name, text), name

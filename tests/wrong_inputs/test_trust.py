"""Files that name code: nothing of it is imported unless its module is named on the command line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import own
from fakes.wrong import SPACE

import mgic_nas
from mgic_nas import SearchSpace, UserError
from mgic_nas.cli import main
from mgic_nas.engine.storage.config import RunConfig
from mgic_nas.report import build

SEARCH = ["search", "space.yaml", "--data", "fashion?train=80&val=60", "--budget", "50k", "--trials", "1"]
SEARCH += ["--epochs", "1", "--executor", "local", "--concurrent", "1", "--out", "run"]


@pytest.fixture
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file that says that the module was imported. It lies in the current folder, which is not on the path."""
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in ("", str(tmp_path))])
    monkeypatch.delitem(sys.modules, "strange_code", raising=False)
    with own.fresh():
        yield own.write(tmp_path)


@pytest.fixture
def importable(mark: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", [str(mark.parent), *sys.path])
    return mark


def error_of(command: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(command) == 2
    out, err = capsys.readouterr()
    [line] = err.splitlines()
    assert "Traceback" not in line + out
    return line


@pytest.mark.parametrize(
    ("trust", "hint"),
    [
        ([], "names code, which is imported only if you trust it: --trust strange_code"),
        (["json"], "names code, which is imported only if you trust it: --trust strange_code"),
        (["strange_cod"], "there is no such module; the current folder is not searched"),
        (["./strange_code"], "takes a module's name"),
        (["strange_code:build"], "takes a module's name"),
    ],
)
def test_a_space_that_names_code_is_refused(
    importable: Path, trust: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert hint in error_of([*SEARCH, *(word for name in trust for word in ("--trust", name))], capsys)
    assert hint.startswith("takes") or hint in error_of(
        ["profile", "space.yaml", "--data", "fashion", *(w for name in trust for w in ("--trust", name))], capsys
    )
    with pytest.raises(UserError, match="names code"):
        SearchSpace.from_yaml("space.yaml")
    assert not importable.exists()
    assert not Path("run").exists()


def test_the_current_folder_is_not_searched(mark: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no such module" in error_of([*SEARCH, "--trust", "strange_code"], capsys)
    assert not mark.exists()


def test_trusted_by_its_name_it_is_searched_and_nothing_else_imports_it(
    importable: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One training; then the run is read, reported, scored, replayed and resumed by processes that know nothing."""
    assert main([*SEARCH, "--trust", "strange_code"]) == 0
    assert "stranger_mlp" in capsys.readouterr().out
    importable.unlink()
    monkeypatch.delitem(sys.modules, "strange_code")
    with own.fresh():
        read_only(capsys)
    assert not importable.exists()
    assert "strange_code" not in sys.modules


def read_only(capsys: pytest.CaptureFixture[str]) -> None:
    run = mgic_nas.load_run("run")
    assert run.best().line.startswith('mgic_nas.create_model("stranger_mlp"')
    assert main(["report", "run"]) == 0
    capsys.readouterr()
    for command in (["score", "run"], ["score", str(next(Path("run/winners").iterdir()))], ["replay", "run"]):
        error_of(command, capsys)
    assert "--trust strange_code" in error_of(SEARCH, capsys)
    Path("space.yaml").write_text(SPACE)
    error_of(SEARCH, capsys)  # another space, and the run names code
    for line in (["export", "run", "--to", "hf", "--out", "shipped"], ["retrain", "run", "--epochs", "6"]):
        assert "--trust" in error_of(line, capsys)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("family: strange_code\n", "write the module and the name"),
        ("family: 5\n", "write the module and the name"),
        ("family: 'os; import x:y'\n", "write the module and the name"),
        ("family: strange_code:other\nmodel: mgic_resnet20\n", "differ: keep family alone"),
        ("family: json:other\n", "json registers no family 'other'"),
        ("model: resnet18\ncost: strange_code:cost\n", "cost is a function, which no file names"),
    ],
)
def test_other_ways_to_name_code_are_one_line(importable: Path, text: str, hint: str) -> None:
    Path("space.yaml").write_text(f"{text}params: {{width: {{choices: [1, 2]}}}}\n")
    with pytest.raises(UserError, match=hint) as told:
        SearchSpace.from_yaml("space.yaml")
    assert "\n" not in str(told.value)
    assert not importable.exists()


def test_a_changed_run_yaml_names_code_in_vain(importable: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Somebody else's folder: whatever it says, it is read as data."""
    config = RunConfig(
        name="run",
        space={
            "model": "os:system",
            "family": "strange_code:stranger_mlp",
            "cost": "strange_code:cost",
            "params": {"width": {"choices": [8]}},
        },
        data={"spec": "fashion", "input_size": [1, 14, 14], "num_classes": 10, "fingerprint": "x"},
        budgets=["1M"],
        trials=1,
        epochs=1,
        recipe={},
        sampler="cost",
        trained_by="strange_code:train",
    )
    Path("run").mkdir()
    config.save("run")
    run = mgic_nas.load_run("run")
    build(run.folder)
    for command in (["report", "run"], ["score", "run"], ["export", "run", "--to", "hf", "--out", "x"], SEARCH):
        error_of(command, capsys)
    assert not importable.exists()

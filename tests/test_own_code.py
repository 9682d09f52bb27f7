"""Searches of a stranger's networks and functions: a module of his own, and one call."""

from __future__ import annotations

import functools
import json
import re
from collections import Counter
from pathlib import Path

import pytest
import timm
from fakes import own

import mgic_nas
from mgic_nas import UserError, load_run
from mgic_nas._files import read_csv
from mgic_nas._portable import importing
from mgic_nas.own_training import OwnTraining
from mgic_nas.report import build

FAMILY = """
import json, strange_code, mgic_nas


def build(config, num_classes, in_chans):
    return strange_code.build(config, num_classes, in_chans)


mgic_nas.register_family("script_mlp", build, arguments=["width", "depth"])

if __name__ == "__main__":
    space = mgic_nas.SearchSpace({"width": [8, 16], "depth": range(1, 3)}, model="script_mlp")
    run = mgic_nas.search(space, data="fashion?train=300&val=100", budgets=["250", "10k"], trials=4, epochs=4,
                          rungs="halving", out="run", executor="local", concurrent=1, progress=False)
    best = run.best()
    params = sum(p.numel() for p in best.create_model().parameters())
    print(json.dumps({**best.row, "params": params, "line": best.line}))
    folder = next(run.folder.glob("winners/*"))
    print(type(mgic_nas.load_winner(folder)).__name__)
"""
FUNCTION = """
import strange_code, mgic_nas

if __name__ == "__main__":
    space = mgic_nas.SearchSpace({"width": [8, 16, 32, 64], "depth": [1, 2]}, cost=strange_code.cost)
    run = mgic_nas.search(space, train=strange_code.train, budgets=["2k", "20k"], trials=6, epochs=4,
                          rungs="halving", out="run", executor="local", concurrent=1, progress=False)
    print(run)
"""
MODEL = """
import json, timm, mgic_nas


def train(setting, epochs, report, seed):
    net = timm.create_model("mgic_resnet20", num_classes=10, in_chans=1, **setting)
    params = sum(p.numel() for p in net.parameters())
    for epoch in range(1, epochs + 1):
        report(50 + params / 10_000 + epoch, epoch)
    return 50 + params / 10_000 + epochs


if __name__ == "__main__":
    space = mgic_nas.SearchSpace({"width_mult": [0.5, 1.0], "s_g": [4, 8]}, model="mgic_resnet20",
                                 kwargs={"depths": 1, "s_c": 8})
    run = mgic_nas.search(space, data="fashion?train=100&val=100", train=train, budgets=["0.6M", "3M"], trials=4,
                          epochs=4, rungs="halving", out="run", executor="local", concurrent=1, progress=False)
    print(json.dumps(run.best(macs="3M").row))
"""


@pytest.fixture(scope="module")
def of_family(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    folder = tmp_path_factory.mktemp("family")
    own.write(folder)
    done = own.run(folder, FAMILY)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout.splitlines()


@pytest.fixture(scope="module")
def of_function(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search that was killed in the middle, and called again."""
    folder = tmp_path_factory.mktemp("function")
    own.write(folder)
    (folder / "kill").touch()
    assert own.run(folder, FUNCTION).returncode == -9
    done = own.run(folder, FUNCTION)
    assert done.returncode == 0, done.stderr
    return folder


def test_a_family_of_ones_own_is_searched_as_ours_are(of_family: tuple[Path, list[str]]) -> None:
    """Costs are counted, early stopping pauses, winners have weights; the run says whose code it was.

    The family is the script's own, which workers import by the script's name.
    """
    folder, [line, kind] = of_family
    found = json.loads(line)
    width, depth = found["p.width"], found["p.depth"]
    assert found["macs"] == 16 * width + (depth - 1) * width**2 + width * 10
    assert found["params"] == found["macs"] + depth * width + 10
    assert found["line"].startswith('mgic_nas.create_model("script_mlp", width=')
    assert kind == "Sequential"
    states = Counter(row["state"] for row in read_csv(folder / "run" / "trials.csv"))
    assert states.keys() <= {"complete", "paused"}
    assert states.total() == 4
    assert list((folder / "run" / "trials").glob("*/attempt-2/result.json")), "none was paused and went on"
    assert "family: script:script_mlp" in (folder / "run" / "run.yaml").read_text()


def test_who_does_not_import_it_reads_the_run_all_the_same(of_family: tuple[Path, list[str]]) -> None:
    """Here the module is not even on the path: only what needs the network itself says so, in one line."""
    run = load_run(of_family[0] / "run")
    report = build(run.folder).read_text()
    assert "mgic_nas.create_model(&#34;script_mlp&#34;" in report
    assert "timm.create_model" not in (run.folder / "budgets.csv").read_text()
    assert run.best().line.startswith('mgic_nas.create_model("script_mlp"')
    with pytest.raises(UserError, match=r"script_mlp is a family of script, .*import it first") as told:
        run.best().create_model()
    assert "\n" not in str(told.value)


def test_a_killed_search_of_a_function_goes_on(of_function: Path) -> None:
    """Nothing is lost or counted twice, and no epoch that was paused after is trained again."""
    rows = read_csv(of_function / "run" / "trials.csv")
    assert len(rows) == len({(row["p.width"], row["p.depth"]) for row in rows}) == 6
    assert {row["state"] for row in rows} == {"complete", "paused"}
    for row in rows:
        assert int(row["macs"]) == 100 * int(row["p.width"]) * int(row["p.depth"]) <= 20_000
        total = 40.0 + sum(int(row["p.width"]) / 10 / epoch for epoch in range(1, 5))
        assert row["state"] == "paused" or float(row["val_acc"]) == pytest.approx(total)
    trained = Counter((of_function / "epochs").read_text().splitlines())
    again = {epoch for epoch, times in trained.items() if times > 1}
    assert all(epoch.startswith("32 ") for epoch in again), "only what the kill tore is trained again"


def test_what_a_run_of_a_function_cannot_do_is_one_line(of_function: Path) -> None:
    run = load_run(of_function / "run")
    best = run.within("20k")
    assert best.arguments == {"width": best.row["p.width"], "depth": best.row["p.depth"]}
    assert best.line == f"dict(width={best.arguments['width']}, depth={best.arguments['depth']})"
    refused = {
        "weights are that function's own": best.create_model,
        "cannot retrain them: call strange_code:train": run.retrain,
        "its weights are that function's": lambda: best.export("onnx", of_function / "shipped"),
    }
    for hint, call in refused.items():
        with pytest.raises(UserError, match=hint) as told:
            call()
        assert "\n" not in str(told.value)
    report = build(run.folder).read_text()
    assert "They are strange_code:train&#39;s own" in report or "they are strange_code:train" in report
    assert "1×1×1" not in report
    assert "create_model" not in (run.folder / "report.md").read_text()


def test_a_function_may_train_networks_of_this_package(tmp_path: Path) -> None:
    """Costed as those networks are; the function gets every argument, what the space fixes included."""
    done = own.run(tmp_path, MODEL)
    assert done.returncode == 0, done.stderr
    best = load_run(tmp_path / "run").best(macs="3M")
    assert best.row == json.loads(done.stdout.splitlines()[-1])
    net = timm.create_model("mgic_resnet20", num_classes=10, in_chans=1, **best.arguments)
    assert best.row["params"] == sum(p.numel() for p in net.parameters())
    assert best.row["val_acc"] == pytest.approx(54 + best.row["params"] / 10_000)
    assert best.arguments["depths"] == 1
    with pytest.raises(UserError, match="weights are that function's own"):
        best.create_model()


@pytest.mark.parametrize(
    ("old", "new", "hint"),
    [
        ("train=strange_code.train, ", "", "pass train=, the function that trains one"),
        ("cost=strange_code.cost", "cost=lambda setting: 7", "cost= says 7 for trial 0, which had"),
        ("[1, 2]", "[1, 2, 3]", "is a run with space.params.depth"),
        ("epochs=4", "epochs=5", "is a run with epochs = 4"),
        ("budgets=[", 'data="fashion", budgets=[', "data is for networks of mgic_nas"),
        ("budgets=[", 'recipe="full", budgets=[', "a recipe is for networks that mgic_nas trains"),
        ('budgets=["2k", "20k"]', 'budgets=["params=5"]', "cost= says nothing of params"),
        ('budgets=["2k", "20k"]', 'budgets=["latency=5ms"]', "latency is measured of networks"),
        ("train=strange_code.train", "train=strange_code.other_train", "not strange_code:other_train"),
        ("train=strange_code.train", "train=lambda s, e, r: 1.0", "cannot be given to worker processes"),
        ("train=strange_code.train", "train=strange_code.cost", "train must take"),
        ("train=strange_code.train", "train=7", "train must be a function"),
    ],
)
def test_another_call_on_the_same_folder_is_one_line(
    of_function: Path, old: str, new: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process, where the module is imported as a stranger's is."""
    monkeypatch.chdir(of_function)
    monkeypatch.syspath_prepend(of_function)
    assert old in FUNCTION
    code = FUNCTION.replace(old, new).replace("print(run)", "")
    with own.fresh(), pytest.raises(UserError, match=hint) as told:
        exec(compile(code, "script", "exec"), {"__name__": "__main__"})
    assert "\n" not in str(told.value)


def trained(setting: dict[str, int], epochs: int, report: object, rate: float = 0.1) -> float:
    return 50.0


class Trainer:
    def __init__(self, rate: float) -> None:
        self.rate, self.data = rate, object()

    def __call__(self, setting: dict[str, int], epochs: int, report: object) -> float:
        return self.rate

    def train(self, setting: dict[str, int], epochs: int, report: object) -> float:
        return self.rate


def test_what_a_function_brings_is_part_of_what_trains() -> None:
    """Two partials of one function, or two objects of one class, are two trainings; the values are not written down."""
    ways = [
        lambda rate: functools.partial(trained, rate=rate),
        lambda rate: functools.partial(Trainer(rate)),
        lambda rate: Trainer(rate),
        lambda rate: Trainer(rate).train,
    ]
    for way in ways:
        first, same, other = (OwnTraining.of(way(rate)).place for rate in (0.123, 0.123, 0.5))  # type: ignore[union-attr]
        assert first == same != other
        assert "0.123" not in first
    assert OwnTraining.of(trained).place.endswith(":trained")  # type: ignore[union-attr]


def test_a_script_without_its_guard_is_told_so() -> None:
    """A worker imports the script for the function in it, which would begin the search again there."""
    with importing("train"), pytest.raises(UserError, match="put the call under if __name__ == '__main__'"):
        mgic_nas.search("quickstart", "fashion", "1M")


PAGE = (Path(__file__).parents[1] / "docs" / "own-family.md").read_text()


@pytest.mark.slow
def test_the_page_runs_as_it_stands(tmp_path: Path) -> None:
    family, search, function = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "my_families.py").write_text(family)
    for code in (search, function):
        done = own.run(tmp_path, code)
        assert done.returncode == 0, done.stderr
    assert re.search(r"\{'width': \d+, 'depth': \d\}", done.stdout)

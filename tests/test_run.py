"""search() and load_run(): what a user of the Python interface holds, on trainings of a few images."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
from fakes.tasks import write_folder
from fakes.training import train_here

import mgic_nas
from mgic_nas import UserError, load_run, search
from mgic_nas.engine import Controller
from mgic_nas.errors import TrainingFailed
from mgic_nas.run import plan

DATA = "fashion?train=80&val=60"
SPACE = {
    "model": "mgic_resnet20",
    "kwargs": {"depths": 1},
    "params": {"s_g": {"choices": [4, 8]}, "s_c": {"choices": [8, 16]}, "width_mult": {"choices": [0.25, 0.5]}},
}
BUDGETS = ["0.4M", "1M"]


def small(out: Path, **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {"trials": 3, "epochs": 1, "executor": "local", "sampler": "random", "concurrent": 1}
    space = mgic_nas.SearchSpace.from_dict(SPACE)
    return {"space": space, "data": DATA, "budgets": BUDGETS, "out": out, "progress": False, **values, **changes}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> mgic_nas.Run:
    """A finished run; tests must not change it."""
    return search(**small(tmp_path_factory.mktemp("runs") / "demo"))


@pytest.mark.timeout(300)
def test_search_leaves_what_was_promised(finished: mgic_nas.Run) -> None:
    for name in ("run.yaml", "study.db", "trials.csv", "front.csv", "budgets.csv", "report.html", "report.md"):
        assert (finished.folder / name).is_file()
    trials = finished.trials()
    assert list(trials["state"]) == ["complete"] * 3
    assert trials["arch_id"].is_unique
    assert (trials["macs"] <= 1e6).all()
    front = finished.front()
    assert 1 <= len(front) <= 3
    assert front["macs"].is_monotonic_increasing
    assert front["val_acc"].is_monotonic_increasing


def test_winner_comes_back_with_its_weights(finished: mgic_nas.Run) -> None:
    """The network that is handed over scores what the table says, to an image: its memory layout is another."""
    from mgic_nas.tasks import load_data

    data = load_data(DATA)
    for budget in ("0.4M", 1e6, "1e6"):
        winner = finished.best(macs=budget)
        net = winner.create_model()
        assert not net.training
        found = data.task.evaluate(net, data.val, device="cpu")["val_acc"]
        assert found == pytest.approx(winner.row["val_acc"], abs=100 / len(data.val) + 1e-6)
        assert net.pretrained_cfg["mean"] == data.info.mean
        assert net.pretrained_cfg["input_size"] == (1, 14, 14)
    untrained = finished.best().create_model(pretrained=False)
    assert data.task.evaluate(untrained, data.val, device="cpu")["val_loss"] != winner.row["val_acc"]


def test_a_run_that_goes_on_reads_its_study_twice(finished: mgic_nas.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once to plan it, and once under the lock: a scan of ten thousand trials takes seconds."""
    scans = []
    scan = optuna.Study.get_trials

    def counted(study: optuna.Study, *args: Any, **kwargs: Any) -> list[optuna.trial.FrozenTrial]:
        scans.append(study.study_name)
        return scan(study, *args, **kwargs)

    monkeypatch.setattr(optuna.Study, "get_trials", counted)
    plan(**{name: value for name, value in small(finished.folder).items() if name != "progress"})
    assert scans == [finished.folder.name]
    with Controller(finished.folder, finished.config) as source:
        assert source.done
        assert scans == [finished.folder.name] * 2


def test_line_builds_the_winner(finished: mgic_nas.Run) -> None:
    """Copied into another program, with nothing but timm and mgic_nas imported."""
    import timm

    winner = finished.best(macs="0.4M")
    net = eval(winner.line, {"timm": timm})
    net.load_state_dict(winner.create_model().state_dict())
    assert sum(p.numel() for p in net.parameters()) == winner.row["params"]


def test_best_within_several_limits(finished: mgic_nas.Run) -> None:
    rows = finished.trials().to_dict("records")
    least = min(row["params"] for row in rows)
    assert finished.best(params=least).row["params"] == least
    assert finished.best(macs="1M", params=least, activations="1M").row["params"] == least
    assert finished.best().row["val_acc"] == max(row["val_acc"] for row in rows)
    with pytest.raises(UserError, match=r"no trained network is within 1k, params=5M; the smallest has .* at 1x14x14"):
        finished.best(macs="1k", params="5M")
    with pytest.raises(UserError, match="Budget 'macs=lots'"):
        finished.best(macs="lots")


def test_run_tells_who_has_won(finished: mgic_nas.Run) -> None:
    text = str(finished)
    assert "3 of 3 trials (3 complete)" in text
    assert "within 0.4M: " in text
    assert " MACs at 1x14x14" in text
    assert 'timm.create_model("mgic_resnet20", depths=1' in text
    told = json.loads(json.dumps(finished.to_dict()))
    assert told["winners"]["1M"]["val_acc"] == finished.best(macs="1M").row["val_acc"]
    assert told["trials"] == {"asked": 3, "started": 3, "complete": 3}


def test_weights_that_were_not_kept_are_one_clear_line(finished: mgic_nas.Run, tmp_path: Path) -> None:
    copy = tmp_path / "demo"
    shutil.copytree(finished.folder, copy)
    winner = load_run(copy).best(macs="1M")
    assert winner.weights is not None
    assert winner.weights.is_relative_to(copy)  # a run may be moved
    winner.weights.write_bytes(b"torn")
    with pytest.raises(UserError, match="cannot be loaded"):
        load_run(copy).best(macs="1M").create_model()
    winner.weights.unlink()
    load_run(copy).best(macs="1M").create_model()  # from winners/, which has them, too
    shutil.rmtree(copy / "winners")
    with pytest.raises(UserError, match="were not kept"):
        load_run(copy).best(macs="1M").create_model()


@pytest.mark.timeout(300)
def test_same_call_goes_on_and_more_trials_extend(finished: mgic_nas.Run, tmp_path: Path) -> None:
    copy = tmp_path / "demo"
    shutil.copytree(finished.folder, copy)
    before = {p: p.stat().st_mtime_ns for p in copy.glob("trials/*/*/*")}
    run = search(**small(copy))
    assert len(run.trials()) == 3
    assert {p: p.stat().st_mtime_ns for p in copy.glob("trials/*/*/*")} == before  # nothing was trained again
    run = search(**small(copy, trials=4, concurrent=2, budgets=["0.4M", "0.6M", "1M"], sampler=None, recipe=None))
    assert list(run.trials()["state"]) == ["complete"] * 4
    assert "0.6M" in run.to_dict()["winners"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"trials": 0}, "trials must be a whole number from 1 up"),
        ({"epochs": -1}, "epochs must be a whole number from 1 up"),
        ({"concurrent": 0}, "concurrent must be a whole number from 1 up"),
        ({"budgets": []}, "name at least one budget"),
        ({"budgets": ["1k", "1M"]}, r"Budget 1k: cannot be met in .*; the nearest has .* at 1x14x14"),
        ({"budgets": ["1M", "params=10"]}, "Budget params=10: cannot be met"),
        ({"budgets": ["latency=5"]}, "give the unit of a latency"),
        ({"budgets": ["much"]}, "'much' is not a budget"),
        ({"sampler": "gauss"}, "Unknown sampler 'gauss'"),
        ({"rungs": "asha"}, "Unknown rungs 'asha'"),
        ({"executor": "slurm"}, "Unknown executor 'slurm'"),
        ({"gpus_per_trial": "half"}, "gpus-per-trial must be auto or a number"),
        ({"address": "127.0.0.1:6379"}, "an address is of a Ray cluster"),
        ({"recipe": "slow"}, "no recipe 'slow'"),
        ({"data": "/no/such/data"}, "/no/such/data"),
        ({"space": "no_such_space"}, "no_such_space"),
        ({"keep": "some"}, "keep must be front or all"),
        ({"seed": -1}, "seed must be a whole number"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing_on_disk(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        search(**small(tmp_path / "new", **changes))
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"epochs": 2}, "epochs = 1, not 2"),
        ({"seed": 7}, "seed = 0, not 7"),
        ({"data": "fashion?train=90&val=60"}, "is a run with data = "),
        ({"recipe": {"lr": 0.5}}, "recipe.name = 'quick', not 'custom'"),
        ({"keep": "all"}, "keep = 'front', not 'all'"),
        ({"budgets": ["1k"]}, "Budget 1k: cannot be met"),
    ],
)
def test_resume_that_changes_what_may_not_change_is_refused(
    finished: mgic_nas.Run, changes: dict[str, Any], said: str
) -> None:
    before = (finished.folder / "run.yaml").read_bytes()
    with pytest.raises(UserError, match=said):
        search(**small(finished.folder, **changes))
    assert (finished.folder / "run.yaml").read_bytes() == before


def test_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UserError, match="is not a run"):
        search(**small(tmp_path))
    with pytest.raises(UserError, match="is not a run"):
        load_run(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_search_of_which_every_trial_fails_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exit code of 0 and an empty report would be found out days later."""
    monkeypatch.setattr("mgic_nas.run.executor", lambda name: train_here)
    monkeypatch.setattr("mgic_nas.preparation.check_recipe", lambda *_: None)
    recipe = {"name": "quick", "opt": "no_such_optimiser"}
    with pytest.raises(TrainingFailed, match=r"none of 2 trials could be trained to its end.*no_such_opt"):
        search(**small(tmp_path / "new", trials=2, recipe=recipe))
    rows = load_run(tmp_path / "new").trials()
    assert list(rows["state"]) == ["failed"] * 2
    with pytest.raises(RuntimeError, match=r"6 trials failed alike and none succeeded: .*no_such_opt.*goes on once"):
        search(**small(tmp_path / "more", trials=8, recipe=recipe))
    assert len(load_run(tmp_path / "more").trials()) == 6
    assert "within 1M: nothing yet" in str(load_run(tmp_path / "new"))


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("ending", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_command_says_so_and_the_same_command_goes_on(
    tmp_path: Path, ending: signal.Signals, code: int
) -> None:
    """Ctrl-C, or a cluster's SIGTERM: no traceback, what is done is recorded and reported, nothing is left running."""
    out = tmp_path / "demo"
    command = [sys.executable, "-m", "mgic_nas.cli", "search", "quickstart", "--data", "fashion?train=80&val=60"]
    command += ["--budget", "1M", "--trials", "3", "--epochs", "2", "--out", str(out), "--executor", "local"]
    command += ["--sampler", "random", "--concurrent", "1", "--recipe", "quick"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        # Tests that run in the background of a shell inherit that Ctrl-C is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert process.stderr is not None
    assert any("[1/3] trial " in line for line in process.stderr), "the command ended before its first trial"
    process.send_signal(ending)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in stderr
    assert f"the same command goes on from here; the report so far is {out / 'report.html'}." in stderr
    assert (out / "report.html").is_file()
    assert stdout == ""
    states = [row["state"] for row in csv.DictReader((out / "trials.csv").read_text().splitlines())]
    assert "complete" in states
    assert states.count("complete") < 3
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert "going on: " in done.stderr
    assert "3 of 3 trials (3 complete)" in done.stdout


@pytest.fixture
def without_ray(tmp_path: Path) -> dict[str, str]:
    """The environment of a Python that has everything installed but ray (to be started with -S)."""
    site = tmp_path / "site"
    site.mkdir()
    for entry in (Path(p) for folder in sys.path if folder.endswith("site-packages") for p in Path(folder).iterdir()):
        if not entry.name.startswith("ray"):
            (site / entry.name).symlink_to(entry)
    package = Path(mgic_nas.__file__).parents[1]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(package), str(site)])}


@pytest.mark.timeout(300)
def test_search_without_ray_says_so_and_runs_locally(tmp_path: Path, without_ray: dict[str, str]) -> None:
    """Ray has no wheel for every machine; asked for by name it is one clear line and not a traceback."""
    command = [sys.executable, "-S", "-m", "mgic_nas.cli", "search", "quickstart", "--data", "fashion?train=80&val=60"]
    command += ["--budget", "1M", "--trials", "1", "--epochs", "1", "--out", str(tmp_path / "demo")]
    named = subprocess.run(
        [*command, "--executor", "ray"], capture_output=True, text=True, env=without_ray, check=False
    )
    assert named.returncode == 2
    assert "ray is not installed: pip install" in named.stderr
    assert "Traceback" not in named.stderr
    assert not (tmp_path / "demo").exists()
    done = subprocess.run(command, capture_output=True, text=True, env=without_ray, check=False)
    assert done.returncode == 0, done.stderr
    assert "ray is not installed, so trials run in local worker processes" in done.stderr
    assert "1 of 1 trials (1 complete)" in done.stdout


def test_what_the_data_have_in_them_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is trained: a doubled image spoils every accuracy."""
    for part in ("train", "val"):  # the same images in both
        write_folder(tmp_path / "own" / part, ["cat", "dog"], 6)
    (tmp_path / "own" / "train" / "cat" / "0.heic").touch()
    plan(mgic_nas.SearchSpace.from_dict(SPACE), str(tmp_path / "own"), BUDGETS, concurrent=1)
    said = capsys.readouterr().err
    assert "own: 12 of the val images are also in train" in said
    assert "own: train: 1 file with another ending left out: .heic (1)" in said
    assert not (tmp_path / "run").exists()

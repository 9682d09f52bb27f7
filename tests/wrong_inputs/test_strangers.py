"""A run folder, a checkpoint or a winner that somebody sent: it runs no code and writes nothing elsewhere."""

import json
import os
import pickle
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from fakes.table import make_table
from fakes.wrong import call, check_line, one_line, refused, tree, unchanged, unpack

import mgic_nas
from mgic_nas.engine.storage.folder import refuse_links_in
from mgic_nas.engine.storage.trial import COMPLETE, Trial
from mgic_nas.engine.storage.weights import Weights
from mgic_nas.errors import UserError
from mgic_nas.train import Job, Setup, get_recipe
from mgic_nas.train.loop import Training

RESUME = ["search", "tiny.yaml", "--data=fashion?train=400&val=200", "--budget=0.2M", "--budget=0.3M", "--epochs=5"]
RESUME += ["--seed=0", "--executor=local", "--out=run", "--concurrent=1", "--trials=4"]


class Evil:
    """A pickle that makes a file where it is loaded."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("hacked",)


@pytest.fixture
def run() -> Path:
    shutil.copy(Path(__file__).parents[1] / "compat" / "data" / "tiny.yaml", ".")
    return unpack(Path.cwd())


@pytest.fixture
def victim() -> Path:
    """Somebody's own folder beside the run."""
    victim = Path("victim")
    (victim / "attempt-1").mkdir(parents=True)
    for name in (
        "weights.safetensors",
        "checkpoint.pt",
        "notes.txt",
        "attempt-1/weights.safetensors",
        "model.safetensors",
    ):
        (victim / name).write_text("mine")
    (victim / "attempt-1/checkpoint.pt").write_text("mine")
    return victim


# --- links -----------------------------------------------------------------------------------------------------------


def to_victim(name: str, target: str = "victim") -> Callable[[Path], None]:
    def change(run: Path) -> None:
        path = run / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        path.symlink_to(os.path.abspath(target))

    return change


LINKS = {
    ".lock": to_victim(".lock", "victim/notes.txt"),
    "study.db": to_victim("study.db", "victim/notes.txt"),
    "study.db-wal": to_victim("study.db-wal", "victim/notes.txt"),
    "latency.csv": to_victim("latency.csv", "victim/notes.txt"),
    "a dangling .lock": to_victim(".lock", "victim/new.txt"),
    ".tune": to_victim(".tune"),
    "trials": to_victim("trials"),
    "a trial": to_victim("trials/1"),
    "a new trial": to_victim("trials/9"),
    "an attempt": to_victim("trials/1/attempt-1"),
}


@pytest.mark.parametrize("name", LINKS)
def test_a_search_does_not_go_on_through_links(name: str, run: Path, victim: Path) -> None:
    LINKS[name](run)
    with unchanged(Path.cwd()):
        code, out, err = call(RESUME)
    assert (code, out) == (2, "")
    check_line(err.splitlines()[-1], ["is a link"])


@pytest.mark.parametrize("name", ["winners", "winners/0.2M", "winners/another"])
def test_a_report_does_not_write_or_delete_through_links(name: str, run: Path, victim: Path) -> None:
    to_victim(name)(run)
    refused(["report", "run"], "is a link")


def test_a_report_replaces_links_to_files(run: Path, victim: Path) -> None:
    names = ["trials.csv", "front.csv", "budgets.csv", "report.html", "report.md", "front.png"]
    for name in names:
        to_victim(name, "victim/notes.txt")(run)
    before = tree(victim)
    assert call(["report", "run"])[0] == 0
    assert tree(victim) == before
    assert not [name for name in names if (run / name).is_symlink()]


def test_a_table_is_not_recorded_through_links(victim: Path) -> None:
    table = make_table(Path("table"), seeds=1)
    for name in (".lock", "trials"):
        to_victim(name)(table)
        with unchanged(victim):
            call(["record", "space.yaml", "--data=fashion", "--budget=1M", "--epochs=1", "--out=table"])
        (table / name).unlink()


def test_a_run_that_is_itself_linked_is_a_run(run: Path) -> None:
    Path("linked").symlink_to(run)
    assert call(["report", "linked"])[0] == 0


def test_links_are_found_at_every_level(tmp_path: Path, victim: Path) -> None:
    (tmp_path / "trials/3/attempt-1").mkdir(parents=True)
    refuse_links_in(tmp_path / "trials", levels=2)
    (tmp_path / "trials/3/attempt-2").symlink_to(victim.absolute())
    with pytest.raises(UserError, match="attempt-2 is a link"):
        refuse_links_in(tmp_path / "trials", levels=2)
    (tmp_path / "trials/4").symlink_to("nowhere")
    with pytest.raises(UserError, match="4 is a link"):
        refuse_links_in(tmp_path / "trials", levels=1)


def test_a_name_leads_nowhere_in_a_shared_storage(run: Path, victim: Path) -> None:
    """``name`` and ``storage`` make the folder that workers write to."""
    for name in ("../victim", "/etc", ".."):
        values = yaml.safe_load((run / "run.yaml").read_text())
        values |= {"name": name, "storage": os.path.abspath("storage")}
        (run / "run.yaml").write_text(yaml.safe_dump(values))
        refused(["report", "run"], "no name for a folder")
        with unchanged(Path.cwd()):
            code, _, err = call([*RESUME, "--storage=storage"])
        assert code == 2, err


def test_weights_of_a_trial_are_deleted_in_its_own_folder_alone(victim: Path) -> None:
    trial = Trial(0, "a", {}, {}, 10, params=1, activations=1, state=COMPLETE, val_acc=1.0, result_attempt=1)
    before = tree(victim)
    Weights(Path.cwd() / "trials", "front").sweep([trial])
    assert tree(victim) == before


# --- code ------------------------------------------------------------------------------------------------------------


def checkpoint(path: Path, content: Any) -> Training:
    job = Job(0, 2, {"depths": 1, "width_mult": 0.25}, 1, 2, str(path))
    torch.save(content, path)
    setup = Setup("mgic_resnet20", "fashion?train=80&val=60", 2, get_recipe("quick"), "trials")
    return Training(job, setup)


@pytest.mark.parametrize(
    "content",
    [Evil(), {"epochs": Evil()}, {"epochs": 1, "net": Evil()}, [Evil()], {Evil(): 1}],
    ids=["alone", "a value", "the network", "in a list", "a key"],
)
def test_a_checkpoint_runs_no_code(content: Any) -> None:
    with pytest.raises(pickle.UnpicklingError):
        checkpoint(Path("checkpoint.pt"), content)
    assert not Path("hacked").exists()


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin", "pytorch_model.pth", "model.pth"])
def test_a_winner_runs_no_code(name: str, run: Path) -> None:
    folder = run / "winners" / "0.3M"
    (folder / "model.safetensors").unlink()
    torch.save({"x": Evil()}, folder / name)
    with pytest.raises(UserError) as caught:
        mgic_nas.load_winner(folder)
    one_line(caught.value, "cannot be loaded")
    assert not Path("hacked").exists()


@pytest.mark.parametrize(
    "column",
    ["trial_user_attributes.value_json", "trial_params.distribution_json", "study_user_attributes.value_json"],
)
def test_a_study_runs_no_code(column: str, run: Path) -> None:
    evil = pickle.dumps(Evil(), protocol=0)
    table, _, name = column.partition(".")
    with sqlite3.connect(run / "study.db") as connection:
        connection.execute("INSERT INTO study_user_attributes (study_id, key, value_json) VALUES (1, 'x', '1')")
        connection.execute(f"UPDATE {table} SET {name} = ?", (evil,))
    connection.close()
    assert call(["report", "run"])[0] == 2
    assert not Path("hacked").exists()


ARGUMENTS = [
    {"checkpoint_path": "evil.pth"},
    {"pretrained": True},
    {"pretrained_cfg": {"file": "evil.pth"}},
    {"pretrained_cfg_overlay": {"url": "http://127.0.0.1:9/evil.pth", "source": "url"}},
    {"cache_dir": "victim"},
    {"base": "local-dir:victim"},
    {"block": "os:system"},
    {"act_layer": "os.system"},
]


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=lambda a: next(iter(a)))
def test_arguments_of_a_winner_load_nothing_else(arguments: dict[str, Any], run: Path) -> None:
    torch.save({"x": Evil()}, "evil.pth")
    config_file = run / "winners" / "0.3M" / "config.json"
    config = json.loads(config_file.read_text())
    for library in ("mgic_nas", None):
        config_file.write_text(json.dumps({**config, "library": library, "model_args": arguments}))
        with unchanged(Path.cwd()), pytest.raises(UserError) as caught:
            mgic_nas.load_winner(config_file.parent)
        one_line(caught.value)


@pytest.mark.parametrize("arguments", ARGUMENTS[::3], ids=lambda a: next(iter(a)))
def test_arguments_in_a_study_load_nothing_else(arguments: dict[str, Any], run: Path) -> None:
    """The report says that the winner cannot be written, and the rest of it is there."""
    torch.save({"x": Evil()}, "evil.pth")
    with sqlite3.connect(run / "study.db") as connection:
        for number, text in connection.execute("SELECT trial_user_attribute_id, value_json FROM trial_user_attributes"):
            job = json.loads(text)
            if "config" in job:
                job["config"] = arguments
                changed = (json.dumps(job), number)
                connection.execute(
                    "UPDATE trial_user_attributes SET value_json = ? WHERE trial_user_attribute_id = ?", changed
                )
    connection.close()
    shutil.rmtree(run / "winners")
    code, _, err = call(["report", "run"])
    assert code == 0
    assert "no winner written" in err
    assert not Path("hacked").exists()
    assert not (run / "winners").exists()


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.json", b""),
        ("config.json", b"[]"),
        ("config.json", b"{"),
        ("config.json", b"\xff"),
        ("config.json", b"[" * 100_000),
        ("config.json", b"{}"),
        ("config.json", b'{"architecture": 4}'),
        ("config.json", b'{"architecture": ["x"]}'),
        ("config.json", b'{"architecture": "resnet19"}'),
        ("config.json", b'{"architecture": "hf-hub:evil/net"}'),
        ("config.json", b'{"architecture": "resnet18"}'),
        ("config.json", b'{"architecture": "mgic_resnet20", "library": "mgic_nas"}'),
        ("config.json", b'{"architecture": "mgic_diffgcn", "library": "mgic_nas", "num_classes": "x", "in_chans": 3}'),
        ("config.json", b'{"architecture": "mgic_diffgcn", "library": "mgic_nas", "num_classes": 4, "in_chans": -3}'),
        ("config.json", b'{"architecture": "x", "library": "mgic_nas", "num_classes": 4, "in_chans": 3}'),
        ("model.safetensors", b""),
        ("model.safetensors", b"\xff" * 100),
        ("model.safetensors", b"\x00" * 100),
        ("model.safetensors", b"\xff\xff\xff\xff\xff\xff\xff\x7f{}"),
        ("model.safetensors", b"\x02\x00\x00\x00\x00\x00\x00\x00{}"),
        ("model.safetensors", None),
    ],
)
def test_a_broken_winner_is_one_line(file: str, content: bytes | None, run: Path) -> None:
    path = run / "winners" / "0.3M" / file
    path.write_bytes(path.read_bytes()[:-7] if content is None else content)
    with unchanged(Path.cwd()), pytest.raises(UserError) as caught:
        mgic_nas.load_winner(path.parent)
    one_line(caught.value, "0.3M")


def test_the_weights_of_another_network_are_one_line(run: Path) -> None:
    shutil.copy(run / "winners/0.2M/model.safetensors", run / "winners/0.3M/model.safetensors")
    with pytest.raises(UserError) as caught:
        mgic_nas.load_winner(run / "winners/0.3M")
    one_line(caught.value, "0.3M", "cannot be loaded")


@pytest.mark.parametrize("content", [b"", b"\x00" * 500, None], ids=["empty", "zeros", "truncated"])
def test_broken_weights_in_a_run_are_said_and_the_report_is_there(content: bytes | None, run: Path) -> None:
    shutil.rmtree(run / "winners")
    for path in run.glob("trials/*/*/weights.safetensors"):
        path.write_bytes(path.read_bytes()[:-9] if content is None else content)
    code, _, err = call(["report", "run"])
    assert code == 0
    assert "no winner written" in err
    assert "Traceback" not in err
    with pytest.raises(UserError) as caught:
        mgic_nas.load_run("run").best().create_model()
    one_line(caught.value, "weights.safetensors")

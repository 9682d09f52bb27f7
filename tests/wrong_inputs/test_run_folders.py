"""Run folders that are broken, half gone or somebody else's: one line for `report`, for Python and for going on."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from fakes.wrong import SPACE, call, check_line, one_line, refused, search, unchanged, unpack

import mgic_nas
from mgic_nas.errors import UserError


@pytest.fixture
def run() -> Path:
    return unpack(Path.cwd())


def set_yaml(dotted: str, value: Any) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        values = yaml.safe_load((run / "run.yaml").read_text())
        *path, last = dotted.split(".")
        at = values
        for key in path:
            at = at[key]
        if value is GONE:
            del at[last]
        else:
            at[last] = value
        (run / "run.yaml").write_text(yaml.safe_dump(values, sort_keys=False))

    return change


class _Gone:
    """Stands for a field that is taken away; with a name that is the same in every process, as xdist wants it."""

    def __repr__(self) -> str:
        return "missing"


GONE = _Gone()


def replace(old: str, new: str) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        text = (run / "run.yaml").read_text()
        assert old in text
        (run / "run.yaml").write_text(text.replace(old, new, 1))

    return change


def content(data: bytes) -> Callable[[Path], None]:
    return lambda run: (run / "run.yaml").write_bytes(data) and None


BOMB = "a: &a [x]\n" + "\n".join(f"{c}: &{c} [{', '.join([f'*{b}'] * 10)}]" for b, c in zip("abcdefgh", "bcdefghi"))
RUN_YAML = {
    "gone": (lambda run: (run / "run.yaml").unlink(), "not a run"),
    "a folder": (lambda run: (run / "run.yaml").unlink() or (run / "run.yaml").mkdir(), "directory"),
    "empty": (content(b""), "does not describe"),
    "binary": (content(b"\x80\x81\x82"), "UTF-8"),
    "null bytes": (content(b"\x00" * 100), "not valid YAML"),
    "a list": (content(b"- a"), "does not describe"),
    "text": (content(b"hello"), "does not describe"),
    "half": (lambda run: (run / "run.yaml").write_text((run / "run.yaml").read_text()[:700]) and None, "run.yaml"),
    "tabs": (replace("  model", "\tmodel"), "tabs"),
    "bomb": (content(BOMB.encode()), "too many"),
    "deep": (content(b"[" * 50_000), "deep"),
    "code": (replace("trials: 4", "trials: !!python/object/apply:os.system [id]"), "tag"),
    "twice": (replace("trials: 4", "trials: 4\ntrials: 5"), "second time"),
    "conflict": (replace("trials: 4", "<<<<<<< HEAD\ntrials: 4\n======="), "not valid YAML"),
    "other format": (set_yaml("format", 99), "99"),
    "unknown field": (set_yaml("colour", "blue"), "colour"),
    "octal": (replace("trials: 4", "trials: 010"), "octal"),
    "base 60": (replace("epochs: 5", "epochs: 1:30"), "base 60"),
    "exponent": (replace("epochs: 5", "epochs: 1e1"), "epochs"),
    "date": (replace("name: run", "name: 2024-01-01"), "name must be text"),
    "yes": (replace("trials: 4", "trials: yes"), "trials"),
    "number as a key": (set_yaml("versions", {1: "x"}), "a name"),
    **{
        f"{field} is {value!r}": (set_yaml(field, value), field.rpartition(".")[2])
        for field, values in {
            "name": [4, None, ["run"]],
            "space": [None, "quickstart", GONE, []],
            "space.model": [4, None, GONE],
            "space.params": [4, ["s_g"]],
            "space.kwargs": [4, ["depths"]],
            "data": [None, "fashion", GONE],
            "data.spec": [4, GONE],
            "data.input_size": [14, [1, 14], [1, 14, -14], ["1", 14, 14], [1, 14, 1.5], GONE],
            "data.num_classes": ["10", 0, -1, 1.5, True, GONE],
            "data.mean": [0.5, ["x"]],
            "data.sizes": [[1, 2], {"val": "many"}, {"val": -1}],
            "data.classes": [10, "abc"],
            "data.blind": ["x", [1]],
            "data.notes": ["x", [1], None],
            "data.smallest_class": ["cat", ["cat"], ["cat", "few"], [1, 2]],
            "data.crop_pct": ["x", float("nan"), float("inf")],
            "budgets": ["5M", [5], [["5M"]], ["5Q"], ["latency=5"], {"5M": 1}, None],
            "trials": ["4", 0, -1, 2.5, None, True],
            "epochs": ["5", 0, None],
            "recipe": ["quick", None, []],
            "sampler": [4, None],
            "seed": ["0", -1, 1.5, None],
            "rungs": [1],
            "keep": ["some", None],
            "executor": [1],
            "concurrent": ["1", 0, 1.5],
            "gpus_per_trial": [None, [1]],
            "address": [1],
            "storage": [1],
            "versions": [None, "torch", []],
            "created": [1],
        }.items()
        for value in values
    },
}


@pytest.mark.parametrize("name", RUN_YAML)
def test_a_wrong_run_yaml(name: str, run: Path) -> None:
    change, word = RUN_YAML[name]
    change(run)
    refused(["report", "run"], "run", word)
    with pytest.raises(UserError) as caught:
        mgic_nas.load_run("run")
    one_line(caught.value, word)


@pytest.mark.parametrize("name", ["gone", "empty", "half", "bomb", "budgets is ['5Q']", "trials is 0"])
def test_a_wrong_run_yaml_is_not_gone_on_with(name: str, run: Path) -> None:
    RUN_YAML[name][0](run)
    refused(search(space="quickstart"), "run")


def sql(*statements: str) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        with sqlite3.connect(run / "study.db") as connection:
            for statement in statements:
                connection.execute(statement)
        connection.close()

    return change


def job(text: str) -> Callable[[Path], None]:
    return sql(f"UPDATE trial_user_attributes SET value_json = '{text}' WHERE key = 'job'")


def patched(old: str, new: str, key: str = "job") -> Callable[[Path], None]:
    return sql(
        f"UPDATE trial_user_attributes SET value_json = replace(value_json, '{old}', '{new}') WHERE key = '{key}'"
    )


def foreign(run: Path) -> None:
    (run / "study.db").unlink()
    study = optuna.create_study(storage=f"sqlite:///{run}/study.db")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)


STUDY = {
    "torn": lambda run: os.truncate(run / "study.db", 5000),
    "header only": lambda run: os.truncate(run / "study.db", 100),
    "text": lambda run: (run / "study.db").write_text("hello" * 100) and None,
    "zeros": lambda run: (run / "study.db").write_bytes(b"\0" * 8192) and None,
    "a folder": lambda run: (run / "study.db").unlink() or (run / "study.db").mkdir(),
    "another database": lambda run: (run / "study.db").unlink() or sql("CREATE TABLE mine (a)")(run),
    "later schema": sql("UPDATE alembic_version SET version_num = 'v99.0.0.a'"),
    "no trials table": sql("DROP TABLE trials"),
    "no attributes table": sql("DROP TABLE trial_user_attributes"),
    "a missing column": sql("ALTER TABLE trials RENAME COLUMN state TO condition"),
    "an unknown state": sql("UPDATE trials SET state = 'GOOD'"),
    "numbers that are texts": sql("UPDATE trials SET number = '../../../victim'"),
    "negative numbers": sql("UPDATE trials SET number = -1 - number"),
    "no numbers": sql("UPDATE trials SET number = NULL"),
    "dates that are none": sql("UPDATE trials SET datetime_start = 'yesterday'"),
    "attributes that are no JSON": sql("UPDATE trial_user_attributes SET value_json = '{'"),
    "deep attributes": sql(f"UPDATE trial_user_attributes SET value_json = '{'[' * 100_000}'"),
    "parameters without a distribution": sql("UPDATE trial_params SET distribution_json = '{}'"),
    "a job that is a text": job('"x"'),
    "a job that is a number": job("4"),
    "a job that is empty": job("{}"),
    "a job that is a list": job("[1, 2]"),
    "an attempt that is a path": patched('"attempt": 1', '"attempt": "1/../../../x"'),
    "an attempt that is negative": patched('"attempt": 1', '"attempt": -1'),
    "a setting that is a list": patched('"setting": {', '"setting": [1], "was": {'),
    "a config that is a text": patched('"config": {', '"config": "x", "was": {'),
    "costs that are texts": patched('"macs": ', '"macs": "many", "was": '),
    "no costs": patched('"cost": {', '"was": {'),
    "a checkpoint elsewhere": patched('"checkpoint": null', '"checkpoint": "../../victim/checkpoint.pt"'),
    "an absolute checkpoint": patched('"checkpoint": null', '"checkpoint": "/etc/passwd"'),
    "a seed that is a text": patched('"seed": ', '"seed": "x", "was": '),
    "a result that is a text": sql("UPDATE trial_user_attributes SET value_json = '\"x\"' WHERE key = 'result'"),
    "a result of another attempt": patched('"attempt": 1', '"attempt": "../x"', "result"),
    "an accuracy that is a text": patched('"val_acc": ', '"val_acc": "good", "was": ', "result"),
    "a curve that is a number": patched('"curve": [', '"curve": 4, "was": [', "result"),
    "a view that never ends": sql(
        "ALTER TABLE trials RENAME TO kept",
        "CREATE VIEW trials AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n",
    ),
    "a trigger": sql("CREATE TRIGGER t AFTER UPDATE ON trials BEGIN DELETE FROM trials; END"),
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", STUDY)
def test_a_wrong_study(name: str, run: Path) -> None:
    STUDY[name](run)
    refused(["report", "run"], "study")
    with pytest.raises(UserError) as caught:
        mgic_nas.load_run("run").best()
    one_line(caught.value, "study")


RESUME = ["search", "tiny.yaml", "--data=fashion?train=400&val=200", "--budget=0.2M", "--budget=0.3M", "--epochs=5"]
RESUME += ["--seed=0", "--executor=local", "--out=run", "--concurrent=1", "--trials=4"]


RESUMED = [
    *("torn", "text", "a folder", "later schema", "no trials table", "a missing column", "an unknown state"),
    *("numbers that are texts", "negative numbers", "attributes that are no JSON", "a job that is empty"),
    *("an attempt that is a path", "a checkpoint elsewhere", "a result of another attempt", "a trigger"),
]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", RESUMED)
def test_a_wrong_study_is_not_gone_on_with(name: str, run: Path) -> None:
    shutil.copy(Path(__file__).parents[1] / "compat" / "data" / "tiny.yaml", ".")
    STUDY[name](run)
    # A lock, and what sqlite puts beside a file that it opens, are no harm; nothing else may change.
    with unchanged(Path.cwd(), but=(".lock", "study.db", "study.db-wal", "study.db-shm")):
        code, out, err = call(RESUME)
    assert (code, out) == (2, "")
    *notes, last = err.splitlines()
    assert all("warning: " in note or "made with other versions" in note for note in notes), err
    check_line(last, ["study"])


def test_a_run_without_its_study_or_trials(run: Path) -> None:
    """Not wrong: a table and a page that somebody keeps."""
    shutil.rmtree(run / "trials")
    (run / "study.db").unlink()
    assert call(["report", "run"])[0] == 0
    (run / "trials.csv").unlink()
    assert "Traceback" not in call(["report", "run"])[2]


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_a_run_that_must_not_be_read(run: Path) -> None:
    (run / "run.yaml").chmod(0)
    refused(["report", "run"], "permission")


def test_a_file_in_place_of_a_run() -> None:
    Path("run").write_text("mine")
    refused(["report", "run"], "not a run")
    refused(search(), "file")
    assert Path("space.yaml").read_text() == SPACE

"""Making a recorded table: hours of training that nothing may waste."""

from pathlib import Path
from typing import Any

import pytest
from fakes.engine import write_result

from mgic_nas._files import read_csv, read_json, write_json
from mgic_nas.errors import UserError
from mgic_nas.tabular.recording import Recording, record
from mgic_nas.tabular.table import ARCHITECTURES_CSV, CURVES_CSV, Table, TableConfig
from mgic_nas.train import attempt_folder

SPACE = {
    "model": "mgic_resnet20",
    "kwargs": {"depths": 1},
    "params": {"s_g": {"choices": [4, 8]}, "width_mult": {"choices": [0.25, 0.5]}},
}


def config(**changes: Any) -> TableConfig:
    values: dict[str, Any] = {
        "space": SPACE,
        "data": {"spec": "fake", "fingerprint": "f", "input_size": [1, 14, 14], "num_classes": 10},
        "budgets": ["10M"],
        "epochs": 3,
        "recipe": {},
    }
    return TableConfig(**values | changes)


def train(recording: Recording) -> Any:
    """One training, as a worker does it."""
    job = recording.next()
    assert job is not None
    write_result(recording.trials_folder, job.number, job.attempt, 70.0, 3)
    path = attempt_folder(recording.trials_folder, job.number, job.attempt) / "result.json"
    result = read_json(path)
    write_json(path, {**result, "device": "cpu"})
    recording.finish(job)
    return job


def test_a_killed_recording_goes_on_with_what_is_missing(tmp_path: Path) -> None:
    folder = tmp_path / "table"
    first = Recording(folder, config(), seeds=2, say=lambda line: None)
    total = first.total
    done = {train(first).seed for _ in range(3)}
    first.next()  # under way when the driver is killed
    first._lock.release()
    with open(folder / CURVES_CSV, "a") as stream:  # and in mid-write
        stream.write("0123456789ab,1,1,0.5")
    with Recording(folder, config(), seeds=2, say=lambda line: None) as second:
        assert (second.complete, second.total) == (3, total)
        while not second.done:
            done.add(train(second).seed)
    assert len(done) == total
    table = Table(folder)
    assert not table.missing
    assert table.seeds == 2
    assert not (folder / "trials").exists()


def test_more_seeds_extend_a_table_and_other_trainings_do_not_mix_with_it(tmp_path: Path) -> None:
    with Recording(tmp_path / "t", config(), seeds=1, say=lambda line: None) as recording:
        while not recording.done:
            train(recording)
    with Recording(tmp_path / "t", config(), seeds=2, say=lambda line: None) as recording:
        assert recording.complete == recording.total / 2
    for change in ({"epochs": 4}, {"recipe": {"lr": 1.0}}, {"data": {**config().data, "fingerprint": "g"}}):
        with pytest.raises(UserError, match=r"another .*name another folder"):
            Recording(tmp_path / "t", config(**change), seeds=1)


@pytest.mark.parametrize("budgets", [["{}"], ["10M", "params={}"]])
def test_budgets_that_would_shrink_a_table_are_refused(tmp_path: Path, budgets: list[str]) -> None:
    """A smaller budget, or one more of another kind: both would drop rows of architectures.csv."""
    folder = tmp_path / "t"
    with Recording(folder, config(), seeds=1, say=lambda line: None) as recording:
        while not recording.done:
            train(recording)
    costs = Table(folder).architectures[0].cost
    cheapest = costs["params"] if len(budgets) > 1 else costs["macs"]
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    smaller = [budget.format(int(cheapest)) for budget in budgets]
    with pytest.raises(UserError, match=r"would be left out by the budgets .*Only seeds and budgets may grow") as error:
        Recording(folder, config(budgets=smaller), seeds=1)
    assert "\n" not in str(error.value)
    assert "(10M)" in str(error.value)
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before
    with Recording(folder, config(budgets=["20M"]), seeds=1) as recording:  # and the table is not locked
        assert recording.done


def test_a_larger_budget_extends_a_table(tmp_path: Path) -> None:
    with Recording(tmp_path / "t", config(), seeds=1, say=lambda line: None) as recording:
        total, cheapest = recording.total, read_csv(tmp_path / "t" / ARCHITECTURES_CSV)[0]["macs"]
    with Recording(tmp_path / "s", config(budgets=[cheapest]), seeds=1, say=lambda line: None) as recording:
        trained = recording.total
        assert trained < total
        while not recording.done:
            train(recording)
    with Recording(tmp_path / "s", config(), seeds=1, say=lambda line: None) as recording:
        assert (recording.total, recording.complete) == (total, trained)


def test_two_recorders_do_not_write_one_table(tmp_path: Path) -> None:
    with Recording(tmp_path / "t", config(), seeds=1), pytest.raises(UserError, match="being written"):
        Recording(tmp_path / "t", config(), seeds=1)


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("")
    with pytest.raises(UserError, match="no table and not empty"):
        Recording(tmp_path, config(), seeds=1)


def test_what_raises_is_told_and_what_dies_is_repeated(tmp_path: Path) -> None:
    said: list[str] = []
    with Recording(tmp_path / "t", config(), seeds=1, say=said.append) as recording:
        died = recording.next()
        recording.fail(died, "worker killed by SIGKILL", died=True)
        raised = recording.next()
        recording.fail(raised, "FloatingPointError: the loss became nan")
        numbers = []
        while not recording.done:
            numbers.append(train(recording).number)
        assert died.number in numbers
        assert raised.number not in numbers
        assert list(recording.failed.values()) == ["FloatingPointError: the loss became nan"]
    assert any("SIGKILL" in line for line in said)


@pytest.mark.slow
def test_a_real_table_of_two_networks(tmp_path: Path) -> None:
    space = tmp_path / "space.yaml"
    space.write_text("model: mgic_resnet20\nkwargs: {depths: 1, width_mult: 0.25}\nparams:\n  s_g: {choices: [4, 8]}\n")
    record(str(space), "fashion?train=100&val=50", ["1M"], 2, 1, tmp_path / "t", concurrent=1)
    table = Table(tmp_path / "t")
    assert len(table.architectures) == 2
    assert not table.missing
    assert (table.curves("cpu_seconds") > 0).all()


def test_lock_of_a_closed_table_stays_on_the_disk(tmp_path: Path) -> None:
    """Deleted while it is held, the next driver would lock another file, and two would write one table."""
    with Recording(tmp_path / "t", config(), seeds=1, say=lambda line: None):
        inode = (tmp_path / "t/.lock").stat().st_ino
    with Recording(tmp_path / "t", config(), seeds=1, say=lambda line: None):
        assert (tmp_path / "t/.lock").stat().st_ino == inode

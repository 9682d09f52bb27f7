"""Runs are laid over each other where every network was scored on the same images, and nowhere else."""

import dataclasses
import json

import numpy as np
import pytest
from fakes import report as fakes

from mgic_nas.errors import UserError
from mgic_nas.report import gather_runs, overlay, summary_text
from mgic_nas.report._overlay import page
from mgic_nas.report.overlaid import notes
from mgic_nas.train.right import write_right


@pytest.fixture
def two(tmp_path):
    return [
        fakes.folder(tmp_path / "a", fakes.rows(seed=0)[0]),
        fakes.folder(tmp_path / "b", fakes.rows(18, seed=5)[0], trials=18, budgets=["1M", "params=30k"], seed=5),
    ]


def test_hypervolumes_have_one_reference(two):
    over = gather_runs(two)
    assert over.reference == (10.0, 2e6), "the largest budget of any of them"
    assert [len(history) for history in over.histories] == [24, 18]
    assert [b.label for b in over.budgets] == ["0.5M", "1M", "2M", "params=30k"]
    data = json.loads(page(over).split('id="data">', 1)[1].split("</script>", 1)[0])
    assert [t["name"] for t in data["figures"]["hypervolume"]["data"]] == ["a", "b"]
    assert [t["x"] for t in data["figures"]["front-macs"]["data"]] == [[t.macs for t in run.front] for run in over.runs]


def test_the_page_is_written_and_the_runs_are_left_alone(two, tmp_path):
    before = {p: p.stat().st_mtime_ns for folder in two for p in folder.iterdir()}
    path = overlay(gather_runs(two), tmp_path / "over.html")
    assert {p: p.stat().st_mtime_ns for folder in two for p in folder.iterdir()} == before
    found = {one["figure"]: one for one in fakes.drawn(path.read_text(), tmp_path)}
    assert set(found) == {"front-macs", "hypervolume"}
    assert not any(one["attributes"] for one in found.values())
    assert "within 1 M MACs (at 1×14×14)" in summary_text(gather_runs(two))


def test_other_data_are_refused(two, tmp_path):
    other = fakes.folder(tmp_path / "c", data={**fakes.DATA, "fingerprint": "ffff", "spec": "fashion?val=500"})
    with pytest.raises(
        UserError, match=r"c cannot be laid over .*a: its data are fashion\?val=500, not fashion\."
    ) as e:
        gather_runs([two[0], other])
    assert "\n" not in str(e.value)
    changed = fakes.folder(tmp_path / "d", data={**fakes.DATA, "fingerprint": "ffff"})
    with pytest.raises(UserError, match="its data were others then"):
        gather_runs([two[0], changed])
    unknown = fakes.folder(tmp_path / "e", data={**fakes.DATA, "fingerprint": None})
    with pytest.raises(UserError, match="its data were others"):
        gather_runs([unknown, fakes.folder(tmp_path / "f", data={**fakes.DATA, "fingerprint": None})])
    with pytest.raises(UserError, match="2 to 12 different runs"):
        gather_runs([two[0], two[0]])
    with pytest.raises(UserError, match="not a run"):
        gather_runs([two[0], tmp_path / "nothing"])


def test_runs_of_a_train_function_are_laid_over_runs_of_the_same_alone(tmp_path):
    """Nobody knows its data: that is said."""
    own = {"data": {**fakes.DATA, "fingerprint": ""}, "trained_by": "mine:train"}
    runs = [fakes.folder(tmp_path / name, fakes.rows(seed=seed)[0], **own) for seed, name in enumerate("ab")]
    assert any("as mine:train says them" in line for line in notes(gather_runs(runs)))
    other = fakes.folder(tmp_path / "c", **{**own, "trained_by": "mine:train#1234"})
    with pytest.raises(UserError, match="trained by mine:train#1234, not mine:train"):
        gather_runs([runs[0], other])


def test_what_the_runs_differ_in_is_said(two, tmp_path):
    longer = fakes.folder(tmp_path / "longer", fakes.rows(seed=2)[0], epochs=30)
    assert notes(gather_runs([two[0], longer])) == ["The runs differ in their epochs."]
    assert any("Unfinished: c." in n for n in notes(gather_runs([two[0], fakes.folder(tmp_path / "c", trials=99)])))


def test_the_noise_of_training_is_named_where_two_runs_trained_the_same(two, tmp_path):
    table = fakes.rows(seed=0)[0]
    again = [{**row, "seed": row["seed"] + 1, "val_acc": row["val_acc"] + 0.8} for row in table]
    (line,) = notes(gather_runs([two[0], fakes.folder(tmp_path / "again", again)]))
    assert line.startswith("24 architectures were trained with more than one seed")
    assert "spread by 0.6 points" in line, "0.8 apart: a standard deviation of 0.8 / sqrt(2)"


def test_winners_of_two_runs_are_paired_where_both_kept_their_answers(two):
    over = gather_runs(two)
    budget = over.budgets[1]
    assert not over.against(0, 1, budget).paired
    images = fakes.DATA["sizes"]["val"]
    runs = []
    for run, correct in zip(over.runs, (1200, 1240), strict=True):
        trials = []
        for trial in run.trials:
            acc = 100 * correct / images
            trials.append(dataclasses.replace(trial, val_acc=acc, result_attempt=1))
            attempt = trial.attempts_folder(run.record.trials_folder) / "attempt-1"
            attempt.mkdir(parents=True)
            write_right(attempt, np.arange(images) < correct)
        runs.append(dataclasses.replace(run, record=dataclasses.replace(run.record, entries=tuple(trials))))
    step = dataclasses.replace(over, runs=tuple(runs)).against(0, 1, budget)
    assert step.paired
    assert step.gain == pytest.approx(2.5)
    assert step.error < 0.5

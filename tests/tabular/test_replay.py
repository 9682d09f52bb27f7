"""Searches in a recorded table: the numbers by which samplers are judged."""

from pathlib import Path

import numpy as np
import pytest
from fakes.table import EPOCHS, make_table

from mgic_nas.engine.storage.starting import Earlier
from mgic_nas.errors import UserError
from mgic_nas.pareto import hypervolume
from mgic_nas.tabular.replay import Truth, replay
from mgic_nas.tabular.table import CURVES_CSV, Table


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    return Truth(Table(make_table(tmp_path_factory.mktemp("tables") / "fake")))


def test_a_table_is_read_as_it_was_written(truth: Truth) -> None:
    table = truth.table
    assert table.seeds == 2
    assert not table.missing
    assert table.curves("val_acc").shape == (len(table.architectures), 2, EPOCHS)
    assert [a.cost["macs"] for a in table.architectures] == sorted(a.cost["macs"] for a in table.architectures)
    for a in table.architectures[:5]:
        assert table.space.arch_id(a.setting) == a.arch_id


def test_the_truth_is_the_mean_over_seeds(truth: Truth) -> None:
    row = 3
    assert truth.acc[row] == pytest.approx(truth.final[row].mean())
    assert truth.best == pytest.approx(hypervolume(truth.acc, truth.macs, truth.reference))
    assert truth.shares(range(len(truth.macs)))[-1] == pytest.approx(1)
    assert truth.reference[0] == pytest.approx(np.percentile(truth.acc, 10))


def test_the_bound_is_reached_by_the_front_and_by_nothing_smaller(truth: Truth) -> None:
    assert 1 <= truth.fewest(0.95) <= truth.fewest(0.99) <= len(truth.front)
    assert truth.hypervolume(truth.front) == pytest.approx(truth.best)


@pytest.mark.parametrize("sampler", ["cost", "stratified", "random", "nsga2", "tpe"])
def test_a_replay_trains_whole_architectures_once_each(truth: Truth, sampler: str) -> None:
    trace = replay(truth, sampler, seed=0, trials=8, enough=1.1)
    assert len(trace.rows) == 8
    assert len(set(trace.rows.tolist())) == 8
    assert trace.epochs.tolist() == [EPOCHS * (n + 1) for n in range(8)]
    assert trace.trials.tolist() == [*range(1, 9)]
    drawn = [acc in truth.final[row] for row, acc in zip(trace.rows, trace.observed, strict=True)]
    assert all(drawn)


def test_the_clock_is_the_tables(truth: Truth) -> None:
    """Two at a time take half as long, and what is dear takes longer."""
    one = replay(truth, "random", seed=0, trials=8, enough=1.1)
    seconds = [truth.table.curves("cpu_seconds")[row, 0].sum() for row in one.rows]
    assert one.seconds.tolist() == pytest.approx(np.cumsum(seconds))
    two = replay(truth, "random", seed=0, trials=8, enough=1.1, concurrent=2)
    assert 0.45 * one.seconds[-1] < two.seconds[-1] < 0.75 * one.seconds[-1]
    assert set(two.rows.tolist()) == set(one.rows.tolist())


@pytest.mark.parametrize("rungs", ["none", "halving"])
def test_a_seed_replays_to_the_same_trace(truth: Truth, rungs: str) -> None:
    a, b, c = (replay(truth, "cost", seed, rungs=rungs, trials=12, concurrent=3) for seed in (1, 1, 2))
    assert a.rows.tolist() == b.rows.tolist()
    assert a.seconds.tolist() == b.seconds.tolist()
    assert a.rows.tolist() != c.rows.tolist()


@pytest.mark.parametrize(("rungs", "seeds"), [("none", 4), ("thaw", 2)])
def test_a_search_that_starts_from_what_is_known_needs_fewer_trainings(truth: Truth, rungs: str, seeds: int) -> None:
    """The earlier search was of another scale, and its trainings were others."""
    settings = tuple(a.setting for a in truth.table.architectures)
    accs = tuple((truth.final[:, 1] / 2).tolist())
    ends = []
    for earlier in (None, Earlier(settings, accs)):
        traces = [replay(truth, "cost", seed, rungs=rungs, earlier=earlier, enough=0.95) for seed in range(seeds)]
        ends.append(np.median([trace.epochs[-1] for trace in traces]))
    assert ends[1] < 0.9 * ends[0]


def test_early_stopping_counts_every_epoch_that_it_trains(truth: Truth) -> None:
    trace = replay(truth, "random", seed=0, rungs="halving", trials=16, enough=1.1)
    assert 0 < len(trace.rows) < 16
    assert trace.epochs[-1] > EPOCHS * len(trace.rows)  # the others' first rungs
    assert trace.epochs[-1] < EPOCHS * 16


def test_a_replay_ends_once_enough_is_found(truth: Truth) -> None:
    trace = replay(truth, "cost", seed=0, enough=0.5)
    shares = truth.shares(trace.rows)
    assert shares[-1] >= 0.5
    assert (shares[:-1] < 0.5).all()


def test_a_training_that_was_cut_off_is_none(tmp_path: Path) -> None:
    """A recorder that was killed in mid-write leaves half a training: it must not look like one that ended badly."""
    folder = make_table(tmp_path / "t")
    path = folder / CURVES_CSV
    whole = path.read_text()
    path.write_text(whole[: -len(whole.splitlines()[-1]) // 2])
    table = Table(folder)
    assert len(table.missing) == 1
    assert np.isnan(table.curves("val_acc")[:, :, -1]).sum() == 1


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"not a recorded table: it has no table.yaml"):
        Table(tmp_path)

"""The study: what is in it is all that is left after a crash."""

import signal
from pathlib import Path

import optuna
import pytest
from optuna.distributions import IntDistribution

from mgic_nas.engine.storage.study import VIOLATION, StudyStore, count_trials, read_study, uninterrupted
from mgic_nas.engine.storage.trial import COMPLETE, FAILED, JOB, RESULT, STOPPED, Trial

PARAMS = {"a": IntDistribution(1, 8)}


def trained(number: int, state: str) -> Trial:
    return Trial(number, f"arch{number}", {"a": 1}, {"a": 1}, macs=5, state=state, val_acc=70.0)


@pytest.fixture(params=[True, False], ids=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> StudyStore:
    store = StudyStore(tmp_path if request.param else None, "demo")
    store.set_sampler(optuna.samplers.RandomSampler(seed=0))
    return store


def test_states_are_optunas(store: StudyStore) -> None:
    for state in (COMPLETE, STOPPED, FAILED):
        number = store.ask(PARAMS).number
        store.write(number, JOB, {"arch_id": "x"})
        store.finish(trained(number, state))
    store.reject(store.ask_fixed({"a": 3}, PARAMS), "over budget", 0.5)
    found = store.trials()
    assert [t.state.name for t in found] == ["COMPLETE", "PRUNED", "FAIL", "PRUNED"]
    assert found[0].values == [70.0, 5.0]
    assert found[0].user_attrs == {JOB: {"arch_id": "x"}}
    assert found[3].params == {"a": 3}
    assert found[3].user_attrs == {"rejected": "over budget"}
    assert found[3].constraints == {VIOLATION: 0.5}
    store.close()


def test_names_that_a_killed_driver_did_not_set_are_set(tmp_path: Path) -> None:
    """Or Optuna's own tools show "objective 0" for good."""
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path}/study.db")
    optuna.create_study(storage=storage, study_name="demo", directions=["maximize", "minimize"])
    storage.engine.dispose()
    store = StudyStore(tmp_path, "demo")
    assert store._study.metric_names == ["val_acc", "macs"]
    store.close()


def test_proposal_that_nobody_asked_for_can_be_dropped(store: StudyStore) -> None:
    """A driver was killed between enqueueing it and asking for it."""
    store._study.enqueue_trial({"a": 1})
    store.drop(0, "never handed out")
    assert store.trials()[0].state.name == "FAIL"
    assert store.ask(PARAMS).number == 1
    store.close()


def test_a_reader_sees_every_commit_and_a_renamed_folder_keeps_its_study(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    store = StudyStore(old, "old")
    assert read_study(old) == ([], {})
    assert count_trials(old) == 0
    store.write(store.ask(PARAMS).number, RESULT, {"val_acc": 1.0})
    store.over, store.ended = True, "no architecture is left"
    trials, attributes = read_study(old)  # while it is open
    assert [t.user_attrs for t in trials] == [{RESULT: {"val_acc": 1.0}}]
    assert count_trials(old) == 1
    assert (attributes["over"], attributes["ended"]) == (True, "no architecture is left")
    store.close()
    old.rename(new)
    store = StudyStore(new, "new")
    assert len(store.trials()) == 1
    assert store.over
    assert store.ended == "no architecture is left"
    store.close()


def test_an_interrupt_waits_for_the_end_of_a_transaction() -> None:
    """Raised inside a query, Ctrl-C would end a search with SQLAlchemy's traceback, and perhaps with half a commit."""
    # Not as a shell's background job, whose Ctrl-C is ignored.
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    before = signal.getsignal(signal.SIGINT)
    done = []

    def transaction() -> None:
        with uninterrupted(), uninterrupted():
            signal.raise_signal(signal.SIGINT)
            done.append(1)

    try:
        with pytest.raises(KeyboardInterrupt):
            transaction()
        assert done == [1]
        assert signal.getsignal(signal.SIGINT) is before
    finally:
        signal.signal(signal.SIGINT, inherited)


def test_equal_distributions_of_a_long_search_are_one_object(run) -> None:
    """Or ten thousand trials of twenty parameters fill the driver's memory with copies of twenty distributions."""
    run.finish(run.open(trials=4))
    trials = [t for t in read_study(run.folder)[0] if t.params]
    assert len(trials) >= 4
    for name in trials[0].distributions:
        assert len({id(t.distributions[name]) for t in trials}) == 1

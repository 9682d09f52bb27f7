"""Early stopping by expected gain: nothing is trained on that promises less than something else."""

from dataclasses import replace
from typing import Any

import pytest

from mgic_nas.engine.proposals.candidate import SearchProblem
from mgic_nas.engine.proposals.pool import CandidatePool
from mgic_nas.engine.schedulers.freeze_thaw import STARTUP, FreezeThaw
from mgic_nas.engine.storage.record import read_record
from mgic_nas.engine.storage.trial import COMPLETE, FAILED, PAUSED, RUNNING, Trial
from mgic_nas.engine.surrogate.expected_gain import Objective
from mgic_nas.space import Budget, SearchSpace

EPOCHS = 4


@pytest.fixture(scope="module")
def pool() -> CandidatePool:
    space = SearchSpace.from_yaml("fashion_table")
    return CandidatePool(SearchProblem(space, (1, 14, 14), 10, (Budget("macs", 1e6),)))


@pytest.fixture
def thaw(pool: CandidatePool) -> FreezeThaw:
    return FreezeThaw(pool, Objective(float(pool.macs.min()), float(pool.macs.max()), EPOCHS))


def entry(pool: CandidatePool, position: int, end: float, epochs: int, state: str = PAUSED) -> Trial:
    """The architecture at a position of the pool, on its way to ``end`` percent."""
    curve = [
        {"epoch": e, "val_acc": end - 2 * (EPOCHS - e), "train_loss": 2 - end / 50 + (EPOCHS - e) / 20}
        for e in range(1, epochs + 1)
    ]
    trial = Trial(position, pool.arch_ids[position], pool.settings[position], {}, None, last_epoch=epochs)
    return trial.with_result({"curve": curve, "val_acc": end if state == COMPLETE else None}, state)


def test_it_pauses_after_every_eighth(pool: CandidatePool) -> None:
    def levels(epochs: int) -> tuple[int, ...]:
        return FreezeThaw(pool, Objective(1e5, 1e6, epochs)).levels

    assert levels(3) == (1, 2, 3)
    assert levels(8) == (1, 2, 3, 4, 5, 6, 7, 8)
    assert len(levels(100)) == 8
    assert levels(100)[-1] == 100


def test_first_some_are_begun(pool: CandidatePool, thaw: FreezeThaw) -> None:
    waiting = [entry(pool, i, 75.0, 1) for i in range(STARTUP - 1)]
    assert thaw.promote(waiting) is None


def test_the_promising_one_goes_on_and_the_hopeless_one_does_not(pool: CandidatePool, thaw: FreezeThaw) -> None:
    order = sorted(range(len(pool.macs)), key=lambda i: pool.macs[i])
    done = [entry(pool, i, 74 + k / 3, EPOCHS, COMPLETE) for k, i in enumerate(order[::4][:24])]
    for e in done:
        thaw.remember(e)
    good, bad = entry(pool, order[30], 84.0, 3), entry(pool, order[31], 60.0, 2)
    assert thaw.promote([bad, good]) == (good.number, 4)
    thaw.remember(replace(good, state=RUNNING))
    assert thaw.promote([bad]) is None
    # Not even when nothing else is left to be done.
    assert thaw.promote([bad], ending=True) is None


def test_a_restart_decides_the_same(pool: CandidatePool, thaw: FreezeThaw) -> None:
    done = [entry(pool, i, 75.0 + i % 5, EPOCHS, COMPLETE) for i in range(0, 60, 6)]
    waiting = [entry(pool, i, 76.0 + i % 7, 2) for i in range(3, 60, 9)]
    for e in [*done, *waiting]:
        thaw.remember(e)
        thaw.promote(waiting[:1])  # what was decided on the way leaves no trace
    again = FreezeThaw(pool, Objective(float(pool.macs.min()), float(pool.macs.max()), EPOCHS))
    for e in sorted([*done, *waiting], key=lambda e: e.number):
        again.remember(e)
    assert again.promote(waiting) == thaw.promote(waiting)


def test_failed_trials_are_no_evidence(pool: CandidatePool, thaw: FreezeThaw) -> None:
    for i in range(STARTUP):
        thaw.remember(entry(pool, i, 75.0, 0, FAILED))
    assert thaw.promote([entry(pool, 20, 75.0, 1)]) is None


def test_a_whole_run_ends_with_a_front(run: Any, pool: CandidatePool) -> None:
    """Through the Controller: fewer epochs than everything, more than one network to choose from, nothing left open."""
    from fakes import engine as fakes

    epochs = 0
    with run.open(trials=16, epochs=8, rungs="thaw", sampler="cost") as controller:
        while not controller.done:
            job = controller.next()
            assert job is not None
            for epoch in range(job.first_epoch + 1, job.last_epoch + 1):
                val_acc = fakes.accuracy(job.config) - (8 - epoch)
                assert controller.report(job, {"epoch": epoch, "val_acc": val_acc, "train_loss": 2 - val_acc / 60})
                epochs += 1
            fakes.write_result(run.trials, job.number, job.attempt, fakes.accuracy(job.config), job.last_epoch)
            controller.finish(job)
    states = [row["state"] for row in run.rows()]
    assert sum(row["epochs"] for row in run.rows()) == epochs, "what paused ones cost is told too"
    assert set(states) == {"complete", "paused"}
    assert states.count("complete") >= 2
    assert epochs < 16 * 8
    assert read_record(run.folder).over
    with run.open(trials=20, epochs=8, rungs="thaw", sampler="cost") as controller:
        assert controller.next() is not None
    assert not read_record(run.folder).over, "extended, and interrupted"

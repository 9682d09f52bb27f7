"""Early stopping for two objectives."""

from typing import Any

import pytest
from fakes.engine import FakeSpace

from mgic_nas.engine.proposals.candidate import SearchProblem
from mgic_nas.engine.schedulers.halving import SuccessiveHalving
from mgic_nas.engine.schedulers.registry import make_scheduler
from mgic_nas.engine.storage.trial import Trial
from mgic_nas.errors import UserError


def entry(number: int, macs: int, accs: list[float], last_epoch: int | None = None) -> Trial:
    curve = [{"epoch": i + 1, "val_acc": a, "train_loss": 2 - a / 50} for i, a in enumerate(accs)]
    return Trial(number, "", {}, {}, macs, last_epoch=last_epoch or len(accs), curve=tuple(curve))


def paused(rungs: SuccessiveHalving, *entries: Trial) -> tuple[int, int] | None:
    for e in entries:
        for row in e.curve:
            rungs.decide(e, row)
    return rungs.promote(entries)


def test_rungs_halve_the_epochs() -> None:
    assert SuccessiveHalving(8).levels == (1, 2, 4, 8)
    assert SuccessiveHalving(100).levels == (12, 25, 50, 100)
    assert SuccessiveHalving(3).levels == (1, 3)
    assert SuccessiveHalving(1).levels == (1,)
    assert SuccessiveHalving(9, eta=3).levels == (1, 3, 9)


def test_the_best_half_goes_on() -> None:
    rungs = SuccessiveHalving(4)
    waiting = [entry(0, 100, [50]), entry(1, 100, [60]), entry(2, 100, [55]), entry(3, 100, [40])]
    assert paused(rungs, *waiting) == (1, 2)
    assert rungs.promote([waiting[0], waiting[2], waiting[3]]) == (2, 2)
    assert rungs.promote([waiting[0], waiting[3]]) is None


def test_a_cheap_network_is_not_compared_with_dear_ones() -> None:
    """By accuracy alone the dear ones would win: what a small budget can buy would never be trained to the end."""
    dear = [entry(i, 10_000 + i, [70 - 0.5 * i]) for i in range(3)]
    cheap = [entry(10, 100, [40]), entry(11, 101, [46]), entry(12, 102, [41])]
    rungs = SuccessiveHalving(4)
    chosen = paused(rungs, *dear, *cheap)
    assert chosen is not None
    order = [chosen[0]]
    left = [e for e in [*dear, *cheap] if e.number not in order]
    while (chosen := rungs.promote(left)) is not None:
        order.append(chosen[0])
        left = [e for e in left if e.number not in order]
    assert 11 in order


def test_the_highest_rung_goes_first() -> None:
    """A training that is nearly done is worth finishing before another one is begun."""
    low = [entry(i, 100, [50 + i]) for i in range(4)]
    high = [entry(10, 100, [60, 65]), entry(11, 100, [50, 55])]
    assert paused(SuccessiveHalving(4), *low, *high) == (10, 4)


def test_at_the_end_the_whole_promised_front_is_trained() -> None:
    """Eight short trainings should leave a front to choose from, not one winner."""
    waiting = [entry(0, 100, [40]), entry(1, 200, [50]), entry(2, 300, [60]), entry(3, 300, [59]), entry(4, 400, [30])]
    rungs = SuccessiveHalving(2)
    order = []
    chosen = paused(rungs, *waiting)
    while chosen is not None:
        order.append(chosen[0])
        chosen = rungs.promote([e for e in waiting if e.number not in order], ending=len(order) >= 2)
    assert set(order) == {0, 1, 2}


def test_a_restart_forgets_nothing() -> None:
    waiting = [entry(i, 100, [50 + i]) for i in range(4)]
    first, second = SuccessiveHalving(4), SuccessiveHalving(4)
    expected = paused(first, *waiting)
    for e in waiting:
        second.remember(e)
    assert second.promote(waiting) == expected


def test_what_other_rungs_left_behind_goes_on() -> None:
    """A run that is continued after its epochs' rungs were laid differently must not leave trials for ever."""
    assert paused(SuccessiveHalving(8), entry(0, 100, [50, 51, 52], last_epoch=3)) == (0, 4)


def test_unknown_rungs_are_refused_with_those_there_are() -> None:
    with pytest.raises(UserError, match=r"Unknown rungs 'asha'.*halving, none, thaw"):
        make_scheduler("asha", lambda: None, SearchProblem(FakeSpace(), (1, 8, 8), 10))


def test_a_run_with_rungs_trains_less_and_goes_on_from_checkpoints(run: Any) -> None:
    from fakes import engine as fakes

    jobs = []
    with run.open(trials=8, epochs=4, rungs=SuccessiveHalving(4)) as controller:
        while not controller.done:
            job = controller.next()
            assert job is not None
            jobs.append(job)
            for epoch in range(job.first_epoch + 1, job.last_epoch + 1):
                result = {"epoch": epoch, "val_acc": fakes.accuracy(job.config) - (4 - epoch), "seconds": 0.5}
                assert controller.report(job, result)
            fakes.write_result(run.trials, job.number, job.attempt, fakes.accuracy(job.config), job.last_epoch)
            controller.finish(job)
    epochs = sum(job.last_epoch - job.first_epoch for job in jobs)
    assert epochs < 8 * 4
    assert any(job.first_epoch and job.checkpoint for job in jobs)
    states = [row["state"] for row in run.rows()]
    assert set(states) == {"complete", "paused"}
    assert states.count("complete") >= 1
    # The same run again has nothing to do, and still knows what its trials had reached.
    with run.open(trials=8, epochs=4, rungs=SuccessiveHalving(4)) as controller:
        assert controller.done

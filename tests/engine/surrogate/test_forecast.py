"""What further trainings would buy: little of a front that has stopped to rise, nothing said of too few trials."""

import math

import pytest

from mgic_nas.engine.storage.trial import COMPLETE, FAILED, Trial
from mgic_nas.engine.surrogate.forecast import FEWEST, forecast
from mgic_nas.space import parse_budget

SURELY = 1_000_000  # images: what is measured is hardly luck


def trial(number: int, acc: float, macs: int, state: str = COMPLETE, late: bool = False) -> Trial:
    cost = {"macs": macs, "macs_without_transfers": macs, "params": macs // 10, "activations": macs // 5}
    made = Trial(number, f"arch{number}", {"a": macs, "late": late}, {}, **cost)
    return made.with_result({"attempt": 1, "val_acc": acc}, state)


def search(late: float, below: bool = True, n: int = 32) -> list[Trial]:
    """Costs in turns; in the second half, networks of the cheaper (or costlier) half are better by ``late`` points."""
    found = []
    for i in range(n):
        level = i % 8
        better = late if (second := i >= n // 2) and (level < 4) == below else 0.0
        found.append(trial(i, 70.0 + level + better, 100_000 * 2**level, late=second))
    return found


def test_a_front_that_rose_lately_is_expected_to_rise_on() -> None:
    flat, rising = (forecast(search(late), (), None, 8) for late in (0.0, 4.0))
    assert flat
    assert rising
    assert flat.lift < 0.1 < rising.lift
    assert (flat.trainings, flat.worth) == (8, flat.lift)


def test_another_doubling_adds_what_the_last_one_did() -> None:
    eight, doubling = (forecast(search(4.0), (), None, k) for k in (8, 32))
    assert eight
    assert doubling
    assert eight.lift == pytest.approx(doubling.lift * math.log2(1 + 8 / 32))
    assert 0.5 < doubling.lift < 4.0, "half of the range of log MACs rose by four points, as far as that was no luck"


def test_it_is_said_on_which_side_of_the_front() -> None:
    low, high = (forecast(search(1.0, below), (), SURELY, 8) for below in (True, False))
    assert low
    assert high
    assert (low.below or math.inf) <= 1_600_000
    assert (high.above or 0) >= 800_000
    assert (low.above, high.below) == (None, None)


def test_winners_count_as_the_front_does() -> None:
    within = [parse_budget("0.4M"), parse_budget("params=10M")]
    found = forecast(search(1.0), within, SURELY, 8)
    assert found
    assert found.winners.keys() == {"0.4M", "params=10M"}
    assert found.winners["0.4M"] > found.winners["params=10M"] == pytest.approx(0.0, abs=0.1)
    assert found.worth == max(found.lift, sum(found.winners.values()) / 2)


def test_nothing_is_said_of_too_few() -> None:
    trials = search(1.0)[: FEWEST - 1]
    failed = [trial(100 + i, 1.0, 100_000, FAILED) for i in range(FEWEST)]
    assert forecast([*trials, *failed], (), 1000, 8) is None
    assert forecast([*trials, trial(99, 75.0, 100_000)], (), 1000, 8) is not None
    assert forecast([], (), 1000, 8) is None


def test_networks_that_do_not_differ_gain_nothing() -> None:
    found = forecast([trial(i, 70.0, 100_000) for i in range(FEWEST)], [parse_budget("1M")], 1000, 8)
    assert found
    assert (found.worth, found.below, found.above) == (0.0, None, None)

"""What is expected of a network: less of a lucky one, and never a number where nothing can be said."""

import functools
import math
import random
from pathlib import Path

import numpy as np
import pytest
from fakes.engine import make_config

from mgic_nas.engine.controller import _contenders
from mgic_nas.engine.storage.record import Record
from mgic_nas.engine.storage.trial import COMPLETE, FAILED, STOPPED, Trial
from mgic_nas.engine.storage.weights import Weights
from mgic_nas.engine.surrogate.choice import Choice, choice_of
from mgic_nas.engine.surrogate.expectation import LEAST, Expected, expect, may_win, probability_best
from mgic_nas.space import parse_budget


def trial(number: int, acc: float, a: int, b: str = "x", state: str = COMPLETE) -> Trial:
    macs = 1000 * a
    cost = {"macs": macs, "macs_without_transfers": macs, "params": 10 * a, "activations": 5 * a}
    made = Trial(number, f"arch{number}", {"a": a, "b": b}, {}, **cost)
    return made.with_result({"attempt": 1, "val_acc": acc}, state)


def network_family(lucky: float = 0.0, n: int = 12) -> list[Trial]:
    """Accuracies that rise with ``a`` by one point, and the fourth that is lucky by some points."""
    return [trial(i, 70.0 + i + lucky * (i == 3), a=i + 1) for i in range(n)]


def test_less_is_expected_of_a_lucky_network_than_was_measured() -> None:
    trials = network_family(lucky=4.0)
    found = expect(trials, val_items=200)
    assert found[3].acc < 77.0 - 1.0
    assert found[3].acc > 73.0, "its own training counts, too"
    assert all(one.sd > 0 for one in found.values())
    many = expect(trials, val_items=1_000_000)
    assert many[3].acc > found[3].acc, "the more images, the less of it is luck"


@pytest.mark.parametrize(
    "trials",
    [
        network_family(n=LEAST - 1),
        [trial(i, 80.0, a=i + 1) for i in range(LEAST)],
        [trial(i, 80.0 + i, a=1) for i in range(LEAST)],
        [trial(i, 80.0 + i, a=i + 1, state=FAILED if i % 2 else STOPPED) for i in range(2 * LEAST)],
        [],
    ],
    ids=["few", "equal accuracies", "equal networks", "none complete", "none"],
)
def test_nothing_is_expected_where_nothing_can_be_said(trials: list[Trial]) -> None:
    assert expect(trials, 1000) == {}
    assert Choice("expected", expect(trials, 1000), complete=len(trials)).by == "measured"


def test_failed_and_stopped_trials_do_not_count() -> None:
    others = [trial(20, 1.0, a=3, state=FAILED), trial(21, 99.0, a=2, state=STOPPED)]
    assert expect([*network_family(), *others], 1000) == expect(network_family(), 1000)


def test_scores_that_are_no_shares_have_expectations_too() -> None:
    """mIoU, explained variance: also negative ones."""
    rising = [trial(i, -50.0 + 10 * i + (-1) ** i, a=i + 1) for i in range(10)]
    found = expect(rising, None)
    assert found.keys() == set(range(10))
    assert all(math.isfinite(one.acc) and one.sd > 0 for one in found.values())


def test_probabilities_to_be_the_best_are_those_of_independent_draws() -> None:
    expected = [Expected(80.0, 1.0), Expected(80.5, 0.2), Expected(78.0, 1.5), Expected(60.0, 0.1)]
    rng = np.random.default_rng(0)
    draws = np.stack([rng.normal(one.acc, one.sd, 100_000) for one in expected], axis=1)
    counted = np.bincount(draws.argmax(axis=1), minlength=4) / len(draws)
    assert np.allclose(probability_best(expected), counted, atol=0.02)
    assert probability_best([Expected(80.0, 0.5)]) == [1.0]
    assert probability_best([Expected(80.0, 0.5)] * 4) == pytest.approx([0.25] * 4)


def test_what_no_other_surely_beats_may_win() -> None:
    expected = {0: Expected(80.0, 0.1), 1: Expected(79.8, 0.5), 2: Expected(75.0, 0.5), 3: Expected(75.0, 0.5)}
    costs = {0: [10.0, 10.0], 1: [10.0, 10.0], 2: [10.0, 11.0], 3: [11.0, 9.0]}
    assert may_win(expected, costs) == {0, 1, 3}  # 2 is surely worse than 0, 3 is cheaper in the second cost
    assert may_win({0: Expected(1.0, 1.0)}, {0: [math.nan]}) == {0}


def record(trials: list[Trial]) -> Record:
    return Record(tuple(trials), {}, 0, "", Path("/nowhere"))


def test_the_run_says_by_what_its_winners_are_chosen() -> None:
    trials, data = network_family(lucky=8.0), {**make_config().data, "spec": "fashion", "sizes": {"val": 100}}
    by = {how: choice_of(make_config(winner=how, data=data), record(trials)) for how in ("expected", "measured")}
    within = [parse_budget("5000")]
    assert {how: choice.winner(trials, within).number for how, choice in by.items()} == {"expected": 4, "measured": 3}
    assert (by["expected"].by, by["measured"].by, by["expected"].why) == ("expected", "measured", "")
    assert by["measured"].expected == by["expected"].expected, "it is shown, whatever chooses"
    few = choice_of(make_config(winner="expected", data=data), record(trials[:5]))
    assert (few.by, few.why) == ("measured", "5 of the 8 networks that it needs are complete")
    assert few.winner(trials[:5]).number == 3


def test_a_winner_by_expectation_has_its_weights() -> None:
    trials = [trial(i, 80.0, a=1) for i in range(3)]
    expected = {0: Expected(80.0, 0.1), 1: Expected(81.0, 0.1), 2: Expected(79.0, 0.1)}
    choice = Choice("expected", expected, frozenset({0, 2}), 3)
    assert choice.winner(trials).number == 0
    assert choice.better_without_weights(trials, []).number == 1
    assert Choice("expected", expected, frozenset({1}), 3).better_without_weights(trials, []) is None
    assert Choice("expected", expected, frozenset(), 3).winner(trials).number == 1, "none has: of a kept table alone"


@pytest.mark.parametrize("order", range(3))
def test_weights_of_the_expected_winners_are_kept_whatever_the_order(order: int) -> None:
    """Those too that a lucky one beat, and that the model ranks first only once more is known."""
    draw = random.Random(order)
    trials = []
    for i in range(48):
        a, b = draw.randrange(1, 17), draw.choice("xy")  # those with y are worse
        trials.append(trial(i, 70.0 + 2 * math.log2(a) - 6 * (b == "y") + draw.gauss(0, 1), a, b))

    contenders = functools.partial(_contenders, ("macs",), 1000)
    weights = Weights(Path("/nowhere"), "front", may_win=contenders)
    deleted: set[int] = set()
    weights._tidy = lambda t: deleted.add(t.number) if t.number not in weights._kept | weights._spared else None  # type: ignore[method-assign]
    for one in trials:
        weights.finished(one)
    weights.sweep(trials)
    choice = Choice("expected", expect(trials, 1000), frozenset(set(range(48)) - deleted), 48)
    for limit in range(1000, 17_000, 1000):
        assert choice.better_without_weights(trials, [parse_budget(str(limit))]) is None
    assert len(deleted) > 10, "the disk is not filled"

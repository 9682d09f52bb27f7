"""What the report works out of the rows: only trained networks count, and a winner is within its budget."""

import dataclasses
import math
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from fakes import report as fakes
from hypothesis import given
from hypothesis import strategies as st

from mgic_nas._text import THIN, fixed
from mgic_nas.engine.storage.trial import gathered
from mgic_nas.report import notes, story
from mgic_nas.report.headline import headline as headline_of
from mgic_nas.train.right import write_right


def row(number, macs, acc, state="complete", **more):
    return {"number": number, "state": state, "arch_id": f"{number:012x}", "macs": macs, "val_acc": acc, **more}


def made(*rows, **changes):
    return fakes.summary(table=(list(rows), {}), **{"trials": len(rows) or 24, **changes})


def headline(summary):
    return headline_of(summary).replace(THIN, " ")


def test_only_complete_trials_enter_the_front():
    """A stopped trial with a lucky last value, or a failed one, must not win a budget."""
    summary = made(row(0, 4e5, 70.0), row(1, 4e5, 99.0, "stopped"), row(2, 3e5, None, "failed"), row(3, 9e5, math.nan))
    assert [t.number for t in summary.front] == [0]
    assert [w.trial.number for w in summary.winners] == [0, 0, 0]


def test_winners_are_within_their_budgets_of_any_kind():
    summary = made(
        row(0, 4e5, 70.0, params=9e3, activations=8e4),
        row(1, 9e5, 80.0, params=3e4, activations=2e5),
        budgets=["0.3M", "1M", "params=10k", "activations=0.1M", "latency=5ms"],
    )
    won = {w.budget.label: w.trial and w.trial.number for w in summary.winners}
    assert won == {"0.3M": None, "1M": 1, "params=10k": 0, "activations=0.1M": 0, "latency=5ms": None}
    why = {w.budget.label: story.no_winner(summary, w.budget).replace(THIN, " ") for w in summary.winners}
    assert why["0.3M"] == "No trained network is within 0.3 M MACs (at 1×14×14)."
    assert "no recorded latency" in why["latency=5ms"].replace("No trained network has a", "no")


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 1000)), min_size=1, max_size=25))
def test_the_steps_along_the_front_pay_less_and_less(points):
    """Where two networks cost nearly the same, their rate is noise; the hull never shows such a spike later on."""
    summary = made(*(row(i, c * 1e5, a / 10) for i, (c, a) in enumerate(points)))
    rates = [step.gain / step.more for step in summary.steps]
    assert all(rate > 0 for rate in rates)
    assert all(later <= earlier * (1 + 1e-9) for earlier, later in pairwise(rates))
    if summary.steps:
        assert summary.steps[0].start is summary.front[0]
        assert summary.steps[-1].end is summary.front[-1]


def test_the_headline_says_what_the_largest_budget_gives_and_what_a_smaller_one_costs():
    trials = [row(0, 4e5, 70.0), row(1, 9e5, 80.0), row(2, 1.9e6, 88.0)]
    assert headline(made(*trials)) == (
        "Within 2 M MACs (at 1×14×14) the best of 3 networks reaches 88.0 %; half the budget costs 8.0 points."
    )
    assert headline(made(*trials, budgets=["0.5M", "3M"])).endswith("; staying within 0.5 M MACs costs 18.0 points.")
    assert headline(made(*trials, budgets=["2M"])).endswith("the best of 3 networks reaches 88.0 %.")
    assert headline(made(*trials, budgets=[])) == "The best of 3 networks reaches 88.0 % with 1.90 M MACs (at 1×14×14)."
    assert headline(made(*trials, budgets=["0.1M"])).startswith("The best of 3 networks")


def test_the_headline_does_not_sell_noise():
    trials = [row(0, 9e5, 80.0), row(1, 1.9e6, 80.9)]
    assert "less than these validation images can tell apart" in headline(made(*trials))


def test_the_headline_where_one_network_wins_every_budget():
    trials = [row(0, 4e5, 70.0), row(1, 9e5, 65.0)]
    assert headline(made(*trials)) == (
        "Within 2 M MACs (at 1×14×14) the best of 2 networks reaches 70.0 %, and needs no more than 0.5 M MACs."
    )
    both = headline(made(*trials, row(2, 2e5, 60.0), budgets=["0.25M", "0.5M", "1M"]))
    assert both.endswith("needs no more than 0.5 M MACs; staying within 0.25 M MACs costs 10.0 points.")


def test_the_best_of_counts_the_networks_within_the_budget():
    """After a resume with a smaller budget some trained networks are beyond it: they were no rivals."""
    trials = [row(0, 4e5, 70.0), row(1, 9e5, 80.0), row(2, 1.9e6, 88.0)]
    assert headline(made(*trials, budgets=["1M"])).startswith("Within 1 M MACs (at 1×14×14) the best of 2 networks")


def test_the_headline_before_anything_is_trained():
    assert headline(made()) == "No network has finished training yet."
    assert "2 are under way" in headline(made(row(0, 4e5, None, "running"), row(1, 4e5, None, "paused"), trials=24))
    assert headline(made(row(0, 4e5, None, "failed"))) == "The only trial failed."


def test_the_status_says_how_to_go_on():
    running = made(row(0, 4e5, 70.0), row(1, 4e5, None, "running"), trials=24)
    assert not running.over
    assert story.status(running).startswith("Unfinished: 1 of 24 trials are over, 1 running.")
    ended = made(row(0, 4e5, 70.0), trials=24, record={"ended": "no untried architecture is left within the budgets"})
    assert ended.over
    assert story.status(ended) == ("Finished after 1 of 24 trials: no untried architecture is left within the budgets.")


def test_missing_measurements_are_none_and_not_zero():
    (trial,) = made(row(0, 4e5, 70.0, seconds="", peak_memory_mb=math.nan, **{"p.s_g": 4, "p.act": None})).trials
    assert trial.seconds is None
    assert trial.peak_memory_mb is None
    assert trial.setting == {"s_g": 4, "act": None}, "None may be a value that was chosen"


def test_a_setting_per_stage_becomes_a_list():
    config = gathered({"depths": 1, "w.0": 0.5, "w.1": 0.75, "w.2": 1.0})
    assert config == {"depths": 1, "w": [0.5, 0.75, 1.0]}


def test_hypervolume_is_that_of_moocore():
    from mgic_nas.pareto import hypervolume

    summary = fakes.summary()
    accs, macs = zip(*((t.val_acc, t.macs) for t in summary.complete), strict=True)
    assert summary.hypervolume_reference == (10.0, 2e6)
    assert summary.hypervolume_history[-1][1] == pytest.approx(hypervolume(accs, macs, (10.0, 2e6)))


def test_a_search_that_only_guesses_says_so():
    """Too few epochs, say: ranking such networks, and recommending one, would be nonsense."""
    trials = [row(0, 4e5, 10.4), row(1, 9e5, 10.9)]
    assert headline(made(*trials)) == (
        "Nothing learned: none of the 2 networks is measurably better than guessing (10.0 %)."
    )
    assert headline(made(*trials, row(2, 4e5, 13.0))).startswith("Within")


def test_differences_are_paired_where_answers_were_kept(tmp_path):
    """Two networks on the same images: 1 point is noise between independent ones, and real where one has all of it."""
    images = fakes.DATA["sizes"]["val"]
    trials = [row(0, 4e5, 80.0), row(1, 9e5, 81.0)]
    alone = fakes.summary(tmp_path, table=(trials, {}))
    assert "less than these validation images can tell apart" in headline(alone)
    assert not alone.steps[0].paired
    for number, acc in ((0, 80), (1, 81)):
        attempt = tmp_path / "trials" / str(number) / "attempt-1"
        attempt.mkdir(parents=True)
        write_right(attempt, np.arange(images) < images * acc // 100)
    paired = fakes.summary(tmp_path, table=(trials, {}))
    assert "tell apart" not in headline(paired)
    (step,) = paired.steps
    assert step.paired
    assert step.error == pytest.approx(100 * math.sqrt(16 - 16**2 / images) / images)
    assert step.error < alone.steps[0].error / 4


def test_halves_are_rounded_up_everywhere():
    """81.25 of 1,600 images and 82.85 of 2,000 are exact; a page that rounds one to even contradicts its figures."""
    assert [fixed(value) for value in (81.25, 82.85, 81.35, -0.25, 0.0)] == ["81.3", "82.9", "81.4", "-0.3", "0.0"]
    summary = made(row(0, 4e5, 81.25))
    assert summary.acc(summary.best).startswith("81.3 ±")
    assert summary.points(81.25) == "81.3"


def test_the_noise_of_training_is_named_apart_once_several_seeds_are_known():
    def trained(spread):
        one = SimpleNamespace(val_spread=spread, test_spread=None, test_mean=88.0)
        return dataclasses.replace(fakes.summary(), retrained=SimpleNamespace(networks={"a": one, "b": one}))

    assert "that noise was not measured here" in notes.accuracy_note(fakes.summary())
    assert "that noise was not measured here" in notes.accuracy_note(trained(None)), "one seed says nothing of it"
    said = notes.accuracy_note(trained(0.64))
    assert "seeds of one network spread by 0.6 points (standard deviation)" in said
    assert said.endswith("quote the test scores.")

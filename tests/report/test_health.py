"""Each check asks for something exactly where the record gives a reason to."""

import dataclasses
import itertools
import random

import pytest
from fakes import report as fakes

from mgic_nas.report import health
from mgic_nas.report.accuracy_model import left_one_out


def find(summary, name):
    return next((c for c in health.checks(summary) if c.name.startswith(name)), None)


def networks(accs, *, curves=None, macs=None, **changes):
    table = [
        {
            "number": i,
            "state": "complete",
            "arch_id": str(i),
            "macs": macs[i] if macs else 100_000 + 10_000 * i,
            "params": 1000 + i,
            "activations": 500 + i,
            "val_acc": acc,
        }
        for i, acc in enumerate(accs)
    ]
    return fakes.summary(table=(table, curves or {}), **{"budgets": ["1M"], "trials": len(table), **changes})


@pytest.mark.parametrize(
    ("first", "ok", "said"),
    [([1, 2, 3, 4], True, "Epoch 1 tells most of it"), ([4, 3, 2, 1], False, "early stopping would drop good")],
)
def test_whether_early_epochs_tell_the_last(first, ok, said):
    finals = [50.0, 60.0, 70.0, 80.0]
    curves = {i: [(1, float(a)), (2, b)] for i, (a, b) in enumerate(zip(first, finals, strict=True))}
    check = find(networks(finals, curves=curves, epochs=2), "Do early epochs")
    assert check.ok is ok
    assert said in check.text


def test_nothing_is_said_of_epochs_where_there_is_one():
    assert find(fakes.summary(table=fakes.rows(epochs=1), epochs=1), "Do early epochs") is None


def test_whether_the_last_quarter_raised_a_winner():
    better = find(networks([50.0] * 7 + [60.0]), "Would more trials")
    assert (better.ok, "by 10.0 points within 1M" in better.text) == (None, True)
    assert find(networks([60.0] + [50.0] * 7), "Would more trials").ok is True
    assert find(networks([60.0, 50.0]), "Would more trials") is None


def test_a_front_within_the_noise_asks_for_more_images():
    check = find(networks([80.0, 80.1, 80.2]), "Can the front")
    assert (check.ok, "?val=N" in check.text) == (False, True)
    assert find(networks([60.0, 70.0, 80.0]), "Can the front").ok is True


def at(width, number, macs):
    return {"number": number, "state": "complete", "macs": macs, "val_acc": 70 + number, "p.width_mult": width}


def test_a_winner_at_the_end_of_the_space_names_the_bound_to_move():
    def check(*widths, macs=(400_000, 950_000)):
        table = [at(width, n, m) for n, (width, m) in enumerate(zip(widths, macs, strict=True))]
        return find(fakes.summary(table=(table, {}), budgets=["0.5M", "1M"], trials=2), "Is the space")

    assert check(0.5, 0.75).ok is True
    assert check(0.25, 1.0).ok is True, "a small budget keeps the one there, a large one lets the other go there"
    held = check(1.0, 1.0)
    assert held.ok is False
    assert "width_mult is 1, its largest value (move params.width_mult.high)" in held.text
    assert "params.width_mult.low" in check(0.25, 0.25).text
    left = check(0.5, 1.0, macs=(400_000, 600_000))
    assert (left.ok, "40" in left.text) == (False, True), "at the end, and the budget would allow more"


def test_how_well_accuracies_are_predicted():
    draw = random.Random(0)
    told = left_one_out(networks([50 + 2.0 * i for i in range(12)]))
    assert told.explained > 0.9
    assert told.rank > 0.95
    luck = left_one_out(networks([draw.uniform(50, 70) for _ in range(12)]))
    assert luck.explained < 0.3
    assert left_one_out(networks([70.0] * 12)) is None, "nothing differs"
    assert find(networks([draw.uniform(50, 70) for _ in range(12)]), "Can accuracies").ok is False


def test_failures_are_counted_by_their_reason():
    summary = fakes.summary(table=fakes.rows(10, failed=(1, 2)))
    check = find(summary, "Did trials fail")
    assert check.ok is False
    assert "2 of 10 trials failed" in check.text
    assert "2 by FloatingPointError: loss is NaN in epoch 1" in check.text
    assert find(fakes.summary(), "Did trials fail").ok is True


def test_a_run_without_a_trial_has_no_checks():
    assert health.checks(fakes.summary(table=([], {}))) == []


def test_lanes_do_not_overlap():
    from mgic_nas.report import timeline

    draw = random.Random(1)
    begun = sorted(draw.uniform(0, 100) for _ in range(60))
    summary = fakes.summary(table=fakes.rows(60))
    entries = [
        dataclasses.replace(t, started=start, ended=start + draw.uniform(1, 20))
        for t, start in zip(summary.trials, begun, strict=True)
    ]
    summary = dataclasses.replace(summary, record=dataclasses.replace(summary.record, entries=tuple(entries)))
    spans = timeline.spans(summary)
    lanes = timeline.lanes(spans)
    for lane in set(lanes):
        mine = [t for t, at in zip(spans, lanes, strict=True) if at == lane]
        assert all(a.ended <= b.started + 2e-3 for a, b in itertools.pairwise(mine))
    busiest = max(sum(t.started <= moment < t.ended for t in spans) for moment in begun)
    assert len(set(lanes)) == busiest, "no more lanes than there were trainings at a time"
    assert str(timeline.drawing(summary)).count("<rect") == 60

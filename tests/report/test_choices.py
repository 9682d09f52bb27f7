"""What people ask of a front: where it bends, and the cheapest network that is good enough."""

import pytest
from fakes import report as fakes
from hypothesis import given
from hypothesis import strategies as st

from mgic_nas.report.choices import cheapest, cheapest_rows, knee, knee_text, slider


def made(points):
    table = [
        {"number": i, "state": "complete", "arch_id": str(i), "macs": int(macs), "val_acc": acc, "params": 1000}
        for i, (macs, acc) in enumerate(points)
    ]
    return fakes.summary(table=(table, {}), budgets=["4M"])


BENT = [(1e5, 60.0), (2e5, 78.0), (4e5, 79.0), (1.6e6, 80.0)]


def test_the_knee_is_where_the_front_bends():
    summary = made(BENT)
    assert knee(summary.front).number == 1
    assert "trial 1: 78.0" in knee_text(summary)
    assert knee(made(BENT[:2]).front) is None
    assert knee(made([(1e5, 60.0), (2e5, 70.0), (4e5, 80.0)]).front) is None, "a straight front has none"
    assert knee_text(made(BENT[:1])) == ""


@given(st.floats(50, 90))
def test_the_cheapest_that_reaches_an_accuracy(wanted):
    front = made(BENT).front
    found = cheapest(front, wanted)
    enough = [t for t in front if t.val_acc >= wanted]
    assert found is (min(enough, key=lambda t: t.macs) if enough else None)


def test_each_cheaper_network_is_named_once_and_the_best_is_not():
    rows = cheapest_rows(made(BENT))
    assert [(asked, t.number) for asked, t in rows] == [
        ("within 1 point of the best", 2),
        ("within 2 points of the best", 1),
    ]


def test_the_slider_has_the_front_cheapest_first():
    found = slider(made(BENT))
    assert [one["macs"] for one in found] == sorted(int(macs) for macs, _ in BENT)
    assert all("create_model(" in str(one["line"]) for one in found)
    assert found[0]["acc"] == pytest.approx(60.0)

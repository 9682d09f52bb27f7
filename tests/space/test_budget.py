"""Budgets: a misread one would train networks that do not fit, or name two folders for one budget."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mgic_nas.cost import Cost
from mgic_nas.errors import UserError
from mgic_nas.space import Budget, hard_limits, parse_budget, parse_budgets, within


@pytest.mark.parametrize(
    ("written", "kind", "limit", "label"),
    [
        ("5M", "macs", 5e6, "5M"),
        ("500k", "macs", 5e5, "0.5M"),
        ("1.5G", "macs", 1.5e9, "1.5G"),
        ("5e6", "macs", 5e6, "5M"),
        (5e6, "macs", 5e6, "5M"),
        (5e5, "macs", 5e5, "0.5M"),
        (1_000_000, "macs", 1e6, "1M"),
        (np.float64(2e6), "macs", 2e6, "2M"),
        ("macs=20M", "macs", 2e7, "20M"),
        ("params=1M", "params", 1e6, "params=1M"),
        ("PARAMS = 0.3 M", "params", 3e5, "params=0.3M"),
        ("activations=2M", "activations", 2e6, "activations=2M"),
        ("50k", "macs", 5e4, "50k"),
        ("99_999", "macs", 99999, "99.999k"),
        ("2T", "macs", 2e12, "2T"),
        ("latency=5ms", "latency", 0.005, "latency=5ms"),
        ("latency=0.0005s", "latency", 0.0005, "latency=0.5ms"),
        ("latency=250us", "latency", 0.00025, "latency=0.25ms"),
        ("latency=2s", "latency", 2.0, "latency=2000ms"),
    ],
)
def test_the_usual_writings_mean_what_they_say(written, kind, limit, label):
    budget = parse_budget(written)
    assert (budget.kind, budget.limit, budget.label) == (kind, limit, label)


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("", "5M"),
        ("small", "5M"),
        ("-5M", "above zero"),
        ("0", "above zero"),
        (0, "above zero"),
        (-1.0, "above zero"),
        ("0.5", "above zero"),  # half a multiply-accumulate
        (math.nan, "above zero"),
        (math.inf, "above zero"),
        ("1e999", "above zero"),
        ("nan", "5M"),
        ("5m", "as in 5M"),
        ("5ms", "latency=5ms"),
        ("latency=5", "unit"),
        ("latency=-5ms", "above zero"),
        ("param=1M", "params"),
        ("flops=10M", "multiply-accumulates"),
        ("5M MACs", "5M"),
        ("1,5M", "5M"),
        ("٥M", "5M"),
        (True, "5M"),
        (None, "5M"),
        (["5M"], "5M"),
    ],
)
def test_nonsense_is_refused_in_one_line_with_the_mend(written, hint):
    with pytest.raises(UserError) as caught:
        parse_budget(written)
    assert hint in str(caught.value)
    assert "\n" not in str(caught.value)


@given(
    st.sampled_from(["macs", "params", "activations"]),
    st.one_of(st.integers(1, 10**13), st.floats(1, 1e13, allow_nan=False)),
)
def test_a_label_reads_back_as_the_same_budget(kind, limit):
    """The label names the winner's folder and is what people type: it must not round."""
    budget = Budget(kind, limit)
    again = parse_budget(budget.label)
    assert again == budget
    assert again.label == budget.label
    assert not set(budget.label) & set('/\\:*?"<>| ')


@given(st.floats(1e-9, 1e4))
def test_a_latency_label_reads_back(seconds):
    assert parse_budget(Budget("latency", seconds).label) == Budget("latency", seconds)


def test_one_budget_written_twice_is_one_budget():
    """Two winners' folders for 1M and 1000k would be two names for one thing."""
    budgets = parse_budgets(["2M", "1000k", "params=1M", 1e6, "1M"])
    assert [b.label for b in budgets] == ["1M", "2M", "params=1M"]


def test_the_largest_of_each_kind_is_the_hard_limit():
    budgets = parse_budgets(["5M", "20M", "params=1M", "latency=5ms", "latency=2ms"])
    assert hard_limits(budgets) == {"macs": 2e7, "params": 1e6, "latency": 0.005}


def test_within_asks_every_counted_kind_and_takes_the_limit_itself():
    cost = Cost(100, 90, 50, 10)
    assert within(cost, {})
    assert within(cost, {"macs": 100, "params": 50, "activations": 10, "latency": 0.001})
    assert not within(cost, {"macs": 100, "params": 49})
    assert Budget("macs", 100).fits(cost)
    assert not Budget("activations", 9).fits(cost)


def test_an_unknown_kind_is_refused_in_python_too():
    with pytest.raises(UserError, match="Unknown budget 'watts'"):
        Budget("watts", 5)

"""What `mgic-nas profile SPACE` says before anything is trained."""

import json
import random
import statistics

import pytest

from mgic_nas.errors import UserError
from mgic_nas.space import parse_budgets, within
from mgic_nas.space.survey import survey

IMAGE = (3, 8, 8)
GRID = {"low": 1, "high": 8}
LARGE = {name: {"low": 1, "high": 200} for name in ("group", "coarse", "depth")}


@pytest.fixture
def space(space_of):
    return space_of({"group": GRID, "coarse": GRID, "twin": {"choices": [1, 2]}}, where=["group <= coarse"])


def test_a_small_space_is_counted_exactly(space):
    found = survey(space, IMAGE, 10, ["50k", "0.2M", "params=2k"])
    assert found.exact
    assert (found.settings, found.allowed, found.distinct, found.samples) == (128, 72, 36, 0)
    costs = [space.cost(s, IMAGE, 10) for s in space.settings()]
    for kind in ("macs", "params", "activations"):
        values = [getattr(c, kind) for c in costs]  # each architecture twice: the median is the same
        spread = found.costs[kind]
        assert (spread.min, spread.median, spread.max) == (min(values), statistics.median(values), max(values))
    for fit, budget in zip(found.budgets, parse_budgets(["50k", "0.2M", "params=2k"])):
        assert fit.budgets == (budget,)
        assert fit.fits == sum(within(c, {budget.kind: budget.limit}) for c in costs) / 2
        assert fit.share == fit.fits / 36
    assert found.together.fits == sum(within(c, {"macs": 2e5, "params": 2000}) for c in costs) / 2
    assert found.problems == []


def test_a_budget_that_nothing_meets_names_the_nearest(space):
    found = survey(space, IMAGE, 10, ["1k", "1M"])
    fit = found.budgets[0]
    assert fit.verdict == "cannot be met"
    cheapest = min(space.settings(), key=lambda s: space.cost(s, IMAGE, 10).macs)
    assert fit.nearest.setting == cheapest
    assert fit.nearest.cost == space.cost(cheapest, IMAGE, 10)
    line = 'timm.create_model("fake", group=1, coarse=1, twin=1, num_classes=10, in_chans=3)'
    assert fit.nearest.line == line
    (problem,) = found.problems
    assert "Budget 1k: cannot be met" in problem
    assert "at 3x8x8" in problem
    assert line in problem
    assert "\n" not in problem
    assert "cannot be met" in str(found)
    assert line in str(found)


def test_budgets_that_fit_alone_but_not_together_are_a_problem(space_of):
    """Parameters fall where activations rise in no fake network, so one is made by hand from two limits."""
    space = space_of({"group": GRID, "mode": {"choices": ["a", "bbbb"]}})
    least = survey(space, IMAGE, 10).costs
    budgets = [least["macs"].min, f"params={least['params'].min}"]
    assert survey(space, IMAGE, 10, budgets).together.verdict == "fits"
    assert survey(space, (3, 1, 1), 10, [f"params={least['params'].min - 1}", "1G"]).together is None


def test_a_latency_is_measured_later_and_no_problem(space):
    found = survey(space, IMAGE, 10, ["latency=5ms"])
    assert found.budgets[0].verdict == "measured"
    assert found.problems == []
    assert "measured" in str(found)


def test_the_text_always_says_the_input_size_beside_macs(space):
    for line in str(survey(space, IMAGE, 10, ["1k"])).splitlines():
        if "MACs" in line:
            assert "3x8x8" in line


def test_the_columns_of_the_text_stand_under_each_other(space):
    text = str(survey(space, IMAGE, 10, ["50k", "0.2M"]))
    lines = text.splitlines()
    (start,) = (i for i, line in enumerate(lines) if line.strip().startswith("cost of one image"))
    assert len({len(line) for line in lines[start : start + 4]}) == 1
    assert all(line == line.rstrip() and len(line) < 120 for line in lines)


def test_json_holds_everything_a_program_needs(space):
    found = json.loads(json.dumps(survey(space, IMAGE, 10, ["1k", "1M", "latency=1ms"]).to_dict(), allow_nan=False))
    assert found["distinct"] == 36
    assert found["input_size"] == [3, 8, 8]
    assert [b["budget"] for b in found["budgets"]] == ["1k", "1M", "latency=1ms"]
    assert found["budgets"][0]["nearest"]["create_model"].startswith("timm.create_model(")
    assert found["budgets"][1]["fits"] == 36
    assert found["together"] is None


def test_a_wrong_budget_is_refused(space):
    with pytest.raises(UserError, match="above zero"):
        survey(space, IMAGE, 10, ["-1M"])


def test_a_large_space_is_sampled_and_says_so(space_of):
    space = space_of(LARGE, where=["group <= coarse"])
    found = survey(space, IMAGE, 10, ["100M", "1G"], samples=4000)
    assert not found.exact
    assert found.samples == 4000
    assert found.allowed == pytest.approx(8e6 * 201 / 400, rel=0.05)
    rng = random.Random(5)
    costs = [space.cost(space.sample(rng), IMAGE, 10).macs for _ in range(4000)]
    for fit, limit in zip(found.budgets, (1e8, 1e9)):
        truth = sum(c <= limit for c in costs) / 4000
        assert fit.share == pytest.approx(truth, abs=6 * fit.error)
        assert fit.fits is None
    cheapest = space.cost({"group": 1, "coarse": 1, "depth": 1}, IMAGE, 10)
    dearest = space.cost({"group": 200, "coarse": 200, "depth": 200}, IMAGE, 10)
    assert found.costs["macs"].min == cheapest.macs
    assert found.costs["macs"].max == dearest.macs
    assert "4,000 random ones" in str(found)
    assert found == survey(space, IMAGE, 10, ["100M", "1G"], samples=4000)  # the same seed, the same words


def test_a_rare_fit_in_a_large_space_is_found_by_descent(space_of):
    """Of 8 million a handful fits: the samples miss them, and "cannot be met" would be false."""
    space = space_of(LARGE)
    found = survey(space, IMAGE, 10, [100 * 64 * 12], samples=500)
    fit = found.budgets[0]
    assert fit.verdict == "fits"
    assert fit.nearest.cost.macs <= 100 * 64 * 12
    assert "coordinate descent found one" in str(found)
    assert found.problems == []


def test_nothing_found_in_a_large_space_is_never_called_impossible(space_of):
    found = survey(space_of(LARGE), IMAGE, 10, ["1k"], samples=500)
    assert found.budgets[0].verdict == "none found (sampled)"
    assert "none found (sampled)" in found.problems[0]
    assert "cannot be met" not in str(found) + found.problems[0]
    assert found.budgets[0].nearest.setting == {"group": 1, "coarse": 1, "depth": 1}

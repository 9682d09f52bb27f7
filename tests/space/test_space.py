"""Settings, configurations and architectures of a space."""

import pickle
import random
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mgic_nas.errors import UserError
from mgic_nas.space import FeasibleSet, SearchSpace

PARAMS = {
    "group": {"choices": [2, 4, 8]},
    "width": {"low": 0.5, "high": 1.0, "step": 0.5, "per_stage": 2},
    "mode": {"choices": ["a", "bb"]},
}


def test_settings_come_in_a_fixed_order_the_last_parameter_fastest(space_of):
    """Representatives of architectures, and so their numbers, must be the same in every process."""
    space = space_of(PARAMS, where=["group < 8"])
    found = list(space.settings())
    assert len(found) == 2 * 2 * 2 * 2
    assert found[0] == {"group": 2, "width.0": 0.5, "width.1": 0.5, "mode": "a"}
    assert found[1] == {"group": 2, "width.0": 0.5, "width.1": 0.5, "mode": "bb"}
    assert found == list(space.settings())
    numbered = dict(space.enumerate_values())
    assert all(space.values_at(number) == values for number, values in numbered.items())


def test_a_config_is_what_create_model_takes(space_of):
    space = space_of(PARAMS, kwargs={"depth": [1, 2]})
    setting = next(space.settings())
    config = space.config(setting)
    assert config == {"depth": [1, 2], "group": 2, "width": [0.5, 0.5], "mode": "a"}
    config["depth"].append(3)  # a caller's own copy
    assert space.config(setting)["depth"] == [1, 2]
    assert space.create_model_line(setting, 10, 1) == (
        'timm.create_model("fake", depth=[1, 2], group=2, width=[0.5, 0.5], mode="a", num_classes=10, in_chans=1)'
    )


def test_a_list_of_the_wrong_length_is_refused(space_of):
    """per_stage: 1 is a list of one, not a number: a family that wants more stages says so."""
    with pytest.raises(UserError, match=r"per_stage: 1.*takes 2 or 3 values"):
        space_of({"width": {"choices": [1], "per_stage": 1}})


@pytest.mark.parametrize(
    ("setting", "hint"),
    [
        ({"group": 2}, "lacks 'mode'"),
        ({"group": 2, "mode": "a", "groop": 1}, "no parameter 'groop'. Did you mean group"),
    ],
)
def test_a_wrong_setting_is_named(space_of, setting, hint):
    space = space_of({"group": {"choices": [2]}, "mode": {"choices": ["a"]}})
    with pytest.raises(UserError, match=hint):
        space.config(setting)


def test_samples_are_allowed_and_uniform(space_of):
    space = space_of(PARAMS, where=["width[0] <= width[1]", "group < 8"])
    rng = random.Random(1)
    counts = Counter(tuple(space.sample(rng).values()) for _ in range(6000))
    assert set(counts) == {tuple(s.values()) for s in space.settings()}
    assert max(counts.values()) < 1.3 * min(counts.values())


def test_samples_repeat_with_the_seed(space_of):
    space = space_of(PARAMS)
    first, second = (random.Random(7) for _ in range(2))
    assert [space.sample(first) for _ in range(9)] == [space.sample(second) for _ in range(9)]


def test_a_rare_setting_of_a_small_space_is_still_found(space_of):
    """One in 250,000 meets the condition: draws alone would give up."""
    grid = {"low": 1, "high": 500}
    space = space_of({"group": grid, "coarse": grid}, where=["group == 77 and coarse == 99"])
    assert space.sample(random.Random(0)) == {"group": 77, "coarse": 99}


def test_a_large_space_that_is_almost_empty_says_so(space_of):
    grid = {"low": 1, "high": 999}
    params = {"group": grid, "coarse": grid, "depth": grid, "width": grid}
    with pytest.raises(UserError, match=r"none of 10,000 random settings meets where: group == 77 and .*Loosen it"):
        space_of(params, where=["group == 77", "coarse == 99"])


def test_twins_are_one_architecture(space_of):
    """Two settings with one canonical form are trained once."""
    space = space_of({"twin": {"choices": [1, 2]}, "group": {"choices": [2, 4]}})
    one, other = {"twin": 1, "group": 2}, {"twin": 2, "group": 2}
    assert space.canonical(one) == space.canonical(other)
    assert space.arch_id(one) == space.arch_id(other)
    assert space.arch_id(one) != space.arch_id({"twin": 1, "group": 4})


def test_a_space_travels_to_another_process(space_of):
    space = space_of(PARAMS, where=["group < 8"])
    again = pickle.loads(pickle.dumps(space))
    assert again == space
    assert hash(again) == hash(space)
    assert list(again.settings()) == list(space.settings())


def test_equal_spaces_have_equal_parameters_in_equal_order(space_of):
    group, mode = {"group": {"choices": [2, 4]}}, {"mode": {"choices": ["a"]}}
    assert space_of(group | mode) == space_of(group | mode)
    assert space_of(group | mode) != space_of(mode | group)
    assert space_of(group) != space_of({"group": {"choices": [4, 2]}})
    assert space_of(group) != "a space"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(["group", "coarse", "depth", "twin"]), min_size=1, unique=True),
    st.integers(1, 5),
    st.sampled_from(["{0} >= 2", "{0} % 2 == 1", "{0} + {1} <= 6", "True"]),
)
def test_distinct_is_at_most_allowed_is_at_most_size(names, count, condition):
    params = {name: {"low": 1, "high": count} for name in names}
    written = {"model": "fake", "params": params, "where": [condition.format(names[0], names[-1])]}
    if not any(_meets(condition, values, names) for values in _grid(count, len(names))):
        with pytest.raises(UserError, match="no setting meets"):
            SearchSpace.from_dict(written)
        return
    space = SearchSpace.from_dict(written)
    allowed = list(space.settings())
    distinct = FeasibleSet(space, (1, 8, 8), 10).candidates
    assert 1 <= len(distinct) <= len(allowed) <= space.size == count ** len(names)
    assert len(distinct) == len({space.canonical(s) for s in allowed})
    assert all(space.allows(s) for s in allowed)


def _grid(count, names):
    import itertools

    return itertools.product(range(1, count + 1), repeat=names)


def _meets(condition, values, names):
    return eval(condition.format("first", "last"), {"first": values[0], "last": values[-1]})


def test_importing_the_space_is_light():
    """`mgic-nas --help` and the parsing of budgets must not wait for torch."""
    code = (
        "import sys, mgic_nas.space as s; s.parse_budget('5M'); s.shipped_spaces();"
        "heavy = {'torch', 'timm', 'numpy', 'pandas', 'optuna', 'ray'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

"""Wrong search-space files: each is one line with the file, the line and the mend, before anything is trained."""

import copy
from decimal import Decimal

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mgic_nas.errors import UserError
from mgic_nas.space import SearchSpace

GOOD = """\
description: a test
model: fake
kwargs: {depth: 1}
params:
  group: {choices: [2, 4, 8]}
  coarse:
    choices: [4, 8]
  width: {low: 0.25, high: 1.0, step: 0.25, per_stage: 2}
where:
  - coarse >= group
  - width[0] <= width[1]
"""


def load(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return SearchSpace.from_yaml(path)


def test_a_good_file_is_read(tmp_path):
    space = load(tmp_path, GOOD)
    assert space.model == "fake"
    assert space.description == "a test"
    assert list(space.params) == ["group", "coarse", "width.0", "width.1"]
    assert space.params["width.1"] == (0.25, 0.5, 0.75, 1.0)
    assert space.size == 3 * 2 * 4 * 4
    assert space.where == ("coarse >= group", "width[0] <= width[1]")
    assert space.source.endswith("mine.yaml")


@pytest.mark.parametrize(
    ("old", "new", "line", "hints"),
    [
        ("model: fake", "modle: fake", 2, ["modle", "model"]),
        ("model: fake", "model: mgic_resnet21", 2, ["mgic_resnet21", "mgic_resnet20"]),
        ("model: fake", "model: [fake]", 2, ["model"]),
        ("kwargs: {depth: 1}", "kwargs: [depth]", 3, ["mapping"]),
        ("kwargs: {depth: 1}", "kwargs: {dept: 1}", 3, ["dept", "depth"]),
        ("kwargs: {depth: 1}", "kwargs: {num_classes: 10}", 3, ["num_classes comes from the data"]),
        ("kwargs: {depth: 1}", "in_chans: 1", 3, ["in_chans comes from the data"]),
        ("kwargs: {depth: 1}", "kwargs: {depth: -1}", 3, ["depth must be positive"]),
        ("kwargs: {depth: 1}", "kwargs: {group: 1}", 5, ["kwargs too"]),
        ("kwargs: {depth: 1}", "kwargs: {depth: 1, depth: 2}", 3, ["second time"]),
        ("group: {choices", "input_size: {choices", 5, ["input_size comes from the data"]),
        ("group: {choices", "img_size: {choices", 5, ["img_size comes from the data"]),
        ("group: {choices", "groop: {choices", 5, ["groop", "group"]),
        ("group: {choices", "coarse: {choices", 6, ["second time", "line 5"]),
        ("{choices: [2, 4, 8]}", "4", 5, ["kwargs"]),
        ("{choices: [2, 4, 8]}", "[2, 4, 8]", 5, ["{choices: [2, 4, 8]}"]),
        ("{choices: [2, 4, 8]}", "", 5, ["nothing"]),
        ("{choices: [2, 4, 8]}", "{}", 5, ["choices"]),
        ("{choices: [2, 4, 8]}", "{choises: [2, 4]}", 5, ["choices"]),
        ("{choices: [2, 4, 8]}", "{choices: []}", 5, ["empty"]),
        ("{choices: [2, 4, 8]}", "{choices: 4}", 5, ["list"]),
        ("{choices: [2, 4, 8]}", "{choices: {a: 1}}", 5, ["list"]),
        ("{choices: [2, 4, 8]}", "{choices: [2, 4, 2]}", 5, ["twice"]),
        ("{choices: [2, 4, 8]}", "{choices: [2, 2.0]}", 5, ["twice", "equals 2"]),
        ("{choices: [2, 4, 8]}", "{choices: [1, true]}", 5, ["twice"]),
        ("{choices: [2, 4, 8]}", "{choices: [[2, 4]]}", 5, ["per_stage"]),
        ("{choices: [2, 4, 8]}", "{choices: [2024-01-01]}", 5, ["quote"]),
        ("{choices: [2, 4, 8]}", "{choices: [2024-99-99]}", 5, ["not a value"]),
        ("{choices: [2, 4, 8]}", "{choices: [.inf]}", 5, ["finite"]),
        ("{choices: [2, 4, 8]}", f"{{choices: [1{'0' * 400}]}}", 5, ["finite"]),
        ("{choices: [2, 4, 8]}", "{choices: [2, 4], low: 2}", 5, ["one of the two"]),
        ("{choices: [2, 4, 8]}", "{choices: [2, 5000]}", 5, ["5000", "group", "below 1000"]),
        ("    choices: [4, 8]", "    choices:\n      - 4\n      - -8", 9, ["-8", "coarse"]),
        ("low: 0.25", "low: 2.0", 8, ["above high"]),
        ("low: 0.25, ", "", 8, ["no values"]),
        ("step: 0.25", "step: 0", 8, ["above zero"]),
        ("step: 0.25", "step: -0.25", 8, ["above zero"]),
        ("step: 0.25", "step: 0.2", 8, ["high: 0.85", "high: 1.05"]),
        ("step: 0.25", "step: 1e-1", 8, ["0.1"]),
        ("step: 0.25", "step: [1]", 8, ["number"]),
        ("step: 0.25", "step: 1.0e-9", 8, ["10,000"]),
        ("high: 1.0", "high: true", 8, ["number"]),
        ("high: 1.0", "high: .nan", 8, ["number"]),
        (", step: 0.25", "", 8, ["without a step"]),
        ("per_stage: 2", "per_stage: 0", 8, ["per_stage"]),
        ("per_stage: 2", "per_stage: true", 8, ["per_stage"]),
        ("per_stage: 2", "per_stage: 2.0", 8, ["per_stage"]),
        ("per_stage: 2", "per_stage: 7", 8, ["takes 2 or 3 values"]),
        ("coarse >= group", "coarse >= groop", 10, ["groop", "group"]),
        ("coarse >= group", "exec('x')", 10, ["calls"]),
        ("width[0] <= width[1]", "width[0] <= width[2]", 11, ["0 to 1"]),
        ("width[0] <= width[1]", "width[0] - width[1]", 11, ["true or false"]),
        ("width[0] <= width[1]", "[a]", 11, ["not text"]),
        ("where:\n  - coarse >= group\n  - width[0] <= width[1]", "where: {a: b}", 9, ["list"]),
        ("description: a test", "description: [a]", 1, ["text"]),
        ("description: a test", "1: a", 1, ["name"]),
        ("description: a test", "? [a]\n: b", 1, ["name"]),
        ("description: a test", "description: 'a", 12, ["not valid YAML"]),
        ("params:", "params", 4, ["not valid YAML"]),
        ("  group:", "\tgroup:", 5, ["tabs"]),
        ("{choices: [2, 4, 8]}", "{choices: [2, 4, 8}", 5, ["not valid YAML"]),
        ("{choices: [2, 4, 8]}", "{choices: *nothing}", 5, ["not valid YAML"]),
        ("{choices: [2, 4, 8]}", "!!python/object/apply:os.getcwd []", 5, ["tag"]),
        ("{choices: [2, 4, 8]}", "!!python/name:os.getcwd", 5, ["not valid YAML"]),
        ("model: fake", "model: fa\x07ke", 2, ["not valid YAML"]),
        ("where:", "---\nwhere:", 9, ["not valid YAML"]),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path, old, new, line, hints):
    assert old in GOOD
    with pytest.raises(UserError) as caught:
        load(tmp_path, GOOD.replace(old, new, 1))
    message = str(caught.value)
    assert f"mine.yaml, line {line}: " in message
    assert "\n" not in message
    for hint in hints:
        assert hint in message


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "empty"),
        ("# nothing here\n", "empty"),
        ("- a\n", "model: and params:"),
        ("just text", "model: and params:"),
        ("params: {group: {choices: [1]}}", "names no model"),
        ("model: fake", "no params"),
        ("model: fake\nparams: {}", "nothing to search"),
        ("model: fake\nparams: [group]", "mapping"),
        ("model: fake\nparams: {group: {choices: [2]}}\nwhere: [group > 2]", "no setting meets where: group > 2"),
        ("[" * 5000, "too deeply"),
        (
            "a: &a [x]\n" + "\n".join(f"{c}: &{c} [{', '.join([f'*{b}'] * 10)}]" for b, c in zip("abcdefg", "bcdefgh")),
            "too many",
        ),
        ("a: &a [*a]", "too deeply"),
        (b"model: \xff\xfe", "UTF-8"),
        ("#" * 1_000_001, "too many"),
    ],
)
def test_what_is_no_search_space_at_all_is_refused_in_one_line(tmp_path, text, hint):
    with pytest.raises(UserError) as caught:
        load(tmp_path, text)
    assert hint in str(caught.value)
    assert "mine.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_anchors_and_merge_keys_work(tmp_path):
    text = """\
model: fake
params:
  group: &grid {choices: [2, 4]}
  coarse: *grid
  width: &more {<<: *grid, per_stage: 2}
  depth: {<<: *more, per_stage: 3}
"""
    space = load(tmp_path, text)
    assert space.size == 2 * 2 * 4 * 8


def test_yes_and_no_are_booleans(tmp_path):
    space = load(tmp_path, "model: fake\nparams: {flag: {choices: [yes, no]}}\nwhere: flag\n")
    assert list(space.settings()) == [{"flag": True}]


def test_a_combination_that_the_model_refuses_is_named(space_of):
    """Each value is fine alone, so this is found by trying settings."""
    with pytest.raises(UserError, match=r"refuses the setting group=8, mode='picky'.*where"):
        space_of({"group": {"choices": [4, 8]}, "mode": {"choices": ["plain", "picky"]}})
    excluded = space_of(
        {"group": {"choices": [4, 8]}, "mode": {"choices": ["plain", "picky"]}}, where=["mode != 'picky' or group < 8"]
    )
    assert len(list(excluded.settings())) == 3


def test_a_value_is_tried_beside_what_it_needs(space_of):
    """group 8 is refused beside the fixed mode, whatever else is chosen: it can never be trained."""
    with pytest.raises(UserError, match="the value 8 of group"):
        space_of({"group": {"choices": [4, 8]}}, kwargs={"mode": "picky"})


def test_a_condition_without_an_answer_names_the_setting(space_of):
    with pytest.raises(UserError, match=r"condition '1 / \(group - 4\) < 1' has no answer for group=4: .*zero"):
        list(space_of({"group": {"choices": [2, 4]}}, where=["1 / (group - 4) < 1"]).settings())


def test_a_dict_is_refused_with_its_source_and_numpy_numbers_are_plain(space_of):
    import numpy as np

    with pytest.raises(UserError, match=r"^run.yaml: fake has no argument 'x'"):
        SearchSpace.from_dict({"model": "fake", "params": {"x": {"choices": [1]}}}, source="run.yaml")
    space = space_of(
        {"width": {"low": np.float64(0.25), "high": np.float32(1), "step": 0.25}, "group": {"choices": (np.int64(4),)}}
    )
    assert {type(v) for grid in space.params.values() for v in grid} == {int, float}


# --- laws ----------------------------------------------------------------------------------------------------------


@given(st.integers(1, 999), st.integers(1, 500), st.integers(0, 40), st.integers(0, 3))
@settings(max_examples=200, deadline=None)
def test_a_grid_stays_between_low_and_high_without_float_dust(start, step, count, digits):
    scale = Decimal(10) ** -digits
    low, high, stride = (float(n * scale) for n in (start, start + count * step, step))
    assume(high < 1000)
    space = SearchSpace.from_dict({"model": "fake", "params": {"width": {"low": low, "high": high, "step": stride}}})
    grid = space.params["width"]
    assert len(grid) == count + 1
    assert (grid[0], grid[-1]) == (low, high)
    assert all(low <= v <= high for v in grid)
    assert all(Decimal(repr(v)).quantize(scale) == Decimal(repr(v)) for v in grid)


def test_whole_ranges_stay_whole():
    """An int that turns into a float is another argument to the model, and another name in trials.csv."""
    written = {"model": "fake", "params": {"depth": {"low": 1, "high": 3}, "group": {"low": 2, "high": 8, "step": 2}}}
    space = SearchSpace.from_dict(written)
    assert repr(space.params) == "{'depth': (1, 2, 3), 'group': (2, 4, 6, 8)}"
    assert space.bounds("depth") == (1, 3, 1)
    assert space.is_range("group")


scalars = st.one_of(st.integers(1, 999), st.floats(0.5, 900).map(lambda x: round(x, 3)))
parameters = st.one_of(
    st.fixed_dictionaries({"choices": st.lists(scalars, min_size=1, max_size=4, unique=True)}),
    st.builds(
        lambda low, steps: {"low": low, "high": low + 3 * steps, "step": 3}, st.integers(1, 20), st.integers(0, 4)
    ),
)
spaces = st.dictionaries(st.sampled_from(["group", "coarse", "depth"]), parameters, min_size=1).flatmap(
    lambda params: st.fixed_dictionaries(
        {"model": st.just("fake"), "params": st.just(params)},
        optional={
            "kwargs": st.just({"width": [1, 2.5]}),
            "where": st.just([f"{next(iter(params))} > 0"]),
            "description": st.text("abc \n:#'", min_size=1),
        },
    )
)


@settings(max_examples=100, deadline=None)
@given(spaces)
def test_a_space_survives_being_written_down(written):
    """run.yaml keeps the space; a resumed run must search the same one."""
    kept = copy.deepcopy(written)
    space = SearchSpace.from_dict(written)
    assert written == kept
    again = SearchSpace.from_dict(yaml.safe_load(yaml.safe_dump(space.to_dict(), sort_keys=False)))
    assert again == space
    assert again.params == space.params
    assert repr(again.params) == repr(space.params)
    assert list(again.settings()) == list(space.settings())

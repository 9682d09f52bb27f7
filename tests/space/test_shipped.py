"""The shipped spaces on the real families."""

import random
import time

import pytest

from mgic_nas.errors import UserError
from mgic_nas.families import model_names
from mgic_nas.profiling import profile
from mgic_nas.space import FeasibleSet, SearchSpace, shipped_spaces
from mgic_nas.space.survey import survey

NAMES = (
    *("cifar10_resnet56", "cifar10_rows", "cifar10_small", "fashion_table", "fashion_table_2", "imagenet_mobilenetv3"),
    *("mgic_or_plain", "modelnet10_diffgcn", "quickstart", "timm_resnet"),
)


def test_the_shipped_names_are_these_and_no_model_is_called_so():
    """`mgic-nas profile NAME` takes both: one name must not mean two things."""
    assert tuple(shipped_spaces()) == NAMES
    assert not set(NAMES) & set(model_names())


@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_space_loads_and_describes_itself(name):
    space = SearchSpace.from_yaml(name)
    assert space.description
    assert space.enumerable == (name not in ("cifar10_resnet56", "imagenet_mobilenetv3"))
    assert SearchSpace.from_dict(space.to_dict()) == space


def test_the_quickstart_holds_what_the_readme_promises():
    space = SearchSpace.from_yaml("quickstart")
    found = survey(space, (1, 14, 14), 10, ["0.5M", "1M", "2M", "0.1M"])
    assert found.distinct == 96
    assert found.costs["macs"].min == 247_336
    assert found.costs["macs"].max == 2_776_032
    assert {f.label: f.fits for f in found.budgets} == {"0.1M": 0, "0.5M": 24, "1M": 49, "2M": 89}
    assert "0.1M" in found.problems[0]


def test_two_settings_of_one_canonical_form_count_once():
    """Width 16 has one restriction for s_c = 16 and for s_c = 32 alike: training both would waste a trial."""
    space = SearchSpace.from_yaml("quickstart")
    one = {"s_g": 4, "s_c": 16, "width_mult": 0.25, "block": "basic", "min_levels": 1}
    other = {**one, "s_c": 32}
    assert space.arch_id(one) == space.arch_id(other)
    assert space.canonical(one) == space.canonical(other)
    ids = [c.arch_id for c in FeasibleSet(space, (1, 14, 14), 10).candidates]
    assert ids.count(space.arch_id(one)) == 1
    assert len(set(ids)) == len(ids) == 96


def test_the_first_line_of_a_nearest_network_builds_it():
    import timm

    space = SearchSpace.from_yaml("quickstart")
    nearest = survey(space, (1, 14, 14), 10, ["0.1M"]).budgets[0].nearest
    net = eval(nearest.line, {"timm": timm})
    assert sum(p.numel() for p in net.parameters()) == nearest.cost.params


@pytest.mark.parametrize(("name", "size"), [("cifar10_resnet56", (3, 32, 32)), ("imagenet_mobilenetv3", (3, 224, 224))])
def test_stage_wise_settings_cost_what_profile_says(name, size):
    space = SearchSpace.from_yaml(name)
    rng = random.Random(0)
    for _ in range(5):
        setting = space.sample(rng)
        assert len(space.config(setting)["width_mult"]) in (3, 6)
        assert space.cost(setting, size, 10) == profile(
            space.model, input_size=size, num_classes=10, **space.config(setting)
        )


def test_a_space_of_millions_is_surveyed_in_seconds():
    found = survey(SearchSpace.from_yaml("cifar10_resnet56"), (3, 32, 32), 10, ["1M", "20M", "60M"], samples=3000)
    assert not found.exact
    assert [f.verdict for f in found.budgets] == ["none found (sampled)", "fits", "fits"]
    assert found.costs["macs"].min < 10e6 < 300e6 < found.costs["macs"].max


@pytest.mark.parametrize(
    ("params", "hint"),
    [
        ({"s_g": {"choices": [4, 0]}}, "the value 0 of s_g"),
        ({"s_g": {"choices": [4, 2.5]}}, "the value 2.5 of s_g"),
        ({"block": {"choices": ["basic", "botleneck"]}}, "bottleneck"),
        ({"width_mult": {"choices": [0.5], "per_stage": 4}}, "per_stage: 4"),
        ({"depths": {"low": 0, "high": 3}}, "the value 0 of depths"),
        ({"sg": {"choices": [4]}}, "s_g"),
    ],
)
def test_what_the_model_refuses_is_refused_when_the_space_is_made(params, hint):
    with pytest.raises(UserError, match=hint):
        SearchSpace.from_dict({"model": "mgic_resnet20", "params": params})


def test_a_file_goes_before_a_shipped_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cifar10_small").mkdir()
    assert "(shipped)" in SearchSpace.from_yaml("cifar10_small").source  # a folder is not meant
    (tmp_path / "quickstart").write_text("model: mgic_resnet20\nparams: {s_g: {choices: [4]}}\n")
    assert SearchSpace.from_yaml("quickstart").size == 1


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ("quickstar", "Did you mean quickstart"),
        ("nowhere/quickstart.yaml", "Did you mean quickstart"),
        ("zzz.yaml", "Known: cifar10_resnet56"),
        (".", "folder"),
        ("a\0b", "No search-space file"),
    ],
)
def test_a_path_that_does_not_exist_lists_what_is_shipped(asked, hint):
    with pytest.raises(UserError, match=hint) as caught:
        SearchSpace.from_yaml(asked)
    assert "\n" not in str(caught.value)


@pytest.mark.benchmark
@pytest.mark.slow
def test_a_million_settings_within_a_minute():
    """Four million would be sampled; just under one million is counted, all of it."""
    stages = {"low": 0.5, "high": 2.0, "step": 0.25, "per_stage": 3}
    params = {
        "s_g": {"choices": [2, 4, 8, 16, 32]},
        "s_c": {"choices": [4, 8, 16, 32, 64]},
        "width_mult": stages,
        "depths": {"low": 1, "high": 4, "per_stage": 3},
        "block": {"choices": ["basic", "inverted_residual"]},
    }
    space = SearchSpace.from_dict({"model": "mgic_resnet20", "params": params})
    assert 1_000_000 < space.size < 1_200_000
    params["s_c"]["choices"].pop()
    space = SearchSpace.from_dict({"model": "mgic_resnet20", "params": params})
    assert 800_000 < space.size <= 1_000_000
    started = time.process_time()
    found = survey(space, (3, 32, 32), 10, ["5M"])
    seconds = time.process_time() - started
    print(f"{found.settings:,} settings, {found.distinct:,} architectures: {seconds:.1f} CPU-seconds")
    assert seconds < 60

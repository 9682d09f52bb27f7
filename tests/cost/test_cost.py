"""The number that the search trusts is the number of the network that is trained."""

import random

import pytest
import timm
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

import mgic_nas
from mgic_nas.cost.count import count
from mgic_nas.errors import UserError
from mgic_nas.families import family, model_names
from mgic_nas.models.blocks import BLOCKS


def flops_of_torch(net: torch.nn.Module, input_size: tuple[int, ...]) -> int:
    """An independent count: torch's own, which sees the operators and knows nothing of our modules."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net.eval()(torch.zeros(1, *input_size, device="meta"))
    return counter.get_total_flops() // 2


@pytest.mark.parametrize("name", model_names())
def test_rows_modules_and_torch_agree(name: str) -> None:
    cost = mgic_nas.profile(name)
    net = timm.create_model(name, device="meta")
    size = net.pretrained_cfg["input_size"]
    assert count(net, size) == cost
    assert flops_of_torch(net, size) == cost.macs
    assert cost.params == sum(p.numel() for p in net.parameters())


STAGES = {name: len(family(name).rows({}).stages) - ("mobilenet" in name) for name in model_names()}


@st.composite
def configs(draw: st.DrawFn) -> tuple[str, dict, tuple[int, int, int], int]:
    name = draw(st.sampled_from(model_names()))
    n = STAGES[name]
    mult = st.sampled_from([0.25, 0.35, 0.5, 0.75, 0.9, 1.0, 1.3])
    config = {
        "s_g": draw(st.sampled_from([1, 2, 3, 4, 8, 16, 32, 64])),
        "s_c": draw(st.sampled_from([1, 2, 4, 8, 16, 32, 64])),
        "width_mult": draw(st.one_of(mult, st.lists(mult, min_size=n, max_size=n))),
        "depths": draw(st.one_of(st.integers(1, 3), st.lists(st.integers(1, 3), min_size=n, max_size=n))),
        "block": draw(st.sampled_from(sorted(BLOCKS))),
    }
    # The depths of each name are counted above; repeated blocks cost time here and show nothing new.
    chosen = draw(st.sets(st.sampled_from(sorted(config)))) | {"depths"}
    size = (draw(st.sampled_from([1, 3])), draw(st.integers(14, 70)), draw(st.integers(14, 70)))
    return name, {k: config[k] for k in chosen}, size, draw(st.integers(1, 20))


@settings(max_examples=200, deadline=None)
@given(configs())
@example(("mgic_mobilenetv3_large_060", {"s_c": 1, "width_mult": 0.35, "depths": 1}, (3, 32, 32), 10))  # exp < c
def test_rows_agree_with_the_built_network(case: tuple[str, dict, tuple[int, int, int], int]) -> None:
    name, config, size, num_classes = case
    cost = family(name).cost(config, size, num_classes)
    net = family(name).build(config, num_classes, size[0], device="meta")
    with FlopCounterMode(display=False) as counter:  # one forward pass for both counts
        assert count(net, size) == cost
    assert counter.get_total_flops() == 2 * cost.macs


def test_macs_of_well_known_networks() -> None:
    """The same counter on timm's own: the paper's baseline numbers to 2 %."""
    known = {
        "mobilenetv3_large_100": (5.4e6, 219e6),
        "ghostnet_100": (5.2e6, 141e6),
        "mobilenetv2_100": (3.5e6, 300e6),
        "resnet50": (25.6e6, 4.1e9),
    }
    for name, (params, macs) in known.items():
        cost = mgic_nas.profile(name)
        assert cost.params == pytest.approx(params, rel=0.02)
        assert cost.macs == pytest.approx(macs, rel=0.02)


def test_equal_networks_have_one_id_and_different_ones_do_not() -> None:
    f = family("mgic_resnet20")
    base = {"depths": 1, "s_g": 8, "s_c": 64}
    assert f.arch_id(base) == f.arch_id({**base, "s_c": 32})  # both: the one restriction that is always made
    assert f.arch_id(base) == f.arch_id({**base, "width_mult": [1.0, 1.0, 1.0], "drop_path_rate": 0.0})
    assert f.arch_id(base) == family("mgic_resnet56").arch_id(base)
    others = [{**base, "s_g": 4}, {**base, "s_c": 4}, {**base, "drop_path_rate": 0.1}, {**base, "act_layer": "silu"}]
    ids = {f.arch_id(c) for c in [base, *others]}
    assert len(ids) == 5
    assert f.cost(base, (1, 14, 14), 10) != f.cost(base, (3, 32, 32), 10)


def test_ids_stay_what_they_were() -> None:
    """Recorded runs name architectures by these ids: a changed id orphans every recorded table."""
    assert family("mgic_resnet20").arch_id({"depths": 1}) == "dada5c5fff34"
    assert family("mgic_mobilenetv3_large_100").arch_id({}) == "b47d5225b0e8"


def test_a_built_network_can_be_profiled() -> None:
    net = timm.create_model("mgic_resnet20")
    net.train()
    assert mgic_nas.profile(net) == mgic_nas.profile("mgic_resnet20")
    assert net.training
    assert mgic_nas.profile(torch.nn.Conv2d(3, 8, 3, padding=1), input_size=(3, 10, 10)).macs == 3 * 8 * 9 * 100


def test_frozen_parameters_are_not_counted() -> None:
    net = timm.create_model("mgic_resnet20")
    net.stem.requires_grad_(False)
    assert mgic_nas.profile(net).params == mgic_nas.profile("mgic_resnet20").params - 16 * 27 - 32


@pytest.mark.parametrize(
    ("name", "config", "words"),
    [
        ("mgic_resnet21", {}, "mgic_resnet"),
        ("mgic_resnet20", {"sg": 4}, "s_g"),
        ("mgic_resnet20", {"block": "residual"}, "inverted_residual"),
        ("mgic_resnet20", {"s_c": 0}, "s_c"),
        ("resnet18", {"no_such": 1}, "no_such"),
    ],
)
def test_wrong_input_is_one_line_that_helps(name: str, config: dict, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        family(name).cost(config, (3, 32, 32), 10)
    assert "\n" not in str(caught.value)


def test_any_timm_name_is_counted_once() -> None:
    f = family("resnet18")
    assert f.cost({}, (3, 32, 32), 10) is f.cost({}, (3, 32, 32), 10)
    assert f.cost({}, (3, 32, 32), 10).macs == flops_of_torch(f.build({}, 10, 3, device="meta"), (3, 32, 32))


def test_random_configs_are_reproducible_across_processes() -> None:
    """No id may depend on Python's hash seed."""
    import subprocess
    import sys

    config = "{'s_g': 4, 'drop_path_rate': 0.1}"
    code = f"from mgic_nas.families import family; print(family('mgic_resnet20').arch_id({config}))"
    ids = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**__import__("os").environ, "PYTHONHASHSEED": str(random.randint(1, 99))},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for _ in range(2)
    }
    assert len(ids) == 1

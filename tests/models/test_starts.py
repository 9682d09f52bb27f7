"""How MGIC blocks begin: R and P by averages of own channels, the correction at zero; and what a start is told by."""

import itertools
from typing import Any

import pytest
import timm
import torch
from torch import nn

import mgic_nas
from mgic_nas import UserError
from mgic_nas.families import create_model_line, family, model_names, network_names, recorded_config, start_of
from mgic_nas.models.mgic import ChannelTransfer, MultigridBlock, start
from mgic_nas.space import SearchSpace

OTHERS = [{"transfer_init": "aggregation"}, {"zero_init_correction": True}]
MODELS = [
    "mgic_resnet20",
    "mgic_mobilenetv3_small_100",
    "mgicify:resnet18",
    "mgic_diffgcn",
    "mgic_lraspp_mobilenetv3_small",
    "implicit_mgic_mobilenetv3",
]


def aggregating(c_in: int, c_out: int, groups: int) -> torch.Tensor:
    torch.manual_seed(0)
    transfer = ChannelTransfer(c_in, c_out, groups)
    start(transfer, "aggregation")
    return transfer.weight.detach()[:, :, 0, 0]


@pytest.mark.parametrize(("c_in", "c_out", "groups"), [(64, 32, 1), (64, 32, 4), (34, 17, 1), (33, 16, 1), (8, 4, 2)])
def test_a_coarse_channel_averages_its_own_fine_ones_and_is_copied_back(c_in: int, c_out: int, groups: int) -> None:
    """Sec. 3.3 read literally: aggregates, averaged; positive, row sums 1. And no channel is lost: full rank."""
    down, up = aggregating(c_in, c_out, groups), aggregating(c_out, c_in, groups)
    for weight in (down, up):
        assert (weight > 0).all()
        assert torch.allclose(weight.sum(1), torch.ones(len(weight)))
    per_group = c_in // groups, c_out // groups
    for k in range(c_out // groups):  # of the first group
        own = [i for i in range(per_group[0]) if i * per_group[1] // per_group[0] == k]
        assert down[k, own].sum() > 0.5
        assert all(up[i].argmax() == k for i in own)
    both = torch.block_diag(*up.unflatten(0, (groups, -1))) @ torch.block_diag(*down.unflatten(0, (groups, -1)))
    assert torch.linalg.matrix_rank(both, rtol=1e-3) == c_out


@pytest.mark.parametrize("name", ["mgic_resnet20", "mgic_mobilenetv3_small_100"])
def test_a_correction_from_zero_leaves_the_first_output_to_the_finest_level(name: str) -> None:
    """In training mode too, where N would divide by the deviation of rounding noise."""
    net = timm.create_model(name)
    block = next(m for m in net.modules() if isinstance(m, MultigridBlock) and len(m.restrict))
    x = torch.randn(4, block.restrict[0].in_channels, 8, 8)
    for mode in (True, False):
        block.train(mode)
        block.cnn[-1].train(mode)
        assert torch.equal(block(x), block.cnn[-1](x))
    assert all(p.requires_grad for p in block.parameters())


@pytest.mark.parametrize("name", MODELS)
def test_a_start_is_an_architecture_of_its_own_and_costs_the_same(name: str) -> None:
    known = family(name)
    first = known.arch_id({})
    assert known.arch_id(start_of(name).first) == first
    ids = {first, *(known.arch_id(other) for other in OTHERS)}
    assert len(ids) == 1 + len(OTHERS)
    size = (known.input_size[0], *(min(side, 64) for side in known.input_size[1:]))
    assert all(known.cost(other, size, 10) == known.cost({}, size, 10) for other in OTHERS)
    built = known.build(OTHERS[0], 10, size[0])
    assert all(m.start == "aggregation" for m in built.modules() if isinstance(m, ChannelTransfer))


def test_weights_other_than_those_of_r_p_and_n_do_not_depend_on_the_start() -> None:
    """So that starts are compared on paired seeds."""
    nets = []
    for options in ({"zero_init_correction": False}, {"transfer_init": "aggregation", "zero_init_correction": True}):
        torch.manual_seed(3)
        nets.append(timm.create_model("mgic_mobilenetv3_small_100", **options).state_dict())
    differing = {key for key in nets[0] if not torch.equal(nets[0][key], nets[1][key])}
    assert differing
    for key in differing:  # the transfers, and scales of norms
        assert ".restrict." in key or ".prolong." in key or nets[0][key].dim() == 1, key


def test_the_start_survives_that_weights_are_drawn_again() -> None:
    net: Any = timm.create_model("mgic_resnet20", transfer_init="aggregation", zero_init_correction=True)
    nn.init.ones_(net.stages[0][1].norm[0].weight)
    net.init_weights()
    assert not net.stages[0][1].norm[0].weight.any()
    assert net.stages[0][1].restrict[0].weight[0].flatten()[:2].sum() > 0.5


def test_a_converted_network_keeps_its_start_when_it_is_saved(tmp_path: Any) -> None:
    net = mgic_nas.mgicify("resnet18", 16, 32, transfer_init="aggregation")
    timm.models.save_for_hf(net, tmp_path, model_args=net._model_args)
    back = timm.create_model(f"local-dir:{tmp_path}", pretrained=True)
    assert all(m.start == "aggregation" for m in back.modules() if isinstance(m, ChannelTransfer))
    for key, value in net.state_dict().items():
        assert torch.equal(back.state_dict()[key], value)


@pytest.mark.parametrize("name", model_names())
def test_an_untrained_network_gives_tame_logits_and_stages_of_one_size(name: str) -> None:
    """Of two random images, in eval mode, where BatchNorm does not hide how the weights begin."""
    torch.manual_seed(0)
    net: Any = timm.create_model(name).eval()
    size = net.pretrained_cfg["input_size"]
    with torch.inference_mode():
        last, maps = net.forward_intermediates(torch.randn(2, *size))
        logits = net.forward_head(last)
    assert logits.std() < 5
    deviations = [float(found.std()) for found in maps]
    assert all(0.1 < after / before < 10 for before, after in itertools.pairwise(deviations))


@pytest.mark.parametrize("transfer_init", ["uniform", "aggregation"])
@pytest.mark.parametrize(
    "name",
    [
        *("mgic_resnet20", "mgic_mobilenetv3_small_100", "mgic_diffgcn", "implicit_mgic_mobilenetv3"),
        *("mgicify:resnet18", "mgicify:regnetx_002"),
    ],
)
def test_every_weight_is_reached_by_training(name: str, transfer_init: str) -> None:
    """Of two zeros that are multiplied neither gets a gradient; a correction from zero must not stay there."""
    torch.manual_seed(0)
    net = family(name).build({"transfer_init": transfer_init}, 10, 3)
    x = torch.randn(8, 3, 32, 1) if "diffgcn" in name else torch.randn(8, 3, 32, 32)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(4):
        optimizer.zero_grad()
        net(x).square().mean().backward()
        optimizer.step()
    blocks = [m for m in net.modules() if isinstance(m, MultigridBlock) and len(m.restrict)]
    assert blocks
    inside = {id(p) for block in blocks for p in block.parameters()}
    assert not [k for k, p in net.named_parameters() if id(p) in inside and (p.grad is None or not p.grad.any())]


@pytest.mark.parametrize(
    ("name", "wild"),
    [
        ("mgic_mobilenetv3_large_060", {"zero_init_last": False}),  # its levels add up
        ("mgic_resnet50", {"group_fan": False}),  # its stages fade
    ],
)
def test_what_the_other_starts_do(name: str, wild: dict[str, Any]) -> None:
    torch.manual_seed(0)
    net: Any = timm.create_model(name, **wild).eval()
    with torch.inference_mode():
        last, maps = net.forward_intermediates(torch.randn(2, *net.pretrained_cfg["input_size"]))
    ratios = [float(after.std() / before.std()) for before, after in itertools.pairwise(maps)]
    assert net.forward_head(last).std() > 5 or min(ratios) < 0.1


@pytest.mark.parametrize("name", [*model_names(), *network_names(), "mgicify:resnet18"])
def test_starts_are_those_of_the_models(name: str) -> None:
    """The table that can be read without torch says what the models' signatures say."""
    known, given = family(name), start_of(name)
    assert given.first.keys() == given.now.keys()
    named = ("transfer_init", "zero_init_correction", "zero_init_last", "group_fan")
    assert set(given.now) == known.arguments & set(named)
    torch.manual_seed(0)
    bare = known.build({}, 10, known.input_size[0]).state_dict()
    torch.manual_seed(0)
    explicit = known.build(given.now, 10, known.input_size[0]).state_dict()
    assert all(torch.equal(value, explicit[key]) for key, value in bare.items())


def test_a_space_names_its_start_and_one_of_an_early_version_means_the_first() -> None:
    """In run.yaml: so that a run goes on as it began, whatever networks begin like in a later version."""
    written = {"model": "mgic_resnet20", "params": {"s_g": {"choices": [4, 8]}}}
    space = SearchSpace.from_dict(written)
    new = space.started_as(None)
    assert new.to_dict()["kwargs"] == start_of("mgic_resnet20").now
    assert new.arch_id({"s_g": 4}) != space.arch_id({"s_g": 4})
    assert space.started_as(new.to_dict()) == new  # resumed
    assert space.started_as(space.to_dict()) == space  # a run of an early version, resumed
    early = SearchSpace.from_recorded(space.to_dict(), "run.yaml")
    assert early.config({"s_g": 4}) == {**start_of("mgic_resnet20").first, "s_g": 4}
    assert early.arch_id({"s_g": 4}) == space.arch_id({"s_g": 4})
    chosen = SearchSpace.from_dict({**written, "kwargs": {"zero_init_correction": False}})
    assert chosen.started_as(None).kwargs["zero_init_correction"] is False
    searched = SearchSpace.from_dict({"model": "mgic_resnet20", "params": {"group_fan": {"choices": [True, False]}}})
    assert "group_fan" not in searched.started_as(None).kwargs


def test_a_line_names_a_start_that_is_not_the_default() -> None:
    now, first = start_of("mgic_resnet20").now, recorded_config("mgic_resnet20", {"s_g": 8})
    assert create_model_line("mgic_resnet20", {**now, "s_g": 8}, 10, 1) == (
        'timm.create_model("mgic_resnet20", s_g=8, num_classes=10, in_chans=1)'
    )
    assert "group_fan=False" in create_model_line("mgic_resnet20", first, 10, 1)


def test_an_unknown_start_is_one_line() -> None:
    with pytest.raises(UserError, match="transfer_init must be uniform or aggregation, not 'ones'"):
        timm.create_model("mgic_resnet20", transfer_init="ones")

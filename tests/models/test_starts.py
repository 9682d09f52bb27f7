"""How MGIC blocks begin: R and P by averages of own channels, the correction at zero; and what a start is told by."""

from typing import Any

import pytest
import timm
import torch
from torch import nn

import mgic_nas
from mgic_nas import UserError
from mgic_nas.families import family
from mgic_nas.models.mgic import FIRST_START, ChannelTransfer, MultigridBlock, start

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
    net = timm.create_model(name, zero_init_correction=True)
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
    assert known.arch_id(dict(FIRST_START)) == first
    ids = {first, *(known.arch_id(other) for other in OTHERS)}
    assert len(ids) == 1 + len(OTHERS)
    size = (known.input_size[0], *(min(side, 64) for side in known.input_size[1:]))
    assert all(known.cost(other, size, 10) == known.cost({}, size, 10) for other in OTHERS)
    built = known.build(OTHERS[0], 10, size[0])
    assert all(m.start == "aggregation" for m in built.modules() if isinstance(m, ChannelTransfer))


def test_weights_other_than_those_of_r_p_and_n_do_not_depend_on_the_start() -> None:
    """So that starts are compared on paired seeds."""
    nets = []
    for options in ({}, {"transfer_init": "aggregation", "zero_init_correction": True}):
        torch.manual_seed(3)
        nets.append(timm.create_model("mgic_mobilenetv3_small_100", **options).state_dict())
    differing = {key for key in nets[0] if not torch.equal(nets[0][key], nets[1][key])}
    assert differing
    assert all(".restrict." in key or ".prolong." in key or ".norm." in key for key in differing)


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


def test_zero_init_last_keeps_an_untrained_mobilenet_tame() -> None:
    """Its levels add up: without, logits of an untrained network have a deviation of 27 to 150."""
    for zero, tame in ((True, True), (False, False)):
        torch.manual_seed(0)
        net = timm.create_model("mgic_mobilenetv3_large_060", zero_init_last=zero).eval()
        with torch.inference_mode():
            assert (net(torch.randn(2, 3, 96, 96)).std() < 5) == tame


def test_an_unknown_start_is_one_line() -> None:
    with pytest.raises(UserError, match="transfer_init must be uniform or aggregation, not 'ones'"):
        timm.create_model("mgic_resnet20", transfer_init="ones")

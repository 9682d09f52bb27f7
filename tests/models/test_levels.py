"""min_levels, min_groups and levels: how far every family halves, how finely it groups, and whether at all."""

from typing import Any

import pytest
import timm
import torch

import mgic_nas
from mgic_nas import UserError, fuse
from mgic_nas.cost.count import count
from mgic_nas.families import family
from mgic_nas.models.mgic import MultigridBlock
from mgic_nas.models.mgic_mobilenetv3 import MGICMobileNetV3Cfg
from mgic_nas.models.mgic_resnet import MGICResNetCfg
from mgic_nas.space import SearchSpace

#: Family -> its own min_levels and min_groups, with which its counts are the paper's.
DEFAULTS = {
    "mgic_resnet20": (1, 2),
    "mgic_resnet50": (1, 1),
    "mgic_mobilenetv3_small_100": (0, 1),
    "mgic_lraspp_mobilenetv3_small": (0, 1),
    "mgic_diffgcn": (0, 1),
    "implicit_mgic_mobilenetv3": (0, 1),
    "mgicify:resnet18": (0, 1),
}


def restrictions(name: str, **config: Any) -> list[int]:
    net = mgic_nas.create_model(name, **config)
    return [len(m.restrict) for m in net.modules() if isinstance(m, MultigridBlock)]


@pytest.mark.parametrize(("name", "own"), DEFAULTS.items())
def test_every_family_takes_both(name: str, own: tuple[int, int]) -> None:
    known = family(name)
    levels, groups = own
    assert known.arch_id({"min_levels": levels, "min_groups": groups}) == known.arch_id({})
    deeper = restrictions(name, min_levels=4)
    assert min(deeper) >= 4
    assert known.arch_id({"min_levels": 4}) != known.arch_id({})
    for wrong in ({"min_levels": -1}, {"min_levels": True}, {"min_groups": 3}, {"min_groups": "2"}):
        with pytest.raises(UserError, match=next(iter(wrong))):
            mgic_nas.create_model(name, **wrong)


def test_a_stage_of_at_most_s_c_channels_can_be_left_plain() -> None:
    """MGIC-ResNet-56's first stage is 16 wide: with s_c = 16 it need not be coarsened, for 14 % more MACs."""
    config = {"s_g": 8, "s_c": 16}
    assert restrictions("mgic_resnet56", **config)[:9] == [1] * 9
    assert restrictions("mgic_resnet56", **config, min_levels=0)[:9] == [0] * 9
    usual, plain = (mgic_nas.profile("mgic_resnet56", **config, min_levels=n) for n in (1, 0))
    assert plain.macs / usual.macs == pytest.approx(1.14, abs=0.02)


#: Name -> the timm name of the same plain network, or (parameters, MACs) that are known of it.
PLAIN: dict[str, Any] = {
    "mgic_resnet18": "resnet18",
    "mgic_resnet34": "resnet34",
    "mgic_resnet50": "resnet50",
    "mgic_resnet101": "resnet101",
    "mgic_resnext50_32x4d": "resnext50_32x4d",
    "mgic_resnet56": (853_018, 125_485_696),  # 0.85 M, 125 M
    "mgic_resnet20": (269_722, 40_551_040),
}


@pytest.mark.parametrize(("name", "known"), PLAIN.items())
def test_without_levels_a_resnet_is_the_plain_one_to_the_last_parameter(name: str, known: Any) -> None:
    found = mgic_nas.profile(name, levels="none")
    if isinstance(known, str):
        assert found == mgic_nas.profile(known)
    else:
        assert (found.params, found.macs) == known
    assert found.macs_without_transfers == found.macs


@pytest.mark.parametrize("name", [*DEFAULTS, "mgic_resnet18", "mgic_mobilenetv3_large_060"])
def test_plain_networks_of_every_family_are_built_counted_and_told_alike(name: str) -> None:
    known = family(name)
    plain = {"levels": "none"}
    ids = {known.arch_id({**plain, "s_g": s_g, "min_levels": n}) for s_g in (4, 16) for n in (0, 2)}
    assert len(ids) == 1
    assert known.arch_id({}) not in ids
    size = (known.input_size[0], *(min(side, 64) for side in known.input_size[1:]))
    net = known.build(plain, 10, size[0])
    assert known.cost(plain, size, 10) == count(net, size)
    assert not any(len(m.restrict) for m in net.modules() if isinstance(m, MultigridBlock))
    x = torch.randn(2, *size)
    net.eval()
    with torch.inference_mode():
        assert torch.allclose(fuse(net)(x), net(x), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("block", ["basic", "bottleneck", "resnext", "inverted_residual"])
@pytest.mark.parametrize("name", ["mgic_resnet20", "mgic_mobilenetv3_small_100"])
def test_a_plain_first_block_of_a_stage_changes_width_and_resolution(name: str, block: str) -> None:
    net: Any = timm.create_model(name, levels="none", block=block).eval()
    x = torch.randn(2, 3, 64, 64)
    net.train()(x).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    features: Any = timm.create_model(name, levels="none", block=block, features_only=True)
    for y, info in zip(features(x), features.feature_info.get_dicts()):
        assert y.shape[1:] == (info["num_chs"], 64 // info["reduction"], 64 // info["reduction"])
    torch.jit.script(net.eval())(x)


@pytest.mark.parametrize("block", ["ghost", "convnext"])
def test_a_block_that_cannot_change_width_is_one_line(block: str) -> None:
    for call in (timm.create_model, mgic_nas.profile):
        for choice in ({"levels": "none"}, {"transition": "plain"}):
            with pytest.raises(UserError, match=f"transition='plain' are for blocks .*which {block} cannot"):
                call("mgic_resnet20", block=block, **choice)


MAY_CHANGE = [name for name in DEFAULTS if "transition" in family(name).arguments] + ["mgic_resnet50"]


@pytest.mark.parametrize("name", MAY_CHANGE)
def test_plain_transitions_leave_mgic_blocks_between_them(name: str) -> None:
    known = family(name)
    choices = {"s_g": 8, "s_c": 16}
    mixed = {**choices, "transition": "plain"}
    size = (known.input_size[0], *(min(side, 64) for side in known.input_size[1:]))
    net = known.build(mixed, 10, size[0])
    assert known.cost(mixed, size, 10) == count(net, size)
    assert len({known.arch_id(c) for c in (choices, mixed, {**choices, "levels": "none"})}) == 3
    assert known.arch_id({**choices, "transition": "grouped"}) == known.arch_id(choices)
    assert known.arch_id({**mixed, "levels": "none"}) == known.arch_id({"levels": "none"})
    x = torch.randn(2, *size)
    net.train()(x).square().mean().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.eval()
    with torch.inference_mode():
        assert torch.allclose(fuse(net)(x), net(x), rtol=1e-3, atol=1e-4)
    with pytest.raises(UserError, match="transition must be grouped or plain, not 'none'"):
        known.build({"transition": "none"}, 10, size[0])


def test_rows_with_plain_transitions() -> None:
    """Row by row: nothing but what changes width or stride is plain, and no conv stands before a block."""
    for cfg in (MGICResNetCfg(), MGICMobileNetV3Cfg(s_g=8, s_c=16)):
        plain, mgic, mixed = (
            [row for stage in cfg._replace(**choice).rows().stages for row in stage if row.block != "conv"]
            for choice in ({"levels": "none"}, {}, {"transition": "plain"})
        )
        assert len(plain) == len(mgic) == len(mixed)
        assert mixed == [p if p.changes else m for p, m in zip(plain, mgic)]
        assert any(p.changes for p in plain)


def test_levels_are_auto_or_none() -> None:
    for name in DEFAULTS:
        with pytest.raises(UserError, match="levels must be auto or none, not 2"):
            mgic_nas.create_model(name, levels=2)


def test_converted_network_without_levels_is_the_original(tmp_path: Any) -> None:
    assert mgic_nas.profile("mgicify:resnet18", levels="none") == mgic_nas.profile("resnet18")
    net: Any = timm.create_model("mgicified", base="resnet18", levels="none")
    timm.models.save_for_hf(net, tmp_path, model_args=net._model_args)
    back = timm.create_model(f"local-dir:{tmp_path}", pretrained=True)
    assert back.state_dict().keys() == timm.create_model("resnet18").state_dict().keys()


def test_all_can_be_searched() -> None:
    space = SearchSpace.from_dict(
        {
            "model": "mgic_resnet20",
            "params": {
                "min_levels": {"choices": [0, 1, 2]},
                "min_groups": {"choices": [1, 2]},
                "levels": {"choices": ["auto", "none"]},
            },
        }
    )
    ids = {space.arch_id(setting) for setting in space.settings()}
    assert len(ids) > 3
    setting = next(iter(space.settings()))
    net = timm.create_model("mgic_resnet20", **space.config(setting))
    assert sum(p.numel() for p in net.parameters()) == space.cost(setting, (3, 32, 32), 10).params

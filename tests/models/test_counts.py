"""The paper's tables stand or fall with these: parameters and MACs, exact to one."""

import pytest
import timm

import mgic_nas
from mgic_nas.cost.count import count

RESNET56 = [  # s_c, s_g, params, MACs
    (16, 8, 301_690, 66_466_432),
    (64, 16, 512_506, 88_437_376),
    (32, 16, 512_506, 88_437_376),
    (16, 16, 476_794, 86_078_080),
    (16, 32, 651_898, 97_284_736),
    (16, 4, 203_194, 45_453_952),
    (64, 4, 304_570, 52_015_744),
    (64, 32, 687_610, 99_644_032),
]
LARGE_100 = [
    (64, 2, 4_534_540, 106_171_592),
    (64, 8, 4_586_956, 110_941_448),
    (64, 32, 4_816_684, 132_824_456),
    (2, 2, 4_417_417, 64_758_997),
    (16, 16, 4_605_519, 100_200_746),
    (32, 32, 4_798_558, 127_901_524),
]
CASES = [
    ("mgic_resnet20", {}, 102_010, 22_524_544),
    *[("mgic_resnet56", {"s_c": s_c, "s_g": s_g}, params, macs) for s_c, s_g, params, macs in RESNET56],
    ("mgic_resnet20", {"block": "inverted_residual"}, 77_770, 15_483_520),
    ("mgic_resnet56", {"block": "inverted_residual"}, 228_970, 45_343_360),
    ("mgic_resnet20", {"block": "bottleneck"}, 14_098, 2_974_336),
    ("mgic_resnet56", {"block": "bottleneck"}, 37_954, 7_815_808),
    ("mgic_resnet56", {"block": "ghost_basic", "levels": "none"}, 438_154, 65_286_784),
    ("mgic_resnet18", {}, 4_610_984, 1_409_428_992),
    ("mgic_resnet34", {}, 8_510_376, 2_551_836_160),
    ("mgic_resnet50", {"s_g": 16}, 6_190_760, 1_445_711_872),
    ("mgic_resnet50", {"s_g": 32}, 9_198_248, 2_283_550_720),
    ("mgic_resnet50", {"s_g": 64}, 15_213_224, 3_959_228_416),
    ("mgic_mobilenetv3_small_100", {}, 2_483_328, 47_344_656),
    ("mgic_mobilenetv3_large_060", {}, 2_245_714, 49_740_280),
    ("mgic_mobilenetv3_large_100", {}, 5_046_188, 160_167_240),
    ("mgic_mobilenetv3_large_120", {}, 7_773_023, 250_002_430),
    *[("mgic_mobilenetv3_large_100", {"s_c": s_c, "s_g": s_g}, params, macs) for s_c, s_g, params, macs in LARGE_100],
    ("mgic_mobilenetv3_large_060", {"layout": "table6"}, 2_363_530, 51_702_400),
    ("mgic_mobilenetv3_large_100", {"layout": "table6", "min_levels": 1, "min_groups": 2}, 5_359_408, 164_131_304),
]
TRANSFERS = [
    ("mgic_resnet50", {"s_g": 16}, 406_224_896),
    ("mgic_resnet50", {"s_g": 32}, 812_449_792),
    ("mgic_resnet50", {"s_g": 64}, 1_624_899_584),
    ("mgic_mobilenetv3_large_060", {}, 1_583_680),
    ("mgic_mobilenetv3_large_100", {}, 6_378_624),
    ("mgic_mobilenetv3_large_120", {}, 8_363_712),
]


@pytest.mark.parametrize(("name", "kwargs", "params", "macs"), CASES)
def test_counts_of_the_paper(name: str, kwargs: dict, params: int, macs: int) -> None:
    cost = mgic_nas.profile(name, **kwargs)
    assert (cost.params, cost.macs) == (params, macs)
    net = timm.create_model(name, device="meta", **kwargs)
    assert count(net, net.pretrained_cfg["input_size"]) == cost


@pytest.mark.parametrize(("name", "kwargs", "transfers"), TRANSFERS)
def test_share_of_the_transfer_operators(name: str, kwargs: dict, transfers: int) -> None:
    cost = mgic_nas.profile(name, **kwargs)
    assert cost.macs - cost.macs_without_transfers == transfers


def test_cost_is_linear_in_width() -> None:
    """Eq. 3.5: doubling the channels doubles the block's parameters, for fixed s_g and s_c."""
    from mgic_nas.models.mgic import row_convs
    from mgic_nas.models.rows import Row, hierarchy

    def params(c: int) -> int:
        row = Row("basic", c, c, levels=hierarchy(c, 16, 16, lambda j, w: (w, w)))
        return sum(conv.params for conv in row_convs(row))

    ratios = [params(2 * c) / params(c) for c in (256, 512, 1024, 2048, 4096)]
    assert ratios == sorted(ratios, reverse=True)
    assert 2 < ratios[-1] < 2.003
    assert ratios[0] < 2.04

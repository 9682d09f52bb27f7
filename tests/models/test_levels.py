"""min_levels and min_groups: how far every family halves, and how finely it groups."""

from typing import Any

import pytest
import timm

import mgic_nas
from mgic_nas import UserError
from mgic_nas.families import family
from mgic_nas.models.mgic import MultigridBlock
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
    deeper = restrictions(name, min_levels=3)
    assert min(deeper) >= 3
    assert known.arch_id({"min_levels": 3}) != known.arch_id({})
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


def test_both_can_be_searched() -> None:
    space = SearchSpace.from_dict(
        {
            "model": "mgic_resnet20",
            "params": {
                "min_levels": {"choices": [0, 1, 2]},
                "min_groups": {"choices": [1, 2]},
                "s_c": {"choices": [16]},
            },
        }
    )
    ids = {space.arch_id(setting) for setting in space.settings()}
    assert len(ids) > 3
    setting = next(iter(space.settings()))
    net = timm.create_model("mgic_resnet20", **space.config(setting))
    assert sum(p.numel() for p in net.parameters()) == space.cost(setting, (3, 32, 32), 10).params

"""Algorithm 1: the laws of sec. 3 that a trained network relies on without checking."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mgic_nas.errors import UserError
from mgic_nas.models.blocks import BLOCKS, WrappedBlock, register_block
from mgic_nas.models.mgic import ChannelTransfer, MGICBlock
from mgic_nas.models.rows import Row, coarsen, group_count, hierarchy
from mgic_nas.testing import block_row, check_block


@pytest.fixture
def identity_block():
    @register_block("identity")
    class Identity(WrappedBlock):
        @staticmethod
        def convs(row, level):
            return ()

        def __init__(self, row, level, drop, norm_layer, dd):
            super().__init__()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    yield "identity"
    del BLOCKS._entries["identity"]


def test_an_identity_block_gives_an_identity_mgic_block(identity_block: str) -> None:
    """Sec. 3.3: the hierarchy itself distorts nothing at initialisation."""
    block = MGICBlock(block_row(identity_block)).eval()
    x = torch.randn(2, 32, 5, 5)
    assert len(block.restrict) == 2
    torch.testing.assert_close(block(x), x, rtol=0, atol=0)


def test_levels_follow_algorithm_1_step_by_step() -> None:
    """The loop written out by hand for two restrictions: eqs. 3.1-3.4."""
    torch.manual_seed(0)
    block = MGICBlock(block_row("basic")).eval()
    for norm in block.norm:
        norm.running_var.uniform_(0.5, 2)
    r0, r1 = block.restrict
    x0 = torch.randn(2, 32, 5, 5)
    x1 = r0(x0)
    x2 = r1(x1)
    y2 = block.coarsest(x2)
    y1 = block.cnn[0](x1 + block.norm[0](block.prolong[0](y2 - x2)))
    y0 = block.cnn[1](x0 + block.norm[1](block.prolong[1](y1 - x1)))
    torch.testing.assert_close(block(x0), y0)


def test_without_a_restriction_it_is_the_plain_block() -> None:
    row = Row("basic", 8, 8, levels=hierarchy(8, 4, 16, lambda j, w: (w, w)))
    block = MGICBlock(row).eval()
    x = torch.randn(1, 8, 4, 4)
    assert len(block.restrict) == 0
    torch.testing.assert_close(block(x), block.coarsest(x))


@pytest.mark.parametrize("block", sorted(BLOCKS))
def test_every_registered_block_conforms(block: str) -> None:
    check_block(block)


def test_transfers_start_with_positive_rows_that_sum_to_one_and_are_not_of_rank_one() -> None:
    import timm

    import mgic_nas  # noqa: F401

    for name in ("mgic_resnet20", "mgic_mobilenetv3_small_100"):
        net = timm.create_model(name, s_g=8, s_c=8)
        transfers = [m for m in net.modules() if isinstance(m, ChannelTransfer)]
        assert transfers
        for t in transfers:
            assert (t.weight > 0).all()
            torch.testing.assert_close(t.weight.sum(1).flatten(), torch.ones(t.out_channels))
            assert t.bias is None
    wide = ChannelTransfer(64, 32, 4)
    assert torch.linalg.matrix_rank(wide.weight[:8].flatten(1)) == 8


@given(width=st.integers(1, 300), other=st.integers(1, 300), s_g=st.integers(1, 64), min_groups=st.sampled_from([1, 2]))
def test_groups_are_the_smallest_common_divisor_that_keeps_them_narrow(width, other, s_g, min_groups) -> None:
    common = math.gcd(width, other)
    g = group_count(width, common, s_g, min_groups)
    limit = min(s_g, max(1, width // 2)) if min_groups == 2 else s_g
    divisors = [d for d in range(1, common + 1) if common % d == 0]
    fitting = [d for d in divisors if width / d <= limit]
    assert g == (min(fitting) if fitting else common)


def test_the_papers_example_of_groups() -> None:
    assert group_count(112, math.gcd(112, 480), 64) == 2
    assert group_count(112, math.gcd(112, 480), 2) == 16


@given(width=st.integers(1, 2048), s_c=st.integers(1, 64), min_levels=st.integers(0, 2))
def test_halving_stops_where_the_paper_says(width: int, s_c: int, min_levels: int) -> None:
    widths = coarsen(width, s_c, min_levels)
    assert widths[0] == width
    assert all(b == a // 2 for a, b in itertools.pairwise(widths))
    assert widths[-1] <= s_c or widths[-1] == 1
    assert len(widths) > min_levels or widths[-1] == 1
    assert all(w > s_c for w in widths[min_levels:-1])


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"s_g": 0}, "s_g"),
        ({"s_c": 2.5}, "s_c"),
        ({"width_mult": [1, 1]}, "width_mult"),
        ({"width_mult": -1}, "width_mult"),
        ({"depths": 0}, "depths"),
        ({"block": "basik"}, "basic"),
        ({"act_layer": "swishh"}, "activation"),
        ({"stem": "5x5"}, "3x3"),
    ],
)
def test_wrong_arguments_are_named(kwargs: dict, words: str) -> None:
    import timm

    with pytest.raises(UserError, match=words):
        timm.create_model("mgic_resnet20", **kwargs)

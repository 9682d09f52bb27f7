"""What an MGIC block holds in memory at inference: sec. 3.4's claim, in maps of the block's size."""

import pytest
import torch

from mgic_nas.experiments._maps import kept_maps, peak_maps
from mgic_nas.models.mgic import MGICBlock
from mgic_nas.models.rows import Row, hierarchy


def block(s_c: int, channels: int = 64) -> MGICBlock:
    levels = hierarchy(channels, 16, s_c, lambda j, w: (w, w))
    return MGICBlock(Row("basic", channels, channels, levels=levels))


X = torch.randn(2, 64, 16, 16)


@pytest.mark.parametrize("s_c", [32, 16, 4])
def test_an_mgic_block_holds_one_map_more_than_the_plain_one_whatever_its_levels(s_c: int) -> None:
    """The corrected map beside the input. Coarse maps are freed on the way up: half a map, and a quarter, ..."""
    assert peak_maps(block(s_c), X) == peak_maps(block(64), X) + 1


def test_training_keeps_about_twice_the_maps() -> None:
    """The plain block's five: its input, each conv's output and what follows; the sum over levels is about twice that.

    Beside the levels' maps there are R x, P y and N's: so it is a bit more than twice.
    """
    plain = kept_maps(block(64), X)
    assert plain == pytest.approx(5, abs=0.1)
    assert 2 * plain <= kept_maps(block(32), X) < kept_maps(block(4), X) < 3 * plain

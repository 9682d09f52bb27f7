"""Table 2's network: what someone who compares it with the paper's Figure 4 relies on."""

import pytest
import torch

from mgic_nas.cost.count import count
from mgic_nas.cost.rows_cost import rows_cost
from mgic_nas.errors import UserError
from mgic_nas.models.implicit import (
    NETWORKS,
    ImplicitNetwork,
    implicit_ghostnet,
    implicit_mgic_mobilenetv3,
    implicit_mobilenetv3,
    implicit_rows,
)
from mgic_nas.models.mgic import ChannelTransfer

WIDTHS = (32, 64, 128, 256, 512)
# (params, MACs) at c_max 32, 64, 128, 256, 512; the module's docstring prints them too.
COUNTS = {
    "implicit_mobilenetv3": (
        (20_241, 18_864), (90_833, 87_024), (363_089, 354_416), (1_431_889, 1_413_488), (5_666_641, 5_628_784),
    ),
    "implicit_ghostnet": (
        (11_441, 10_576), (48_049, 45_776), (186_801, 181_712), (726_449, 715_728), (2_854_321, 2_832_336),
    ),
    "implicit_mgic_mobilenetv3": (
        (18_001, 15_920), (57_297, 50_672), (141_841, 125_424), (316_881, 280_176), (672_913, 594_928),
    ),
}  # fmt: skip
ROWS = {
    "implicit_mobilenetv3": {"s_c": None},
    "implicit_ghostnet": {"block": "ghost", "s_c": None},
    "implicit_mgic_mobilenetv3": {},
}


@pytest.mark.parametrize("name", NETWORKS)
def test_counts_are_exact_and_the_same_from_rows_and_from_modules(name: str) -> None:
    for c_max, expected in zip(WIDTHS, COUNTS[name]):
        cost = rows_cost(implicit_rows(c_max, **ROWS[name]), (5, 1, 1), 1)
        assert (cost.params, cost.macs) == expected
        assert count(NETWORKS[name](c_max, device="meta"), (5, 1, 1)) == cost


def test_a_plain_network_by_hand() -> None:
    """c_max = 32 written out layer by layer: a count that no code of this project produced."""
    stem = 5 * 16 + 2 * 16
    change = 32 * 1 + 2 * 32  # 16 groups of 1 -> 2
    block = 32 * 128 + 2 * 128 + 128 + 2 * 128 + 128 * 32 + 2 * 32
    head = 32 * 64 + 2 * 64 + 64 + 1
    assert sum(p.numel() for p in implicit_mobilenetv3(32).parameters()) == stem + change + 2 * block + head


def test_mgic_is_linear_in_the_width_where_the_plain_blocks_are_quadratic() -> None:
    """Eq. 3.5: each doubling of c_max adds twice the parameters of the one before, not four times."""
    params = {name: [pair[0] for pair in pairs] for name, pairs in COUNTS.items()}
    growth = {name: (p[4] - p[3]) / (p[3] - p[2]) for name, p in params.items()}
    assert growth["implicit_mgic_mobilenetv3"] == pytest.approx(2, abs=0.05)
    assert growth["implicit_mobilenetv3"] == pytest.approx(4, abs=0.05)
    assert growth["implicit_ghostnet"] == pytest.approx(4, abs=0.1)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_batch_of_vectors_equals_one_image_of_as_many_pixels(name: str) -> None:
    """Training relies on it: BN's statistics, outputs and gradients are the same in either layout."""
    torch.manual_seed(0)
    net = NETWORKS[name](64)
    x = torch.randn(32, 5)
    grads, outputs = [], []
    for batch in (x.view(32, 5, 1, 1), x.T.reshape(1, 5, 8, 4)):
        net.zero_grad()
        output = net(batch).flatten()
        output.square().sum().backward()
        outputs.append(output.detach())
        grads.append(net.stem[0].conv.weight.grad.clone())
    torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-3, atol=1e-3)


def test_every_kernel_is_1x1_and_every_block_is_there_twice_a_width() -> None:
    net = implicit_mgic_mobilenetv3(128)
    assert {m.kernel_size for m in net.modules() if isinstance(m, torch.nn.Conv2d)} == {(1, 1)}
    assert [[row.block for row in stage] for stage in implicit_rows(128).stages] == [
        ["conv", "inverted_residual", "inverted_residual"]
    ] * 3
    assert net(torch.randn(3, 5, 1, 1)).shape == (3, 1, 1, 1)


def test_transfers_start_with_rows_that_sum_to_1() -> None:
    net = implicit_mgic_mobilenetv3(64)
    transfers = [m for m in net.modules() if isinstance(m, ChannelTransfer)]
    assert transfers
    for transfer in transfers:
        assert (transfer.weight > 0).all()
        torch.testing.assert_close(transfer.weight.sum(1).flatten(), torch.ones(transfer.out_channels))


def test_plain_networks_have_no_hierarchy() -> None:
    for net in (implicit_mobilenetv3(64), implicit_ghostnet(64)):
        assert not any(isinstance(m, ChannelTransfer) for m in net.modules())


@pytest.mark.parametrize("c_max", [16, 48, 0, 96, True])
def test_a_width_that_is_no_doubling_of_32_is_refused(c_max: int) -> None:
    with pytest.raises(UserError, match="c_max"):
        ImplicitNetwork(c_max)


def test_an_unknown_block_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match="ghost"):
        ImplicitNetwork(64, block="ghoust")

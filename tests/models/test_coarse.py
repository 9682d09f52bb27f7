"""Table 1: encoding and decoding by R and P alone."""

import pytest
import torch
import torch.nn.functional as F

from mgic_nas.cost.count import count
from mgic_nas.errors import UserError
from mgic_nas.models.coarse import CoarseRepresentation

PAPER = {32: 3_328, 16: 1_792, 8: 896, 4: 448}


@pytest.mark.parametrize(("s_g", "params"), PAPER.items())
def test_parameters_are_the_papers(s_g: int, params: int) -> None:
    net = CoarseRepresentation(64, s_g, 8)
    assert sum(p.numel() for p in net.parameters()) == params
    cost = count(net, (64, 4, 4))  # all of it R and P: nothing else works here
    assert (cost.macs, cost.macs_without_transfers, cost.params) == (16 * params, 0, params)


@pytest.mark.parametrize("s_g", PAPER)
def test_64_channels_become_8_and_64_again(s_g: int) -> None:
    net = CoarseRepresentation(64, s_g, 8)
    x = torch.randn(2, 64, 5, 7)
    coarse = net.encode(x)
    assert coarse.shape == (2, 8, 5, 7)
    assert net.decode(coarse).shape == x.shape
    torch.testing.assert_close(net(x), net.decode(coarse))


def test_constants_pass_unchanged_before_training() -> None:
    """Rows that sum to 1: what is equal in all channels is kept by any number of levels."""
    x = torch.randn(2, 1, 3, 3).expand(-1, 64, -1, -1)
    torch.testing.assert_close(CoarseRepresentation(64, 8, 8)(x), x)


def test_it_is_a_linear_map_of_rank_8_for_each_pixel() -> None:
    net = CoarseRepresentation(64, 32, 8).double()
    matrix = net(torch.eye(64, dtype=torch.float64).view(64, 64, 1, 1)).view(64, 64)
    assert torch.linalg.matrix_rank(matrix) == 8
    x = torch.randn(1, 64, 2, 2, dtype=torch.float64)
    torch.testing.assert_close(net(x)[0, :, 1, 0], x[0, :, 1, 0] @ matrix)
    torch.testing.assert_close(net(3 * x), 3 * net(x))


def test_small_groups_keep_channels_apart() -> None:
    """At s_g = 8 the coarse channel 0 is made of the first eighth alone, and rebuilds no other."""
    net = CoarseRepresentation(64, 8, 8)
    x = torch.zeros(1, 64, 1, 1)
    x[:, 32:] = torch.randn(1, 32, 1, 1)
    assert net(x)[:, :32].abs().max() == 0


def test_training_reconstructs_correlated_maps_better_than_it_began() -> None:
    """Synthetic maps of 6 hidden patterns: learnable from 8 channels, and wider groups learn them better."""
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(64, 6, generator=generator)

    def maps(count: int) -> torch.Tensor:
        return torch.einsum("cp,nphw->nchw", mixing, torch.randn(count, 6, 8, 8, generator=generator))

    held_out, errors = maps(16), {}
    for s_g in (32, 4):
        torch.manual_seed(0)
        net = CoarseRepresentation(64, s_g, 8)
        initial = F.mse_loss(net(held_out), held_out).item()
        optimizer = torch.optim.Adam(net.parameters(), lr=0.03)
        for _ in range(400):
            x = maps(2)
            optimizer.zero_grad()
            F.mse_loss(net(x), x).backward()
            optimizer.step()
        errors[s_g] = F.mse_loss(net(held_out), held_out).item()
        assert errors[s_g] < 0.7 * initial
    assert errors[32] < 0.5 * errors[4]


@pytest.mark.parametrize("wrong", [{"s_g": 0}, {"s_c": 0}, {"channels": 2.5}])
def test_wrong_numbers_are_refused(wrong: dict) -> None:
    with pytest.raises(UserError, match=next(iter(wrong))):
        CoarseRepresentation(**wrong)

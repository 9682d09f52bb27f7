"""A deployed network answers as the trained one does."""

import copy

import pytest
import timm
import torch
from torch import nn

import mgic_nas
from mgic_nas.cost.count import count
from mgic_nas.families import model_names
from mgic_nas.models.blocks import BLOCKS


def trained(name: str, **kwargs) -> nn.Module:
    """A short network whose norms are not at their start."""
    torch.manual_seed(0)
    net = timm.create_model(name, depths=1, s_g=8, s_c=8, num_classes=5, **kwargs)
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d):
            nn.init.uniform_(m.weight, 0.5, 1.5)
            nn.init.normal_(m.bias, std=0.2)
            m.running_mean.normal_(std=0.2)
            m.running_var.uniform_(0.5, 1.5)
    return net.eval()


@pytest.mark.parametrize("name", model_names())
def test_folding_every_norm_changes_nothing(name: str) -> None:
    net = trained(name).double()  # so that what differs is no rounding, which depends on the threads
    x = torch.randn(2, 3, 64, 64).double()
    fused = mgic_nas.fuse(net)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in fused.modules())
    assert any(isinstance(m, nn.BatchNorm2d) for m in net.modules())
    torch.testing.assert_close(fused(x), net(x), rtol=1e-9, atol=1e-9 * net(x).detach().abs().max().item())
    before, after = count(net, (3, 64, 64)), count(fused, (3, 64, 64))
    assert after.macs == before.macs
    assert after.params < before.params


@pytest.mark.parametrize("block", sorted(BLOCKS))
def test_timm_folds_every_block_and_leaves_other_norms(block: str) -> None:
    net = trained("mgic_resnet20", block=block)
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(timm.utils.reparameterize_model(net)(x), net(x), rtol=1e-4, atol=1e-4)
    grouped = timm.create_model("mgic_resnet20", depths=1, block=block, norm_layer="groupnorm1").eval()
    torch.testing.assert_close(mgic_nas.fuse(grouped)(x), grouped(x))


def test_the_original_stays_trainable_and_the_copy_exports() -> None:
    net = trained("mgic_resnet20").train()
    state = copy.deepcopy(net.state_dict())
    fused = mgic_nas.fuse(net)
    assert net.training
    assert all(torch.equal(a, b) for a, b in zip(state.values(), net.state_dict().values()))
    x = torch.randn(1, 3, 32, 32)
    torch.testing.assert_close(torch.export.export(fused, (x,)).module()(x), fused(x))


def unlike_its_start(net: nn.Module) -> nn.Module:
    """In eval mode, with norms that have seen something."""
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d):
            nn.init.uniform_(m.weight, 0.5, 1.5)
            nn.init.normal_(m.bias, std=0.2)
            m.running_mean.normal_(std=0.2)
            m.running_var.uniform_(0.5, 1.5)
    return net.eval()


def norms(net: nn.Module) -> int:
    return sum(isinstance(m, nn.BatchNorm2d) for m in net.modules())


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("resnet10t", 0),
        ("mgicify:resnet10t", 0),
        ("mgicify:mobilenetv3_small_050", 0),
        ("mgicify:regnety_002", 0),
        ("tf_mobilenetv3_small_075", 0),  # convs with TensorFlow's padding
        ("repvgg_a0", 0),  # timm's own re-parameterisation comes first
        ("mgicify:resnetv2_50d_evos", None),  # other norms
        ("densenet121", 62),  # norms before the convs, which read concatenations
    ],
)
def test_norms_of_timms_blocks_are_folded_too(name: str, left: int | None) -> None:
    """A converted network keeps its blocks' own norms: leaving those would leave most of the work."""
    torch.manual_seed(0)
    config = {"s_g": 8, "s_c": 32} if ":" in name else {}
    # In double precision: some bases' own norms enlarge what float32 rounds, by more or less with the threads.
    net = unlike_its_start(mgic_nas.create_model(name, **config)).double()
    before, x = norms(net), torch.randn(2, 3, 64, 64).double()
    fused = mgic_nas.fuse(net)
    assert norms(net) == before, "the original stays what it is"
    assert left is None or norms(fused) == left
    with torch.no_grad():
        expected = net(x)
        torch.testing.assert_close(fused(x), expected, rtol=1e-5, atol=1e-6 * expected.abs().max().item())


class Awkward(nn.Module):
    """Convolutions whose norms cannot be folded, beside one that can."""

    def __init__(self) -> None:
        super().__init__()
        self.twice, self.after_twice = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
        self.shared, self.after_shared = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
        self.read_by_two, self.one_of_two = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
        self.plain, self.after_plain = nn.Conv2d(4, 4, 1, bias=False), nn.BatchNorm2d(4)
        self.without_statistics = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4, track_running_stats=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.after_twice(self.twice(x)) + self.twice(x)
        x = self.after_shared(self.after_shared(self.shared(x)))
        y = self.read_by_two(x)
        return self.without_statistics(self.after_plain(self.plain(y + self.one_of_two(y))))


def test_only_a_norm_that_alone_reads_a_convolution_is_folded() -> None:
    torch.manual_seed(0)
    net = Awkward().eval()
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d) and m.running_mean is not None:
            m.running_mean.normal_()
            m.running_var.uniform_(0.5, 1.5)
    fused = mgic_nas.fuse(net)
    x = torch.randn(2, 4, 3, 3)
    torch.testing.assert_close(fused(x), net(x), rtol=1e-5, atol=1e-5)
    assert isinstance(fused.after_plain, nn.Identity)
    assert norms(fused) == norms(net) - 1


def test_what_cannot_be_followed_is_left() -> None:
    """Python code that asks for values is no reason to fail."""

    class Asks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.body(x) if x.sum() > 0 else self.body(-x)

    fused = mgic_nas.fuse(Asks())
    assert norms(fused) == 1
    assert fused(torch.ones(1, 3, 2, 2)).shape == (1, 4, 2, 2)

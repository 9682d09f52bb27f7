"""A deployed network answers as the trained one does."""

import copy

import pytest
import timm
import torch
from torch import nn

import mgic_nas
from mgic_nas.cost import count, model_names
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
    net = trained(name)
    x = torch.randn(2, 3, 64, 64)
    fused = mgic_nas.fuse(net)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in fused.modules())
    assert any(isinstance(m, nn.BatchNorm2d) for m in net.modules())
    torch.testing.assert_close(fused(x), net(x), rtol=1e-5, atol=1e-5 * net(x).detach().abs().max().item())
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

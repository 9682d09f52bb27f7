"""Conformance checks for extensions, as in ``optuna.testing``: a new wrapped block passes by being registered.

from mgic_nas.testing import check_block
check_block("my_block")
"""

from __future__ import annotations

import warnings

import torch
from torch import nn

from .models.blocks import WrappedBlock, block_class
from .models.mgic import MGICBlock, row_convs
from .models.rows import Row, hierarchy


def block_row(block: str, channels: int = 32, s_g: int = 4, s_c: int = 8, act: str = "relu") -> Row:
    """A row with two restrictions that wraps ``block``."""
    cnn = block_class(block)
    levels = hierarchy(channels, s_g, s_c, lambda j, w: (w, cnn.mid(w)))
    return Row(block, channels, channels, cnn.kernel, act=act, levels=levels)


def check_block(block: str) -> None:
    """Everything that the families, the search and timm's clients rely on. AssertionError says what does not hold."""
    torch.manual_seed(0)
    row = block_row(block)
    net = MGICBlock(row).eval()
    x = torch.randn(2, row.c_in, 6, 5)
    with torch.no_grad():
        assert net(x).shape == x.shape, "the block changes the shape"
        assert torch.equal(net(x), net(x)), "not deterministic in eval mode"
    _check_listed_convs(row, net)
    _check_groups(row)
    _check_coupling(block)
    _check_device_and_dtype(row, x)
    _check_training(row, x)
    _check_export(net, x)


def _check_listed_convs(row: Row, net: nn.Module) -> None:
    listed = sorted((v.c_in, v.c_out, v.kernel, v.groups, v.bias) for v in row_convs(row))
    built = sorted(
        (m.in_channels, m.out_channels, m.kernel_size[0], m.groups, m.bias is not None)
        for m in net.modules()
        if isinstance(m, nn.Conv2d)
    )
    assert listed == built, "convs() lists other convolutions than the module has"
    params = sum(p.numel() for p in net.parameters())
    assert sum(v.params for v in row_convs(row)) == params, "convs() counts other parameters than the module has"


def _jacobian(net: nn.Module, channels: int) -> torch.Tensor:
    """|d out / d in| by channel, largest over pixels."""
    x = torch.randn(1, channels, 3, 3, dtype=torch.double)
    return torch.func.jacrev(net)(x).abs().amax(dim=(0, 2, 3, 4, 6, 7))


def _randomised(net: nn.Module) -> nn.Module:
    """In double and with random parameters: no zero-initialised branch may hide a path."""
    for p in net.double().eval().parameters():
        nn.init.normal_(p, std=0.5)
    return net


def _check_groups(row: Row) -> None:
    """On a grouped level the block itself connects disjoint groups only (sec. 3.1), norms over channels aside."""
    level = row.levels[0]
    net = _randomised(block_class(row.block)(row, level, 0.0, nn.BatchNorm2d, {}))
    for name, module in list(net.named_modules()):
        if isinstance(module, (nn.LayerNorm, nn.GroupNorm)):
            net.set_submodule(name, nn.Identity())
    jacobian = _jacobian(net, level.channels)
    group = torch.arange(level.channels) // (level.channels // level.groups)
    assert (jacobian[group[:, None] != group[None, :]] == 0).all(), "a grouped level couples different groups"


def _check_coupling(block: str) -> None:
    """The MGIC block connects every channel with every other."""
    row = block_row(block, act="gelu")  # smooth: a ReLU may switch a path off for one input
    assert (_jacobian(_randomised(MGICBlock(row)), row.c_in) > 0).all(), "some channels never meet"


def _check_device_and_dtype(row: Row, x: torch.Tensor) -> None:
    meta = MGICBlock(row, device="meta", dtype=torch.bfloat16)
    assert all(t.is_meta for t in (*meta.parameters(), *meta.buffers())), "a tensor misses the device argument"
    assert all(p.dtype == torch.bfloat16 for p in meta.parameters()), "a parameter misses the dtype argument"
    assert MGICBlock(row).to(torch.bfloat16).eval()(x.bfloat16()).dtype == torch.bfloat16, "the output is not bfloat16"


def _check_training(row: Row, x: torch.Tensor) -> None:
    net = MGICBlock(row, drop=0.5).train()
    net(x).square().sum().backward()
    unused = [name for name, p in net.named_parameters() if p.grad is None]
    assert not unused, f"parameters without a gradient: {unused}"
    for module in net.modules():
        if isinstance(module, WrappedBlock):
            module.zero_init_last()
    assert torch.isfinite(net(x)).all(), "not finite once the residual branches start at zero"


def _check_export(net: nn.Module, x: torch.Tensor) -> None:
    y = net(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls TorchScript deprecated; people deploy it all the same
        torch.testing.assert_close(torch.jit.script(net)(x), y)
        torch.testing.assert_close(torch.fx.symbolic_trace(net)(x), y)
        batch = torch.export.Dim("batch", min=1, max=64)
        exported = torch.export.export(net, (x,), dynamic_shapes=({0: batch},)).module()
    torch.testing.assert_close(exported(x[:1]), net(x[:1]))

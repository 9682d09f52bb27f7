"""Other forms of a fused network, of the same outputs to rounding, which some runtimes run faster.

They change a network in place, after :func:`mgic_nas.models.fusing.fuse`; it is for inference alone.
"""

import torch
from torch import nn

from .mgic import ChannelTransfer, MultigridBlock


def merge_groups(net: nn.Module, width: int, spatial: bool) -> int:
    """Merges groups of grouped convs into block-diagonal ones of a multiple of ``width`` channels in and out.

    A conv of 8 groups of 4 channels is one of 2 groups of 16, most of whose weights are zero: more multiplications,
    which a kernel that computes 16 channels at a time does anyway. Where no number of groups comes to a multiple, all
    become one: such kernels pad a conv without groups. Depthwise convs stay as they are.

    Args:
        net: changed in place.
        width: what the channels of a group shall be a multiple of; the fewest groups are merged for that.
        spatial: of convs with kernels larger than 1x1, or else of the 1x1 ones.

    Returns:
        How many convs were merged.
    """
    merged = 0
    for name, conv in list(net.named_modules()):
        if type(conv) not in (nn.Conv2d, ChannelTransfer) or (max(conv.kernel_size) > 1) != spatial:
            continue
        factor = _factor(conv, width)
        if factor > 1:
            net.set_submodule(name, _block_diagonal(conv, factor))
            merged += 1
    return merged


def _factor(conv: nn.Conv2d, width: int) -> int:
    """How many groups become one: a divisor of their number."""
    rows, columns = conv.out_channels // conv.groups, conv.in_channels // conv.groups
    if conv.groups == conv.in_channels or conv.padding_mode != "zeros":
        return 1
    divisors = [n for n in range(1, conv.groups + 1) if conv.groups % n == 0]
    return next((n for n in divisors if n * rows % width == n * columns % width == 0), conv.groups)


def _block_diagonal(conv: nn.Conv2d, factor: int) -> nn.Conv2d:
    """The same linear map with ``groups / factor`` groups."""
    weight = conv.weight.detach()
    rows, columns = conv.out_channels // conv.groups, conv.in_channels // conv.groups
    blocks = weight.new_zeros(conv.groups // factor, factor, rows, factor, columns, *conv.kernel_size)
    split = weight.view(conv.groups // factor, factor, rows, columns, *conv.kernel_size)
    for i in range(factor):
        blocks[:, i, :, i] = split[:, i]
    return _conv(conv, blocks.flatten(0, 2).flatten(1, 2), conv.groups // factor)


def fold_corrections(net: nn.Module) -> int:
    """Makes the coarse grid corrections of MGIC blocks linear maps in a row.

    x_j + N(P_j (y - R_j x_j)) with N folded into P_j is (I - P_j R_j) x_j + P_j y: one grouped conv more, of fine
    channels to fine channels, but no subtraction, and a sum that runtimes make part of the conv.

    Args:
        net: changed in place; blocks whose norms are not folded stay as they are.

    Returns:
        How many blocks were changed.
    """
    changed = 0
    for name, block in list(net.named_modules()):
        if isinstance(block, MultigridBlock) and type(block).forward is MultigridBlock.forward and _is_folded(block):
            net.set_submodule(name, FoldedBlock(block))
            changed += 1
    return changed


class FoldedBlock(nn.Module):
    """The inference form of a fused :class:`MultigridBlock`; see :func:`fold_corrections`."""

    def __init__(self, block: MultigridBlock) -> None:
        super().__init__()
        down = reversed(list(block.restrict))
        self.restrict, self.coarsest, self.cnn = block.restrict, block.coarsest, block.cnn
        self.direct = nn.ModuleList([_direct(r, p) for r, p in zip(down, block.prolong)])  # type: ignore[arg-type]
        self.prolong = nn.ModuleList([_conv(p, p.weight, p.groups, bias=False) for p in block.prolong])  # type: ignore[arg-type]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        xs = [x]
        for restrict in self.restrict:
            xs.append(restrict(xs[-1]))
        y = self.coarsest(xs.pop())
        for direct, prolong, cnn in zip(self.direct, self.prolong, self.cnn):
            y = cnn(direct(xs.pop()) + prolong(y))
        return y


def _is_folded(block: MultigridBlock) -> bool:
    convs = [*block.restrict, *block.prolong]
    plain = all(isinstance(conv, nn.Conv2d) and conv.kernel_size == (1, 1) for conv in convs)
    return bool(convs) and plain and all(isinstance(norm, nn.Identity) for norm in block.norm)


def _direct(restrict: nn.Conv2d, prolong: nn.Conv2d) -> nn.Conv2d:
    """x -> x - P R x, with P's bias, which the sum of both gets once."""
    groups = prolong.groups
    r = restrict.weight.detach().double().view(groups, restrict.out_channels // groups, -1)
    p = prolong.weight.detach().double().view(groups, prolong.out_channels // groups, -1)
    direct = torch.eye(p.shape[1], dtype=p.dtype, device=p.device) - p @ r
    made = nn.Conv2d(prolong.out_channels, prolong.out_channels, 1, groups=groups, bias=False, device="meta")
    made.weight = nn.Parameter(direct.to(prolong.weight.dtype).flatten(0, 1)[:, :, None, None], requires_grad=False)
    if prolong.bias is not None:
        made.bias = nn.Parameter(prolong.bias.detach().clone(), requires_grad=False)
    return made


def _conv(like: nn.Conv2d, weight: torch.Tensor, groups: int, bias: bool = True) -> nn.Conv2d:
    """A conv with another weight and number of groups."""
    made = nn.Conv2d(
        like.in_channels,
        like.out_channels,
        like.kernel_size,  # type: ignore[arg-type]
        like.stride,  # type: ignore[arg-type]
        like.padding,  # type: ignore[arg-type]
        like.dilation,  # type: ignore[arg-type]
        groups,
        bias=False,
        device="meta",
    )
    made.weight = nn.Parameter(weight.detach().clone(), requires_grad=False)
    if bias and like.bias is not None:
        made.bias = nn.Parameter(like.bias.detach().clone(), requires_grad=False)
    return made.train(like.training)

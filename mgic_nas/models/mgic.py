"""The MGIC block: Algorithm 1 and its transfer operators (eqs. 3.1-3.4).

``rows.py`` holds the algorithm's choices: how far to halve (:func:`~mgic_nas.models.rows.coarsen`) and how many
groups (:func:`~mgic_nas.models.rows.group_count`).
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from timm.layers import get_norm_layer
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ..errors import UserError
from .blocks import block_class, shortcut_convs
from .rows import Conv, Level, Row


class ChannelTransfer(nn.Conv2d):
    """R_j or P_j: a grouped 1x1 conv without bias between two levels of the channel hierarchy.

    Starts with positive rows that sum to 1 (sec. 3.3), so that constants pass unchanged; random, because equal
    weights would make all channels of a group equal. Trained freely from there. ``start`` is one of
    :data:`TRANSFER_INITS`.
    """

    start = "uniform"

    def __init__(self, c_in: int, c_out: int, groups: int, device: Any = None, dtype: Any = None) -> None:
        super().__init__(c_in, c_out, 1, groups=groups, bias=False, device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        """Positive random weights, each row divided by its sum.

        "uniform": independent, so that the product P R is nearly of rank 1. "aggregation": the coarse channels have
        the fine ones in equal parts, each its own; R averages them with random weights, P copies the coarse channel
        back; the other weights of the group are small noise. Then R and P have full rank.
        """
        with torch.no_grad():
            self.weight.uniform_(1e-3, 1.0)  # not from 0: strictly positive, whatever the draw and the precision
            if self.start == "aggregation":
                rows, columns = self.out_channels // self.groups, self.in_channels // self.groups
                i = torch.arange(rows, device=self.weight.device).unsqueeze(1)
                j = torch.arange(columns, device=self.weight.device)
                own = j * rows // columns == i if rows < columns else i * columns // rows == j
                own = own.repeat(self.groups, 1)[:, :, None, None]
                self.weight.copy_(torch.where(own, 0.5 + 0.5 * self.weight, NOISE * self.weight))
            self.weight.div_(self.weight.sum(1, keepdim=True))

    def init_weights(self) -> None:
        """timm's hook, called after its own init of every conv: keeps that from overwriting the rows."""
        self.reset_parameters()


TRANSFER_INITS = ("uniform", "aggregation")
#: How the networks of this package begin by default; see runs/init.
TRANSFER_INIT, ZERO_INIT_CORRECTION = "aggregation", True
NOISE = 0.02  # largest weight of a channel that is not the row's own, where those are 0.5 to 1


class MultigridBlock(nn.Module):
    """Algorithm 1: a CNN block made multigrid in the channel dimension. Keeps the shape (N, c, H, W).

    Modules are registered in order of use: ``restrict`` from the finest level down, ``coarsest``, then
    ``prolong``, ``norm`` and ``cnn`` from the coarsest level up.

    Args:
        levels: the hierarchy, finest first.
        make_layer: (j, level j) -> CNN_j, of the same channels in and out; the last level's is the coarsest one.
        make_norm: channels -> N.
        device: of the transfer operators.
        dtype: of the transfer operators.
    """

    zero_init_correction = False  # see :func:`start`

    def __init__(
        self,
        levels: Sequence[Level],
        make_layer: Callable[[int, Level], nn.Module],
        make_norm: Callable[[int], nn.Module],
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        dd = {"device": device, "dtype": dtype}
        n = len(levels) - 1
        widths = [level.channels for level in levels]
        groups = [level.transfer_groups for level in levels]
        self.restrict = nn.ModuleList([ChannelTransfer(widths[j], widths[j + 1], groups[j], **dd) for j in range(n)])
        self.coarsest = make_layer(n, levels[n])
        up = range(n - 1, -1, -1)
        self.prolong = nn.ModuleList([ChannelTransfer(widths[j + 1], widths[j], groups[j], **dd) for j in up])
        self.norm = nn.ModuleList([make_norm(widths[j]) for j in up])
        self.cnn = nn.ModuleList([make_layer(j, levels[j]) for j in up])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        xs = [x]
        for restrict in self.restrict:  # down: x_{j+1} = R_j x_j
            xs.append(restrict(xs[-1]))
        y = self.coarsest(xs[-1])  # fully coupled, but narrow
        for prolong, norm, cnn in zip(self.prolong, self.norm, self.cnn):  # up, j = n-1 .. 0
            y = y - xs.pop()  # R_j x_j from the way down; popped, so that inference frees the coarse maps
            y = xs[-1] + norm(prolong(y))  # coarse grid correction: x_j + N(P_j (y_{j+1} - R_j x_j))
            y = cnn(y)
        return y

    def fuse(self) -> "MultigridBlock":
        """The inference form, for ``timm.utils.reparameterize_model``: each BatchNorm N is folded into its P_j.

        The correction itself stays as it is: x_j - N(P_j R_j x_j) could be one operator on x_j, but w_j wide on both
        sides it would cost more than the subtraction on the coarse grid that it saves.
        """
        self.eval()
        for i, (prolong, norm) in enumerate(zip(self.prolong, self.norm)):
            if isinstance(prolong, ChannelTransfer) and isinstance(norm, nn.BatchNorm2d):
                self.prolong[i] = fuse_conv_bn_eval(prolong, norm)
                self.norm[i] = nn.Identity()
        return self

    def init_weights(self) -> None:
        """timm's hook, called after its own init of every norm: keeps that from overwriting the scale of N."""
        weight = getattr(self.norm[-1], "weight", None) if len(self.norm) else None
        if self.zero_init_correction and isinstance(weight, nn.Parameter):
            nn.init.zeros_(weight)  # of the finest alone: zeros behind a zero would only delay


def start(
    net: nn.Module, transfer_init: str = TRANSFER_INIT, zero_init_correction: bool = ZERO_INIT_CORRECTION
) -> None:
    """Chooses how the MGIC blocks of a network begin, after everything else has its first values.

    Args:
        net: a network with MGIC blocks, with new weights.
        transfer_init: R and P, one of :data:`TRANSFER_INITS`; see :meth:`ChannelTransfer.reset_parameters`.
        zero_init_correction: the scale of the finest level's N starts at zero, and with it the correction by all coarse
            levels. Residual branches of coarse levels that begin at zero (``zero_init_last``) then begin at one: where
            both the correction and its scale are zero, no gradient ever reaches the coarse levels.

    Raises:
        UserError: another transfer_init.
    """
    if transfer_init not in TRANSFER_INITS:
        raise UserError(f"transfer_init must be {' or '.join(TRANSFER_INITS)}, not {transfer_init!r}.")
    for module in net.modules():
        if isinstance(module, ChannelTransfer) and transfer_init != module.start:
            module.start = transfer_init
            module.reset_parameters()
        elif isinstance(module, MultigridBlock) and zero_init_correction:
            module.zero_init_correction = True
            module.init_weights()
            for layer in list(module.cnn)[:-1] + [module.coarsest] * bool(module.cnn):
                _wake(layer)


def _wake(layer: nn.Module) -> None:
    """Scales of norms that are all zero become one."""
    for module in layer.modules():
        weight = getattr(module, "weight", None)
        if isinstance(weight, nn.Parameter) and weight.dim() == 1 and not weight.is_meta and not weight.any():
            nn.init.ones_(weight)


class MGICBlock(MultigridBlock):
    """The MGIC block of a row: a registered CNN block on every level of the row's hierarchy."""

    def __init__(
        self,
        row: Row,
        drop: float = 0.0,
        norm_layer: Any = nn.BatchNorm2d,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        dd = {"device": device, "dtype": dtype}
        norm, cnn = get_norm_layer(norm_layer), block_class(row.block)
        cnn.refuse_change(row)
        super().__init__(
            row.levels,
            lambda j, level: cnn(row, level, drop, norm_layer, dd),
            lambda channels: norm(channels, **dd),
            **dd,
        )


def row_convs(row: Row) -> tuple[Conv, ...]:
    """Every convolution of a row, in order of use: what its module holds and what its cost adds up."""
    if row.block == "maxpool":
        return ()
    if row.block == "conv":
        return (Conv(row.c_in, row.c_out, row.kernel, row.groups, row.bias, row.norm, row.pooled),)
    pairs = list(zip(row.levels[:-1], row.levels[1:]))
    cnn = block_class(row.block)
    down = [
        Conv(fine.channels, coarse.channels, 1, fine.transfer_groups, norm=False, transfer=True)
        for fine, coarse in pairs
    ]
    up = [
        conv
        for fine, coarse in reversed(pairs)
        for conv in (
            Conv(coarse.channels, fine.channels, 1, fine.transfer_groups, transfer=True),  # and its norm N
            *cnn.convs(row, fine),
        )
    ]
    return (*down, *cnn.convs(row, row.levels[-1]), *up, *shortcut_convs(row))

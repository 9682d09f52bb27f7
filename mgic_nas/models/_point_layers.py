"""Layers of point networks, on tensors (B, c, N, 1), and Algorithm 1 around them."""

from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from ._graph import Graph, differentiate, knn, unweighted
from .blocks import WrappedBlock, conv_norm_act
from .mgic import MultigridBlock
from .rows import Conv, Level, hierarchy


def _by_points(x: torch.Tensor) -> torch.Tensor:
    """(B, c, N, 1) to (B, N, c), for what works on a point and its neighbours."""
    return x.squeeze(3).transpose(1, 2)


def _by_channels(x: torch.Tensor) -> torch.Tensor:
    """(B, N, c) to (B, c, N, 1): a cloud as an image one pixel wide, for convs and norms."""
    return x.transpose(1, 2).unsqueeze(3)


class PointMLP(WrappedBlock):
    """A linear map of each point's channels, BN, ReLU: (B, c_in, N, 1) to (B, c_out, N, 1).

    ``residual`` adds the input before the ReLU, which makes it a block that MGIC can wrap; ``groups`` connects
    disjoint groups of channels only.
    """

    parts = 1  # values that the map sees of each input channel

    def __init__(
        self,
        c_in: int,
        c_out: int,
        groups: int = 1,
        residual: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        dd = {"device": device, "dtype": dtype}
        self.groups = groups
        self.residual = residual
        conv = Conv(self.parts * c_in, c_out, 1, groups)
        self.conv = conv_norm_act(conv, "" if residual else "relu", nn.BatchNorm2d, dd)

    def inputs(self, x: torch.Tensor, graph: Graph | None) -> torch.Tensor:
        """What the linear map sees: here the point alone."""
        return x

    def forward(self, x: torch.Tensor, graph: Graph | None = None) -> torch.Tensor:
        y = self.conv(self.inputs(x, graph))
        return F.relu(x + y) if self.residual else y


class GConv(PointMLP):
    """diffGCN's G-conv: a linear map of each point's values, neighbourhood gradient and Laplacian; BN, ReLU.

    Gradient and Laplacian are those of :func:`~mgic_nas.models._graph.differentiate`. Each group of the map sees
    all three of its own channels.
    """

    parts = 3

    def inputs(self, x: torch.Tensor, graph: Graph | None) -> torch.Tensor:
        if graph is None:
            raise ValueError("A G-conv needs the graph of the points.")
        values = _by_points(x)
        parts = [part.unflatten(2, (self.groups, -1)) for part in (values, *differentiate(values, graph))]
        return _by_channels(torch.cat(parts, 3).flatten(2))


class EdgeConv(nn.Module):
    """DGCNN's layer (Wang et al. 2019) on (B, c_in, N, 1), with the graph of its own input's nearest neighbours:

        y_i = max_j ReLU(BN(A x_i + B (x_j - x_i)))

    Edges are not formed: with a = A x and b = B x, both computed on points, the maximum over j of b_j - b_i goes
    inside BN and ReLU (the minimum where BN's scale is negative), and BN's mean and variance over all edges follow
    from sums over points. Same function, parameters and running statistics at 1/k of the work and memory.
    """

    def __init__(self, c_in: int, c_out: int, k: int, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        dd = {"device": device, "dtype": dtype}
        self.k = k
        self.center = nn.Conv2d(c_in, c_out, 1, bias=False, **dd)  # A
        self.edge = nn.Conv2d(c_in, c_out, 1, bias=False, **dd)  # B
        self.norm: nn.Module = EdgeNorm(c_out, **dd)

    def forward(self, x: torch.Tensor, graph: Graph | None = None) -> torch.Tensor:
        index = knn(_by_points(x), self.k, loop=True)
        return _by_channels(F.relu(self.norm(_by_points(self.center(x)), _by_points(self.edge(x)), index)))

    def fuse(self) -> "EdgeConv":
        """The inference form, for ``timm.utils.reparameterize_model``: BN's scale in A and B, its shift a bias of A."""
        if isinstance(self.norm, EdgeNorm):
            with torch.no_grad():
                scale, shift = self.norm.affine(self.norm.running_mean, self.norm.running_var)
                for conv in (self.center, self.edge):
                    conv.weight.mul_(scale.view(-1, 1, 1, 1))
            self.center.bias = nn.Parameter(shift)
            self.norm = HighestEdge()
        return self


class EdgeNorm(nn.Module):
    """max_j of BN(a_i + b_j - b_i) for a and b (B, N, c): batch norm over all edges, without forming them.

    Parameters, buffers and what they mean are ``nn.BatchNorm2d``'s.
    """

    running_mean: torch.Tensor
    running_var: torch.Tensor
    num_batches_tracked: torch.Tensor

    def __init__(
        self, channels: int, eps: float = 1e-5, momentum: float = 0.1, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        dd = {"device": device, "dtype": dtype}
        self.eps = eps
        self.momentum = momentum
        self.weight = nn.Parameter(torch.ones(channels, **dd))
        self.bias = nn.Parameter(torch.zeros(channels, **dd))
        self.register_buffer("running_mean", torch.zeros(channels, **dd))
        self.register_buffer("running_var", torch.ones(channels, **dd))
        self.register_buffer("num_batches_tracked", torch.tensor(0, device=device))

    def affine(self, mean: torch.Tensor, var: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """BN as a scale and a shift."""
        scale = self.weight * torch.rsqrt(var + self.eps)
        return scale, self.bias - mean * scale

    def forward(self, a: torch.Tensor, b: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        sign = torch.where(self.weight < 0, -1.0, 1.0).to(b.dtype)
        highest, mean = differentiate(sign * b, unweighted(index, b.dtype))
        if self.training:
            scale, shift = self.affine(*self._statistics(a, b, sign * mean, index))
        else:
            scale, shift = self.affine(self.running_mean, self.running_var)
        return ((a + sign * highest) * scale + shift).to(a.dtype)

    def _statistics(
        self, a: torch.Tensor, b: torch.Tensor, mean: torch.Tensor, index: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and variance over all edges; ``mean`` is that of b_j - b_i over j. Moves the running ones."""
        wide = torch.promote_types(a.dtype, torch.float32)
        a, b, mean = a.to(wide), b.to(wide), mean.to(wide)
        # Constants change neither b_j - b_i nor a variance; taken off, they cost the squares no digits.
        shift = a.detach().mean((0, 1))
        a, b = a - shift, b - b.detach().mean((0, 1))
        chosen = torch.zeros(index.shape[:2], device=b.device, dtype=wide)  # how often a point is a neighbour
        chosen.scatter_add_(1, index.flatten(1), unweighted(index, wide).weight.flatten(1))
        square = (chosen / index.shape[2] - 1).unsqueeze(2) * b * b - 2 * b * mean  # averages to that of (b_j - b_i)^2
        mu = (a + mean).mean((0, 1))
        var = (((a + 2 * mean) * a + square).mean((0, 1)) - mu * mu).clamp_min(0)
        mu = mu + shift
        with torch.no_grad():
            unbiased = var * (index.numel() / (index.numel() - 1))
            self.running_mean.lerp_(mu.to(self.running_mean.dtype), self.momentum)
            self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)
            self.num_batches_tracked.add_(1)
        return mu, var


class HighestEdge(nn.Module):
    """max_j of a_i + b_j - b_i for a and b (B, N, c): what is left of :class:`EdgeNorm` once BN is in a and b."""

    def forward(self, a: torch.Tensor, b: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        return a + differentiate(b, unweighted(index, b.dtype))[0]


def point_levels(width: int, s_g: int, s_c: int, min_levels: int = 0, min_groups: int = 1) -> tuple[Level, ...]:
    """The hierarchy of a layer on points, whose inside is as wide as its ends."""
    return hierarchy(width, s_g, s_c, lambda j, w: (w, w), min_levels=min_levels, min_groups=min_groups)


class MGICPointBlock(MultigridBlock):
    """Algorithm 1 around a layer of points: ``layer`` is :class:`GConv` or :class:`PointMLP`, with a residual."""

    def __init__(
        self,
        layer: type[PointMLP],
        width: int,
        s_g: int,
        s_c: int,
        min_levels: int = 0,
        min_groups: int = 1,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        dd = {"device": device, "dtype": dtype}
        super().__init__(
            point_levels(width, s_g, s_c, min_levels, min_groups),
            lambda j, level: layer(level.channels, level.channels, level.groups, residual=True, **dd),
            lambda channels: nn.BatchNorm2d(channels, **dd),
            **dd,
        )

    def forward(self, x: torch.Tensor, graph: Graph | None = None) -> torch.Tensor:
        """Algorithm 1 with every layer on the one graph of the points."""
        on_graph = SimpleNamespace(
            restrict=self.restrict,
            coarsest=partial(self.coarsest, graph=graph),
            prolong=self.prolong,
            norm=self.norm,
            cnn=[partial(cnn, graph=graph) for cnn in self.cnn],
        )
        return MultigridBlock.forward(on_graph, x)  # type: ignore[arg-type]

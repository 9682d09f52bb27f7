"""Graphs of point clouds: exact k nearest neighbours of a batch, and differential operators on the graph.

Points come first here, (B, N, c): a point's channels lie side by side in memory, and fetching a neighbour is one
contiguous copy.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch.autograd.function import once_differentiable

from ..errors import UserError

#: Distances that are held at a time: 8 MiB in float32.
CHUNK = 2**21
#: Up to this many channels distances come from differences, which do not cancel; above, from a matrix product.
DIRECT = 8


class Graph(NamedTuple):
    """Neighbours and edge weights of a batch of clouds."""

    nearest: torch.Tensor  # int64 (B, N, k), within the cloud
    weight: torch.Tensor  # (B, N, k), see point_graph


def knn(x: torch.Tensor, k: int, *, loop: bool = False, chunk: int = CHUNK) -> torch.Tensor:
    """The ``k`` nearest points of each point, within its own cloud: indices int64 (B, N, k), in no fixed order.

    Every distance is computed, nothing is approximated. Which of equally near points are taken is open, and so it
    is where squared distances differ by less than their rounding: that of the distance itself up to 8 channels, and
    above (a matrix product is ten times as fast there) about 1e-6 of the cloud's squared radius. No gradient passes.

    Args:
        x: (B, N, c), coordinates or features. Half precision is computed in float32.
        k: neighbours of a point.
        loop: whether a point may be its own neighbour. False leaves itself out, but not others in the same place.
        chunk: largest number of distances held at a time, but at least one row of N.

    Raises:
        UserError: a cloud has fewer than ``k`` points to choose from.
    """
    clouds, points, channels = x.shape
    if k > points - (not loop):
        raise UserError(f"k={k} neighbours need clouds of at least {k + (not loop)} points, not {points}.")
    mode = "donot_use_mm_for_euclid_dist" if channels <= DIRECT else "use_mm_for_euclid_dist"
    rows = max(1, min(points, chunk // points))  # of a cloud at a time
    batch = max(1, chunk // (rows * points))  # clouds at a time
    found = []
    with torch.no_grad(), _full_precision(x.device):
        x = _at_least_float(x.detach())
        x = x - x.mean(1, keepdim=True)  # a large common offset would cost the matrix product its digits
        for few in x.split(batch):
            for start in range(0, points, rows):
                distance = torch.cdist(few[:, start : start + rows], few, compute_mode=mode)
                if not loop:
                    distance.diagonal(start, 1, 2).fill_(torch.inf)
                found.append(distance.topk(k, largest=False, sorted=False).indices)
    return torch.cat(found, 1 if rows < points else 0).view(clouds, points, k)


def point_graph(points: torch.Tensor, k: int, *, chunk: int = CHUNK) -> Graph:
    """The k-NN graph of positions (B, N, 3). The edge from point i to its neighbour j has the weight

        w_ij = h / max(|p_j - p_i|, h / 4),     h = mean edge length of the cloud

    so that w_ij (x_j - x_i) is a derivative along the edge in units of the mean edge: the change over one typical
    step. Weights are about 1 whatever the cloud's scale and the number of its points; divided by lengths in units of
    the cloud, differences would be many times the values, and a stack of such layers would turn features into noise.
    Edges shorter than h / 4 count as that long: two samples of nearly one spot say little about a slope.
    """
    index = knn(points, k, chunk=chunk)
    with torch.no_grad():
        points = _at_least_float(points)
        points = points - points.mean(1, keepdim=True)  # far from zero lengths would lose their digits
        length = (neighbours(points, index) - points.unsqueeze(2)).norm(dim=-1)
        h = length.mean((1, 2), keepdim=True)
        tiny = torch.finfo(length.dtype).tiny  # where all points coincide, every weight is 0
        return Graph(index, h / torch.maximum(length, (h / 4).clamp_min(tiny)))


def unweighted(index: torch.Tensor, dtype: torch.dtype) -> Graph:
    """The graph of these neighbours with every weight 1."""
    return Graph(index, torch.ones(index.shape, device=index.device, dtype=dtype))


def neighbours(x: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """The neighbours' values: x (B, N, c) at index (B, N, k) gives (B, N, k, c)."""
    return x.flatten(0, 1).index_select(0, _rows(index)).view(*index.shape, x.shape[-1])


def differentiate(x: torch.Tensor, graph: Graph) -> tuple[torch.Tensor, torch.Tensor]:
    """Neighbourhood gradient and Laplacian of each channel of x (B, N, c): two tensors of its shape.

        (grad x)_i = max_j w_ij (x_j - x_i)               the steepest derivative along an edge
        (lap x)_i  = 1/k sum_j w_ij (x_j - x_i)           the graph Laplacian

    With the weights of :func:`point_graph` both are 0 for a constant. For a linear x = a . p and edges of at least
    h / 4 they are the largest and the mean over j of h a . u_ij, with the unit vectors u_ij = (p_j - p_i) / |p_j -
    p_i|: the first tends to h |a| where neighbours fill all directions, the second vanishes where they lie
    symmetrically.

    Memory grows with N c, not with N k c, in training too: edges are made a few clouds at a time, and again in the
    backward pass. Gradients reach x alone; equal maxima share theirs, as in ``torch.amax``.
    """
    result: tuple[torch.Tensor, torch.Tensor] = _Differentiate.apply(x, graph.nearest, graph.weight.to(x.dtype))
    return result


class _Differentiate(torch.autograd.Function):
    """The forward and backward pass of :func:`differentiate`."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, index: torch.Tensor, weight: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        x = x.contiguous()
        gradient, laplacian = torch.empty_like(x), torch.empty_like(x)
        for some, slope, _ in _edges(x, index, weight):
            gradient[some] = slope.amax(2)
            laplacian[some] = slope.mean(2)
        ctx.save_for_backward(x, index, weight, gradient)
        return gradient, laplacian

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_gradient: torch.Tensor, d_laplacian: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        x, index, weight, gradient = ctx.saved_tensors
        dx = torch.empty_like(x)
        for some, slope, w in _edges(x, index, weight):
            edge = slope.eq_(gradient[some].unsqueeze(2))  # 1 at the maximum, else 0
            edge.mul_((d_gradient[some] / edge.sum(2)).unsqueeze(2))
            edge.add_((d_laplacian[some] / index.shape[-1]).unsqueeze(2)).mul_(w)
            here = edge.sum(2).neg_()
            here.flatten(0, 1).index_add_(0, _rows(index[some]), edge.flatten(0, 2))
            dx[some] = here
        return dx, None, None


def _edges(
    x: torch.Tensor, index: torch.Tensor, weight: torch.Tensor
) -> Iterator[tuple[slice, torch.Tensor, torch.Tensor]]:
    """For a few clouds at a time: which, w_ij (x_j - x_i) as (B', N, k, c) to be overwritten, w_ij (B', N, k, 1)."""
    # One such tensor in a core's cache makes the CPU three times as fast; a GPU wants few and large kernels.
    held = 2**18 if x.device.type == "cpu" else 2**26
    size = max(1, held // (index[0].numel() * x.shape[-1]))
    for start in range(0, len(x), size):
        some = slice(start, start + size)
        here, w = x[some], weight[some].unsqueeze(3)
        yield some, neighbours(here, index[some]).sub_(here.unsqueeze(2)).mul_(w), w


def _rows(index: torch.Tensor) -> torch.Tensor:
    """Indices (B, N, k) within each cloud as flat indices into the points of all clouds."""
    clouds, points, _ = index.shape
    return (index + torch.arange(0, clouds * points, points, device=index.device).view(-1, 1, 1)).flatten()


def _at_least_float(x: torch.Tensor) -> torch.Tensor:
    return x if x.dtype == torch.float64 else x.float()


def _full_precision(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """No autocast: neighbours that were found in bfloat16 would not be the nearest."""
    if torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return contextlib.nullcontext()

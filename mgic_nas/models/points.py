"""Networks on point clouds: DGCNN, diffGCN and MGIC-diffGCN, in the layout of the paper's Table 10.

    row                     DGCNN       diffGCN     MGIC-diffGCN
    1 graph layer, 64       EdgeConv    G-conv      G-conv
    2 graph layers, 64      EdgeConv    G-conv      MGIC of G-convs
    1 MLP, 64               linear      linear      MGIC of linears
    3 graph layers, 64      EdgeConv    G-conv      MGIC of G-convs
    1 MLP, 64               linear      linear      MGIC of linears
    max pool over points; 3 MLPs, 64; FC, classes

Every layer has BN and ReLU. Counts at 1,024 points, k = 10, 10 classes (convs and linears, not gathers and k-NN):

    network         params    MACs           paper (Table 11)
    DGCNN           63,882     50,737,792    0.16 M, 125 M
    diffGCN         84,554     71,905,920    0.57 M,  64 M
    MGIC-diffGCN    29,114     12,726,912    0.11 M,  13.7 M    (9,515,648 without R and P)

Where they differ:

- diffGCN: its six G-convs are 63.5 M MACs, the paper's 64; the two per-point MLPs (8.4 M) seem not to be in its
  number. Six linear maps 3 * 64 -> 64 and five 64 -> 64 have 0.08 M parameters whatever one counts; the paper does
  not say what the rest of its 0.57 M is.
- DGCNN: the printed layout with EdgeConv on every edge, as Wang et al. write it, is 431.8 M MACs. Here the linear
  map is applied to points before edges are formed (see :class:`EdgeConv`), the same function with the same
  parameters at 50.7 M. The paper's 125 M lies between and fits neither.
- MGIC-diffGCN: the paper leaves the widths open. s_g = 4, s_c = 8 stays within its 13.7 M MACs; s_c = 16 would be
  14.2 M. It has fewer parameters than the paper says, for the reason that diffGCN has.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from timm.layers import Linear, get_device_dtype
from torch import nn

from ._canonical import normal_config
from ._graph import Graph, differentiate, knn, point_graph
from ._point_layers import EdgeConv, GConv, MGICPointBlock, PointMLP, point_levels
from .mgic import TRANSFER_INIT, ZERO_INIT_CORRECTION, start
from .rows import check_choices, check_levels, positive_int

__all__ = [
    "NETWORKS",
    "EdgeConv",
    "GConv",
    "Graph",
    "MGICPointBlock",
    "PointMLP",
    "PointNetwork",
    "dgcnn",
    "differentiate",
    "diffgcn",
    "knn",
    "mgic_diffgcn",
    "point_graph",
]


class PointNetwork(nn.Module):
    """Layers on points, the maximum over them, three MLPs and a classifier: (B, in_chans, N) to (B, num_classes).

    Points may come in any order: the output is the same. N is at least k + 1 and may vary from call to call.

    Args:
        layers: modules (x (B, c, N, 1), graph) -> (B, c', N, 1), the first on in_chans, the last giving ``width``.
        graph_k: neighbours in the graph of the points, whose positions are the first three channels; None where
            the layers make their own.
    """

    def __init__(
        self,
        layers: Sequence[nn.Module],
        width: int,
        graph_k: int | None,
        num_classes: int,
        in_chans: int,
        drop_rate: float,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        dd = {"device": device, "dtype": dtype}
        self.num_classes = num_classes
        self.in_chans = in_chans
        self.num_features = self.head_hidden_size = width
        self.graph_k = graph_k
        self.layers = nn.ModuleList(layers)
        self.head = nn.Sequential(*[PointMLP(width, width, **dd) for _ in range(3)])  # the cloud is one point by now
        self.drop = nn.Dropout(drop_rate)
        self.classifier = Linear(width, num_classes, **dd) if num_classes > 0 else nn.Identity()

    def get_classifier(self) -> nn.Module:
        """The final linear layer (Identity where ``num_classes`` is 0)."""
        return self.classifier

    def reset_classifier(self, num_classes: int) -> None:
        """A new classifier for ``num_classes``."""
        dd = get_device_dtype(self)
        self.num_classes = num_classes
        self.classifier = Linear(self.num_features, num_classes, **dd) if num_classes > 0 else nn.Identity()

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """Clouds (B, in_chans, N), or as images one pixel wide (B, in_chans, N, 1), to features of each point.

        Those are (B, num_features, N).
        """
        if x.dim() == 4:
            x = x.squeeze(3)
        if x.dim() != 3 or x.shape[1] != self.in_chans:
            raise ValueError(f"Clouds are (batch, {self.in_chans}, points), not {tuple(x.shape)}.")
        graph = None
        if self.graph_k is not None:
            graph = point_graph(x[:, :3].transpose(1, 2), self.graph_k)
        x = x.unsqueeze(3)
        for layer in self.layers:
            x = layer(x, graph)
        return x.squeeze(3)

    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """Features of points (B, num_features, N) to logits, or to what the classifier gets."""
        x = self.head(x.amax(2)[:, :, None, None]).flatten(1)
        x = self.drop(x)
        return x if pre_logits else self.classifier(x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.forward_head(self.forward_features(x))


def dgcnn(
    *,
    num_classes: int = 10,
    in_chans: int = 3,
    k: int = 10,
    width: int = 64,
    drop_rate: float = 0.0,
    device: Any = None,
    dtype: Any = None,
) -> PointNetwork:
    """DGCNN: EdgeConvs, each on the k-NN graph of its own input's features.

    Args:
        num_classes: outputs; 0 leaves the classifier out.
        in_chans: channels of a point, 3 for coordinates.
        k: neighbours; a point counts as its own, as in Wang et al.
        width: channels of every layer.
        drop_rate: dropout before the classifier.
    """
    dd = {"device": device, "dtype": dtype}
    positive_int("k", k)
    positive_int("width", width)

    def layers(c_in: int, depth: int) -> list[nn.Module]:
        return [EdgeConv(width if i else c_in, width, k, **dd) for i in range(depth)]

    rows = [*layers(in_chans, 3), PointMLP(width, width, **dd), *layers(width, 3), PointMLP(width, width, **dd)]
    return PointNetwork(rows, width, None, num_classes, in_chans, drop_rate, **dd)


def diffgcn(
    *,
    num_classes: int = 10,
    in_chans: int = 3,
    k: int = 10,
    width: int = 64,
    drop_rate: float = 0.0,
    device: Any = None,
    dtype: Any = None,
) -> PointNetwork:
    """diffGCN: G-convs on the k-NN graph of the points, whose positions are the first three channels.

    Args: as of :func:`dgcnn`; a point is not its own neighbour here.
    """
    dd = {"device": device, "dtype": dtype}
    positive_int("k", k)
    positive_int("width", width)
    rows: list[nn.Module] = []
    for i, layer in enumerate((GConv, GConv, GConv, PointMLP, GConv, GConv, GConv, PointMLP)):
        rows.append(layer(width if i else in_chans, width, **dd))
    return PointNetwork(rows, width, k, num_classes, in_chans, drop_rate, **dd)


def mgic_diffgcn(
    *,
    num_classes: int = 10,
    in_chans: int = 3,
    k: int = 10,
    width: int = 64,
    s_g: int = 4,
    s_c: int = 8,
    drop_rate: float = 0.0,
    min_levels: int = 0,
    min_groups: int = 1,
    levels: str = "auto",
    transfer_init: str = TRANSFER_INIT,
    zero_init_correction: bool = ZERO_INIT_CORRECTION,
    device: Any = None,
    dtype: Any = None,
) -> PointNetwork:
    """diffGCN with every layer on points but the first (whose input has too few channels to halve) in MGIC form.

    Args: as of :func:`diffgcn`, and
        s_g: channels a group on all but the coarsest level.
        s_c: largest width of the coarsest level.
        min_levels: at least so many restrictions.
        min_groups: 2 keeps a grouped level from being fully coupled.
        levels: "none" for plain layers, with their residuals: a residual diffGCN.
        transfer_init, zero_init_correction: how MGIC blocks begin, see :func:`~mgic_nas.models.mgic.start`.
    """
    dd = {"device": device, "dtype": dtype}
    positive_int("k", k), positive_int("width", width)
    check_choices(s_g, s_c, min_levels, min_groups)
    if check_levels(levels):
        s_g, s_c, min_levels, min_groups = width, width, 0, 1
    rows: list[nn.Module] = [GConv(in_chans, width, **dd)]
    for layer in (GConv, GConv, PointMLP, GConv, GConv, GConv, PointMLP):
        rows.append(MGICPointBlock(layer, width, s_g, s_c, min_levels, min_groups, **dd))
    net = PointNetwork(rows, width, k, num_classes, in_chans, drop_rate, **dd)
    start(net, transfer_init, zero_init_correction)
    return net


def canonical(name: str, config: Mapping[str, Any]) -> Hashable:
    """The same for two configs (every argument in them) that are the same architecture."""
    if name != "mgic_diffgcn":
        return tuple(sorted(config.items()))
    width = config["width"]
    return normal_config(config, lambda *choices: [point_levels(width, *choices)], width)


#: Builders by name.
NETWORKS = {"dgcnn": dgcnn, "diffgcn": diffgcn, "mgic_diffgcn": mgic_diffgcn}

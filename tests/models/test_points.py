"""Point clouds: neighbours and operators that a network trusts without checking, and the paper's counts."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mgic_nas.cost.count import count
from mgic_nas.errors import UserError
from mgic_nas.models._graph import Graph
from mgic_nas.models._point_layers import EdgeNorm
from mgic_nas.models.fusing import fuse
from mgic_nas.models.mgic import ChannelTransfer
from mgic_nas.models.points import (
    NETWORKS,
    EdgeConv,
    GConv,
    MGICPointBlock,
    PointMLP,
    differentiate,
    knn,
    mgic_diffgcn,
    point_graph,
)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def brute_force(x: torch.Tensor, k: int, loop: bool) -> torch.Tensor:
    """Distances (B, N, k) to the k nearest, ascending, in float64, pair by pair."""
    x = x.double()
    distance = (x[:, :, None] - x[:, None]).norm(dim=-1)
    if not loop:
        distance += torch.diag(torch.full((x.shape[1],), torch.inf, dtype=torch.double))
    return distance.sort(-1).values[..., :k]


def found_distances(x: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    x = x.double()
    near = torch.stack([cloud[rows] for cloud, rows in zip(x, index)])
    return (near - x[:, :, None]).norm(dim=-1).sort(-1).values


# --- neighbours ----------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    clouds=st.integers(1, 3),
    points=st.integers(2, 40),
    k=st.integers(1, 12),
    loop=st.booleans(),
    grid=st.booleans(),
    chunk=st.sampled_from([1, 7, 50, 400, 2**21]),
    seed=st.integers(0, 2**16),
)
def test_neighbours_are_the_nearest(clouds, points, k, loop, grid, chunk, seed) -> None:
    """Against brute force; on a coarse grid nearly every distance is tied and points coincide."""
    k = min(k, points - (not loop))
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(clouds, points, 3, generator=generator)
    if grid:
        x = (x * 3).floor()
    index = knn(x, k, loop=loop, chunk=chunk)
    assert index.shape == (clouds, points, k)
    assert all(len(set(row.tolist())) == k for row in index.flatten(0, 1)), "a neighbour is listed twice"
    if not loop:
        assert (index != torch.arange(points)[None, :, None]).all(), "a point is its own neighbour"
    torch.testing.assert_close(found_distances(x, index), brute_force(x, k, loop), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_neighbours_in_feature_space_are_the_nearest(offset: float) -> None:
    """Features after a ReLU lie far from zero: taking differences of large squares must not lose the neighbours."""
    x = torch.randn(2, 200, 64) + offset
    torch.testing.assert_close(found_distances(x, knn(x, 10)), brute_force(x, 10, False), rtol=0, atol=1e-3)


def test_coinciding_points_are_each_others_neighbours() -> None:
    x = torch.tensor([0.0, 0.0, 5.0, 5.0, 9.0])[None, :, None].expand(1, 5, 3)
    assert knn(x, 1)[0, :4, 0].tolist() == [1, 0, 3, 2]


def test_too_few_points_are_refused() -> None:
    with pytest.raises(UserError, match="at least 11 points, not 10"):
        knn(torch.rand(1, 10, 3), 10)
    assert knn(torch.rand(1, 10, 3), 10, loop=True).shape == (1, 10, 10)


def test_neighbours_are_found_in_full_precision_under_autocast() -> None:
    x = torch.randn(1, 100, 64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        index = knn(x, 5)
    assert torch.equal(index.sort(-1).values, knn(x, 5).sort(-1).values)


# --- gradient and Laplacian ------------------------------------------------------------------------------------


def reference(x: torch.Tensor, graph: Graph) -> tuple[torch.Tensor, torch.Tensor]:
    """The formulas edge by edge, for autograd to differentiate."""
    near = torch.stack([cloud[rows] for cloud, rows in zip(x, graph.nearest)])
    slope = graph.weight.unsqueeze(-1).to(x.dtype) * (near - x.unsqueeze(2))
    return slope.amax(2), slope.mean(2)


def test_a_constant_has_no_gradient_and_no_laplacian() -> None:
    graph = point_graph(torch.rand(2, 50, 3), 10)
    for part in differentiate(torch.full((2, 50, 4), 3.7), graph):
        assert (part == 0).all()


def test_a_linear_function_has_its_directional_differences() -> None:
    """x = a . p: the largest and the mean over edges of h a . u_ij, worked out from the positions alone."""
    points = torch.rand(2, 60, 3, dtype=torch.double)
    a = torch.tensor([[1.0, -2.0, 0.5], [0.0, 0.0, 3.0]], dtype=torch.double)  # two channels
    graph = point_graph(points, 10)
    gradient, laplacian = differentiate(points @ a.T, graph)

    edges = torch.stack([cloud[rows] for cloud, rows in zip(points, graph.nearest)]) - points.unsqueeze(2)
    length = edges.norm(dim=-1, keepdim=True)
    h = length.mean((1, 2, 3)).view(-1, 1, 1, 1)
    long_enough = (length >= h / 4).all(2).squeeze(-1)  # where no edge is shorter than h / 4
    assert long_enough.float().mean() > 0.8
    slope = h * (edges / length) @ a.T
    torch.testing.assert_close(gradient[long_enough], slope.amax(2)[long_enough])
    torch.testing.assert_close(laplacian[long_enough], slope.mean(2)[long_enough])
    assert (gradient <= h.squeeze(3) * a.norm(dim=1) + 1e-12).all()


def test_a_linear_function_has_no_laplacian_inside_a_grid() -> None:
    """Symmetric neighbours cancel, and the gradient is the steepest axis's over one mean edge."""
    axis = torch.arange(5.0)
    points = torch.cartesian_prod(axis, axis, axis)[None]
    inside = ((points > 0) & (points < 4)).all(-1)
    gradient, laplacian = differentiate(points @ torch.tensor([[1.0], [2.0], [-3.0]]), point_graph(points, 6))
    h = brute_force(points, 6, False).mean().float()
    torch.testing.assert_close(laplacian[inside], torch.zeros(27, 1), rtol=0, atol=1e-5)
    torch.testing.assert_close(gradient[inside], (3 * h).expand(27, 1))


@pytest.mark.parametrize("points", [64, 1024])
def test_operators_do_not_blow_up_rough_features(points: int) -> None:
    """In the units of a cloud its differences were ten times the values, and diffGCN learned from noise."""
    graph = point_graph(torch.randn(2, points, 3), 10)
    assert 1 <= graph.weight.mean().item() < 1.5
    assert graph.weight.max().item() <= 4
    x = torch.randn(2, points, 8)
    gradient, laplacian = differentiate(x, graph)
    assert gradient.std().item() < 3 * x.std().item()
    assert laplacian.std().item() < 2 * x.std().item()


def test_scale_and_position_of_a_cloud_change_no_weight() -> None:
    points = torch.rand(1, 40, 3, dtype=torch.double)
    graph, moved = point_graph(points, 8), point_graph(7 * points + 2, 8)
    torch.testing.assert_close(graph.weight.sort(-1).values, moved.weight.sort(-1).values)


def test_coinciding_points_give_finite_weights() -> None:
    """Scans hold the same point twice; a difference over no distance must not become infinite."""
    points = torch.rand(1, 40, 3)
    points[:, 20:] = points[:, :20]
    weight = point_graph(points, 8).weight
    assert (weight.amax(2) < 40 * weight.median()).all()
    flat = point_graph(torch.zeros(1, 20, 3), 5)
    assert all((part == 0).all() for part in differentiate(torch.zeros(1, 20, 3), flat))


@pytest.mark.parametrize("ties", [False, True])
def test_derivatives_of_the_operators_are_autograds(ties: bool) -> None:
    """Edges are made again in the backward pass: the hand-written derivative is checked against the plain formula."""
    graph = point_graph(torch.rand(3, 30, 3, dtype=torch.double), 6)
    x = torch.randn(3, 30, 5, dtype=torch.double)
    if ties:  # as after a ReLU
        x, graph = x.round().relu(), Graph(graph.nearest, torch.ones_like(graph.weight))
    ours, plain = x.clone().requires_grad_(), x.clone().requires_grad_()
    up = [torch.randn_like(x) for _ in range(2)]
    for leaf, function in ((ours, differentiate), (plain, reference)):
        torch.autograd.backward(function(leaf, graph), up)
    torch.testing.assert_close(differentiate(x, graph), reference(x, graph))
    torch.testing.assert_close(ours.grad, plain.grad)


# --- EdgeConv -----------------------------------------------------------------------------------------------------


class PlainEdgeConv(nn.Module):
    """EdgeConv as Wang et al. write it: edges are formed, mapped, normalised, and the largest taken."""

    def __init__(self, other: EdgeConv) -> None:
        super().__init__()
        self.k = other.k
        self.weight = nn.Parameter(torch.cat([other.center.weight, other.edge.weight], 1).detach().clone())
        self.norm = nn.BatchNorm2d(len(self.weight), dtype=self.weight.dtype)
        self.norm.load_state_dict(other.norm.state_dict())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        points = x.squeeze(3).transpose(1, 2)
        near = torch.stack([cloud[rows] for cloud, rows in zip(points, knn(points, self.k, loop=True))])
        here = points.unsqueeze(2).expand_as(near)
        edges = torch.cat([here, near - here], 3).permute(0, 3, 1, 2)
        return self.norm(nn.functional.conv2d(edges, self.weight)).relu().amax(3, keepdim=True)


def test_edgeconv_without_edges_equals_edgeconv_with_them() -> None:
    """Outputs, gradients and running statistics, in both modes, with scales of BN of both signs."""
    ours = EdgeConv(7, 12, 5, dtype=torch.double)
    nn.init.normal_(ours.norm.weight)
    nn.init.normal_(ours.norm.bias)
    plain = PlainEdgeConv(ours)
    x = 3 + torch.randn(4, 7, 30, 1, dtype=torch.double)
    for mode in (True, True, False):
        a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
        ours.train(mode), plain.train(mode)
        up = torch.randn(4, 12, 30, 1, dtype=torch.double)
        y, expected = ours(a), plain(b)
        torch.testing.assert_close(y, expected)
        ours.zero_grad(), plain.zero_grad()
        y.backward(up), expected.backward(up)
        torch.testing.assert_close(a.grad, b.grad)
        torch.testing.assert_close(torch.cat([ours.center.weight.grad, ours.edge.weight.grad], 1), plain.weight.grad)
        torch.testing.assert_close(ours.norm.weight.grad, plain.norm.weight.grad)
        torch.testing.assert_close(ours.norm.bias.grad, plain.norm.bias.grad)
        torch.testing.assert_close(ours.norm.state_dict(), plain.norm.state_dict())


def test_edge_statistics_survive_close_neighbours_far_from_zero() -> None:
    """Features of 1,000 points with b_j - b_i a hundredth of b: variances are sums of cancelling squares."""
    points = torch.rand(2, 500, 3)
    index = knn(points, 10)
    a, b = points @ torch.randn(3, 8) + 5, points @ torch.randn(3, 8) - 20
    norm = EdgeNorm(8).train()
    norm(a, b, index)
    near = torch.stack([cloud[rows] for cloud, rows in zip(b.double(), index)])
    edges = (a.double().unsqueeze(2) + near - b.double().unsqueeze(2)).flatten(0, 2)
    torch.testing.assert_close(norm.running_mean.double(), 0.1 * edges.mean(0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(norm.running_var.double(), 0.9 + 0.1 * edges.var(0), rtol=1e-4, atol=1e-5)


# --- networks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "params", "macs"),
    [("dgcnn", 63_882, 50_737_792), ("diffgcn", 84_554, 71_905_920), ("mgic_diffgcn", 29_114, 12_726_912)],
)
def test_counts_that_the_documentation_states(name: str, params: int, macs: int) -> None:
    cost = count(NETWORKS[name](device="meta"), (3, 1024))
    assert (cost.params, cost.macs) == (params, macs)


def test_counts_follow_from_the_paper() -> None:
    """Six G-convs are the paper's 64 M; MGIC stays within its 0.11 M parameters and 13.7 M MACs."""
    gconvs = 1024 * (9 * 64 + 5 * 192 * 64)
    assert round(gconvs / 1e6, 1) == 63.5
    assert count(NETWORKS["diffgcn"](), (3, 1024)).macs == gconvs + 1024 * 2 * 64**2 + 3 * 64**2 + 64 * 10
    cost = count(mgic_diffgcn(), (3, 1024))
    assert cost.params <= 110_000
    assert cost.macs <= 13_700_000
    assert cost.macs_without_transfers == 9_515_648
    assert count(mgic_diffgcn(s_c=16), (3, 1024)).macs > 13_700_000


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_order_of_points_does_not_matter(name: str) -> None:
    """A cloud is a set: features move with their points, logits stay."""
    net = NETWORKS[name](k=6).double().eval()
    x = torch.rand(2, 3, 40, dtype=torch.double)
    order = torch.randperm(40)
    features = net.forward_features(x)
    assert features.shape == (2, 64, 40)
    torch.testing.assert_close(net.forward_features(x[:, :, order]), features[:, :, order])
    torch.testing.assert_close(net(x[:, :, order]), net(x))


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_clouds_of_a_batch_do_not_mix(name: str) -> None:
    net = NETWORKS[name](k=6).eval()
    x = torch.rand(3, 3, 40)
    torch.testing.assert_close(net(x), torch.cat([net(cloud[None]) for cloud in x]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_a_network_learns(name: str) -> None:
    """Every parameter gets a gradient, and a few steps separate balls from sticks."""
    net = NETWORKS[name](num_classes=2, k=5)
    y = torch.arange(16) % 2
    x = torch.randn(16, 3, 32) * torch.where(y[:, None, None] == 1, torch.tensor([1.0, 0.1, 0.1])[:, None], 1.0)
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    for step in range(12):
        loss = nn.functional.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            first = loss.item()
            assert [n for n, p in net.named_parameters() if p.grad is None] == []
        optimizer.step()
    assert loss.item() < first / 2


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_inference_form_agrees(name: str) -> None:
    net = NETWORKS[name](k=6)
    for _ in range(3):
        net(torch.rand(8, 3, 30))
    for module in net.modules():  # scales of both signs, as trained networks have them
        if isinstance(module, (nn.BatchNorm2d, EdgeNorm)):
            nn.init.normal_(module.weight)
    net.eval()
    before = copy.deepcopy(net.state_dict())
    fused = fuse(net)
    x = torch.rand(4, 3, 30)
    torch.testing.assert_close(fused(x), net(x), rtol=1e-4, atol=1e-5)
    assert not any(isinstance(m, (nn.BatchNorm2d, EdgeNorm)) for m in fused.modules())
    torch.testing.assert_close(net.state_dict(), before)


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_builders_take_timms_arguments(name: str) -> None:
    build = NETWORKS[name]
    net = build(num_classes=7, in_chans=6, width=16, k=4, drop_rate=0.5, device="meta", dtype=torch.bfloat16)
    assert all(t.is_meta for t in (*net.parameters(), *net.buffers()))
    assert all(p.dtype == torch.bfloat16 for p in net.parameters())
    net = build(num_classes=7, in_chans=6, width=16, k=4).eval()
    assert net(torch.rand(2, 6, 20)).shape == (2, 7)
    net.reset_classifier(0)
    assert net(torch.rand(2, 6, 20)).shape == (2, 16)
    with pytest.raises(TypeError):
        build(depth=3)
    with pytest.raises(UserError, match="k must be"):
        build(k=0)
    with pytest.raises(ValueError, match=r"\(batch, 6, points\)"):
        net(torch.rand(2, 20, 6))


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_half_precision_and_export(name: str) -> None:
    net = NETWORKS[name](k=5).eval()
    x = torch.rand(2, 3, 24)
    y = net(x)
    assert NETWORKS[name](k=5).bfloat16().eval()(x.bfloat16()).dtype == torch.bfloat16
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.isfinite(net.train()(x)).all()
    net.eval()
    with torch.no_grad():
        exported = torch.export.export(net, (x,)).module()
    torch.testing.assert_close(exported(x), net(x))
    assert y.shape == (2, 10)


# --- Algorithm 1 around a layer of points -----------------------------------------------------------------------


def test_levels_of_the_block_follow_algorithm_1() -> None:
    """The loop written out by hand for two restrictions: eqs. 3.1-3.4 with one graph for all levels."""
    block = MGICPointBlock(GConv, 32, 4, 8).eval()
    points = torch.rand(2, 20, 3)
    graph = point_graph(points, 5)
    r0, r1 = block.restrict
    x0 = torch.randn(2, 32, 20, 1)
    x1 = r0(x0)
    x2 = r1(x1)
    y2 = block.coarsest(x2, graph)
    y1 = block.cnn[0](x1 + block.norm[0](block.prolong[0](y2 - x2)), graph)
    y0 = block.cnn[1](x0 + block.norm[1](block.prolong[1](y1 - x1)), graph)
    torch.testing.assert_close(block(x0, graph), y0)


@pytest.mark.parametrize("layer", [GConv, PointMLP])
def test_an_identity_layer_gives_an_identity_block(layer: type[PointMLP]) -> None:
    """Sec. 3.3: with a residual branch at zero the hierarchy distorts nothing (ReLU aside) at initialisation."""
    block = MGICPointBlock(layer, 32, 4, 8).eval()
    for module in block.modules():
        if isinstance(module, PointMLP):
            nn.init.zeros_(module.conv.conv.weight)
    x = torch.rand(2, 32, 20, 1)
    torch.testing.assert_close(block(x, point_graph(torch.rand(2, 20, 3), 5)), x)


@pytest.mark.parametrize("layer", [GConv, PointMLP])
def test_every_channel_talks_to_every_other(layer: type[PointMLP], monkeypatch: pytest.MonkeyPatch) -> None:
    """What MGIC is for: grouped maps alone would leave the Jacobian block diagonal."""
    graph = point_graph(torch.rand(1, 12, 3, dtype=torch.double), 4)
    alone = layer(32, 32, groups=8, residual=True).double().eval()
    block = MGICPointBlock(layer, 32, 4, 8).double().eval()
    for p in (*alone.parameters(), *block.parameters()):
        nn.init.normal_(p, std=0.5)
    monkeypatch.setattr(nn.functional, "relu", nn.functional.softplus)  # a ReLU may switch a path off for one input
    x = torch.rand(1, 32, 12, 1, dtype=torch.double)

    def coupling(net: nn.Module) -> torch.Tensor:
        jacobian = torch.autograd.functional.jacobian(lambda v: net(v, graph).sum((0, 2, 3)), x)
        return jacobian.abs().amax((1, 3, 4))

    group = torch.arange(32) // 4
    assert (coupling(alone)[group[:, None] != group[None]] == 0).all()
    assert (coupling(block) > 0).all()


def test_transfers_start_with_rows_that_sum_to_one() -> None:
    transfers = [m for m in mgic_diffgcn().modules() if isinstance(m, ChannelTransfer)]
    assert len(transfers) == 7 * 6
    for transfer in transfers:
        torch.testing.assert_close(transfer.weight.sum((1, 2, 3)), torch.ones(transfer.out_channels))


def test_a_gconv_says_that_it_needs_a_graph() -> None:
    with pytest.raises(ValueError, match="needs the graph"):
        GConv(3, 8)(torch.rand(1, 3, 10, 1))

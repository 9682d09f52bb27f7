"""mgicify: what a converted network is."""

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
from fakes.converted import META, converted, images
from timm.layers import DropPath, ScaledStdConv2d
from torch import nn

import mgic_nas
from mgic_nas.errors import UserError
from mgic_nas.models.convert.blueprint import Blueprint, ConvertedBlock
from mgic_nas.models.convert.init import Source
from mgic_nas.models.convert.level import PointwiseConv
from mgic_nas.models.mgic import ChannelTransfer, MGICBlock


def layers(block: nn.Module) -> list[tuple]:
    """Every conv of a block: widths, kernel, groups, and whether it is R or P."""
    return sorted(
        (m.in_channels, m.out_channels, m.kernel_size, m.groups, isinstance(m, ChannelTransfer))
        for m in block.modules()
        if isinstance(m, nn.Conv2d)
    )


# --- the block -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "block", "theirs", "name", "choices"),
    [
        ("mgic_resnet18", "stages.3.2", "resnet18", "layer4.1", {"s_g": 16, "s_c": 64}),
        ("mgic_resnet50", "stages.2.2", "resnet50", "layer3.1", {"s_g": 16, "s_c": 64}),
        ("mgic_resnet50", "stages.1.2", "resnet50", "layer2.1", {"s_g": 32, "s_c": 8}),
        ("mgic_resnext50_32x4d", "stages.3.2", "resnext50_32x4d", "layer4.1", {"s_g": 16, "s_c": 32}),
        ("mgic_mobilenetv3_large_100", None, "mobilenetv3_large_100", "blocks.3.2", {"s_g": 8, "s_c": 16}),
        ("mgic_mobilenetv3_large_100", None, "mobilenetv3_large_100", "blocks.4.1", {"s_g": 64, "s_c": 64}),
    ],
)
def test_it_is_the_block_of_the_papers_family(ours: str, block, theirs: str, name: str, choices: dict) -> None:
    """A converted timm block has the levels, groups and layers that PAPER.md fixes for the same block."""
    mine = mgic_nas.mgicify(theirs, **choices, min_levels=int("resn" in ours), device=META).get_submodule(name)
    paper = timm.create_model(ours, device=META, **choices)
    blocks = [paper.get_submodule(block)] if block else [m for m in paper.modules() if isinstance(m, MGICBlock)]
    assert isinstance(mine, ConvertedBlock)
    assert layers(mine) in [layers(b) for b in blocks]


@pytest.mark.parametrize(("name", "block"), [("resnet18", "layer1.0"), ("convnext_atto", "stages.0.blocks.0")])
def test_every_channel_talks_to_every_other(name: str, block: str) -> None:
    net = converted(name, s_g=2, s_c=10).get_submodule(block).double().eval()
    torch.manual_seed(0)
    for p in net.parameters():  # no zero-initialised branch, no dead ReLU may hide a path
        nn.init.normal_(p, std=0.5)
    for m in list(net.modules()):
        for key, child in m._modules.items():
            if isinstance(child, nn.ReLU):
                m._modules[key] = nn.GELU()
    c = net.restrict[0].in_channels
    x = torch.randn(1, c, 3, 3, dtype=torch.double)
    jacobian = torch.func.jacrev(net)(x).abs().amax(dim=(0, 2, 3, 4, 6, 7))
    assert jacobian.shape == (c, c)
    assert (jacobian > 0).all()


def test_everything_of_the_block_is_kept() -> None:
    """Norm, activation, drop-path and strides are the block's own; gates stand on the finest level alone."""
    plain = timm.create_model("efficientnet_b0", drop_path_rate=0.2, device=META)
    net = mgic_nas.mgicify(plain, 8, 16)
    block, original = net.blocks[5][2], plain.blocks[5][2]
    assert [type(m).__name__ for m in block.cnn] == ["InvertedResidual"] * 4
    assert all(b.drop_path.drop_prob == original.drop_path.drop_prob for b in (block.coarsest, *block.cnn))
    assert any(isinstance(m, DropPath) for m in block.modules())
    assert all(isinstance(b.bn1.act, nn.SiLU) for b in (block.coarsest, *block.cnn))
    finest = block.cnn[-1]
    assert [type(b.se).__name__ for b in (block.coarsest, *block.cnn)] == ["Identity"] * 4 + ["SqueezeExcite"]
    assert finest.se.conv_reduce.weight.shape == original.se.conv_reduce.weight.shape
    assert all(b.conv_dw.groups == b.conv_dw.in_channels for b in (block.coarsest, *block.cnn))
    assert block.coarsest.conv_pw.groups == 1


def test_a_linear_layer_becomes_a_grouped_conv() -> None:
    block = converted("convnext_tiny", device=META).stages[0].blocks[0]
    fine, coarse = block.cnn[-1], block.coarsest
    assert isinstance(fine.mlp.fc1, PointwiseConv)
    assert fine.mlp.fc1.groups == fine.mlp.fc2.groups == 12
    assert type(coarse.mlp.fc1) is nn.Linear
    assert (coarse.mlp.fc1.in_features, coarse.norm.normalized_shape, coarse.gamma.shape) == (12, (12,), (12,))
    dense = nn.Linear(6, 4)
    conv = PointwiseConv(6, 4, 1)
    conv.weight.data, conv.bias.data = dense.weight.data[:, :, None, None], dense.bias.data
    x = torch.randn(2, 5, 3, 6)
    torch.testing.assert_close(conv(x), dense(x))


def test_grouped_convs_take_the_finer_of_both_groupings() -> None:
    block = mgic_nas.mgicify("resnext50_32x4d", 16, 64, device=META).layer4[1]
    assert [b.conv2.groups for b in (block.coarsest, *block.cnn)] == [32, 32, 32, 32, 64]
    assert [b.conv1.groups for b in (block.coarsest, *block.cnn)] == [1, 8, 16, 32, 64]


def test_standardised_convs_know_their_new_fan_in() -> None:
    """NFNets scale a standardised weight by 1 / sqrt(fan in): a stale scale would change every output's variance."""
    plain = timm.create_model("nf_resnet26", device=META)
    net = mgic_nas.mgicify(plain, 8, 16)
    convs = [m for b in net.modules() if isinstance(b, ConvertedBlock) for m in b.modules()]
    convs = [m for m in convs if isinstance(m, ScaledStdConv2d)]
    assert len(convs) > 12
    wide = plain.stages[0][1].conv2
    gamma = wide.scale * math.sqrt(wide.weight[0].numel())
    for conv in convs:
        assert conv.scale == pytest.approx(gamma / math.sqrt(conv.weight[0].numel()))


def test_a_block_no_wider_than_s_c_stays_plain() -> None:
    """n = 0 is the plain block: with every block narrow, the network is the original, and that is no error."""
    plain = timm.create_model("resnet18", num_classes=5)
    net = mgic_nas.mgicify(plain, 8, 512)
    assert not net.mgic_report.replaced
    assert net.mgic_report.after == net.mgic_report.before
    assert all(torch.equal(a, b) for a, b in zip(plain.state_dict().values(), net.state_dict().values()))
    assert len(mgic_nas.mgicify(plain, 8, 512, min_levels=1).mgic_report.replaced) == 5


# --- what tensors start with ---------------------------------------------------------------------------------


def test_the_given_network_stays_what_it_is() -> None:
    plain = timm.create_model("resnet18", num_classes=5).eval()
    before = copy.deepcopy(plain.state_dict())
    net = mgic_nas.mgicify(plain, 8, 16)
    assert not any(isinstance(m, MGICBlock) for m in plain.modules())
    assert all(torch.equal(a, b) for a, b in zip(before.values(), plain.state_dict().values()))
    assert torch.equal(net.layer2[0].conv1.weight, plain.layer2[0].conv1.weight)
    assert net.conv1.weight.data_ptr() != plain.conv1.weight.data_ptr()
    assert not net.layer1[0].cnn[0].training


def test_random_weights_keep_the_variance_of_what_a_layer_puts_out() -> None:
    net, plain = converted("resnet18", s_g=16, s_c=64), timm.create_model("resnet18")
    wide, block = plain.layer4[1], net.layer4[1]
    for small in (block.coarsest, *block.cnn):
        a, b = (m.conv1.weight.std().item() * math.sqrt(m.conv1.weight[0].numel()) for m in (small, wide))
        assert a == pytest.approx(b, rel=0.05)
    assert torch.equal(block.cnn[-1].bn2.weight, wide.bn2.weight)  # timm starts it at zero
    for transfer in (*block.restrict, *block.prolong):
        assert (transfer.weight > 0).all()
        torch.testing.assert_close(transfer.weight.sum(1).flatten(), torch.ones(transfer.out_channels))


def test_random_weights_forget_what_a_network_learned() -> None:
    plain = timm.create_model("resnet18")
    for m in plain.modules():
        if isinstance(m, nn.BatchNorm2d):
            nn.init.normal_(m.weight)
            m.running_mean.normal_()
            m.num_batches_tracked += 9
    bn = mgic_nas.mgicify(plain, 8, 16).layer1[0].cnn[0].bn1
    assert (bn.weight == 1).all()
    assert (bn.running_mean == 0).all()
    assert bn.num_batches_tracked == 0


@pytest.mark.parametrize("old_groups", [1, 2, 4])
@pytest.mark.parametrize("level", [1, 2])
def test_coarse_weights_are_galerkins_operator(old_groups: int, level: int) -> None:
    """R W P: on a signal that is constant over the merged channels, the coarse conv gives the mean of the fine."""
    torch.manual_seed(0)
    factor = 2**level
    fine = nn.Conv2d(16, 32, 3, padding=1, groups=old_groups, bias=False)
    coarse = nn.Conv2d(16 // factor, 32 // factor, 3, padding=1, bias=False)
    coarse.weight = Source(level, "weights").matrix(fine.weight, old_groups, 16 // factor, 32 // factor, 1)
    x = torch.randn(2, 16 // factor, 5, 5)
    expected = fine(x.repeat_interleave(factor, 1)).unflatten(1, (-1, factor)).mean(2)
    torch.testing.assert_close(coarse(x), expected)


def test_fine_weights_are_the_diagonal_blocks() -> None:
    plain = timm.create_model("resnet18")
    net = mgic_nas.mgicify(plain, 16, 64, init="weights")
    fine, wide = net.layer2[1].cnn[-1], plain.layer2[1]
    assert fine.conv1.groups == 8
    for g in range(8):
        at = slice(16 * g, 16 * g + 16)
        assert torch.equal(fine.conv1.weight[at], wide.conv1.weight[at, at])
    coarse = net.layer2[1].coarsest
    torch.testing.assert_close(coarse.bn1.weight, wide.bn1.weight.unflatten(0, (-1, 2)).mean(1))
    depthwise = mgic_nas.mgicify(base := timm.create_model("convnext_atto"), 8, 20, init="weights").stages[0].blocks[0]
    kernels = base.stages[0].blocks[0].conv_dw.weight
    torch.testing.assert_close(depthwise.coarsest.conv_dw.weight, kernels.unflatten(0, (-1, 2)).mean(1))


@pytest.mark.parametrize(("name", "init"), [("test_resnet", "random"), ("test_convnext", "weights")])
def test_it_trains(name: str, init: str) -> None:
    """From either start, a converted network begins to learn eight images by heart."""
    net = converted(name, s_g=4, s_c=8, init=init, num_classes=4).train()
    x, y = images(32, batch=8), torch.arange(8) % 4
    optimizer = torch.optim.AdamW(net.parameters(), lr=4e-3)
    losses = []
    for _ in range(12):
        loss = nn.functional.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert min(losses[-3:]) < losses[0] / 2


def test_frozen_blocks_stay_frozen_and_tensors_keep_dtype_and_device() -> None:
    plain = timm.create_model("resnet18", dtype=torch.bfloat16)
    plain.layer1.requires_grad_(False)
    net = mgic_nas.mgicify(plain, 8, 16)
    assert not any(p.requires_grad for p in net.layer1.parameters())
    assert all(p.requires_grad for p in net.layer2.parameters())
    assert all(p.dtype == torch.bfloat16 for p in net.parameters())
    meta = converted("resnet18", device=META, dtype=torch.bfloat16)
    assert all(t.is_meta for t in (*meta.parameters(), *meta.buffers()))


# --- what a user sees ----------------------------------------------------------------------------------------


def test_the_report_says_what_was_replaced_and_what_was_left_and_why() -> None:
    net = converted("resnet50", s_g=16, s_c=64, device=META)
    report = net.mgic_report
    assert [r.name for r in report.replaced][:2] == ["layer2.1", "layer2.2"]
    assert report.replaced[0].channels == (512, 256)
    assert report.replaced[0].groups == (8, 1)
    reasons = {item.name: item.reason for item in report.left}
    assert reasons["layer1.0"] == "it changes the width, 64 to 256"
    assert "no wider than s_c" in reasons["layer1.1"]
    assert report.before == mgic_nas.profile("resnet50")
    assert report.after == mgic_nas.profile("mgicify:resnet50", s_g=16, s_c=64) == mgic_nas.profile(net)
    text = str(report)
    for words in ("10 of 16", "25,557,032", "MACs at 3x224x224", "512 > 256", "it changes the width, 64 to 256"):
        assert words in text
    assert max(map(len, text.splitlines())) < 140


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (("resnet19", 8, 16), "resnet18"),
        (("densenet121", 8, 16), "nothing to convert"),
        (("vgg11", 8, 16), "adds its input"),
        (("mgic_resnet20", 8, 16), "MGIC blocks already"),
        (("mgicified", 8, 16), "MGIC blocks already"),
        (("mambaout_femto", 8, 16), "channels-last"),
        (("resnet18", 0, 16), "s_g"),
        (("resnet18", 8, 2.5), "s_c"),
        (("resnet18", True, 8), "s_g"),
    ],
)
def test_what_cannot_be_converted_is_said_in_one_line(call: tuple, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        mgic_nas.mgicify(*call, **({"device": META} if timm.is_model(call[0]) else {}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [({"min_levels": -1}, "min_levels"), ({"min_groups": 3}, "min_groups"), ({"init": "x"}, "init")],
)
def test_wrong_choices_are_named(kwargs: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        mgic_nas.mgicify("resnet18", 8, 16, device=META, **kwargs)
    if words != "init":
        with pytest.raises(UserError, match=words):
            timm.create_model("mgicified", device=META, **kwargs)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(32, 32, 3, padding=1)
        self.norm = nn.GroupNorm(8, 32)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.norm(self.conv(x)).relu()


def test_networks_that_are_not_timms_work_too() -> None:
    shared = Residual()
    plain = nn.Sequential(nn.Conv2d(3, 32, 3), shared, shared)
    with pytest.raises(UserError, match="input_size"):
        mgic_nas.mgicify(plain, 8, 16)
    with pytest.raises(UserError, match="num_classes"):
        mgic_nas.mgicify(plain, 8, 16, num_classes=3)
    net = mgic_nas.mgicify(plain, 8, 16, input_size=(3, 10, 10))
    assert net[1] is net[2]
    assert isinstance(net[1], ConvertedBlock)
    assert isinstance(net[1].norm[0], nn.GroupNorm)
    assert net(torch.randn(2, 3, 10, 10)).shape == (2, 32, 8, 8)
    with pytest.raises(UserError, match="cannot be run on 4x10x10"):
        mgic_nas.mgicify(plain, 8, 16, input_size=(4, 10, 10))


class TwoConvs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(64, 64, 3, padding=1, bias=False) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.second(self.first(x).relu())


class Tied(nn.Module):
    """Three residual blocks, of which those named share a tensor or a layer."""

    def __init__(self, tie: Callable[[nn.Module], None]) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 64, 3, 2, 1)
        self.a, self.b, self.c = TwoConvs(), TwoConvs(), TwoConvs()
        tie(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.c(self.b(self.a(self.stem(x)))).mean((2, 3))


def tie_weights(net: Any) -> None:
    net.b.first.weight = net.a.first.weight


def tie_layer(net: Any) -> None:
    net.b.first = net.a.first


def tie_inside(net: Any) -> None:
    net.a.second.weight = net.a.first.weight


@pytest.mark.parametrize(("tie", "left"), [(tie_weights, "ab"), (tie_layer, "ab"), (tie_inside, "a")])
def test_blocks_that_share_weights_stay_tied(tie: Callable[[nn.Module], None], left: str) -> None:
    net: Any = mgic_nas.mgicify(Tied(tie), 16, 16, input_size=(3, 16, 16))
    assert [item.name for item in net.mgic_report.left] == list(left)
    assert all("it shares weights with" in item.reason for item in net.mgic_report.left)
    assert isinstance(net.c, ConvertedBlock)
    assert net.a.first.weight is (net.a.second if left == "a" else net.b.first).weight


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
def test_weights_that_are_computed_are_refused_in_one_line() -> None:
    def normed(net: Any) -> None:
        torch.nn.utils.weight_norm(net.b.first)

    with pytest.raises(UserError, match="remove_weight_norm") as caught:
        mgic_nas.mgicify(Tied(normed), 16, 16, input_size=(3, 16, 16))
    assert len(str(caught.value).splitlines()) == 1


def test_attention_and_inner_hooks_are_left_out() -> None:
    reasons = {item.reason for item in converted("mobilenetv4_hybrid_medium", device=META).mgic_report.left}
    assert "it holds attention" in reasons
    plain = timm.create_model("resnet18", device=META)
    plain.layer1[0].conv1.register_forward_hook(lambda *_: None)
    left = {item.name: item.reason for item in mgic_nas.mgicify(plain, 8, 16).mgic_report.left}
    assert "hook" in left["layer1.0"]


def test_hooks_on_a_block_follow_it() -> None:
    plain = timm.create_model("resnet18")
    seen = []
    plain.layer2[1].register_forward_hook(lambda module, args, out: seen.append((type(module).__name__, out.shape[1])))
    net = mgic_nas.mgicify(plain, 8, 16).eval()
    seen.clear()
    net(images())
    assert seen == [("ConvertedBlock", 128)]  # once, and not at every level


@pytest.mark.filterwarnings("ignore")
def test_script_export_pickle_copy_and_fuse() -> None:
    net, x = converted("resnet18", init="weights").eval(), images()
    y = net(x)
    torch.testing.assert_close(torch.jit.script(net)(x), y)
    torch.testing.assert_close(torch.fx.symbolic_trace(net)(x), y)
    torch.testing.assert_close(pickle.loads(pickle.dumps(net))(x), y)
    torch.testing.assert_close(copy.deepcopy(net)(x), y)
    torch.testing.assert_close(mgic_nas.fuse(net)(x), y, rtol=1e-4, atol=1e-4)
    batch = torch.export.Dim("batch", min=1, max=64)
    exported = torch.export.export(net, (x,), dynamic_shapes=({0: batch},)).module()
    torch.testing.assert_close(exported(images(batch=3)), net(images(batch=3)))


@pytest.mark.parametrize("name", ["resnet18", "repvgg_a0", pytest.param("fastvit_t8", marks=pytest.mark.slow)])
def test_timm_folds_every_norm_of_a_converted_block(name: str) -> None:
    """timm.utils.reparameterize_model: no norm is left in a block, RepVGG's branches are merged at every level."""
    net, x = converted(name, s_g=16, s_c=64, num_classes=7).eval(), images()
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d):
            nn.init.uniform_(m.weight, 0.5, 1.5)
            m.running_mean.normal_(std=0.2)
            m.running_var.uniform_(0.5, 1.5)
    with torch.no_grad():
        y, fused = net(x), timm.utils.reparameterize_model(net)
        torch.testing.assert_close(fused(x), y, rtol=1e-5, atol=1e-5 * y.abs().max().item())
        torch.testing.assert_close(net(x), y, rtol=0, atol=0)
    blocks = [m for m in fused.modules() if isinstance(m, ConvertedBlock)]
    assert len(blocks) == len(net.mgic_report.replaced)
    assert not any(isinstance(m, nn.BatchNorm2d) for block in blocks for m in block.modules())


def test_a_blueprint_answers_any_choice() -> None:
    """What the search relies on: one look at a network, then arithmetic."""
    blueprint = Blueprint(timm.create_model("resnet18", device=META))
    plan, left = blueprint.plan(8, 16)
    assert [v.channels for v in plan["layer3.1"]] == [256, 128, 64, 32, 16]
    assert [v.groups for v in plan["layer3.1"]] == [32, 16, 8, 4, 1]
    assert len(plan) + len(left) == 8
    small = Blueprint(timm.create_model("seresnet18", device=META), (3, 32, 32))  # its last maps are 1x1
    assert small.plan(8, 16)[0] == Blueprint(timm.create_model("seresnet18", device=META)).plan(8, 16)[0]
    assert all(b.gates for b in small.blocks if not b.reason)
    assert all(v.groups > 1 for levels in blueprint.plan(512, 16, min_groups=2)[0].values() for v in levels[:-1])

"""mgicify's ``also``: changes of width, convs without a residual, MLPs on tokens.

``test_sweep`` runs a few architectures by default; all of them with ``-m slow``.
"""

from typing import Any

import pytest
import timm
import torch
from fakes.converted import images
from timm.models import save_for_hf
from timm.models.convmixer import ConvMixer
from torch import nn

import mgic_nas
from mgic_nas.cost.count import count
from mgic_nas.errors import UserError
from mgic_nas.families import family, timm_call
from mgic_nas.models.convert.also import ALSO, check_also
from mgic_nas.models.convert.block import ConvertedBlock, ConvertedConv, ConvertedMLP, ConvertedTransition
from mgic_nas.models.convert.blueprint import Blueprint
from mgic_nas.models.convert.ways import wrapped
from mgic_nas.models.mgic import ChannelTransfer
from mgic_nas.space import FeasibleSet

META = torch.device("meta")
EVERYTHING = "transition+plain+mlp"


def layers(block: nn.Module) -> list[tuple]:
    """Every conv of a block: widths, kernel, stride, groups, and whether it is R or P."""
    return sorted(
        (m.in_channels, m.out_channels, m.kernel_size, m.stride, m.groups, isinstance(m, ChannelTransfer))
        for m in block.modules()
        if isinstance(m, nn.Conv2d)
    )


def unlike_the_start(net: nn.Module) -> nn.Module:
    """Norms as after training, so that no branch is zero."""
    torch.manual_seed(2)
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d):
            nn.init.uniform_(m.weight, 0.5, 1.5)
            m.running_mean.normal_(std=0.2)
            m.running_var.uniform_(0.5, 1.5)
    return net.eval()


# --- transitions ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("depth", "s_g", "s_c"),
    [("resnet18", 8, 16), ("resnet34", 64, 64), ("resnet50", 16, 64), ("resnet50", 64, 64), ("resnext50_32x4d", 8, 32)],
)
def test_a_converted_resnet_has_the_layers_of_the_papers_family(depth: str, s_g: int, s_c: int) -> None:
    """Sec. 3.3's grouped 3x3 and MGIC after it, where PAPER.md has it: timm's net becomes ours, count by count."""
    net = mgic_nas.mgicify(depth, s_g, s_c, min_levels=1, also="transition", device=META)
    paper = timm.create_model(f"mgic_{depth}", device=META, s_g=s_g, s_c=s_c)
    assert layers(net) == layers(paper)
    assert net.mgic_report.after == mgic_nas.profile(paper)


def test_a_transition_reaches_blocks_that_no_residual_reached() -> None:
    """With 10 classes: 23.5 M parameters, 10.9 M with blocks of equal width alone."""
    args = {"s_g": 16, "s_c": 64, "min_levels": 1, "num_classes": 10, "device": META}
    params = [mgic_nas.mgicify("resnet50", **args, also=also).mgic_report.after.params for also in ((), "transition")]
    assert params[1] < 4.5e6 < 10e6 < params[0]
    mobile = mgic_nas.mgicify("mobilenetv3_large_100", 16, 16, also="transition", device=META)
    names = {item.name for item in mobile.mgic_report.replaced}
    assert {"blocks.1.0", "blocks.2.0", "blocks.3.0", "blocks.4.0", "blocks.5.0"} <= names
    assert "blocks.6.0" not in names  # a lone conv
    first = mobile.blocks[3][0]
    assert isinstance(first, ConvertedTransition)
    assert (first.change.conv.groups, first.change.conv.stride, first.change.conv.kernel_size) == (40, (2, 2), (3, 3))
    assert isinstance(first.change.act, nn.Identity)  # MobileNet's blocks end without one
    assert first.block.cnn[-1].conv_dw.stride == (1, 1)


def test_a_change_begins_with_the_channels_that_it_copies() -> None:
    """init="weights": what the residual branch of resnet50's first block makes of an image is what it was."""
    plain = unlike_the_start(timm.create_model("resnet50", num_classes=3))
    # One group, N from 0, nothing of a change but its copies: the branch's layers are the original's.
    net = mgic_nas.mgicify(plain, 4096, 64, min_levels=1, init="weights", also="transition").eval()
    branches = []
    for block in (plain.layer1[0], net.layer1[0].block.cnn[-1]):  # a clone: the shortcut is added in place
        block.bn3.register_forward_hook(lambda *call: branches.append(call[2].clone()))
    with torch.no_grad():
        plain(images()), net(images())
    torch.testing.assert_close(branches[1], branches[0], rtol=1e-3, atol=1e-4)


# --- convs without a residual --------------------------------------------------------------------------------


def test_convs_of_vgg() -> None:
    """Every conv that keeps its width; the network's own norm and activation stay where they are."""
    plain = timm.create_model("vgg11_bn", device=META)
    net = mgic_nas.mgicify(plain, 16, 64, also="plain")
    report = net.mgic_report
    names = ["features.11", "features.18", "features.22", "features.25", "pre_logits.fc2"]
    assert [item.name for item in report.replaced] == names
    assert report.replaced[0].kind == "Conv2d + BatchNorm2d + ReLU"
    assert {item.reason for item in report.left} > {"it changes the width, 64 to 128"}
    conv = net.features[11]
    assert isinstance(conv, ConvertedConv)
    assert [type(m).__name__ for m in conv.cnn] == ["Sequential", "Conv2d"]
    assert [type(m).__name__ for m in (conv.coarsest, net.features[12])] == ["Sequential", "BatchNorm2d"]
    assert net.features[12].num_features == 256


def test_convs_of_vgg_that_change_width() -> None:
    """Behind a grouped 3x3 conv, as blocks that change width are: a quarter of what "plain" leaves of its MACs."""
    reports = {
        also: mgic_nas.mgicify("vgg16_bn", 16, 64, also=also, device=META).mgic_report
        for also in ("plain", "plain+transition")
    }
    macs = [reports["plain"].before.macs, *(report.after.macs for report in reports.values())]
    assert macs == [15_470_264_320, 6_542_491_648, 4_962_148_352]
    params = [reports["plain"].before.params, *(report.after.params for report in reports.values())]
    assert params == [138_365_992, 109_921_384, 108_723_752]
    changed = {item.name for item in reports["plain+transition"].replaced} - {i.name for i in reports["plain"].replaced}
    assert changed == {"features.7", "features.14", "features.24"}
    left = {item.name: item.reason for item in reports["plain+transition"].left}
    assert left["pre_logits.fc1"] == "it changes the width, 512 to 4096, and its padding changes the resolution"


def test_a_conv_that_changes_width_is_its_change_and_mgic_and_runs() -> None:
    """The network's own norm and activation stay where they are; it fuses, and everything in it is trained."""
    widths = [(3, 32), (32, 64), (64, 128)]
    plain = nn.Sequential(*(m for a, b in widths for m in (nn.Conv2d(a, b, 3, 2, 1), nn.BatchNorm2d(b), nn.ReLU())))
    net = mgic_nas.mgicify(plain, 8, 16, also="plain+transition", input_size=(3, 32, 32))
    first = net[6]
    assert isinstance(first, ConvertedTransition)
    assert isinstance(first.block, ConvertedConv)
    change = first.change.conv
    assert (change.in_channels, change.out_channels, change.groups, change.kernel_size) == (64, 128, 64, (3, 3))
    assert change.stride == (2, 2)
    assert type(first.change.act) is nn.ReLU
    assert (first.in_channels, first.out_channels, first.kernel_size, first.stride) == (64, 128, (3, 3), (2, 2))
    assert [type(m) for m in net[7:]] == [nn.BatchNorm2d, nn.ReLU]
    net, x = unlike_the_start(net), images(32)
    with torch.no_grad():
        torch.testing.assert_close(mgic_nas.fuse(net)(x), net(x), rtol=1e-3, atol=1e-4)
    net.train()(x).sum().backward()
    assert not [n for n, p in net.named_parameters() if p.grad is None]


def test_a_change_that_would_be_larger_is_left() -> None:
    """A stem's three channels give no groups: the change alone would be as large as the conv."""
    net = nn.Sequential(
        nn.Conv2d(3, 64, 3, 2, 1), nn.ReLU(), nn.Conv2d(64, 96, 3, 2, 1), nn.Conv2d(96, 96, 3, padding=1)
    )
    net = mgic_nas.mgicify(net, 8, 16, also="plain+transition", input_size=(3, 32, 32))
    report = net.mgic_report
    assert [item.name for item in report.replaced] == ["2", "3"]
    assert "stride 2" in report.replaced[0].kind
    assert [item.reason for item in report.left] == [
        "it changes the width, 3 to 64, and MGIC behind a 3x3 conv would have more weights"
    ]
    assert net(images(32)).shape == (2, 96, 8, 8)


def test_a_conv_that_changes_width_begins_as_what_it_was() -> None:
    """init="weights": the change copies channels, and the conv makes of the copies what it made of the channels."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(32, 64, 3, padding=1), nn.Conv2d(64, 64, 3, padding=1)).eval()
    x = torch.rand(2, 32, 16, 16)
    copies = x.repeat_interleave(2, 1)
    facts = Blueprint(net, (32, 16, 16)).found(("transition", "plain"))[0]
    with torch.no_grad():
        torch.testing.assert_close(wrapped(net, facts, "weights")(copies), net[0](x), rtol=1e-4, atol=1e-5)
        new = mgic_nas.mgicify(net, 8, 16, init="weights", also="plain+transition", input_size=(32, 16, 16))
        torch.testing.assert_close(new[0].change.eval()(x), copies, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("also", ["plain", "mlp"])
@pytest.mark.parametrize("name", ["vgg11_bn", "test_vit", "mixer_s32_224", "convmixer"])
def test_with_one_group_and_no_correction_it_is_the_original(name: str, also: str) -> None:
    """Whatever stands on the coarse levels: at the finest one, in its place, is the layer that was converted."""
    torch.manual_seed(0)
    args: dict[str, Any] = {"input_size": (3, 32, 32)} if name == "convmixer" else {}
    plain = ConvMixer(64, 2, patch_size=4, num_classes=3) if args else timm.create_model(name, num_classes=3)
    if (name in ("vgg11_bn", "convmixer")) != (also == "plain"):
        with pytest.raises(UserError, match="nothing to convert"):
            mgic_nas.mgicify(plain, 4096, 32, init="weights", also=also, **args)
        return
    unlike_the_start(plain)
    net = mgic_nas.mgicify(plain, 8192, 32, init="weights", also=also, **args).eval()
    assert any(isinstance(m, ConvertedBlock) for m in net.modules())
    x = images(32 if args else plain.pretrained_cfg["input_size"][1])
    with torch.no_grad():
        torch.testing.assert_close(net(x), plain(x), rtol=1e-3, atol=1e-4)


# --- MLPs ----------------------------------------------------------------------------------------------------


def test_mlps_on_tokens_and_those_that_mix_tokens() -> None:
    net = mgic_nas.mgicify("mixer_s32_224", 16, 64, also="mlp", device=META)
    replaced, left = ({i.name.split(".")[-1] for i in v} for v in (net.mgic_report.replaced, net.mgic_report.left))
    assert (replaced, left) == ({"mlp_channels"}, {"mlp_tokens"})
    assert {item.reason for item in net.mgic_report.left} == {"it mixes tokens, not channels"}
    mlp = net.blocks[0].mlp_channels
    assert isinstance(mlp, ConvertedMLP)
    assert [type(n).__name__ for n in mlp.block.norm] == ["LayerNorm2d"] * 3
    assert [m.inner.fc1.weight.shape[1] for m in mlp.block.cnn] == [16, 16, 16]
    assert type(mlp.block.coarsest.inner.fc1) is nn.Linear


def test_a_gated_mlp_that_mixes_tokens_is_said() -> None:
    with pytest.raises(UserError, match="does not work on each token's channels"):
        mgic_nas.mgicify("gmlp_ti16_224", 16, 64, also="mlp", device=META)


def test_tokens_and_maps_are_one_algorithm() -> None:
    """An MLP on (B, N, C) gives what it gives on (B, H, W, C), each position by itself."""
    tokens = mgic_nas.mgicify("test_vit", 8, 16, also="mlp").blocks[0].mlp.eval()
    maps = ConvertedMLP(tokens.block, tokens=False)
    x = torch.randn(2, 6, 64)
    with torch.no_grad():
        torch.testing.assert_close(maps(x.view(2, 3, 2, 64)).view(2, 6, 64), tokens(x))
        torch.testing.assert_close(tokens(x[:, 2:3]), tokens(x)[:, 2:3])


# --- what a user sees ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("also", ["transitions", ["plain", "x"], 3, "plain,mlp", [3], {"mlp": 1}])
def test_wrong_values_are_named_in_one_line(also: Any) -> None:
    calls = (
        lambda: mgic_nas.mgicify("resnet18", 8, 16, also=also),
        lambda: timm.create_model("mgicified", base="resnet18", also=also, device=META),
        lambda: mgic_nas.profile("mgicify:resnet18", also=also),
    )
    for call in calls:
        with pytest.raises(UserError, match="also must be some of transition, plain, mlp") as caught:
            call()
        assert "\n" not in str(caught.value)


def test_values_that_mean_the_same() -> None:
    assert check_also("") == check_also(()) == ()
    assert check_also("mlp+transition") == check_also(["mlp", "transition"]) == ("transition", "mlp")
    assert check_also(EVERYTHING) == ALSO
    fam = family("mgicify:resnet18")
    ids = [fam.arch_id({"s_g": 8, "s_c": 16, "also": also}) for also in ("", [], "mlp", "transition", ["transition"])]
    assert ids[:3] == ["622c6f78f2c8"] * 3  # recorded runs name architectures by it; a ResNet has no MLP
    assert ids[3] == ids[4] != ids[0]


def test_the_report_says_what_and_why() -> None:
    text = str(mgic_nas.mgicify("skresnet18", 16, 32, also=EVERYTHING, device=META).mgic_report)
    assert "also=transition+plain+mlp" in text
    change = str(mgic_nas.mgicify("resnet18", 16, 32, also="transition", device=META).mgic_report)
    assert "BasicBlock behind a 3x3 conv, 64 to 128, stride 2: 128 > 64 > 32 channels" in change
    assert "it changes the width, 64 to 128, and no rule for layers that read parts of its input" in text
    assert "Conv2d: it changes the width, 3 to 64" in text.replace("Conv2d + BatchNorm2d + ReLU", "Conv2d")


def test_a_space_searches_it(tmp_path: Any) -> None:
    choices = ["", "transition", EVERYTHING]
    raw = {"model": "mgicify:resnet18", "kwargs": {"s_c": 16}, "params": {"also": {"choices": choices}}}
    space = mgic_nas.SearchSpace.from_dict(raw)
    assert len(FeasibleSet(space, (3, 32, 32), 10).candidates) == 2  # a ResNet has no other convs but its stem
    fixed = {**raw, "kwargs": {"s_c": 16, "also": ["transition"]}, "params": {"s_g": {"choices": [4, 8]}}}
    assert len(FeasibleSet(mgic_nas.SearchSpace.from_dict(fixed), (3, 32, 32), 10).candidates) == 2
    fam = family("mgicify:resnet18")
    config = {"s_g": 8, "s_c": 16, "also": "transition"}
    cost = fam.cost(config, (3, 32, 32), 10)
    name, arguments = timm_call(fam.name, config)
    net = timm.create_model(name, num_classes=10, device=META, **arguments)
    assert count(net, (3, 32, 32)) == cost


@pytest.mark.parametrize("name", ["resnet18", "test_vit"])
def test_a_saved_network_comes_back(name: str, tmp_path: Any) -> None:
    torch.manual_seed(0)
    net = unlike_the_start(mgic_nas.mgicify(name, 8, 16, also=EVERYTHING, num_classes=4))
    save_for_hf(net, tmp_path)
    x = images(net.pretrained_cfg["input_size"][1] if name == "test_vit" else 64)
    again = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    torch.testing.assert_close(again(x), net(x), rtol=0, atol=0)
    if name == "resnet18":
        args = {"base": name, "s_g": 8, "s_c": 16, "also": EVERYTHING, "features_only": True}
        plain = timm.create_model(name, features_only=True)
        for cls in (None, "hook", "fx"):
            features = timm.create_model("mgicified", **args, **({"feature_cls": cls} if cls else {}))
            assert [f.shape for f in features(x)] == [f.shape for f in plain(x)]


def test_hooks_follow_what_they_were_on() -> None:
    plain = timm.create_model("vgg11")
    seen = []
    plain.features[8].register_forward_hook(
        lambda module, args, out: seen.append((type(module).__name__, out.shape[1]))
    )
    net = mgic_nas.mgicify(plain, 8, 16, also="plain").eval()
    seen.clear()
    net(images())
    assert seen == [("ConvertedConv", 256)]


def test_frozen_stays_frozen() -> None:
    plain = timm.create_model("resnet18")
    plain.layer2.requires_grad_(False)
    net = mgic_nas.mgicify(plain, 8, 16, also="transition")
    assert isinstance(net.layer2[0], ConvertedTransition)
    assert not any(p.requires_grad for p in net.layer2.parameters())
    assert all(p.requires_grad for p in net.layer3.parameters())


@pytest.mark.parametrize("name", ["resnet18", "convmixer"])
def test_no_norm_is_left_for_inference(name: str) -> None:
    """The change's norm, N and the levels' norms are folded; ConvMixer's follow their activations and stay."""
    if name == "resnet18":
        net = mgic_nas.mgicify(name, 16, 32, also="transition", num_classes=3)
    else:
        net = mgic_nas.mgicify(ConvMixer(64, 1, patch_size=4), 16, 32, also="plain", input_size=(3, 32, 32))
    fused = mgic_nas.fuse(unlike_the_start(net))
    left = [n for n, m in fused.named_modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(left) == (0 if name == "resnet18" else 4)  # after the stem, the depthwise conv and a conv at each level


# --- architectures -------------------------------------------------------------------------------------------

FAST = ["resnet18", "test_vit"]
OTHERS = {
    "resnets": "resnet50 resnet26d resnetv2_50 resnetv2_50x1_bit resnext26ts regnety_004 res2net50_26w_4s resnest26d "
    "tresnet_m legacy_seresnet18 nf_resnet26",
    "mobile": "efficientnet_b0 efficientnetv2_rw_t mobilenetv3_large_100 ghostnet_100 mixnet_s repghostnet_050 "
    "mobilenetv2_050 convmixer_768_32",
    "convs": "repvgg_a0 xception41 dla34 darknet53 cs3darknet_s ese_vovnet39b hgnetv2_b0 densenet121 "
    "hrnet_w18_small vgg11 vgg11_bn convnext_atto poolformer_s12",
    "tokens": "efficientformer_l1 mobilevit_xxs coatnet_nano_rw_224 swin_tiny_patch4_window7_224 "
    "vit_tiny_patch16_224 eva02_tiny_patch14_224 mixer_s32_224 resmlp_12_224 visformer_tiny",
}
SLOW = [name for names in OTHERS.values() for name in names.split()]


@pytest.mark.usefixtures("forget_traces")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [*FAST, *(pytest.param(n, marks=pytest.mark.slow) for n in SLOW)])
def test_sweep(name: str) -> None:
    """Everything at once: it trains, is cheaper, fuses, exports, is scripted as the original, costs what it says."""
    torch.manual_seed(0)
    net = mgic_nas.mgicify(name, 16, 32, also=EVERYTHING, num_classes=7)
    report = net.mgic_report
    assert report.replaced
    assert report.after.params < report.before.params
    assert report.after == family(f"mgicify:{name}").cost(
        {"s_g": 16, "s_c": 32, "also": EVERYTHING}, report.input_size, 7
    )
    fixed = net.pretrained_cfg.get("fixed_input_size")
    x = images(report.input_size[1] if fixed or name == "test_vit" else 64)
    net.train()(x).square().mean().backward()
    assert not [n for n, p in net.named_parameters() if p.grad is None]
    assert all(torch.isfinite(p.grad).all() for p in net.parameters())
    net.zero_grad()
    with torch.no_grad():
        net, x = unlike_the_start(net).double(), x.double()  # such norms magnify what float32 rounds
        y = net(x)
        close = {"rtol": 1e-3, "atol": 1e-4 * y.abs().max().item()}
        torch.testing.assert_close(mgic_nas.fuse(net)(x), y, **close)
        torch.testing.assert_close(torch.jit.trace(net, x, check_trace=False)(x), y, **close)
        try:
            torch.jit.script(timm.create_model(name, num_classes=7))
        except Exception:  # an original that cannot be scripted
            return
        torch.testing.assert_close(torch.jit.script(net)(x), y, **close)


def test_the_report_says_that_changes_of_width_begin_anew() -> None:
    """With ``init="weights"`` alone a network still works; with transitions it answers by chance."""
    texts = [
        str(mgic_nas.mgicify(timm.create_model("resnet10t"), 64, 64, init=init, also=also).mgic_report)
        for init, also in (("weights", ("transition",)), ("weights", ()), ("random", ("transition",)))
    ]
    assert ["begin anew" in text for text in texts] == [True, False, False]
    assert ["recalibrate" in text for text in texts] == [True, True, False]


class OwnWeight(nn.Module):
    """A residual block that no rule can halve."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(64, 64, 3, 3))
        self.conv = nn.Conv2d(64, 64, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv(nn.functional.conv2d(x, self.weight, padding=1))


@pytest.mark.parametrize("also", ["", "transition", "plain", "transition+plain", EVERYTHING])
def test_a_network_of_which_nothing_can_be_converted_is_refused(also: str) -> None:
    """Its stem, which reads 3 channels, never is smaller in MGIC form; that is no matter of s_g and s_c."""
    net = nn.Sequential(nn.Conv2d(3, 64, 3, 2, 1), nn.Sequential(OwnWeight()))
    with pytest.raises(UserError, match=r"nothing to convert.*no rule for its parameter weight"):
        mgic_nas.mgicify(net, 6, 10, also=also, input_size=(3, 16, 16))

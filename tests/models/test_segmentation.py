"""Table 9's networks: their counts, and that they are ordinary torch modules to whoever trains or deploys them."""

import copy
import pickle
import warnings

import pytest
import timm
import torch
from torch import nn

from mgic_nas.cost.count import count
from mgic_nas.errors import UserError
from mgic_nas.families import family
from mgic_nas.models.blocks import BLOCKS
from mgic_nas.models.segmentation import MGICLRASPP, NETWORKS, mgic_lraspp_mobilenetv3_large

CITYSCAPES = (3, 1024, 2048)
TINY = {"depths": 1, "width_mult": 0.5, "s_g": 8, "s_c": 8, "filters": 16, "num_classes": 5}
each = pytest.mark.parametrize("name", sorted(NETWORKS))


def tiny(name: str = "mgic_lraspp_mobilenetv3_large", **kwargs) -> MGICLRASPP:
    torch.manual_seed(0)
    return NETWORKS[name](**{**TINY, **kwargs})


def images(*size: int) -> torch.Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("name", "kwargs", "params", "macs", "transfers", "stated"),
    [
        ("mgic_lraspp_mobilenetv3_large", {"s_g": 64}, 1_632_410, 8_133_600_128, 286_261_248, ("1.63", "8.13")),
        ("mgic_lraspp_mobilenetv3_large", {"s_g": 32}, 1_452_826, 6_662_448_000, 143_130_624, ("1.45", "6.66")),
        ("mgic_lraspp_mobilenetv3_small", {"s_g": 64}, 495_494, 2_537_669_632, 0, ("0.50", "2.54")),
    ],
)
def test_counts_of_table_9(
    name: str, kwargs: dict, params: int, macs: int, transfers: int, stated: tuple[str, str]
) -> None:
    """``stated`` is what the reading of the paper must give: met to its last digit."""
    net = NETWORKS[name](device="meta", **kwargs)
    cost = count(net, CITYSCAPES)
    assert (cost.params, cost.macs, cost.macs - cost.macs_without_transfers) == (params, macs, transfers)
    assert (f"{params / 1e6:.2f}", f"{macs / 1e9:.2f}") == stated


@each
def test_layout_is_torchvisions(name: str) -> None:
    """Same resolutions and tap widths as torchvision's trunk, so that recipes for that one carry over."""
    net = NETWORKS[name]()
    large = name.endswith("large")
    low, high = net.eval().forward_features(images(1, 3, 64, 96))
    assert low.shape == (1, 40 if large else 24, 8, 12)
    assert high.shape == (1, 480 if large else 288, 4, 6)
    dilated = [m for m in net.modules() if isinstance(m, nn.Conv2d) and m.dilation == (2, 2)]
    levels = 2 if large else 1  # 80 channels are halved once at s_c = 64, 48 never
    assert len(dilated) == 3 * levels
    assert all(m.groups == m.in_channels for m in dilated)


def test_dilated_trunk_sees_what_the_strided_one_saw() -> None:
    """Weights of a strided trunk can be used: without squeeze-and-excitation, whose mean is over other pixels, the
    dilated stage gives at every second pixel what the strided one gives."""
    args = {"block": "basic", "depths": 1, "s_g": 8, "s_c": 8, "num_classes": 0}
    torch.manual_seed(0)
    dilated = timm.create_model("mgic_mobilenetv3_large_100", dilated_tail=True, **args).double().eval()
    strided = copy.deepcopy(dilated)
    last = strided.stages[-2]
    for module in last.modules():
        if isinstance(module, nn.Conv2d) and module.dilation == (2, 2):
            module.dilation = module.padding = (1, 1)
    last[0].conv.stride = (2, 2)
    x = images(1, 3, 128, 128).double()
    torch.testing.assert_close(dilated.forward_features(x)[..., ::2, ::2], strided.forward_features(x))


@pytest.mark.parametrize("block", sorted(BLOCKS))
def test_every_wrapped_block_dilates(block: str) -> None:
    net = timm.create_model("mgic_mobilenetv3_large_100", block=block, dilated_tail=True, device="meta")
    assert any(isinstance(m, nn.Conv2d) and m.dilation == (2, 2) for m in net.modules())
    cost = family("mgic_mobilenetv3_large_100").cost({"block": block, "dilated_tail": True}, (3, 64, 64), 1000)
    assert cost == count(net, (3, 64, 64))


def test_trunk_is_a_timm_model() -> None:
    net = timm.create_model("mgic_mobilenetv3_large_100", dilated_tail=True, features_only=True, depths=1)
    assert net.feature_info.reduction() == [2, 4, 8, 16]
    assert [m.shape[-1] for m in net(images(1, 3, 64, 64))] == [32, 16, 8, 4]


def test_ids_of_other_networks_did_not_change() -> None:
    """Runs recorded before there was dilation still find their architectures."""
    assert family("mgic_resnet20").arch_id({}) == "981011d94417"
    assert family("mgic_mobilenetv3_small_100").arch_id({"s_g": 8}) == "c4fdb021cb87"
    trunk = family("mgic_mobilenetv3_small_100")
    assert trunk.arch_id({"dilated_tail": True}) != trunk.arch_id({})


@each
@pytest.mark.parametrize("size", [(64, 64), (57, 91), (33, 32)])
def test_output_has_the_size_of_the_input(name: str, size: tuple[int, int]) -> None:
    net = tiny(name).eval()
    assert net(images(2, 3, *size)).shape == (2, 5, *size)


@each
def test_trains(name: str) -> None:
    net = tiny(name, drop_path_rate=0.1).train()
    net(images(2, 3, 64, 64)).square().mean().backward()
    assert [n for n, p in net.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()] == []


@each
def test_device_and_dtype_reach_every_tensor(name: str) -> None:
    net = tiny(name, device="meta", dtype=torch.bfloat16)
    assert all(t.is_meta for t in (*net.parameters(), *net.buffers()))
    assert all(p.dtype == torch.bfloat16 for p in net.parameters())
    assert tiny(name).bfloat16().eval()(images(1, 3, 32, 32).bfloat16()).dtype == torch.bfloat16


def test_gradient_checkpointing_changes_nothing_but_memory() -> None:
    x, grads = images(2, 3, 64, 64), []
    for enable in (False, True):
        net = tiny().train()
        net.set_grad_checkpointing(enable)
        net(x).sum().backward()
        grads.append([p.grad for p in net.parameters()])
    for a, b in zip(*grads):
        torch.testing.assert_close(a, b)


@each
def test_script_trace_and_export(name: str) -> None:
    net, x = tiny(name).eval(), images(2, 3, 64, 96)
    y = net(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = torch.jit.script(net)
        torch.testing.assert_close(scripted(x), y)
        torch.testing.assert_close(scripted(images(1, 3, 41, 70)), net(images(1, 3, 41, 70)))
        torch.testing.assert_close(torch.fx.symbolic_trace(net)(x), y)
        exported = torch.export.export(net, (x,), dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=64)},))
    torch.testing.assert_close(exported.module()(x[:1]), net(x[:1]))
    torch.testing.assert_close(pickle.loads(pickle.dumps(net))(x), y)


def test_inference_form_gives_the_same() -> None:
    import mgic_nas

    net, x = tiny().eval(), images(1, 3, 64, 64)
    fused = mgic_nas.fuse(net)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in fused.modules())
    torch.testing.assert_close(fused(x), net(x), rtol=1e-4, atol=1e-5)


def test_other_classes_and_a_trained_trunk() -> None:
    net = tiny()
    net.reset_classifier(3)
    assert net.eval()(images(1, 3, 32, 32)).shape == (1, 3, 32, 32)
    args = {k: v for k, v in TINY.items() if k not in ("filters", "num_classes")}
    classifier = timm.create_model("mgic_mobilenetv3_large_100", dilated_tail=True, num_classes=7, **args)
    found = net.trunk.load_state_dict(classifier.state_dict(), strict=False)
    assert not found.missing_keys
    assert {key.partition(".")[0] for key in found.unexpected_keys} == {"head", "classifier"}


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(TypeError, match="nonsense"):
        mgic_lraspp_mobilenetv3_large(nonsense=1)
    with pytest.raises(UserError, match="num_classes"):
        mgic_lraspp_mobilenetv3_large(num_classes=0)

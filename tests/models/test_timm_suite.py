"""What timm's own test-suite (its tests/test_models.py) asks of a network, asked of every registered name.

Networks are short and narrow, images small. What takes seconds a network, such as scripting it, is run on one name of
each kind; the others, which differ in depths and widths, are slow tests.
"""

import math
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from fakes.names import NAMES, narrow, one_of_each_kind
from safetensors.torch import save_file
from timm.models import FeatureInfo
from timm.models._features_fx import get_notrace_functions, get_notrace_modules
from timm.utils.model import freeze_batch_norm_2d
from torch import nn
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

CONVERTED = "mgicified"
each = pytest.mark.parametrize("name", [*NAMES, CONVERTED])
each_kind = pytest.mark.parametrize("name", [*one_of_each_kind(), CONVERTED])
TRACER = {"leaf_modules": get_notrace_modules(), "autowrap_functions": get_notrace_functions()}


def arguments(name: str) -> dict[str, Any]:
    return {"base": "test_resnet", "s_g": 4, "s_c": 8} if name == CONVERTED else narrow(name)


def small(name: str, **kwargs: Any) -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model(name, **{**arguments(name), **kwargs})


def images(batch: int = 1, side: int = 32, chans: int = 3) -> torch.Tensor:
    return torch.randn(batch, chans, side, side, generator=torch.Generator().manual_seed(1))


def assert_maps_fit(maps: list[torch.Tensor], info: FeatureInfo, x: torch.Tensor) -> None:
    assert len(maps) == len(info.channels()) >= 3
    for features, channels, reduction in zip(maps, info.channels(), info.reduction()):
        assert features.shape[:2] == (len(x), channels)
        assert max(features.shape[2:]) <= math.ceil(x.shape[-1] / reduction) + 1
        assert not features.isnan().any()


@each
def test_checkpointing_does_not_change_the_output(name: str) -> None:
    net, x = small(name).eval(), images()
    y = net(x)
    assert not y.isnan().any()
    net.set_grad_checkpointing()
    torch.testing.assert_close(net(x), y, rtol=1e-4, atol=1e-5)


@each
def test_backward_reaches_every_parameter(name: str) -> None:
    net = small(name, num_classes=42).train()
    y = net(images(2))
    assert y.shape == (2, 42)
    y.mean().backward()
    assert [key for key, p in net.named_parameters() if p.grad is None] == []


@each
def test_default_cfg(name: str) -> None:
    """At the input size of its cfg: sizes before and after the head, and without it by either way."""
    net = small(name, device="meta").eval()
    cfg, keys = net.default_cfg, net.state_dict().keys()
    x = torch.empty(1, *cfg["input_size"], device="meta")
    features = net.forward_features(x)
    assert features.shape[1:] == (net.num_features, *cfg["pool_size"])
    pooled = net.forward_head(features, pre_logits=True)
    assert pooled.shape == (1, net.head_hidden_size)
    net.reset_classifier(0)
    assert net.num_classes == 0
    assert net(x).shape == pooled.shape
    net.reset_classifier(0, "")
    for headless in (net, small(name, device="meta", num_classes=0, global_pool="").eval()):
        assert headless(x).shape[2:] == cfg["pool_size"]
    assert {f"{cfg['classifier']}.weight", f"{cfg['first_conv']}.weight"} <= keys


@each
def test_pretrained_weights_adapt(name: str, tmp_path: Path) -> None:
    """To gray images, to other classes and none, and to feature extraction."""
    net = small(name)
    save_file(net.state_dict(), tmp_path / "weights.safetensors")
    given = {"pretrained": True, "pretrained_cfg_overlay": {"file": str(tmp_path / "weights.safetensors")}}
    for classes, width in ((5, 5), (0, net.head_hidden_size)):
        gray = small(name, **given, in_chans=1, num_classes=classes).eval()
        assert gray(images(chans=1)).shape == (1, width)
    first = net.default_cfg["first_conv"] + ".weight"
    torch.testing.assert_close(gray.state_dict()[first], net.state_dict()[first].sum(1, keepdim=True))
    maps = small(name, **given, features_only=True).eval()(images())
    expected = net.eval().forward_intermediates(images(), intermediates_only=True)
    torch.testing.assert_close(maps[-1], expected[-1])


@each
@pytest.mark.parametrize("asked", [{}, {"feature_cls": "getter"}], ids=["", "getter"])
def test_feature_extraction(name: str, asked: dict[str, str]) -> None:
    """Also where the size is odd, and of levels that are counted from the last one."""
    x = images(side=75)
    net = small(name, features_only=True, **asked).eval()
    maps = net(x)
    assert_maps_fit(maps, net.feature_info, x)
    last = small(name, features_only=True, out_indices=(-2, -1), **asked).eval()
    assert last.feature_info.channels() == net.feature_info.channels()[-2:]
    for a, b in zip(last(x), maps[-2:], strict=True):
        torch.testing.assert_close(a, b)


@each
def test_intermediates(name: str) -> None:
    net, x = small(name).eval(), images(side=75)
    final, maps = net.forward_intermediates(x, output_fmt="NCHW")
    assert_maps_fit(maps, FeatureInfo(net.feature_info, len(net.feature_info)), x)
    torch.testing.assert_close(final, net.forward_features(x))
    for indices, expected in ((2, maps[-2:]), ([-1], maps[-1:]), ([0, -1], [maps[0], maps[-1]])):
        _, found = net.forward_intermediates(x, indices=indices)
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a, b)
    net.set_grad_checkpointing()
    torch.testing.assert_close(net.forward_intermediates(x)[0], final, rtol=1e-4, atol=1e-5)


def traced(net: nn.Module) -> nn.Module:
    """The network's graph, of which the last node is returned."""
    train, evaluation = get_graph_node_names(net, tracer_kwargs=TRACER)
    return create_feature_extractor(
        net, train_return_nodes=train[-1:], eval_return_nodes=evaluation[-1:], tracer_kwargs=TRACER
    )


@each
def test_fx_graph_gives_the_same_and_trains(name: str) -> None:
    net, x = small(name, num_classes=42).eval(), images(2)
    graph = traced(net)
    with torch.inference_mode():
        (y,) = graph(x).values()
        assert torch.equal(y, net(x))
    (y,) = graph.train()(x).values()
    y.mean().backward()
    assert [key for key, p in graph.named_parameters() if p.grad is None] == []


@each_kind
@pytest.mark.filterwarnings("ignore")
def test_traced_graphs_can_be_scripted(name: str) -> None:
    """Of the whole network, and of timm's feature extractor; built in inference mode, as some clients do."""
    x = images()
    with timm.layers.set_scriptable(True), torch.inference_mode(), torch.jit.optimized_execution(False):
        net = small(name).eval()
        (y,) = torch.jit.script(traced(net))(x).values()
        torch.testing.assert_close(y, net(x))
        maps = torch.jit.script(small(name, features_only=True, feature_cls="fx").eval())(x)
        expected = net.forward_intermediates(x, intermediates_only=True)
    assert isinstance(maps, list)
    for a, b in zip(maps, expected, strict=True):
        torch.testing.assert_close(a, b)


@each
def test_feature_extractors_are_asked_for_in_two_ways(name: str) -> None:
    maps, same = (
        small(name, features_only=True, **asked).eval()(images())
        for asked in ({"feature_cls": "fx"}, {"feature_cfg": {"feature_cls": "fx"}})
    )
    for a, b in zip(maps, same, strict=True):
        assert torch.equal(a, b)


@each
def test_reset_classifier_keeps_device_dtype_and_mode(name: str) -> None:
    for options in ({"device": "meta"}, {"dtype": torch.bfloat16}):
        net = small(name, **options).eval()
        net.reset_classifier(3, "max")
        weight, first = net.get_classifier().weight, next(net.parameters())
        assert (weight.device, weight.dtype) == (first.device, first.dtype)
        assert not any(module.training for module in net.modules())
        assert net(images().to(weight)).shape == (1, 3)


@each
def test_a_pooling_that_the_head_cannot_take(name: str) -> None:
    """Twice as wide: it is refused as timm's own heads do, or the classifier widens."""
    net, x = small(name).eval(), images()
    y = net(x)
    if "mobilenet" not in name:
        net.reset_classifier(3, "catavgmax")
        assert net.head_hidden_size == 2 * net.num_features
        assert net(x).shape == (1, 3)
        return
    with pytest.raises(AssertionError, match="catavgmax"):
        net.reset_classifier(3, "catavgmax")
    assert torch.equal(net(x), y), "refused, but changed"
    assert small(name, num_classes=3, global_pool="catavgmax").eval()(x).shape == (1, 3)


@each
def test_weights_fill_a_network_on_the_meta_device(name: str) -> None:
    """Every tensor is in the state_dict: none is a buffer that is left out, or a plain attribute."""
    net = small(name).eval()
    empty = small(name, device="meta").eval()
    empty.load_state_dict(net.state_dict(), assign=True)
    assert torch.equal(empty(images()), net(images()))
    classifier = net.default_cfg["classifier"]
    without = {k: v for k, v in net.state_dict().items() if not k.startswith(classifier)}
    missing, unexpected = small(name).load_state_dict(without, strict=False)
    assert not unexpected
    assert set(missing) == net.state_dict().keys() - without.keys()


@each
def test_half_precision_features_and_frozen_norms(name: str) -> None:
    net, x = small(name, dtype=torch.bfloat16).eval(), images()
    assert net.forward_features(x.bfloat16()).dtype == torch.bfloat16
    net = small(name).eval()
    y = net(x)
    torch.testing.assert_close(freeze_batch_norm_2d(net)(x), y)

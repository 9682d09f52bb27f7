"""Every registered name is a first-class timm model: one parametrised test for each convention.

Long nets are shortened with ``depths=1`` where the convention does not depend on depth; counts of the full nets are
in test_counts.py.
"""

import copy
import pickle

import pytest
import timm
import torch
from fakes.names import NAMES, SHORT, narrow, one_of_each_kind
from timm.models import get_pretrained_cfg
from torch import nn

import mgic_nas


def small(name: str, **kwargs) -> nn.Module:
    """A short, deterministic network of the family."""
    torch.manual_seed(0)
    return timm.create_model(name, **{**SHORT, "num_classes": 7, **kwargs})


def images(name: str, batch: int = 2, **kwargs) -> torch.Tensor:
    side = 32 if get_pretrained_cfg(name).input_size[-1] == 32 else 64
    torch.manual_seed(1)
    return torch.randn(batch, kwargs.pop("in_chans", 3), side, kwargs.pop("width", side), **kwargs)


each = pytest.mark.parametrize("name", NAMES)


def test_listed_by_timm() -> None:
    assert set(timm.list_models("mgic_*")) == set(NAMES)
    for name in NAMES:
        cfg = get_pretrained_cfg(name)
        wanted = ("num_classes", "input_size", "pool_size", "first_conv", "classifier", "mean", "std", "crop_pct")
        assert all(getattr(cfg, key) for key in (*wanted, "interpolation", "license"))


@each
def test_cfg_describes_the_network(name: str) -> None:
    net = timm.create_model(name, device="meta")
    cfg = net.pretrained_cfg
    features = net.forward_features(torch.empty(1, *cfg["input_size"], device="meta"))
    assert features.shape[1:] == (net.num_features, *cfg["pool_size"])
    modules = dict(net.named_modules())
    assert modules[cfg["first_conv"]].in_channels == 3
    assert modules[cfg["classifier"]] is net.get_classifier()
    assert net.num_classes == cfg["num_classes"]


@each
def test_constructor_arguments_take_effect_and_unknown_ones_raise(name: str) -> None:
    x = images(name, in_chans=1)
    net = small(name, in_chans=1, global_pool="max", drop_rate=0.5, drop_path_rate=0.5, act_layer="gelu", depths=2)
    assert net(x).shape == (2, 7)
    assert any(isinstance(m, nn.GELU) or "GELU" in type(m).__name__ for m in net.modules())
    assert any("DropPath" in type(m).__name__ for m in net.modules())
    assert net.global_pool.pool_type == "max"
    assert any(isinstance(m, nn.GroupNorm) for m in small(name, norm_layer="groupnorm1").modules())
    with pytest.raises(TypeError, match="nonsense"):
        small(name, nonsense=1)


@each
def test_meta_device_and_dtype_reach_every_tensor(name: str) -> None:
    net = small(name, device="meta", dtype=torch.bfloat16)
    assert all(t.is_meta for t in (*net.parameters(), *net.buffers()))
    assert all(p.dtype == torch.bfloat16 for p in net.parameters())
    real = small(name).to(torch.bfloat16).eval()
    assert real(images(name).bfloat16()).dtype == torch.bfloat16


@each
def test_every_parameter_is_trained(name: str) -> None:
    net = small(name, zero_init_last=False) if "resnet" in name else small(name)
    net.train()(images(name)).square().mean().backward()
    unused = [n for n, p in net.named_parameters() if p.grad is None]
    assert not unused
    assert all(torch.isfinite(p.grad).all() for p in net.parameters())


@each
def test_forward_is_features_then_head(name: str) -> None:
    net, x = small(name).eval(), images(name)
    features = net.forward_features(x)
    assert features.dim() == 4
    assert features.shape[1] == net.num_features
    torch.testing.assert_close(net.forward_head(features), net(x))
    assert net.forward_head(features, pre_logits=True).shape == (2, net.head_hidden_size)
    assert torch.equal(net(x), net(x))


@each
def test_reset_classifier(name: str) -> None:
    net, x = small(name).eval(), images(name)
    net.get_classifier().requires_grad_(False)
    pool = net.global_pool.pool_type
    net.reset_classifier(3)
    assert net.global_pool.pool_type == pool
    assert net(x).shape == (2, 3)
    assert not net.get_classifier().weight.requires_grad
    assert not net.get_classifier().training
    net.reset_classifier(0)
    assert net(x).shape == (2, net.head_hidden_size)
    net.reset_classifier(0, "")
    assert net(x).dim() == 4
    assert small(name, num_classes=0, global_pool="").eval()(x).dim() == 4
    net.reset_classifier(5, "avg")
    assert net(x).shape == (2, 5)


@each
def test_parameter_groups_for_layer_decay(name: str) -> None:
    from timm.models import group_parameters

    net = small(name)
    for coarse in (False, True):
        groups = group_parameters(net, net.group_matcher(coarse=coarse))
        assert len(groups) > 2
        assert any("classifier" in p for p in groups[max(groups)])


@each
def test_gradient_checkpointing_changes_nothing_but_memory(name: str) -> None:
    x = images(name)
    grads = []
    for enable in (False, True):
        net = small(name).train()
        net.set_grad_checkpointing(enable)
        y = net(x)
        y.sum().backward()
        grads.append([y.detach(), *(p.grad for p in net.parameters())])
    for a, b in zip(*grads):
        torch.testing.assert_close(a, b)


@each
def test_intermediates_and_pruning(name: str) -> None:
    net, x = small(name).eval(), images(name)
    n = len(net.feature_info)
    final, maps = net.forward_intermediates(x)
    assert len(maps) == n >= 3
    assert [m.shape[1] for m in maps] == [info["num_chs"] for info in net.feature_info]
    assert [x.shape[-1] // m.shape[-1] for m in maps] == [info["reduction"] for info in net.feature_info]
    torch.testing.assert_close(final, net.forward_features(x))
    early = net.forward_intermediates(x, indices=[0], stop_early=True, intermediates_only=True)
    torch.testing.assert_close(early[0], maps[0])
    kept = net.prune_intermediate_layers([0, 1])
    assert kept == [0, 1]
    _again, pruned = net.forward_intermediates(x, indices=[0, 1])
    for a, b in zip(maps, pruned):
        torch.testing.assert_close(a, b)
    net.train()
    net(x).sum().backward()
    assert all(p.grad is not None for p in net.parameters())


@each
@pytest.mark.parametrize("cls", ["list", "dict", "hook", "getter", "fx"])
def test_the_five_feature_extractors_agree(name: str, cls: str) -> None:
    x = images(name)
    net = small(name).eval()
    expected = net.forward_intermediates(x, intermediates_only=True)
    extractor = small(name, features_only=True, feature_cls=cls).eval()
    maps = extractor(x)
    maps = list(maps.values()) if isinstance(maps, dict) else maps
    assert [m.shape for m in maps] == [e.shape for e in expected]
    for m, e in zip(maps, expected):
        torch.testing.assert_close(m, e)


@each
def test_default_feature_levels(name: str) -> None:
    extractor = timm.create_model(name, features_only=True, depths=1).eval()
    assert [m.shape[1] for m in extractor(images(name))] == extractor.feature_info.channels()
    assert extractor.feature_info.reduction()[-1] == (4 if images(name).shape[-1] == 32 else 32)


@pytest.mark.parametrize("name", one_of_each_kind())
@pytest.mark.filterwarnings("ignore")
def test_script_trace_fx_and_export(name: str) -> None:
    net, x = small(name, **narrow(name)).eval(), images(name)
    y = net(x)
    torch.testing.assert_close(torch.jit.script(net)(x), y)
    torch.testing.assert_close(torch.jit.trace(net, x)(x), y)
    torch.testing.assert_close(torch.fx.symbolic_trace(net)(x), y)
    batch = torch.export.Dim("batch", min=1, max=64)
    exported = torch.export.export(net, (x,), dynamic_shapes=({0: batch},)).module()
    torch.testing.assert_close(exported(images(name, batch=3)), net(images(name, batch=3)))


@each
def test_copies_layouts_and_odd_inputs(name: str) -> None:
    net, x = small(name).eval(), images(name)
    y = net(x)
    torch.testing.assert_close(pickle.loads(pickle.dumps(net))(x), y)
    torch.testing.assert_close(copy.deepcopy(net)(x), y)
    last = copy.deepcopy(net).to(memory_format=torch.channels_last)
    torch.testing.assert_close(last(x.contiguous(memory_format=torch.channels_last)), y, rtol=1e-4, atol=1e-5)
    assert net(images(name, width=57)).shape == (2, 7)


@each
def test_local_dir_round_trip(name: str, tmp_path) -> None:
    """What a winner's folder relies on: weights, arguments and adaptations come back exactly."""
    from timm.models import save_for_hf

    args = {**SHORT, "width_mult": [0.5] * len(small(name, device="meta").stages)} if "resnet" in name else SHORT
    net = small(name, **args).eval()
    save_for_hf(net, tmp_path, model_args=dict(args))
    x = images(name)
    again = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    torch.testing.assert_close(again(x), net(x), rtol=0, atol=0)
    assert timm.create_model(f"local-dir:{tmp_path}", pretrained=True, num_classes=3)(x).shape == (2, 3)
    gray = timm.create_model(f"local-dir:{tmp_path}", pretrained=True, in_chans=1)
    assert gray(images(name, in_chans=1)).shape == (2, 7)
    maps = timm.create_model(f"local-dir:{tmp_path}", pretrained=True, features_only=True).eval()(x)
    torch.testing.assert_close(maps[-1], net.forward_intermediates(x, intermediates_only=True)[-1])


@pytest.mark.slow
@each
def test_onnx(name: str, tmp_path) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript", reason="torch.onnx needs onnxscript")
    net = small(name).eval()
    torch.onnx.export(net, (images(name),), tmp_path / "net.onnx", dynamo=True)
    assert (tmp_path / "net.onnx").stat().st_size > 1000


def test_profile_reads_the_names_own_input_size() -> None:
    assert mgic_nas.profile("mgic_resnet56", s_g=8, s_c=16, num_classes=10, input_size=(3, 32, 32)).macs == 66_466_432

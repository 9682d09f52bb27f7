"""A converted network under a name: timm's ``mgicified``, and ``mgicify:NAME`` in a search."""

import pytest
import timm
import torch
from fakes.converted import META, converted, images
from timm.models import resolve_model_input_args, save_for_hf
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import mgic_nas
from mgic_nas.cost.count import count
from mgic_nas.errors import UserError
from mgic_nas.families import family, model_names, timm_call
from mgic_nas.models.convert.blueprint import ConvertedBlock
from mgic_nas.space import FeasibleSet

# --- timm's name: mgicified ----------------------------------------------------------------------------------


def test_it_is_one_registered_name() -> None:
    assert timm.list_models("mgicified") == ["mgicified"]
    assert set(timm.list_models("mgic_*")) == set(model_names())
    net = timm.create_model("mgicified", base="convnext_atto", s_g=8, s_c=16, device=META)
    assert net.pretrained_cfg["classifier"] == "head.fc"
    assert net.pretrained_cfg["architecture"] == "mgicified"
    assert len(net.mgic_report.replaced) == 12
    with pytest.raises(UserError, match="resnet18"):
        timm.create_model("mgicified", base="resnet19")
    with pytest.raises(RuntimeError, match="No pretrained weights"):
        timm.create_model("mgicified", pretrained=True)


def test_its_preprocessing_is_the_bases_own() -> None:
    """timm's validate.py passes on the cfg that is registered, resnet18's: its mean and std would be silently wrong."""
    resolved = resolve_model_input_args("mgicified", base="test_resnet", device=META)
    assert resolved["pretrained_cfg"]["mean"] == (0.485, 0.456, 0.406)
    for net in (timm.create_model(**resolved), timm.create_model("mgicified", base="test_resnet", device=META)):
        assert net.pretrained_cfg["mean"] == timm.get_pretrained_cfg("test_resnet").mean == (0.5, 0.5, 0.5)
    overlaid = resolve_model_input_args("mgicified", base="test_resnet", pretrained_cfg_overlay={"crop_pct": 0.5})
    cfg = timm.create_model(**overlaid).pretrained_cfg
    assert (cfg["crop_pct"], cfg["mean"]) == (0.5, (0.5, 0.5, 0.5))


@pytest.mark.parametrize("given", ["name", "module", "timm"])
def test_a_saved_network_comes_back_converted_with_its_weights(given: str, tmp_path) -> None:
    torch.manual_seed(0)
    args = {"num_classes": 7, "in_chans": 3}
    if given == "timm":
        net = timm.create_model("mgicified", base="resnet18", s_g=8, s_c=16, **args)
    else:
        plain = timm.create_model("resnet18", **args)
        net = mgic_nas.mgicify(plain, 8, 16) if given == "module" else mgic_nas.mgicify("resnet18", 8, 16, **args)
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d):
            nn.init.normal_(m.weight)
    save_for_hf(net, tmp_path)
    x = images()
    y = net.eval()(x)
    again = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    torch.testing.assert_close(again(x), y, rtol=0, atol=0)
    if given != "timm":
        return
    assert timm.create_model(f"local-dir:{tmp_path}", pretrained=True, num_classes=3)(x).shape == (2, 3)
    assert timm.create_model(f"local-dir:{tmp_path}", pretrained=True, in_chans=1)(images(in_chans=1)).shape == (2, 7)
    maps = net.forward_intermediates(x, intermediates_only=True)
    for cls in (None, "dict", "hook", "getter", "fx"):
        extra = {"feature_cls": cls} if cls else {}
        features = timm.create_model(f"local-dir:{tmp_path}", pretrained=True, features_only=True, **extra).eval()
        got = features(x)
        for a, b in zip(got.values() if isinstance(got, dict) else got, maps, strict=True):
            torch.testing.assert_close(a, b)


def test_features_only_of_a_family_with_its_own_extractor(tmp_path) -> None:
    """MobileNetV3 rebuilds itself without a head for features_only: weights find their way there too."""
    net = converted("mobilenetv3_small_100", init="weights").eval()
    save_for_hf(net, tmp_path)
    features = timm.create_model(f"local-dir:{tmp_path}", pretrained=True, features_only=True).eval()
    x = images()
    assert any(isinstance(m, ConvertedBlock) for m in features.modules())
    plain = timm.create_model("mobilenetv3_small_100", features_only=True)
    assert [m.shape for m in features(x)] == [m.shape for m in plain(x)]
    last = net.blocks(net.bn1(net.conv_stem(x)))
    torch.testing.assert_close(features(x)[-1], last)


def test_a_feature_extractor_can_be_converted_itself() -> None:
    plain = timm.create_model("resnet18", features_only=True, out_indices=(1, 3), feature_cls="hook")
    net = mgic_nas.mgicify(plain, 8, 16).eval()
    assert [m.shape[1] for m in net(images())] == [64, 256]
    assert any(isinstance(m, ConvertedBlock) for m in net.modules())


# --- the search ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", ["resnet18", "test_convnext"])
def test_a_converted_network_is_searched_like_any_other(base: str) -> None:
    fam = family(f"mgicify:{base}")
    cfg = timm.get_pretrained_cfg(base)
    assert (fam.name, fam.input_size, fam.num_classes) == (f"mgicify:{base}", cfg.input_size, cfg.num_classes)
    config = {"s_g": 8, "s_c": 16}
    cost = fam.cost(config, (1, 32, 32), 10)
    net = fam.build(config, 10, 1, device=META)
    assert count(net, (1, 32, 32)) == cost
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net.eval()(torch.zeros(1, 1, 32, 32, device=META))
    assert counter.get_total_flops() // 2 == cost.macs
    assert fam.cost(config, (1, 32, 32), 10) is cost
    name, arguments = timm_call(fam.name, config)
    assert count(timm.create_model(name, num_classes=10, in_chans=1, device=META, **arguments), (1, 32, 32)) == cost
    assert family("mgicified").arch_id({"base": base, **config}) == fam.arch_id(config)


def test_settings_that_give_the_same_groups_are_one_architecture() -> None:
    fam = family("mgicify:resnet18")
    config = {"s_g": 8, "s_c": 16}
    assert fam.arch_id(config) == fam.arch_id({"s_g": 9, "s_c": 31, "min_levels": 1})
    others = [{"s_g": 4, "s_c": 16}, {"s_g": 8, "s_c": 8}, {**config, "drop_path_rate": 0.1}]
    assert len({fam.arch_id(c) for c in [config, *others]}) == 4
    assert fam.arch_id(config) == "622c6f78f2c8"  # recorded runs name architectures by it
    assert fam.cost(config, (3, 32, 32), 10) == fam.cost({**config, "drop_path_rate": 0.1}, (3, 32, 32), 10)


@pytest.mark.parametrize(
    ("name", "config", "words"),
    [
        ("mgicify:resnet19", {}, "resnet18"),
        ("mgicify:densenet121", {}, "nothing to convert"),
        ("mgicify:resnet18", {"sg": 4}, "s_g"),
        ("mgicify:resnet18", {"s_g": 0}, "s_g"),
        ("mgicify:resnet18", {"base": "resnet34"}, "base"),
        ("mgicified", {"base": "nonsense"}, "nonsense"),
        ("mgicify:legacy_xception", {"drop_path_rate": 0.1}, "drop_path_rate"),
    ],
)
def test_wrong_configs_are_named(name: str, config: dict, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        family(name).canonical(config)
    assert "\n" not in str(caught.value)


def test_a_space_over_a_converted_network() -> None:
    params = {"s_g": {"choices": [4, 8]}, "s_c": {"choices": [16, 24, 64]}}
    for model, kwargs in (("mgicify:resnet18", {}), ("mgicified", {"base": "resnet18"})):
        space = mgic_nas.SearchSpace.from_dict({"model": model, "kwargs": kwargs, "params": params})
        candidates = FeasibleSet(space, (3, 32, 32), 10).candidates
        assert (space.size, len(candidates)) == (6, 4)  # 16 and 24 end at the same level
        assert mgic_nas.SearchSpace.from_dict(space.to_dict()) == space

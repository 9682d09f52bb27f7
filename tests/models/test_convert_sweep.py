"""mgicify on timm's architectures: a few by default, all of them with ``-m slow``."""

import pytest
import timm
import torch
from fakes.converted import META, converted, images

from mgic_nas.families import family
from mgic_nas.models.convert.blueprint import ConvertedBlock

# --- architectures -------------------------------------------------------------------------------------------

FAST = ["resnet18", "resnext26ts", "mobilenetv3_small_100", "efficientnet_lite0", "test_convnext"]
FAMILIES = {
    "byobnet": "resnext26ts resnet51q gernet_s repvgg_a0 mobileone_s0",
    "convnext": "convnext_atto convnextv2_atto test_convnext",
    "cspnet": "darknet53 cspresnet50 cs3darknet_s",
    "cspnext": "cspnext_tiny",
    "dla": "dla34 dla60x",
    "edgenext": "edgenext_xx_small",
    "efficientnet": "efficientnet_b0 efficientnet_lite0 efficientnet_es tf_efficientnetv2_b0 efficientnetv2_rw_t "
    "mobilenetv2_050 mnasnet_small semnasnet_075 fbnetc_100 spnasnet_100 tinynet_e mixnet_s",
    "efficientformer": "efficientformer_l1",
    "efficientvit_mit": "efficientvit_b0",
    "fasternet": "fasternet_t0",
    "fastvit": "fastvit_t8",
    "ghostnet": "ghostnet_100 ghostnetv2_100",
    "hardcorenas": "hardcorenas_a",
    "hgnet": "hgnetv2_b0",
    "hrnet": "hrnet_w18_small",
    "inception_next": "inception_next_atto",
    "lowformer": "lowformer_b0",
    "maxxvit": "coatnet_nano_rw_224",
    "metaformer": "poolformer_s12 convformer_s18",
    "mobilenetv3": "mobilenetv3_small_100 mobilenetv3_large_100 fbnetv3_b mobilenetv4_conv_small",
    "nextvit": "nextvit_small",
    "nfnet": "eca_nfnet_l0 nf_regnet_b0 nf_resnet26",
    "regnet": "regnetx_002 regnety_004 regnetz_005",
    "repghost": "repghostnet_050",
    "repvit": "repvit_m0_9",
    "res2net": "res2net50_26w_4s",
    "resnest": "resnest26d",
    "resnet": "resnet18 resnet26d seresnext26t_32x4d ecaresnet26t",
    "resnetv2": "resnetv2_18 resnetv2_50 resnetv2_50x1_bit",
    "senet": "legacy_seresnet18",
    "shvit": "shvit_s1",
    "sknet": "skresnet18",
    "starnet": "starnet_s050",
    "swiftformer": "swiftformer_xs",
    "tresnet": "tresnet_m",
    "vovnet": "ese_vovnet39b",
    "xception_aligned": "xception41",
}
ALL = [name for names in FAMILIES.values() for name in names.split()]


@pytest.mark.usefixtures("forget_traces")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in FAST else pytest.mark.slow) for n in ALL])
def test_sweep(name: str) -> None:
    """The converted network trains, is cheaper, exports, and keeps timm's interface."""
    net = converted(name, num_classes=7)
    report = net.mgic_report
    assert report.replaced
    assert report.after.params < report.before.params
    assert report.after.macs < report.before.macs
    assert report.after == family(f"mgicify:{name}").cost({"s_g": 8, "s_c": 16}, report.input_size, 7)
    side = report.input_size[1] if net.pretrained_cfg.get("fixed_input_size") else 64
    x = images(side)
    y = net.train()(x)
    assert y.shape == (2, 7)
    y.square().mean().backward()
    unused = [n for n, p in net.named_parameters() if p.grad is None]
    assert not unused
    assert all(torch.isfinite(p.grad).all() for p in net.parameters())
    net.zero_grad()
    with torch.no_grad():
        net.eval().reset_classifier(3)
        y = net(x)
        assert y.shape == (2, 3)
        torch.testing.assert_close(torch.jit.trace(net, x, check_trace=False)(x), y, rtol=1e-3, atol=1e-3)
        plain = features(name)
        if plain:
            assert features("mgicified", base=name, s_g=8, s_c=16) == plain


def features(name: str, **kwargs) -> list[torch.Size] | None:
    """Shapes of the maps of features_only; None where the architecture has none."""
    x = torch.empty(1, 3, 224, 224, device=META)
    try:
        net = timm.create_model(name, features_only=True, device=META, **kwargs).eval()
    except (RuntimeError, AttributeError, AssertionError, IndexError, TypeError):
        return None
    assert not kwargs or any(isinstance(m, ConvertedBlock) for m in net.modules())
    return [m.shape for m in net(x)]


def test_the_sweep_is_wide_enough() -> None:
    assert len(set(ALL)) >= 40
    for family_file, names in FAMILIES.items():
        assert set(names.split()) <= set(timm.list_models(module=family_file))
    assert len(FAMILIES) >= 12

"""Semantic segmentation: MGIC-MobileNetV3 with an LR-ASPP head, the paper's Table 9.

The trunk is :class:`~mgic_nas.models.mgic_mobilenetv3.MGICMobileNetV3` with ``dilated_tail=True`` (torchvision's
``dilated, reduced_tail`` layout), tapped where the resolution is an eighth and at its end, a sixteenth of the input's.
The head is torchvision's ``LRASPPHead`` with 128 filters (Howard et al., "Searching for MobileNetV3", 2019).

Not image classifiers, so not timm names. The trunk alone is one: train it on ImageNet as
``timm.create_model("mgic_mobilenetv3_large_100", dilated_tail=True)``, and then
``net.trunk.load_state_dict(weights, strict=False)``.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers import create_conv2d, get_device_dtype
from timm.models import checkpoint_seq
from torch import nn

from .blocks import conv_norm_act
from .mgic import TRANSFER_INIT, ZERO_INIT_CORRECTION
from .mgic_mobilenetv3 import MGICMobileNetV3, MGICMobileNetV3Cfg
from .rows import Conv, positive_int

__all__ = ["MGICLRASPP", "NETWORKS", "LRASPPHead", "mgic_lraspp_mobilenetv3_large", "mgic_lraspp_mobilenetv3_small"]


class LRASPPHead(nn.Module):
    """Lite reduced atrous spatial pyramid pooling: class scores from a low and a high feature map.

    Args:
        low_chs: channels of the low map, which has the finer resolution.
        high_chs: channels of the high map.
        num_classes: channels of the output.
        filters: width of the head.
        norm_layer: its norm.
        dd: device and dtype.
    """

    def __init__(
        self, low_chs: int, high_chs: int, num_classes: int, filters: int, norm_layer: Any, dd: dict[str, Any]
    ) -> None:
        super().__init__()
        self.conv = conv_norm_act(Conv(high_chs, filters), "relu", norm_layer, dd)
        self.scale = nn.Sequential(nn.AdaptiveAvgPool2d(1), create_conv2d(high_chs, filters, 1, **dd), nn.Sigmoid())
        self.high_classifier = create_conv2d(filters, num_classes, 1, bias=True, **dd)
        self.low_classifier = create_conv2d(low_chs, num_classes, 1, bias=True, **dd)

    def forward(self, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
        """Scores (N, num_classes, H, W) at the low map's resolution."""
        x = self.conv(high) * self.scale(high)
        x = F.interpolate(x, size=low.shape[-2:], mode="bilinear", align_corners=False)
        return self.low_classifier(low) + self.high_classifier(x)


class MGICLRASPP(nn.Module):
    """Images (N, in_chans, H, W) to class scores (N, num_classes, H, W), for any H and W.

    Args:
        layout: "large" or "small", of the trunk.
        num_classes: 19 are Cityscapes'.
        filters: width of the head.
        drop_path_rate: stochastic depth in the trunk.
        exp_mult, depths, block, s_g, s_c, width_mult, in_chans, act_layer, norm_layer, min_levels, min_groups, levels,
            transition, transfer_init, zero_init_correction, zero_init_last: see
            :class:`~mgic_nas.models.mgic_mobilenetv3.MGICMobileNetV3`.
    """

    def __init__(
        self,
        layout: str = "large",
        exp_mult: float = 1.0,
        depths: int | Sequence[int] | None = None,
        block: str = "inverted_residual",
        s_g: int = 64,
        s_c: int = 64,
        width_mult: float | Sequence[float] = 1.0,
        filters: int = 128,
        num_classes: int = 19,
        in_chans: int = 3,
        drop_path_rate: float = 0.0,
        act_layer: Any = "hard_swish",
        norm_layer: Any = nn.BatchNorm2d,
        min_levels: int = 0,
        min_groups: int = 1,
        levels: str = "auto",
        transfer_init: str = TRANSFER_INIT,
        zero_init_correction: bool = ZERO_INIT_CORRECTION,
        zero_init_last: bool = True,
        transition: str = "grouped",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        dd = {"device": device, "dtype": dtype}
        self.num_classes = positive_int("num_classes", num_classes)
        self.in_chans = in_chans
        self.trunk = MGICMobileNetV3(
            layout=layout,
            exp_mult=exp_mult,
            depths=depths,
            block=block,
            s_g=s_g,
            s_c=s_c,
            width_mult=width_mult,
            num_classes=0,
            in_chans=in_chans,
            drop_path_rate=drop_path_rate,
            act_layer=act_layer,
            norm_layer=norm_layer,
            min_levels=min_levels,
            min_groups=min_groups,
            levels=levels,
            transition=transition,
            transfer_init=transfer_init,
            zero_init_correction=zero_init_correction,
            zero_init_last=zero_init_last,
            dilated_tail=True,
            **dd,
        )
        *_, low, high = self.trunk.feature_info
        self.trunk.prune_intermediate_layers([len(self.trunk.feature_info) - 1])  # drops the classifier's 1x1 conv
        self._low_stage = int(low["module"].rpartition(".")[2])
        filters = positive_int("filters", filters)
        self.head = LRASPPHead(low["num_chs"], high["num_chs"], num_classes, filters, norm_layer, dd)

    @torch.jit.ignore
    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Trades compute for memory in training; outputs and gradients stay the same."""
        self.trunk.set_grad_checkpointing(enable)

    def reset_classifier(self, num_classes: int) -> None:
        """New last convs for ``num_classes``; everything else keeps its weights."""
        dd = get_device_dtype(self)
        self.num_classes = positive_int("num_classes", num_classes)
        for name in ("high_classifier", "low_classifier"):
            chs = getattr(self.head, name).in_channels
            setattr(self.head, name, create_conv2d(chs, num_classes, 1, bias=True, **dd).train(self.training))

    def forward_features(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The low (1/8 of the resolution) and the high feature map (1/16)."""
        x = self.trunk.stem(x)
        low = x
        for i, stage in enumerate(self.trunk.stages):
            if self.trunk.grad_checkpointing and not torch.jit.is_scripting():
                x = checkpoint_seq(stage, x)
            else:
                x = stage(x)
            if i == self._low_stage:
                low = x
        return low, x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        low, high = self.forward_features(x)
        return F.interpolate(self.head(low, high), size=x.shape[-2:], mode="bilinear", align_corners=False)


def mgic_lraspp_mobilenetv3_large(
    num_classes: int = 19, s_g: int = 64, s_c: int = 64, device: Any = None, dtype: Any = None, **kwargs: Any
) -> MGICLRASPP:
    """MGIC-MobileNetV3-Large with LR-ASPP (Table 9); ``kwargs`` are those of :class:`MGICLRASPP`."""
    return MGICLRASPP("large", num_classes=num_classes, s_g=s_g, s_c=s_c, device=device, dtype=dtype, **kwargs)


def mgic_lraspp_mobilenetv3_small(
    num_classes: int = 19, s_g: int = 64, s_c: int = 64, device: Any = None, dtype: Any = None, **kwargs: Any
) -> MGICLRASPP:
    """MGIC-MobileNetV3-Small with LR-ASPP (Table 9); ``kwargs`` are those of :class:`MGICLRASPP`."""
    return MGICLRASPP("small", num_classes=num_classes, s_g=s_g, s_c=s_c, device=device, dtype=dtype, **kwargs)


def canonical(name: str, config: Mapping[str, Any]) -> Hashable:
    """The same for two configs (every argument in them) that are the same architecture: rows instead of s_g and s_c."""
    shown = config.keys() & set(MGICMobileNetV3Cfg._fields)
    layout = name.rpartition("_")[2]
    rows = MGICMobileNetV3Cfg(layout, **{k: config[k] for k in shown}, dilated_tail=True).rows()
    return rows.stem, rows.stages, tuple((k, config[k]) for k in sorted(config.keys() - shown))


NETWORKS = {
    "mgic_lraspp_mobilenetv3_large": mgic_lraspp_mobilenetv3_large,
    "mgic_lraspp_mobilenetv3_small": mgic_lraspp_mobilenetv3_small,
}

"""MGIC ResNets: the CIFAR nets of the paper's Tables 3 and 12 and the ImageNet nets of Tables 4 and 5.

Every stage begins with a grouped 3x3 conv where width or stride changes; after it, every block is an MGIC block. With
``transition="plain"`` it begins with a plain block instead, as the plain ResNet's does.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache, lru_cache
from typing import Any, NamedTuple

import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import nn

from ..errors import UserError
from ._net import RowNet
from .blocks import WrappedBlock, block_class, check_act
from .mgic import ChannelTransfer, start
from .rows import (
    CACHED_STAGES,
    Row,
    Rows,
    Stage,
    change_of_width,
    check_choices,
    check_levels,
    check_transition,
    hierarchy,
    per_stage,
    rounded,
)

__all__ = ["MGICResNet", "MGICResNetCfg"]

STEMS = {"3x3": (3, 1), "7x7": (7, 2)}  # kernel, stride


@lru_cache(maxsize=CACHED_STAGES)
def _stage(
    c_in: int, width: int, depth: int, stride: int, expansion: int, block: str, min_levels: int, min_groups: int,
    s_g: int, s_c: int, plain: bool, plain_first: bool, act: Any, pool: bool = False, shortcut: str = "",
) -> Stage:  # fmt: skip
    """The rows of a stage whose levels run on ``width`` and whose tensors are ``expansion`` times as wide."""
    cnn = block_class(block)

    def shape(j: int, w: int) -> tuple[int, int]:
        return expansion * w, w if expansion > 1 and not cnn.inverted else cnn.mid(expansion * w)

    c = expansion * width
    first = (Row("maxpool", c_in, c_in, 3, 2),) if pool else ()
    usual = Row(block, c, c, cnn.kernel, act=act, levels=hierarchy(width, width, width, shape))
    change = replace(usual, c_in=c_in, stride=stride, shortcut=shortcut)
    if not plain:
        levels = hierarchy(width, s_g, s_c, shape, min_levels=min_levels, min_groups=min_groups)
        usual = Row(block, c, c, cnn.kernel, act=act, levels=levels)
    if not plain_first or not change.changes:
        return Stage((*first, *change_of_width(c_in, c, stride, act), *(usual,) * depth))
    cnn.refuse_change(change)
    return Stage((*first, change, *(usual,) * (depth - 1)))


@cache
def _stem(stem: str, in_chans: int, width: int, act: Any) -> Stage:
    """The first conv. ImageNet's width follows the first stage's multiplier, as the narrow widths do."""
    if stem not in STEMS:
        raise UserError(f"stem must be one of {', '.join(STEMS)}, not {stem!r}.")
    kernel, stride = STEMS[stem]
    return Stage((Row("conv", in_chans, width, kernel, stride, act=act),))


class MGICResNetCfg(NamedTuple):
    """The arguments that say which MGIC ResNet; its rows are :meth:`rows`.

    Attributes:
        depths: MGIC blocks a stage: one number, or one per stage.
        widths: level width w_0 of each stage, before ``width_mult``.
        stem: "3x3" (CIFAR), or "7x7" with stride 2 and a max pool (ImageNet).
        expansion: tensors are this many times as wide as the levels (4 for ImageNet's bottlenecks).
        min_levels: at least so many restrictions; 0 leaves stages of at most s_c channels plain.
        min_groups: 2 keeps a grouped level from being fully coupled.
        block: the wrapped block, a name in :data:`mgic_nas.models.blocks.BLOCKS`.
        s_g: channels a group on all but the coarsest level.
        s_c: width of the coarsest level at most.
        width_mult: one number, or one per stage; widths are rounded to multiples of 8.
        act_layer: activation, a timm name or class.
        levels: "none" for the plain ResNet, in which the first block of a stage changes width and stride, with He et
            al.'s shortcut (zeros for 32x32 images, a 1x1 conv for ImageNet): MGIC's choices then mean nothing.
        transition: "plain" for stages that begin, where width or stride changes, with the plain ResNet's block, and go
            on with MGIC blocks; "grouped" for the grouped conv before the first MGIC block (sec. 3.3).
    """

    depths: int | Sequence[int] = (3, 3, 3)
    widths: Sequence[int] = (16, 32, 64)
    stem: str = "3x3"
    expansion: int = 1
    min_groups: int = 2
    block: str = "basic"
    s_g: int = 8
    s_c: int = 16
    width_mult: float | Sequence[float] = 1.0
    act_layer: Any = "relu"
    min_levels: int = 1
    levels: str = "auto"
    transition: str = "grouped"

    def rows(self, in_chans: int = 3) -> Rows:
        """The network as rows. UserError for an impossible value."""
        n = len(self.widths)
        check_choices(self.s_g, self.s_c, self.min_levels, self.min_groups)
        block_class(self.block)
        plain = check_levels(self.levels)
        plain_first = check_transition(self.transition) or plain
        shortcut = ("pad" if self.stem == "3x3" else "project") if plain_first else ""
        depths = per_stage("depths", self.depths, n, int)
        mults = per_stage("width_mult", self.width_mult, n)
        scaled = [rounded(w * m, 8) for w, m in zip(self.widths, mults)]
        act = check_act(self.act_layer or "relu")
        first = _stem(self.stem, in_chans, scaled[0] if self.stem == "3x3" else rounded(64 * mults[0], 8), act)
        choices = self.expansion, self.block, self.min_levels, self.min_groups, self.s_g, self.s_c
        stages = []
        c = first[-1].c_out
        for i, (width, depth) in enumerate(zip(scaled, depths)):
            stride, pool = 1 if i == 0 else 2, self.stem == "7x7" and i == 0
            stages.append(_stage(c, width, depth, stride, *choices, plain, plain_first, act, pool, shortcut))
            c = stages[-1][-1].c_out
        return Rows(first, tuple(stages), taps=tuple(range(0 if self.stem == "7x7" else 1, n + 1)))


RESNET20 = MGICResNetCfg()


class MGICResNet(RowNet):
    """A ResNet whose every block is an MGIC block.

    Args:
        cfg: which one.
        zero_init_last: the residual branches start at zero, as in timm's ResNets.
        group_fan: the grouped convs that change the width start as timm's EfficientNets have theirs, with the fan of
            one group. Otherwise with that of all channels, as torch has it, which is too small by the root of the
            number of groups: before training each stage's output is a tenth to a fiftieth of the one before. Those in
            the blocks keep it: behind a BatchNorm smaller weights only learn faster.
        **kwargs: of :class:`~mgic_nas.models._net.RowNet`, fields of ``cfg`` among them.
    """

    def __init__(
        self, cfg: MGICResNetCfg = RESNET20, zero_init_last: bool = True, group_fan: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(cfg, **kwargs)
        self._group_fan = group_fan
        self.init_weights(zero_init_last)

    def init_weights(self, zero_init_last: bool = True) -> None:
        """timm's ResNet init; R, P (sec. 3.3) and N keep their own."""
        wrapped = {id(m) for block in self.modules() if isinstance(block, WrappedBlock) for m in block.modules()}
        for module in self.modules():
            if isinstance(module, ChannelTransfer):
                module.reset_parameters()
            elif isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if self._group_fan and id(module) not in wrapped:
                    with torch.no_grad():
                        module.weight.mul_(module.groups**0.5)
            if zero_init_last and isinstance(module, WrappedBlock):
                module.zero_init_last()
        start(self, *self._start)


def _cfg(**kwargs: Any) -> dict[str, Any]:
    return {
        "url": "",
        "num_classes": 1000,
        "input_size": (3, 224, 224),
        "pool_size": (7, 7),
        "crop_pct": 0.95,
        "interpolation": "bicubic",
        "mean": IMAGENET_DEFAULT_MEAN,
        "std": IMAGENET_DEFAULT_STD,
        "first_conv": "stem.0.conv",
        "classifier": "classifier",
        "license": "mit",
        **kwargs,
    }


def _cifar(**kwargs: Any) -> dict[str, Any]:
    size = {"num_classes": 10, "input_size": (3, 32, 32), "pool_size": (8, 8), "crop_pct": 1.0}
    return _cfg(**size, mean=(0.4914, 0.4822, 0.4465), std=(0.247, 0.2435, 0.2616), **kwargs)


default_cfgs = generate_default_cfgs(
    {
        "mgic_resnet20": _cifar(),
        "mgic_resnet32": _cifar(),
        "mgic_resnet44": _cifar(),
        "mgic_resnet56": _cifar(),
        "mgic_resnet110": _cifar(),
        "mgic_resnet18": _cfg(),
        "mgic_resnet34": _cfg(),
        "mgic_resnet50": _cfg(),
        "mgic_resnet101": _cfg(),
        "mgic_resnext50_32x4d": _cfg(),
    }
)

_imagenet = MGICResNetCfg(widths=(64, 128, 256, 512), stem="7x7", min_groups=1, s_g=64, s_c=64)
_wide = _imagenet._replace(block="bottleneck", expansion=4)

# What each name stands for; the cost reads it too.
archs = {
    "mgic_resnet20": RESNET20,
    "mgic_resnet32": MGICResNetCfg(depths=(5, 5, 5)),
    "mgic_resnet44": MGICResNetCfg(depths=(7, 7, 7)),
    "mgic_resnet56": MGICResNetCfg(depths=(9, 9, 9)),
    "mgic_resnet110": MGICResNetCfg(depths=(18, 18, 18)),
    "mgic_resnet18": _imagenet._replace(depths=(2, 2, 2, 2)),
    "mgic_resnet34": _imagenet._replace(depths=(3, 4, 6, 3)),
    "mgic_resnet50": _wide._replace(depths=(3, 4, 6, 3)),
    "mgic_resnet101": _wide._replace(depths=(3, 4, 23, 3)),
    "mgic_resnext50_32x4d": _imagenet._replace(
        widths=(128, 256, 512, 1024), block="resnext", expansion=2, depths=(3, 4, 6, 3)
    ),
}


def _create_mgic_resnet(variant: str, pretrained: bool = False, **kwargs: Any) -> MGICResNet:
    cfg = archs[variant]
    levels = len(kwargs.get("widths", cfg.widths)) + (kwargs.get("stem", cfg.stem) == "7x7")
    features = {"flatten_sequential": True, "out_indices": tuple(range(levels)), **kwargs.pop("feature_cfg", {})}
    return build_model_with_cfg(
        MGICResNet,
        variant,
        pretrained,
        model_cfg=cfg,
        feature_cfg=features,
        **kwargs,
    )


@register_model
def mgic_resnet20(pretrained: bool = False, **kwargs: Any) -> MGICResNet:
    """MGIC-ResNet-20 for 32x32 images."""
    return _create_mgic_resnet("mgic_resnet20", pretrained, **kwargs)


@register_model
def mgic_resnet32(pretrained: bool = False, **kwargs: Any) -> MGICResNet:
    """MGIC-ResNet-32 for 32x32 images."""
    return _create_mgic_resnet("mgic_resnet32", pretrained, **kwargs)


@register_model
def mgic_resnet44(pretrained: bool = False, **kwargs: Any) -> MGICResNet:
    """MGIC-ResNet-44 for 32x32 images."""
    return _create_mgic_resnet("mgic_resnet44", pretrained, **kwargs)


@register_model
def mgic_resnet56(pretrained: bool = False, **kwargs: Any) -> MGICResNet:
    """MGIC-ResNet-56 for 32x32 images (Tables 3 and 12)."""
    return _create_mgic_resnet("mgic_resnet56", pretrained, **kwargs)


@register_model
def mgic_resnet110(pretrained: bool = False, **kwargs: Any) -> MGICResNet:
    """MGIC-ResNet-110 for 32x32 images."""
    return _create_mgic_resnet("mgic_resnet110", pretrained, **kwargs)


@register_model
def mgic_resnet18(pretrained: bool = False, **kwargs: Any) -> MGICResNet:
    """MGIC-ResNet-18 for 224x224 images."""
    return _create_mgic_resnet("mgic_resnet18", pretrained, **kwargs)


@register_model
def mgic_resnet34(pretrained: bool = False, **kwargs: Any) -> MGICResNet:
    """MGIC-ResNet-34 for 224x224 images."""
    return _create_mgic_resnet("mgic_resnet34", pretrained, **kwargs)


@register_model
def mgic_resnet50(pretrained: bool = False, **kwargs: Any) -> MGICResNet:
    """MGIC-ResNet-50 for 224x224 images (Tables 4 and 5)."""
    return _create_mgic_resnet("mgic_resnet50", pretrained, **kwargs)


@register_model
def mgic_resnet101(pretrained: bool = False, **kwargs: Any) -> MGICResNet:
    """MGIC-ResNet-101 for 224x224 images."""
    return _create_mgic_resnet("mgic_resnet101", pretrained, **kwargs)


@register_model
def mgic_resnext50_32x4d(pretrained: bool = False, **kwargs: Any) -> MGICResNet:
    """MGIC-ResNeXt-50 (32x4d) for 224x224 images."""
    return _create_mgic_resnet("mgic_resnext50_32x4d", pretrained, **kwargs)


net = MGICResNet

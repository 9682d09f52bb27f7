"""MGIC-MobileNetV3: the paper's Tables 6, 7 and 13.

MobileNetV3's rows with 3x3 depthwise kernels throughout; where width or stride changes, a grouped 3x3 conv does it
before the block, and every block is an MGIC block. With ``transition="plain"`` MobileNetV3's own block does it instead.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache, lru_cache
from typing import Any, NamedTuple

from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models._efficientnet_builder import efficientnet_init_weights

from ..errors import UserError, did_you_mean
from ._net import RowNet
from .blocks import WrappedBlock, block_class, check_act
from .mgic import start
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

__all__ = ["MGICMobileNetV3", "MGICMobileNetV3Cfg"]

# (exp, c, SE, act, stride) of every row, a tuple a stage; "" is the network's activation (h-swish).
LARGE = (
    ((16, 16, False, "relu", 1),),
    ((64, 24, False, "relu", 2), (72, 24, False, "relu", 1)),
    ((72, 40, True, "relu", 2), (120, 40, True, "relu", 1), (120, 40, True, "relu", 1)),
    ((240, 80, False, "", 2), (200, 80, False, "", 1), (184, 80, False, "", 1), (184, 80, False, "", 1)),
    ((480, 112, True, "", 1), (672, 112, True, "", 1)),
    ((672, 160, True, "", 2), (960, 160, True, "", 1), (960, 160, True, "", 1)),
)
SMALL = (
    ((16, 16, True, "relu", 2),),
    ((72, 24, False, "relu", 2), (88, 24, False, "relu", 1)),
    ((96, 40, True, "", 2), (240, 40, True, "", 1), (240, 40, True, "", 1)),
    ((120, 48, True, "", 1), (144, 48, True, "", 1)),
    ((288, 96, True, "", 2), (576, 96, True, "", 1), (576, 96, True, "", 1)),
)
# Table 6 as it is printed, which is GhostNet's list of rows.
TABLE6 = (
    ((16, 16, False, "relu", 1),),
    ((48, 24, False, "relu", 2), (72, 24, False, "relu", 1)),
    ((72, 40, True, "relu", 2), (120, 40, True, "relu", 1)),
    LARGE[3],
    LARGE[4],
    ((672, 160, True, "", 2), *((960, 160, se, "", 1) for se in (False, True, False, True))),
)
Line = tuple[int, int, bool, str, int]
LAYOUTS: dict[str, tuple[tuple[tuple[Line, ...], ...], int, int]] = {
    "large": (LARGE, 960, 1280),
    "table6": (TABLE6, 960, 1280),
    "small": (SMALL, 576, 1024),
}


def _halved(stage: Sequence[Line]) -> tuple[Line, ...]:
    """The last stage for dense prediction: half as wide, but for the first row's expansion, and without its stride."""
    return tuple((exp if i == 0 else exp // 2, c // 2, se, act, 1) for i, (exp, c, se, act, _) in enumerate(stage))


class Layout(NamedTuple):
    """What a layout's name stands for.

    Attributes:
        lines: of every stage.
        depths: how many they are.
        last, hidden: widths of the last conv and of the head.
        taps: a resolution ends before the next stride (0 is the stem); the last one ends with the 1x1 conv, as in timm.
    """

    lines: tuple[tuple[Line, ...], ...]
    depths: tuple[int, ...]
    last: int
    hidden: int
    taps: tuple[int, ...]


@cache
def _layout(name: str, dilated_tail: bool) -> Layout:
    if name not in LAYOUTS:
        raise UserError(f"Unknown layout {name!r}.{did_you_mean(str(name), LAYOUTS)}")
    lines, last, hidden = LAYOUTS[name]
    if dilated_tail:
        lines, last = (*lines[:-1], _halved(lines[-1])), last // 2
    strides = [max(line[4] for line in stage) for stage in lines]
    taps = (*(i for i, stride in enumerate(strides) if stride == 2), len(lines) + 1)
    return Layout(lines, tuple(map(len, lines)), last, hidden, taps)


# By name and number, not by its lines: to hash those takes longer than everything else.
@lru_cache(maxsize=CACHED_STAGES)
def _stage(
    layout: str,
    dilated_tail: bool,
    number: int,
    c: int,
    count: int,
    mult: float,
    exp_mult: float,
    act_layer: Any,
    block: str,
    s_g: int,
    s_c: int,
    min_levels: int,
    min_groups: int,
    plain: bool,
    plain_first: bool,
) -> Stage:
    """A stage of Table 6 for inputs of ``c`` channels: ``count`` lines, the last one repeated where there are fewer."""
    lines = _layout(layout, dilated_tail).lines[number]
    dilation = 2 if dilated_tail and number == len(LAYOUTS[layout][0]) - 1 else 1
    cnn = block_class(block)
    rows: list[Row] = []
    for i in range(count):
        exp, out, se, act, stride = lines[min(i, len(lines) - 1)]
        exp, out = rounded(exp * mult * exp_mult, 4), rounded(out * mult, 4)
        hidden = rounded(exp // 4, 8) if se and cnn.inverted else 0

        def shape(j: int, w: int, exp: int = exp) -> tuple[int, int]:
            return w, max(1, exp >> j) if cnn.inverted else cnn.mid(w)

        stride = stride if i == 0 else 1
        if plain or (plain_first and (c != out or stride != 1)):
            levels = hierarchy(out, out, out, shape, se=hidden)
            row = Row(block, c, out, cnn.kernel, stride, act=act or act_layer, levels=levels, dilation=dilation)
            row = replace(row, shortcut="none") if row.changes else row
            cnn.refuse_change(row)
        else:
            rows += change_of_width(c, out, stride, "")
            levels = hierarchy(out, s_g, s_c, shape, min_levels=min_levels, min_groups=min_groups, se=hidden)
            row = Row(block, out, out, cnn.kernel, act=act or act_layer, levels=levels, dilation=dilation)
        rows.append(row)
        c = out
    return Stage(rows)


@cache
def _conv(c_in: int, c_out: int, kernel: int, stride: int, act: Any, pooled: bool = False) -> Stage:
    """A stage of one plain conv; a pooled one has a bias and no norm."""
    return Stage((Row("conv", c_in, c_out, kernel, stride, act=act, bias=pooled, norm=not pooled, pooled=pooled),))


class MGICMobileNetV3Cfg(NamedTuple):
    """The arguments that say which MGIC-MobileNetV3; its rows are :meth:`rows`.

    Attributes:
        layout: "large" (MobileNetV3-Large's rows, which come nearer to Tables 7 and 13), "table6" (the rows that
            Table 6 prints, GhostNet's) or "small" (timm's rows and head).
        exp_mult: multiplies the expansion widths once more than ``width_mult`` does.
        depths: MGIC blocks a stage: one number, or one per stage; a deeper stage repeats its last row.
        block: the wrapped block, a name in :data:`mgic_nas.models.blocks.BLOCKS`.
        s_g: channels a group on all but the coarsest level.
        s_c: width of the coarsest level at most.
        width_mult: one number, or one per stage (the stem follows the first, the last conv the last).
        act_layer: stands for h-swish; "relu" is the paper's "no h-swish".
        dilated_tail: for dense prediction (Table 9), torchvision's ``dilated, reduced_tail``: the last stage keeps
            the resolution, dilates its depthwise convs by 2 and is half as wide, as is the last conv.
        min_levels: at least so many restrictions; by default rows of at most s_c channels are plain.
        min_groups: 2 keeps a grouped level from being fully coupled.
        levels: "none" for plain blocks, those that change width or stride included.
        transition: "plain" for plain blocks where width or stride changes, and MGIC blocks elsewhere; "grouped" for a
            grouped 3x3 conv there, and an MGIC block behind it (sec. 3.3).
    """

    layout: str = "large"
    exp_mult: float = 1.0
    depths: int | Sequence[int] | None = None
    block: str = "inverted_residual"
    s_g: int = 64
    s_c: int = 64
    width_mult: float | Sequence[float] = 1.0
    act_layer: Any = "hard_swish"
    dilated_tail: bool = False
    min_levels: int = 0
    min_groups: int = 1
    levels: str = "auto"
    transition: str = "grouped"

    def rows(self, in_chans: int = 3) -> Rows:
        """The network as rows. UserError for an impossible value."""
        dilated_tail = bool(self.dilated_tail)
        known = _layout(self.layout, dilated_tail)
        n = len(known.lines)
        check_choices(self.s_g, self.s_c, self.min_levels, self.min_groups)
        block_class(self.block)
        plain = check_levels(self.levels)
        plain_first = check_transition(self.transition)
        counts = per_stage("depths", self.depths, n, int) if self.depths else known.depths
        mults = per_stage("width_mult", self.width_mult, n)
        (exp_mult,) = per_stage("exp_mult", self.exp_mult, 1)
        act = check_act(self.act_layer or "hard_swish")
        c = rounded(16 * mults[0], 4)
        stem = _conv(in_chans, c, 3, 2, act)
        fixed = exp_mult, act, self.block, self.s_g, self.s_c, self.min_levels, self.min_groups, plain, plain_first
        stages = []
        for number in range(n):
            stages.append(_stage(self.layout, dilated_tail, number, c, counts[number], mults[number], *fixed))
            c = stages[-1][-1].c_out
        features = rounded(known.last * mults[-1] * exp_mult, 4)
        stages.append(_conv(c, features, 1, 1, act))
        head = _conv(features, known.hidden, 1, 1, act, True)
        return Rows(stem, tuple(stages), head, known.taps)


LARGE_100 = MGICMobileNetV3Cfg()


class MGICMobileNetV3(RowNet):
    """MobileNetV3 whose every block is an MGIC block.

    Args:
        cfg: which one.
        zero_init_last: the residual branches start at zero. Otherwise the levels add up, and with them the logits of a
            deep network.
        **kwargs: of :class:`~mgic_nas.models._net.RowNet`, fields of ``cfg`` among them.
    """

    def __init__(self, cfg: MGICMobileNetV3Cfg = LARGE_100, zero_init_last: bool = True, **kwargs: Any) -> None:
        super().__init__(cfg, **kwargs)
        efficientnet_init_weights(self)  # calls ChannelTransfer.init_weights last, so R and P keep theirs
        for module in self.modules():
            if zero_init_last and isinstance(module, WrappedBlock):
                module.zero_init_last()
        start(self, *self._start)


def _cfg(**kwargs: Any) -> dict[str, Any]:
    return {
        "url": "",
        "num_classes": 1000,
        "input_size": (3, 224, 224),
        "pool_size": (7, 7),
        "crop_pct": 0.875,
        "interpolation": "bicubic",
        "mean": IMAGENET_DEFAULT_MEAN,
        "std": IMAGENET_DEFAULT_STD,
        "first_conv": "stem.0.conv",
        "classifier": "classifier",
        "license": "mit",
        **kwargs,
    }


default_cfgs = generate_default_cfgs(
    {
        "mgic_mobilenetv3_large_060": _cfg(),
        "mgic_mobilenetv3_large_100": _cfg(),
        "mgic_mobilenetv3_large_120": _cfg(),
        "mgic_mobilenetv3_small_100": _cfg(),
    }
)

# What each name stands for; the cost reads it too.
archs = {
    "mgic_mobilenetv3_large_060": MGICMobileNetV3Cfg(width_mult=0.6, exp_mult=0.6),
    "mgic_mobilenetv3_large_100": LARGE_100,
    "mgic_mobilenetv3_large_120": MGICMobileNetV3Cfg(width_mult=1.2, exp_mult=1.2),
    "mgic_mobilenetv3_small_100": MGICMobileNetV3Cfg(layout="small"),
}


def _create_mgic_mobilenetv3(variant: str, pretrained: bool = False, **kwargs: Any) -> MGICMobileNetV3:
    levels = 4 if kwargs.get("dilated_tail") else 5
    features = {"flatten_sequential": True, "out_indices": tuple(range(levels)), **kwargs.pop("feature_cfg", {})}
    return build_model_with_cfg(
        MGICMobileNetV3,
        variant,
        pretrained,
        model_cfg=archs[variant],
        feature_cfg=features,
        **kwargs,
    )


@register_model
def mgic_mobilenetv3_large_060(pretrained: bool = False, **kwargs: Any) -> MGICMobileNetV3:
    """MGIC-MobileNetV3-Large 0.6x (Table 7)."""
    return _create_mgic_mobilenetv3("mgic_mobilenetv3_large_060", pretrained, **kwargs)


@register_model
def mgic_mobilenetv3_large_100(pretrained: bool = False, **kwargs: Any) -> MGICMobileNetV3:
    """MGIC-MobileNetV3-Large (Tables 6, 7 and 13)."""
    return _create_mgic_mobilenetv3("mgic_mobilenetv3_large_100", pretrained, **kwargs)


@register_model
def mgic_mobilenetv3_large_120(pretrained: bool = False, **kwargs: Any) -> MGICMobileNetV3:
    """MGIC-MobileNetV3-Large 1.2x (Table 7)."""
    return _create_mgic_mobilenetv3("mgic_mobilenetv3_large_120", pretrained, **kwargs)


@register_model
def mgic_mobilenetv3_small_100(pretrained: bool = False, **kwargs: Any) -> MGICMobileNetV3:
    """MGIC-MobileNetV3-Small."""
    return _create_mgic_mobilenetv3("mgic_mobilenetv3_small_100", pretrained, **kwargs)


net = MGICMobileNetV3

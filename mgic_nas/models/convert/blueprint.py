"""Any network with residual blocks of equal width, in MGIC form: each such block becomes an MGIC block of itself.

The algorithm's choices are those of the paper's families (``rows.py``): level widths are ``w_0 // 2**j`` down to s_c,
where w_0 is the narrowest map that a layer of the block reads (a bottleneck's inner width, a MobileNet's outer one),
and every other width is divided alike; g_j follows from s_g and the widths that the block connects. Depthwise convs
stay depthwise, grouped ones (ResNeXt, RegNet) take the finer of both; squeeze-and-excitation and its kin stand on the
finest level alone (as the paper's MobileNetV3 has it); a linear layer on channels-last maps (ConvNeXt) becomes a
grouped 1x1 conv. N is a norm of the block's own kind. Blocks that change width or resolution stay as they are.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import torch
from timm.layers import LayerNorm2d
from timm.models import get_model_input_config
from timm.utils import reparameterize_model
from torch import nn

from ..._text import size_text
from ...errors import UserError
from ..fusing import fold_pairs
from ..mgic import TRANSFER_INIT, ZERO_INIT_CORRECTION, MultigridBlock, start
from ..rows import Level, check_choices, hierarchy
from .find import Block, find_blocks, meta_copy
from .init import INITS
from .level import NotScalable, at_level, call_hooks
from .report import Conversion, Left, Replaced

__all__ = ["Blueprint", "Conversion", "ConvertedBlock", "convert"]

Hierarchy = tuple[Level, ...]
_NARROW = "no level is added"


class ConvertedBlock(MultigridBlock):
    """Algorithm 1 around a block of another network."""

    def __init__(self, block: nn.Module, facts: Block, levels: Sequence[Level], init: str = "random") -> None:
        sample = next(block.parameters())
        dd: dict[str, Any] = {"device": sample.device, "dtype": sample.dtype}
        super().__init__(
            levels,
            lambda j, level: at_level(block, facts, j, level.groups, init),
            lambda channels: _norm_like(block, channels, dd),
            **dd,
        )
        if not any(p.requires_grad for p in block.parameters()):  # frozen stays frozen
            self.requires_grad_(False)
        self.train(block.training)

    def fuse(self) -> MultigridBlock:
        """As :meth:`MultigridBlock.fuse`, and the norms of the block's own levels: timm's blocks do not fold theirs."""
        # A copy: timm goes on into this one's children, and blocks of several branches cannot be merged twice.
        try:
            fused: ConvertedBlock = reparameterize_model(self)
        except RuntimeError:  # a merge of timm's that knows of no groups (NextViT's)
            for module in self.modules():
                if hasattr(module, "reparameterize"):
                    module.reparameterize = _stay  # type: ignore[assignment]
            fused = reparameterize_model(self)
        super(ConvertedBlock, fused).fuse()
        fold_pairs(fused)
        return fused


def _stay() -> None:
    """The ``reparameterize`` of a module whose own one fails."""


def _norm_like(block: nn.Module, channels: int, dd: dict[str, Any]) -> nn.Module:
    """N: a norm of the kind that the block uses, with N(0) = 0 at the start; BatchNorm where it uses none."""
    for module in block.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            return nn.BatchNorm2d(channels, eps=module.eps, momentum=module.momentum, **dd)
        if isinstance(module, nn.GroupNorm):
            return nn.GroupNorm(math.gcd(module.num_groups, channels), channels, eps=module.eps, **dd)
        if isinstance(module, nn.LayerNorm):
            return LayerNorm2d(channels, eps=module.eps, **dd)
    return nn.BatchNorm2d(channels, **dd)


class Blueprint:
    """What of a network can be converted, found once; any s_g and s_c is then arithmetic.

    Args:
        net: the network, on any device; a copy without its weights is looked at.
        input_size: (C, H, W) of an image; by default the network's own.

    Raises:
        UserError: the network cannot be run on such images, says nothing of its input size, or is MGIC already.
    """

    def __init__(self, net: nn.Module, input_size: tuple[int, int, int] | None = None) -> None:
        self.title = _title(net)
        self.net = meta_copy(net).eval()
        self.input_size = input_size or _input_size(net)
        if any(isinstance(m, MultigridBlock) for m in net.modules()):
            raise UserError(f"{self.title} has nothing to convert: its blocks are MGIC blocks already.")
        try:
            self.blocks = find_blocks(self.net, self.input_size)
        except (RuntimeError, NotImplementedError, ValueError, AssertionError) as error:
            size = size_text(self.input_size)
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"{self.title} cannot be run on {size} images on the meta device: {reason}") from error
        self._facts = {b.name: b for b in self.blocks}
        # Blocks of one kind are tried once.
        self._kinds = {b.name: (replace(b, name=""), repr(self.net.get_submodule(b.name))) for b in self.blocks}
        self._examples = {kind: name for name, kind in self._kinds.items()}
        self._trouble = cache(self._try)

    def plan(
        self, s_g: int, s_c: int, min_levels: int = 0, min_groups: int = 1
    ) -> tuple[dict[str, Hierarchy], tuple[Left, ...]]:
        """The levels of every block that is converted, by its name, and the blocks that are left, with the reason.

        UserError for an impossible value, and where no block can be converted, whatever s_g and s_c.
        """
        check_choices(s_g, s_c, min_levels, min_groups)
        replaced: dict[str, Hierarchy] = {}
        left = []
        for block in self.blocks:
            reason = block.reason
            if not reason:
                levels = _levels(block, s_g, s_c, min_levels, min_groups)
                if len(levels) == 1:
                    reason = f"{_NARROW}: at {block.narrow} channels it is no wider than s_c"
                else:
                    kind = self._kinds[block.name]
                    reason = next(filter(None, (self._trouble(kind, j, v.groups) for j, v in enumerate(levels))), "")
            if reason:
                left.append(Left(block.name, block.kind, reason))
            else:
                replaced[block.name] = levels
        self._refuse_nothing(replaced, left)
        return replaced, tuple(left)

    def apply(self, net: nn.Module, plan: Mapping[str, Hierarchy], init: str = "random") -> None:
        """Replaces the blocks of ``net``, which is built like the blueprint's, by MGIC blocks with these levels."""
        modules = dict(net.named_modules())
        new: dict[int, nn.Module] = {}
        for name, levels in plan.items():
            block = modules[name]
            new[id(block)] = ConvertedBlock(block, self._facts[name], levels, init)
            _move_hooks(block, new[id(block)])
        for parent in modules.values():
            for key, child in parent._modules.items():
                if id(child) in new:
                    parent._modules[key] = new[id(child)]

    def replaced(self, plan: Mapping[str, Hierarchy]) -> tuple[Replaced, ...]:
        """A plan as the report shows it."""
        return tuple(
            Replaced(n, self._facts[n].kind, tuple(v.channels for v in levels), tuple(v.groups for v in levels))
            for n, levels in plan.items()
        )

    def _try(self, kind: tuple[Block, str], level: int, groups: int) -> str:
        """Builds the block at a level and runs it on a map; what went wrong, or ""."""
        name, facts = self._examples[kind], kind[0]
        shape = (2, facts.channels >> level, *facts.shape[1:])
        try:
            small = at_level(self.net.get_submodule(name), facts, level, groups, "random")
            with torch.no_grad():
                out = small(torch.empty(shape, device="meta", dtype=next(small.parameters()).dtype))
        except NotScalable as error:
            return f"no rule for {error}"
        except (RuntimeError, ValueError, TypeError, AssertionError, IndexError) as error:
            return f"at 1/{2**level} of its widths it does not run: {' '.join(str(error).split())[:120]}"
        return "" if out.shape == shape else f"at 1/{2**level} of its widths it does not keep the shape"

    def _refuse_nothing(self, replaced: Collection[str], left: Sequence[Left]) -> None:
        if replaced or any(item.reason.startswith(_NARROW) for item in left):
            return
        nothing = f"{self.title} has nothing to convert:"
        if left:
            item = next((v for v in left if "it changes the" not in v.reason), left[0])
            where = f"{item.name} ({item.kind})"
            raise UserError(f"{nothing} none of its {len(left)} residual blocks fits, such as {where}: {item.reason}.")
        raise UserError(
            f"{nothing} no block of it, at equal width and stride 1, adds its input to what channel-connecting layers "
            "make of it."
        )


def _levels(block: Block, s_g: int, s_c: int, min_levels: int, min_groups: int) -> Hierarchy:
    """Only the greatest common divisor of the inner widths enters, as ``mid``."""

    def shape(j: int, _: int) -> tuple[int, int]:
        return block.channels >> j, block.common(j)

    return hierarchy(block.narrow, s_g, s_c, shape, min_levels=min_levels, min_groups=min_groups)


def convert(
    net: Any,
    s_g: int,
    s_c: int,
    min_levels: int = 0,
    min_groups: int = 1,
    init: str = "random",
    input_size: tuple[int, int, int] | None = None,
    transfer_init: str = TRANSFER_INIT,
    zero_init_correction: bool = ZERO_INIT_CORRECTION,
) -> Conversion:
    """Replaces every eligible block of ``net``, in place; says what was replaced and what was left.

    The arguments are those of :func:`mgic_nas.mgicify`. The answer is also ``net.mgic_report``.

    Raises:
        UserError: an impossible argument, or a network without an eligible block.
    """
    check_choices(s_g, s_c, min_levels, min_groups)
    if init not in INITS:
        raise UserError(f"init must be {' or '.join(map(repr, INITS))}, not {init!r}.")
    blueprint = Blueprint(net, input_size)
    plan, left = blueprint.plan(s_g, s_c, min_levels, min_groups)
    blueprint.apply(net, plan, init)
    start(net, transfer_init, zero_init_correction)
    report = Conversion(
        blueprint.title,
        s_g,
        s_c,
        min_levels,
        min_groups,
        init,
        blueprint.replaced(plan),
        left,
        blueprint.input_size,
        transfer_init=transfer_init,
        zero_init_correction=zero_init_correction,
    )
    net.mgic_report = report
    return report


def _move_hooks(block: nn.Module, converted: nn.Module) -> None:
    """Hooks on a block (timm's feature hooks) see the converted one's input and output."""
    for name in call_hooks(block):
        setattr(converted, name, getattr(block, name))


def _title(net: nn.Module) -> str:
    cfg: Any = getattr(net, "pretrained_cfg", None) or {}
    return cfg.get("architecture") or type(net).__name__


def _input_size(net: nn.Module) -> tuple[int, int, int]:
    if not getattr(net, "pretrained_cfg", None):
        raise UserError(f"Say input_size=(C, H, W): {type(net).__name__} carries no pretrained_cfg with one.")
    size: tuple[int, int, int] = get_model_input_config(net)["input_size"]
    return size

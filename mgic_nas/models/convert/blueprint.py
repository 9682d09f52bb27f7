"""Any network with residual blocks, in MGIC form: each one of equal width becomes an MGIC block of itself.

The algorithm's choices are those of the paper's families (``rows.py``): level widths are ``w_0 // 2**j`` down to s_c,
where w_0 is the narrowest map that a layer of the block reads (a bottleneck's inner width, a MobileNet's outer one),
and every other width is divided alike; g_j follows from s_g and the widths that the block connects. Depthwise convs
stay depthwise, grouped ones (ResNeXt, RegNet) take the finer of both; squeeze-and-excitation and its kin stand on the
finest level alone (as the paper's MobileNetV3 has it); a linear layer on channels-last maps (ConvNeXt) becomes a
grouped 1x1 conv. N is a norm of the block's own kind.

Blocks that change width or resolution, convs without a residual and MLPs on tokens stay as they are, unless ``also``
names them: a grouped 3x3 conv then makes the change before the block, which is in MGIC form at its new width, as the
paper's families have it (sec. 3.3), and before a conv without a residual that changes them ("plain" and "transition");
Algorithm 1 needs no residual in the block that it wraps, and no map.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cache, cached_property
from typing import Any

import torch
from timm.models import get_model_input_config
from torch import nn

from ..._text import size_text
from ...errors import UserError
from ..mgic import TRANSFER_INIT, ZERO_INIT_CORRECTION, MultigridBlock, start
from ..rows import Level, check_choices, hierarchy
from .also import check_also
from .block import ConvertedBlock
from .change import ConvTransition, find_changes
from .find import Block, find_blocks, meta_copy, shared, tie, watch_net
from .init import INITS
from .level import NotScalable, call_hooks
from .mlp import find_mlps
from .plain import find_convs
from .report import Conversion, Left, Replaced
from .transition import Transition, find_transitions
from .ways import layer_at, new_module, wrapped

__all__ = ["Blueprint", "Conversion", "ConvertedBlock", "convert"]

Hierarchy = tuple[Level, ...]
Kind = tuple[Block, str]
_NARROW = "no level is added"
_LARGER = "MGIC behind a 3x3 conv would have more weights"


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
            self.blocks = find_blocks(self.net, watch_net(self.net, self.input_size))
        except (RuntimeError, NotImplementedError, ValueError, AssertionError) as error:
            size = size_text(self.input_size)
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"{self.title} cannot be run on {size} images on the meta device: {reason}") from error
        self._facts = {b.name: b for b in self.blocks}
        self._residual = frozenset(self._facts)
        # Blocks of one kind are tried once.
        self._examples: dict[Kind, nn.Module] = {}
        self._kind = cache(self._look_at)
        self._trouble = cache(self._try)
        self._tied = cache(self._tie)
        self.found = cache(self._find)

    def _find(self, also: tuple[str, ...]) -> list[Block]:
        """The blocks that a conversion looks at, in the network's order."""
        if not also:
            return self.blocks
        found = {b.name: b for b in self.blocks}
        if "transition" in also:
            found |= {b.name: b for b in self._transitions}
        if "plain" in also:
            names = {*found, *(b.name for b in self._transitions)}
            convs = find_convs(self.net, self._calls, names)
            if "transition" in also:
                convs = list(find_changes(self.net, self._calls, convs))
            found |= {b.name: b for b in convs}
        if "mlp" in also:
            names = {b.name for b in found.values() if not b.reason}
            found |= {b.name: b for b in find_mlps(self.net, self._calls, names)}
        self._facts |= found
        return [found[name] for name, _ in self.net.named_modules() if name in found]

    @cached_property
    def _shared(self) -> Any:
        return shared(self.net)

    @cached_property
    def _calls(self) -> Any:
        return watch_net(self.net, self.input_size)

    @cached_property
    def _transitions(self) -> list[Block]:
        return find_transitions(self.net, self._calls, self.blocks)

    def plan(
        self, s_g: int, s_c: int, min_levels: int = 0, min_groups: int = 1, also: Any = ()
    ) -> tuple[dict[str, Hierarchy], tuple[Left, ...]]:
        """The levels of every block that is converted, by its name, and the blocks that are left, with the reason.

        UserError for an impossible value, and where no block can be converted, whatever s_g and s_c.
        """
        check_choices(s_g, s_c, min_levels, min_groups)
        replaced: dict[str, Hierarchy] = {}
        left = []
        for block in self.found(check_also(also)):
            reason = block.reason or self._tied(block.name)
            if not reason:
                levels = _levels(block, s_g, s_c, min_levels, min_groups)
                if len(levels) == 1:
                    reason = f"{_NARROW}: at {block.narrow} channels it is no wider than s_c"
                elif isinstance(block, ConvTransition) and block.larger(levels):
                    reason = f"{block.changes}, and {_LARGER}"
                else:
                    kind = self._kind(block.name)
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
            new[id(block)] = new_module(net, self._facts[name], levels, init)
            _move_hooks(block, new[id(block)])
        for parent in modules.values():
            for key, child in parent._modules.items():
                if id(child) in new:
                    parent._modules[key] = new[id(child)]

    def replaced(self, plan: Mapping[str, Hierarchy]) -> tuple[Replaced, ...]:
        """A plan as the report shows it."""
        return tuple(
            Replaced(n, _kind_text(self._facts[n]), tuple(v.channels for v in levels), tuple(v.groups for v in levels))
            for n, levels in plan.items()
        )

    def _tie(self, name: str) -> str:
        other = tie(self.net, name, self._shared)
        return f"it shares weights with {other}, which would no longer be one" if other else ""

    def _look_at(self, name: str) -> Kind:
        facts = self._facts[name]
        block = wrapped(self.net, facts)
        kind = replace(facts, name=""), repr(block)
        self._examples.setdefault(kind, block)
        return kind

    def _try(self, kind: Kind, level: int, groups: int) -> str:
        """Builds the block at a level and runs it on a map; what went wrong, or ""."""
        facts = kind[0]
        shape = (2, facts.channels >> level, *facts.shape[1:])
        try:
            small = layer_at(self._examples[kind], facts, level, groups)
            with torch.no_grad():
                out = small(torch.empty(shape, device="meta", dtype=next(small.parameters()).dtype))
        except NotScalable as error:
            return f"no rule for {error}"
        except (RuntimeError, ValueError, TypeError, AssertionError, IndexError) as error:
            return f"at 1/{2**level} of its widths it does not run: {' '.join(str(error).split())[:120]}"
        return "" if out.shape == shape else f"at 1/{2**level} of its widths it does not keep the shape"

    def _refuse_nothing(self, replaced: Collection[str], left: Sequence[Left]) -> None:
        if replaced or any(self._depends(item) for item in left):
            return
        left = [v for v in left if not v.reason.startswith(_NARROW) and not v.reason.endswith(_LARGER)] or left
        nothing = f"{self.title} has nothing to convert:"
        if left:
            item = next((v for v in left if "it changes the" not in v.reason), left[0])
            where = f"{item.name} ({item.kind})"
            what = "residual blocks" if all(b.name in self._residual for b in left) else "blocks"
            raise UserError(f"{nothing} none of its {len(left)} {what} fits, such as {where}: {item.reason}.")
        raise UserError(
            f"{nothing} no block of it, at equal width and stride 1, adds its input to what channel-connecting layers "
            "make of it."
        )

    def _depends(self, item: Left) -> bool:
        """Whether it is for s_g and s_c that something is left, so that others might convert it."""
        block = self._facts[item.name]
        if not item.reason.startswith(_NARROW) and not item.reason.endswith(_LARGER):
            return False
        return not isinstance(block, ConvTransition) or not block.larger(_levels(block, 1, 1, 0, 1))


def _kind_text(facts: Block) -> str:
    if not isinstance(facts, Transition):
        return facts.kind
    change = facts.change
    stride = f", stride {change.stride}" * (change.stride > 1)
    return f"{facts.kind} behind a 3x3 conv, {change.c_in} to {change.c_out}{stride}"


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
    also: Any = (),
) -> Conversion:
    """Replaces every eligible block of ``net``, in place; says what was replaced and what was left.

    The arguments are those of :func:`mgic_nas.mgicify`. The answer is also ``net.mgic_report``.

    Raises:
        UserError: an impossible argument, or a network without an eligible block.
    """
    check_choices(s_g, s_c, min_levels, min_groups)
    if init not in INITS:
        raise UserError(f"init must be {' or '.join(map(repr, INITS))}, not {init!r}.")
    also = check_also(also)
    blueprint = Blueprint(net, input_size)
    plan, left = blueprint.plan(s_g, s_c, min_levels, min_groups, also)
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
        also=also,
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

"""What the row families share: stem, stages of MGIC blocks, head, and the methods that timm and its clients call."""

from dataclasses import replace
from typing import Any, ClassVar, Protocol

import torch
import torch.nn.functional as F
from timm.layers import (
    Linear,
    SelectAdaptivePool2d,
    calculate_drop_path_rates,
    create_act_layer,
    create_conv2d,
    get_device_dtype,
)
from timm.models import checkpoint_seq
from timm.models._features import feature_take_indices
from torch import nn

from .blocks import BLOCKS, conv_norm_act
from .mgic import TRANSFER_INIT, ZERO_INIT_CORRECTION, MGICBlock, row_convs
from .rows import Row, Rows, Stage


def _strided(row: Row, norm_layer: Any, dd: dict[str, Any]) -> nn.Module:
    """The module of a plain conv row or a pooling row."""
    if row.block == "maxpool":
        return nn.MaxPool2d(row.kernel, row.stride, row.kernel // 2)
    (conv,) = row_convs(row)
    if row.norm:
        module: nn.Module = conv_norm_act(conv, row.act, norm_layer, dd, stride=row.stride)
        return module
    plain = create_conv2d(
        conv.c_in, conv.c_out, conv.kernel, stride=row.stride, groups=conv.groups, bias=conv.bias, **dd
    )
    return nn.Sequential(plain, create_act_layer(row.act, inplace=True)) if row.act else plain


def row_module(row: Row, drop_path: float = 0.0, norm_layer: Any = nn.BatchNorm2d, **dd: Any) -> nn.Module:
    """The module of any row: an MGIC block, a plain conv, or a pooling."""
    return MGICBlock(row, drop_path, norm_layer, **dd) if row.block in BLOCKS else _strided(row, norm_layer, dd)


class RowCfg(Protocol):
    """The arguments of a family as an immutable tuple with names, and the rows that follow from them."""

    def rows(self, in_chans: int = 3) -> Rows: ...

    def _asdict(self) -> dict[str, Any]: ...


class RowNet(nn.Module):
    """A classifier built from the :class:`Rows` of its configuration.

    Modules are registered in order of use: ``stem``, ``stages``, ``global_pool``, ``head`` (convs after the pool,
    MobileNetV3's efficient head), ``flatten``, ``classifier``.

    Args:
        cfg: the family's configuration.
        num_classes: outputs; 0 for features.
        in_chans: channels of the images.
        global_pool: as timm names poolings; "" for none.
        drop_rate: dropout before the classifier.
        drop_path_rate: stochastic depth of the last block, rising from 0 at the first.
        norm_layer: BatchNorm by default.
        transfer_init, zero_init_correction: how MGIC blocks begin, see :func:`~mgic_nas.models.mgic.start`.
        **overrides: fields of ``cfg`` with other values. TypeError for an unknown one.
    """

    #: Arguments that do not show in the rows, and their defaults; an architecture is told by them too, and by its start
    #: (:func:`mgic_nas.families.names.start_of`).
    not_in_rows: ClassVar[dict[str, Any]] = {
        "drop_rate": 0.0,
        "drop_path_rate": 0.0,
        "norm_layer": nn.BatchNorm2d,
    }

    def __init__(
        self,
        cfg: RowCfg,
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        norm_layer: Any = nn.BatchNorm2d,
        transfer_init: str = TRANSFER_INIT,
        zero_init_correction: bool = ZERO_INIT_CORRECTION,
        device: Any = None,
        dtype: Any = None,
        **overrides: Any,
    ) -> None:
        super().__init__()
        self._start = (transfer_init, zero_init_correction)
        dd = {"device": device, "dtype": dtype}
        rows = type(cfg)(**{**cfg._asdict(), **overrides}).rows(in_chans)
        self.num_classes = num_classes
        self.in_chans = in_chans
        self.drop_rate = drop_rate
        self.grad_checkpointing = False
        self.num_features = rows.num_features

        self.stem = nn.Sequential(*[_strided(row, norm_layer, dd) for row in rows.stem])
        reduction = _stride(rows.stem)
        depths = [sum(row.block in BLOCKS for row in stage) for stage in rows.stages]
        rates = iter(calculate_drop_path_rates(drop_path_rate, sum(depths)))
        stages = []
        self.feature_info: list[dict[str, Any]] = []
        self._taps = list(rows.taps)  # 0 is the stem, i is stages[i - 1]
        if 0 in rows.taps:
            last = f"stem.{len(rows.stem) - 1}"
            self.feature_info.append({"num_chs": rows.stem[-1].c_out, "reduction": reduction, "module": last})
        for i, stage in enumerate(rows.stages):
            reduction *= _stride(stage)
            stages.append(
                nn.Sequential(
                    *[row_module(row, next(rates) if row.block in BLOCKS else 0.0, norm_layer, **dd) for row in stage]
                )
            )
            if i + 1 in rows.taps:
                self.feature_info.append({"num_chs": stage[-1].c_out, "reduction": reduction, "module": f"stages.{i}"})
        self.stages = nn.Sequential(*stages)

        self.global_pool = SelectAdaptivePool2d(pool_type=global_pool)
        pooled = self.num_features * self.global_pool.feat_mult()
        head = [row if i else _widened(row, pooled) for i, row in enumerate(rows.head)]
        self.head = nn.Sequential(*[_strided(row, norm_layer, dd) for row in head]) if head else nn.Identity()
        self.head_hidden_size = head[-1].c_out if head else pooled
        self.flatten = nn.Flatten(1) if global_pool else nn.Identity()
        self.classifier = Linear(self.head_hidden_size, num_classes, **dd) if num_classes > 0 else nn.Identity()

    @torch.jit.ignore
    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Parameter groups for layer-wise learning rates: the stem, then stages (coarse) or blocks."""
        return {
            "stem": r"^stem",
            "blocks": r"^stages\.(\d+)" if coarse else r"^stages\.(\d+)\.(\d+)",
        }

    @torch.jit.ignore
    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Trades compute for memory in training; outputs and gradients stay the same."""
        self.grad_checkpointing = enable

    @torch.jit.ignore
    def get_classifier(self) -> nn.Module:
        """The final linear layer (Identity where ``num_classes`` is 0)."""
        return self.classifier

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """A new classifier for ``num_classes``; ``global_pool=None`` keeps the pooling, '' switches it off.

        Raises:
            AssertionError: a pooling of another width than the head's first conv takes; the network stays as it was.
        """
        dd = get_device_dtype(self)
        trainable = all(p.requires_grad for p in self.classifier.parameters())
        if global_pool is not None:
            pool = SelectAdaptivePool2d(pool_type=global_pool)
            fits = isinstance(self.head, nn.Identity) or pool.feat_mult() == self.global_pool.feat_mult()
            assert fits, f"The head conv is sized for the pooled width: {global_pool!r} would change that."
            self.global_pool = pool
            self.flatten = nn.Flatten(1) if global_pool else nn.Identity()
        if isinstance(self.head, nn.Identity):
            self.head_hidden_size = self.num_features * self.global_pool.feat_mult()
        self.num_classes = num_classes
        self.classifier = Linear(self.head_hidden_size, num_classes, **dd) if num_classes > 0 else nn.Identity()
        self.classifier.requires_grad_(trainable)
        for module in (self.global_pool, self.flatten, self.classifier):
            module.train(self.training)

    def forward_intermediates(
        self,
        x: torch.Tensor,
        indices: int | list[int] | None = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ) -> list[torch.Tensor] | tuple[torch.Tensor, list[torch.Tensor]]:
        """The feature maps (N, C, H, W) of the chosen levels of ``feature_info``, and the final features.

        Args:
            x: images (N, in_chans, H, W).
            indices: the last n levels for an int, all for None, or a list of levels.
            norm: there is no final norm; accepted for timm's interface.
            stop_early: ends at the last chosen level; only with ``intermediates_only``.
            output_fmt: only "NCHW".
            intermediates_only: leaves the final features out.
        """
        if output_fmt != "NCHW":
            raise ValueError(f"Output format must be NCHW, not {output_fmt!r}.")
        if stop_early and not intermediates_only:
            raise ValueError("stop_early needs intermediates_only=True.")
        take, last = feature_take_indices(len(self._taps), indices)
        taken = [self._taps[i] for i in take]
        stages = self.stages[: self._taps[last]] if stop_early else self.stages
        intermediates = []
        x = self.stem(x)
        if 0 in taken:
            intermediates.append(x)
        for i, stage in enumerate(stages, start=1):
            if self.grad_checkpointing and not torch.jit.is_scripting():
                x = checkpoint_seq(stage, x)
            else:
                x = stage(x)
            if i in taken:
                intermediates.append(x)
        return intermediates if intermediates_only else (x, intermediates)

    def prune_intermediate_layers(
        self, indices: int | list[int] = 1, prune_norm: bool = False, prune_head: bool = True
    ) -> list[int]:
        """Cuts the stages after the last chosen level of ``feature_info``; returns the kept levels."""
        take, last = feature_take_indices(len(self._taps), indices)
        end = self._taps[last]
        cut = end < len(self.stages)
        self.stages = self.stages[:end]
        if cut:
            self.num_features = self.feature_info[last]["num_chs"]
        if cut or prune_head:
            self.head = nn.Identity()
            self.reset_classifier(0, "")
        return take

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """Images (N, in_chans, H, W) to the last feature map (N, num_features, H', W')."""
        x = self.stem(x)
        if self.grad_checkpointing and not torch.jit.is_scripting():
            x = checkpoint_seq(self.stages, x, flatten=True)
        else:
            x = self.stages(x)
        return x

    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """The last feature map to logits (N, num_classes), or to what the classifier gets."""
        x = self.global_pool(x)
        x = self.head(x)
        x = self.flatten(x)
        if self.drop_rate > 0.0:
            x = F.dropout(x, p=self.drop_rate, training=self.training)
        return x if pre_logits else self.classifier(x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.forward_features(x)
        x = self.forward_head(x)
        return x


def _stride(stage: Stage) -> int:
    product = 1
    for row in stage:
        product *= row.stride
    return product


def _widened(row: Row, c_in: int) -> Row:
    """The first head row for a pooling that widens ('catavgmax')."""
    return row if row.c_in == c_in else replace(row, c_in=c_in)

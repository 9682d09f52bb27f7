"""What ``mgic-nas profile`` prints: the cost of a network, or of everything that a search space holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import UserError, did_you_mean

if TYPE_CHECKING:
    from .cost import Cost, Family
    from .space import Budget, Survey


@dataclass(frozen=True)
class Inference:
    """The inference form (every BatchNorm folded) beside the network as it is trained: milliseconds of one image."""

    cost: Cost
    milliseconds: float
    milliseconds_fused: float
    where: str

    def __str__(self) -> str:
        return (
            f"  inference form       {self.cost.params:>15,} params, {self.cost.macs:,} MACs\n"
            f"    one image          {self.milliseconds:>12.2f} ms   as trained ({self.where})\n"
            f"                       {self.milliseconds_fused:>12.2f} ms   with every BatchNorm folded"
        )


@dataclass(frozen=True)
class NetworkProfile:
    """The cost of one network at a stated input size, and whether it fits each budget."""

    name: str
    config: dict[str, Any]
    input_size: tuple[int, int, int]
    num_classes: int
    cost: Cost
    budgets: tuple[Budget, ...] = field(default=())
    inference: Inference | None = None

    def fits(self) -> dict[str, bool]:
        """Budget label -> whether the network is within it."""
        from .space import within

        return {b.label: within(self.cost, {b.kind: b.limit}) for b in self.budgets}

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "model": self.name,
            "config": self.config,
            "input_size": list(self.input_size),
            "num_classes": self.num_classes,
            **asdict(self.cost),
            "fits": self.fits(),
            "inference": asdict(self.inference) if self.inference else None,
        }

    def __str__(self) -> str:
        given = {**self.config, "num_classes": self.num_classes, "in_chans": self.input_size[0]}
        arguments = ", ".join(f"{k}={v!r}" for k, v in given.items())
        size = "x".join(map(str, self.input_size))
        lines = [
            f'timm.create_model("{self.name}", {arguments})',
            f"  params               {self.cost.params:>15,}",
            f"  MACs at {size:<12} {self.cost.macs:>15,}",
            f"    without R and P    {self.cost.macs_without_transfers:>15,}   (what the paper's tables count)",
            f"  activations          {self.cost.activations:>15,}",
        ]
        lines += [f"  budget {label:<13} {'fits' if ok else 'does not fit':>15}" for label, ok in self.fits().items()]
        if self.inference:
            lines.append(str(self.inference))
        return "\n".join(lines)


def _measure(known: Family, config: dict[str, Any], size: tuple[int, int, int], classes: int) -> Inference:
    import torch

    from .cost import count, latency
    from .models.fusing import fuse

    net = known.build(config, classes, size[0]).eval()
    fused = fuse(net)
    seconds = latency({"plain": net, "fused": fused}, size)
    return Inference(
        count(fused, size), seconds["plain"] * 1e3, seconds["fused"] * 1e3, f"CPU, {torch.get_num_threads()} threads"
    )


def profile_target(
    target: str,
    data: str | None = None,
    input_size: str | None = None,
    num_classes: int | None = None,
    budgets: Sequence[str] = (),
    settings: Sequence[str] = (),
    timed: bool = False,
) -> NetworkProfile | Survey:
    """The profile of a timm name, or the survey of a search space (a YAML file or a shipped name).

    Input size and classes come from ``data``, else from ``input_size`` ("C,H,W") and ``num_classes``, else from
    the model's own defaults. ``timed`` measures a network on this machine, and its inference form.
    UserError for anything that is not understood.
    """
    from .cost import family, model_names
    from .space import SearchSpace, parse_budgets, shipped_spaces, survey

    if data and (input_size or num_classes is not None):
        raise UserError("Give either --data or --input-size and --num-classes, not both.")
    space = None
    if Path(target).suffix in (".yaml", ".yml") or target in shipped_spaces():
        if settings or timed:
            raise UserError("--set and --time go with a model name; in a search space write kwargs.")
        space = SearchSpace.from_yaml(target)
    try:
        known = family(space.model if space else target)
    except UserError:
        if space:
            raise
        ours = [*shipped_spaces(), *model_names()]
        raise UserError(
            f"{target!r} is neither a timm model, nor a YAML file, nor a shipped space.{did_you_mean(target, ours)}"
        ) from None
    size, classes = _size(input_size) or known.input_size, num_classes or known.num_classes
    if data:
        from .tasks import load_data

        info = load_data(data).info
        size, classes = info.input_size, info.num_classes
    limits = parse_budgets(budgets)
    if space:
        return survey(space, size, classes, limits)
    config = _config(settings)
    cost = known.cost(config, size, classes)
    inference = _measure(known, config, size, classes) if timed else None
    return NetworkProfile(target, config, size, classes, cost, tuple(limits), inference)


def _size(text: str | None) -> tuple[int, int, int] | None:
    if text is None:
        return None
    parts = text.replace("x", ",").split(",")
    if len(parts) != 3 or not all(p.strip().isdigit() and int(p) > 0 for p in parts):
        raise UserError(f"--input-size takes C,H,W, such as 3,32,32, not {text!r}.")
    c, h, w = map(int, parts)
    return c, h, w


def _config(settings: Sequence[str]) -> dict[str, Any]:
    import yaml

    config = {}
    for text in settings:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UserError(f"--set takes name=value, such as s_g=8, not {text!r}.")
        try:
            config[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise UserError(f"--set {key}: {value!r} is not a value; lists are written [0.5, 1.0].") from None
    return config

"""What ``mgic-nas profile`` prints: the cost of a network, or of everything that a search space holds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ._text import size_text
from .cost import Cost
from .cost import latency as clock
from .cost.count import count
from .cost.runtimes.kinds import LATENCY, PREFIX, runtime_kind
from .engine.storage.config import at_least_one
from .engine.storage.latencies import THREADS, here
from .engine.storage.latency_table import check_csv_names, read_network, read_table
from .engine.storage.measuring import timed as timed_in
from .engine.storage.trial import latency_column
from .errors import UserError, did_you_mean
from .families import Family, MgicifiedFamily, create_model_line, family, model_names, network_names, start_of
from .models.convert.report import Conversion
from .models.fusing import fuse
from .space import Budget, SearchSpace, Survey, parse_budgets, shipped_spaces
from .space.assignments import assignments
from .space.budget import latency_kinds, refuse_unnamed
from .space.survey import survey
from .tasks import load_data

_LOADING = {"checkpoint_path", "pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "cache_dir"}  # timm's
_SIDE = re.compile(r"[1-9][0-9]{0,8}")


@dataclass(frozen=True)
class Timed:
    """A form of a network, with the milliseconds that one image takes."""

    name: str
    cost: Cost
    milliseconds: float


@dataclass(frozen=True)
class Inference:
    """What a network takes on this machine as it is trained, and fused (:func:`mgic_nas.fuse`); the fused one last.

    Attributes:
        where: the device and its threads.
        forms: measured in turns; of a converted network the original first.
        batch_norms: of the network as it is trained.
        left: of these, the ones that fusing could not fold into a conv.
    """

    where: str
    forms: tuple[Timed, ...]
    batch_norms: int
    left: int

    def __str__(self) -> str:
        width = max(len(form.name) for form in self.forms)
        lines = [f"  one image on the {self.where}", f"    {'':<{width}} {'params':>15} {'MACs':>18} {'ms':>10}"]
        for form in self.forms:
            numbers = f"{form.cost.params:>15,} {form.cost.macs:>18,} {form.milliseconds:>10.2f}"
            lines.append(f"    {form.name:<{width}} {numbers}")
        trained, fused = self.forms[-2:]
        folded = self.batch_norms - self.left
        share = f"the fused form takes {100 * fused.milliseconds / trained.milliseconds:.0f} % of the time"
        how_many = f"{folded} of {self.batch_norms} BatchNorms are folded" if folded else "no BatchNorm can be folded"
        lines.append(f"    {how_many}{f': {share}' if folded else ', so both are the same'}")
        return "\n".join(lines)


@dataclass(frozen=True)
class NetworkProfile:
    """The cost of one network at a stated input size, and whether it fits each budget.

    ``conversion`` says of a converted one (``mgicify:NAME``) what was replaced, and what the original costs;
    ``inference`` is there where it was timed; ``latencies`` (kind -> seconds of a
    whole batch, and how they were measured) where budgets are on them.
    """

    name: str
    config: dict[str, Any]
    input_size: tuple[int, int, int]
    num_classes: int
    cost: Cost
    budgets: tuple[Budget, ...] = field(default=())
    conversion: Conversion | None = None
    inference: Inference | None = None
    latencies: dict[str, tuple[float, str]] = field(default_factory=dict)

    def fits(self) -> dict[str, bool]:
        """Budget label -> whether the network is within it."""
        return {
            b.label: self.latencies[b.kind][0] <= b.limit if b.kind in self.latencies else b.fits(self.cost)
            for b in self.budgets
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        converted: dict[str, Any] = {}
        if found := self.conversion:
            converted = {
                "before": asdict(found.before) if found.before else None,
                "replaced": [block._asdict() for block in found.replaced],
                "left": [block._asdict() for block in found.left],
            }
        return {
            "model": self.name,
            "config": self.config,
            "input_size": list(self.input_size),
            "num_classes": self.num_classes,
            **asdict(self.cost),
            "fits": self.fits(),
            **converted,
            latency_column(LATENCY): None,
            **{latency_column(kind): seconds * 1e3 for kind, (seconds, _) in self.latencies.items()},
            "inference": asdict(self.inference) if self.inference else None,
        }

    def __str__(self) -> str:
        size = size_text(self.input_size)
        lines = [create_model_line(self.name, self.config, self.num_classes, self.input_size[0])]
        if self.conversion:
            lines += [str(self.conversion)]
        else:
            lines += [
                f"  params               {self.cost.params:>15,}",
                f"  MACs at {size:<12} {self.cost.macs:>15,}",
            ]
            if self.cost.macs_without_transfers != self.cost.macs:
                paper = "   (what the paper's tables count)"
                lines.append(f"    without R and P    {self.cost.macs_without_transfers:>15,}{paper}")
            lines.append(f"  activations          {self.cost.activations:>15,}")
        for kind, (seconds, how) in self.latencies.items():
            lines.append(f"  {kind:<20} {seconds * 1e3:>12.4g} ms   ({how})")
        lines += [f"  budget {label:<13} {'fits' if ok else 'does not fit':>15}" for label, ok in self.fits().items()]
        if self.inference:
            lines.append(str(self.inference))
        return "\n".join(lines)


def _measure(known: Family, config: dict[str, Any], size: tuple[int, int, int], classes: int) -> Inference:
    def norms(net: nn.Module) -> int:
        return sum(isinstance(m, torch.nn.modules.batchnorm._BatchNorm) for m in net.modules())

    net = known.build(config, classes, size[0]).eval()
    forms = {"as trained": net, "fused": fuse(net)}
    original = getattr(known, "original", None)
    if original is not None:
        forms = {"the original": original(config, classes, size[0]).eval(), **forms}
    seconds = clock.latency(forms, size)
    threads = torch.get_num_threads()
    return Inference(
        f"CPU with {threads} thread{'s' if threads != 1 else ''}",
        tuple(Timed(name, count(form, size), seconds[name] * 1e3) for name, form in forms.items()),
        norms(net),
        norms(forms["fused"]),
    )


def _latency(
    known: Family, config: dict[str, Any], size: tuple[int, int, int], classes: int, kind: str
) -> tuple[float, str]:
    """As a search measures it: (seconds of a whole batch, how)."""
    runtime = runtime_kind(kind)
    place, device = here(size, runtime=runtime)
    if runtime is not None:
        return timed_in(known.name, config, size, classes, runtime, device), str(place)
    return clock.image_latency(known.build(config, classes, size[0]).to(device), size, threads=THREADS), str(place)


def profile_target(
    target: str,
    data: str | None = None,
    input_size: str | None = None,
    num_classes: int | None = None,
    budgets: Sequence[str] = (),
    settings: Sequence[str] = (),
    timed: bool = False,
    latencies: Sequence[str | Path] = (),
) -> NetworkProfile | Survey:
    """The profile of a timm name, or the survey of a search space (a YAML file or a shipped name).

    Input size and classes come from ``data``, else from ``input_size`` ("C,H,W") and ``num_classes``, else from
    the model's own defaults. ``timed`` measures a network on this machine, and its inference form. ``latencies`` are
    csvs of measurements, as a search takes them.
    UserError for anything that is not understood.
    """
    if num_classes is not None:
        at_least_one("--num-classes", num_classes)
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
        ours = [*shipped_spaces(), *model_names(), *network_names()]
        raise UserError(
            f"{target!r} is neither a timm model, nor a YAML file, nor a shipped space.{did_you_mean(target, ours)}"
        ) from None
    size, classes = _size(input_size) or known.input_size, num_classes or known.num_classes
    if data:
        info = load_data(data).info
        size, classes = info.input_size, info.num_classes
    limits = parse_budgets(budgets)
    kinds = latency_kinds(limits)
    tables = {PREFIX + path.stem: path for path in check_csv_names(latencies)}
    refuse_unnamed(kinds, [path.stem for path in tables.values()])
    if space:
        if tables:
            space = space.started_as(None)  # its architectures have the names that a search gives them
        measured = {kind: read_table(path, space).seconds for kind, path in tables.items()}
        return survey(space, size, classes, limits, measured=measured)
    config = assignments("--set", settings)
    for key in _LOADING & config.keys():
        raise UserError(f"--set {key}: nothing is loaded to be counted; leave it out.")
    cost = known.cost(config, size, classes)
    conversion = known.conversion(config, size, classes) if isinstance(known, MgicifiedFamily) else None
    inference = _measure(known, config, size, classes) if timed else None
    times = {kind: _listed(known, config, path) for kind, path in tables.items()}
    times |= {kind: _latency(known, config, size, classes, kind) for kind in kinds if kind not in times}
    return NetworkProfile(target, config, size, classes, cost, tuple(limits), conversion, inference, times)


def _listed(known: Family, config: dict[str, Any], path: Path) -> tuple[float, str]:
    """From a csv: (seconds, from where), under any of the network's names: how it begins is no matter."""
    start = start_of(known.name)
    names = {known.arch_id({**first, **config}) for first in (start.first, start.now)}
    return read_network(path, names, known.name), f"as in {path.name}"


def _size(text: str | None) -> tuple[int, int, int] | None:
    if text is None:
        return None
    parts = text.replace("x", ",").split(",")
    if len(parts) != 3 or not all(_SIDE.fullmatch(p.strip()) for p in parts):
        raise UserError(f"--input-size takes C,H,W, such as 3,32,32, not {text!r}.")
    c, h, w = map(int, parts)
    return c, h, w


def profile(
    model: str | nn.Module,
    *,
    input_size: tuple[int, int, int] | None = None,
    num_classes: int | None = None,
    **kwargs: Any,
) -> Cost:
    """What one image costs.

    Args:
        model: a timm name (ours are counted from their rows, in microseconds), or a built network.
        input_size: (C, H, W); by default the model's own.
        num_classes: by default the model's own.
        **kwargs: further arguments of ``timm.create_model``, such as ``s_g`` and ``s_c``.

    Raises:
        UserError: an unknown name or argument.
    """
    if isinstance(model, nn.Module):
        if kwargs or num_classes is not None:
            raise UserError("A built network takes no arguments; give its name to vary them.")
        if input_size is None:
            cfg: Any = getattr(model, "pretrained_cfg", None) or {}
            input_size = tuple(cfg["input_size"]) if "input_size" in cfg else None
        if input_size is None:
            raise UserError("Say input_size=(C, H, W): this network does not carry one.")
        return count(model, _checked(input_size))
    if not isinstance(model, str):
        raise UserError(f"{model!r} is neither a model's name nor a network.")
    known = family(model)
    in_chans = kwargs.pop("in_chans", None)
    for what, value in (("num_classes", num_classes), ("in_chans", in_chans)):
        if value is not None:
            at_least_one(what, value)
    if input_size is None:
        _, height, width = known.input_size
        input_size = (in_chans or known.input_size[0], height, width)
    return known.cost(kwargs, _checked(input_size), known.num_classes if num_classes is None else num_classes)


def _checked(input_size: Any) -> tuple[int, int, int]:
    """``input_size`` as a tuple; UserError where it is not (C, H, W)."""
    sides = list(input_size) if isinstance(input_size, Sequence) and not isinstance(input_size, str) else []
    if len(sides) != 3 or not all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in sides):
        raise UserError(f"input_size must be (C, H, W), three whole numbers such as (3, 32, 32), not {input_size!r}.")
    return sides[0], sides[1], sides[2]

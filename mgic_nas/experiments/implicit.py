"""Figure 4, small: how well Table 2's networks learn eq. 4.1, against their parameters.

    python -m mgic_nas.experiments.implicit --out runs/implicit

Every network gets the same samples, recipe and seeds; MGIC's is trained with both of its starts. The same command
goes on where it was stopped, and several at a time share the trainings; the folder then holds results.csv (one row a
training), README.md and mse.png.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import math
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from .._figure import GREY, MUTED, ORANGE, PURPLE, TEAL, dress, figure, save
from .._files import write_atomic
from .._text import plural
from ..cost.count import count
from ..models.implicit import NETWORKS, ImplicitNetwork
from ..tasks import Data, load_data
from ..tasks._random import seeded
from ..tasks.base import mix
from ._record import Table, command, describe, say

NAME = "implicit"
#: A tenth of y's range: up to 4 pi in the sine instead of 40. On all of it no network of these learns anything in so
#: few steps (`--data functions:waves?val=20000` shows it). Seed 1: the recipe was chosen on the samples of seed 0.
DATA = "functions:waves?val=20000&y=0..0.6283&seed=1"
KEY = ("network", "start", "c_max", "seed")
COLUMNS = (*KEY, "params", "macs", "mse", "explained", "train_mse", "seconds")


class Curve(NamedTuple):
    """A line of the figure: a network, and how its MGIC blocks begin."""

    network: str
    start: str
    label: str
    color: str
    marker: str


#: How R, P and N begin -> the network's arguments.
FIRST, NOW = "uniform, N from 1", "aggregation, N from 0"
STARTS: dict[str, dict[str, Any]] = {
    "none": {},
    FIRST: {"transfer_init": "uniform", "zero_init_correction": False},
    NOW: {"transfer_init": "aggregation", "zero_init_correction": True},
}
CURVES = (
    Curve("implicit_mobilenetv3", "none", "MobileNetV3", PURPLE, "s"),
    Curve("implicit_ghostnet", "none", "GhostNet", ORANGE, "D"),
    Curve("implicit_mgic_mobilenetv3", FIRST, f"MGIC-MobileNetV3, {FIRST}", GREY, "^"),
    Curve("implicit_mgic_mobilenetv3", NOW, f"MGIC-MobileNetV3, {NOW}", TEAL, "o"),
)


class _Pointwise(TorchFunctionMode):
    """Computes 1x1 convs of a single image as matrix products, which is twice as fast on a CPU."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not torch.conv2d:
            return func(*args, **(kwargs or {}))
        x, weight, bias, *_, groups = args
        c_out, per_group = weight.shape[:2]
        if per_group == 1 and c_out == groups:
            y = x * weight.view(1, -1, 1, 1)
        elif groups == 1:
            y = weight.flatten(1) @ x.flatten(2)[0]
        else:
            y = torch.bmm(weight.view(groups, -1, per_group), x.reshape(groups, per_group, -1))
        y = y.reshape(1, c_out, *x.shape[2:])
        return y if bias is None else y + bias.view(1, -1, 1, 1)


def fit(
    net: ImplicitNetwork, data: Data, *, steps: int, batch_size: int, lr: float, fixed_norms: float, seed: int
) -> tuple[float, float, float]:
    """Trains by Adam: linear warm-up over a tenth of the steps, then a cosine to 0.

    In the last ``fixed_norms`` of the steps the BatchNorms use the running statistics that they have by then: those of
    a batch are noise, which hides how well a network could do.

    Returns:
        MSE on the validation samples, mean training loss of the last tenth, seconds of CPU time.
    """
    begin = time.process_time()
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)
    warm = max(1, steps // 10)

    def share(step: int) -> float:
        rest = (step - warm) / max(1, steps - warm)
        return (step + 1) / warm if step < warm else 0.5 * (1 + math.cos(math.pi * rest))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, share)
    net.train()
    losses: list[float] = []
    epoch = 0
    while len(losses) < steps:
        for x, y in data.train.batches(batch_size, seed=seed, epoch=epoch, augment=True):
            if len(losses) == steps - round(fixed_norms * steps):
                _fix_norms(net)
            with _Pointwise():  # the batch as one image: see ImplicitNetwork
                output = net(x.flatten(1).T.reshape(1, x.shape[1], -1, 1))
            loss = data.task.loss(output, y)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
            if len(losses) == steps:
                break
        epoch += 1
    scores = data.task.evaluate(net, data.val)
    return scores["val_loss"], statistics.fmean(losses[-warm:]), time.process_time() - begin


def _fix_norms(net: nn.Module) -> None:
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def measure(table: Table, data: Data, recipe: dict[str, Any], c_maxs: Sequence[int], seeds: Sequence[int]) -> None:
    """Trains what the table still lacks, small networks first, and adds a row for each."""
    variance = float(data.val.labels.astype("float64").var())
    for c_max, seed, curve in itertools.product(c_maxs, seeds, CURVES):
        key = {"network": curve.network, "start": curve.start, "c_max": c_max, "seed": seed}
        if not table.claim(**key):
            continue
        net = build(curve, c_max, recipe["s_g"], recipe["s_c"], seed)
        cost = count(net, data.info.input_size)
        fitted = {name: recipe[name] for name in ("steps", "batch_size", "lr", "fixed_norms")}
        mse, train_mse, seconds = fit(net, data, **fitted, seed=seed)
        table.append(
            {
                **key,
                "params": cost.params,
                "macs": cost.macs,
                "mse": f"{mse:.4g}",
                "explained": f"{100 * (1 - mse / variance):.2f}",
                "train_mse": f"{train_mse:.4g}",
                "seconds": f"{seconds:.1f}",
            }
        )
        say(f"{curve.label}, c_max={c_max}, seed={seed}: MSE {mse:.4g} in {seconds:.0f} s")


def build(curve: Curve, c_max: int, s_g: int, s_c: int, seed: int) -> ImplicitNetwork:
    """The network of a curve with the weights of ``seed``."""
    grids = {"s_g": s_g, "s_c": s_c} if "mgic" in curve.network else {}
    with seeded(mix(seed, "weights")):
        return NETWORKS[curve.network](c_max, **STARTS[curve.start], **grids)


class Point(NamedTuple):
    """A network of one width."""

    params: int
    macs: int
    c_max: int
    mse: list[float]  # of each seed
    seconds: float  # CPU seconds of a training, mean

    @property
    def median(self) -> float:
        """Of the MSE over the seeds: one training in some diverges."""
        return statistics.median(self.mse)


def gather(table: Table) -> dict[Curve, list[Point]]:
    """Curve -> its points by params."""
    rows: dict[tuple[Curve, int], list[dict[str, str]]] = {}
    for row, curve in itertools.product(table.rows, CURVES):
        if (row["network"], row["start"]) == (curve.network, curve.start):
            rows.setdefault((curve, int(row["c_max"])), []).append(row)
    points: dict[Curve, list[Point]] = {}
    for (curve, c_max), found in sorted(rows.items(), key=lambda item: (CURVES.index(item[0][0]), item[0][1])):
        errors = [float(row["mse"]) for row in found]
        seconds = statistics.fmean(float(row["seconds"]) for row in found)
        points.setdefault(curve, []).append(
            Point(int(found[0]["params"]), int(found[0]["macs"]), c_max, errors, seconds)
        )
    return points


def draw(table: Table, data: Data, path: Path) -> None:
    """mse.png: median MSE over the seeds against parameters, every seed a point as far as it is near the lines."""
    made = figure(8.4, 5.0)
    axes = made.add_subplot()
    recipe = table.fixed
    for curve, points in gather(table).items():
        axes.plot(
            [point.params for point in points], [point.median for point in points], color=curve.color,
            marker=curve.marker, markersize=7, linewidth=1.6, markeredgecolor="white", markeredgewidth=0.9,
            label=curve.label, zorder=4,
        )  # fmt: skip
        for point in points:
            axes.scatter([point.params] * len(point.mse), point.mse, s=12, color=curve.color, alpha=0.45, linewidths=0)
            axes.annotate(
                str(point.c_max), (point.params, point.median), xytext=(0, 7), textcoords="offset points",
                ha="center", fontsize=8, color=curve.color,
            )  # fmt: skip
    every = [point for points in gather(table).values() for point in points]
    top = 1.7 * max(point.median for point in every)
    above = sum(mse > top for point in every for mse in point.mse)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(0.8 * min(min(point.mse) for point in every), top)
    dress(
        axes,
        "Implicit function: error against parameters",
        f"{int(recipe['steps']):,} steps of {recipe['batch_size']} samples; median over seeds; numbers: c_max"
        + (f"; {plural(above, 'training')} above" if above else ""),
        "Parameters",
        f"MSE on {len(data.val):,} held-out samples",
    )
    made.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9, labelcolor=MUTED)
    save(made, path)


def write(table: Table, data: Data, path: Path) -> None:
    """README.md: the table by network and width, and how it was made."""
    recipe = table.fixed
    variance = float(data.val.labels.astype("float64").var())
    lines = [
        "# Implicit functions: MSE against parameters (Figure 4, small)",
        "",
        "f(x, y, a, b, c) = a cos(bx) sin(cy), eq. 4.1, learned by the networks of Table 2: kernels 1x1, no SE, ReLU,",
        "two blocks (expansion 4) at each width 32 .. c_max, and between widths a grouped 1x1 conv with BN, alike in",
        "all three.",
        "`python -m mgic_nas.experiments.implicit --out FOLDER` makes this folder.",
        "",
        f"- data: `{recipe['data']}`, new uniform samples in every batch; MSE on {len(data.val):,} held-out samples,",
        f"  whose variance ({variance:.4f}) is the MSE of the constant mean",
        f"- recipe, the same for all: Adam, {int(recipe['steps']):,} steps of {recipe['batch_size']} samples, learning",
        f"  rate {recipe['lr']} (warm-up over a tenth of the steps, cosine to 0), float32; in the last "
        f"{100 * float(recipe['fixed_norms']):g} % of the steps",
        "  the BatchNorms use their running statistics, since those of a batch are noise",
        f"- MGIC: s_g = {recipe['s_g']}, s_c = {recipe['s_c']}, with both starts",
        "- the paper, after 9.5 billion samples, finds MGIC's error the lowest; this is",
        f"  {int(recipe['steps']):,} times {recipe['batch_size']} samples on a tenth of y's range",
        f"- machine: {describe(table.rows[-1])}; one thread, CPU seconds of one training",
        "",
        "| block | c_max | params | MACs | MSE, median (min to max) | seeds | explained variance | CPU s |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for curve, points in gather(table).items():
        lines += [
            f"| {curve.label} | {point.c_max} | {point.params:,} | {point.macs:,} "
            f"| {point.median:.2g} ({min(point.mse):.2g} to {max(point.mse):.2g}) | {len(point.mse)} "
            f"| {100 * (1 - point.median / variance):.2f} % | {point.seconds:.0f} |"
            for point in points
        ]
    write_atomic(path, "\n".join([*lines, "", "![MSE against parameters](mse.png)", ""]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m mgic_nas.experiments.{NAME}", description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the results, for example runs/implicit")
    parser.add_argument("--data", default=DATA, help="what to learn (default: %(default)s)")
    parser.add_argument("--c-max", type=int, nargs="+", default=[32, 64, 128], help="widths (default: 32 64 128)")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each network (default: 3)")
    parser.add_argument("--first-seed", type=int, default=10, help="seed of the first (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=4000, help="updates of a training (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=512, help="samples of an update (default: %(default)s)")
    parser.add_argument("--lr", type=float, default=0.01, help="highest learning rate (default: %(default)s)")
    parser.add_argument(
        "--fixed-norms",
        type=float,
        default=0.4,
        help="last part of the steps with fixed BatchNorms (default: %(default)s)",
    )
    parser.add_argument("--s-g", type=int, default=16, help="channels a group (default: %(default)s)")
    parser.add_argument("--s-c", type=int, default=16, help="coarsest width (default: %(default)s)")
    return parser


def run(args: argparse.Namespace) -> None:
    """Measures, then writes the picture and the page."""
    torch.set_num_threads(1)
    data = load_data(args.data)
    recipe = {name: getattr(args, name) for name in ("steps", "batch_size", "lr", "fixed_norms", "s_g", "s_c")}
    table = Table(args.out / "results.csv", COLUMNS, KEY, {"data": data.spec, **recipe})
    measure(table, data, recipe, args.c_max, range(args.first_seed, args.first_seed + args.seeds))
    draw(table, data, args.out / "mse.png")
    write(table, data, args.out / "README.md")
    say(f"{args.out}: results.csv, README.md, mse.png")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    args = _parser().parse_args(argv)
    return command(NAME, functools.partial(run, args))


if __name__ == "__main__":
    sys.exit(main())

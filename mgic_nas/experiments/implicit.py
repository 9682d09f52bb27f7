"""Figure 4, small: how well Table 2's networks learn eq. 4.1, against their parameters.

    python -m mgic_nas.experiments.implicit --out runs/implicit

Every network gets the same samples, recipe and seeds. The same command goes on where it was stopped; the folder
then holds results.csv (one row a training), README.md and mse.png.
"""

from __future__ import annotations

import argparse
import functools
import math
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from .._figure import MUTED, ORANGE, PURPLE, TEAL, dress, figure, save
from .._files import write_atomic
from ..cost.count import count
from ..families import start_of
from ..models.implicit import NETWORKS, ImplicitNetwork
from ..tasks import Data, load_data
from ..tasks._random import seeded
from ..tasks.base import mix
from ._record import Table, command, describe, say

NAME = "implicit"
#: A tenth of y's range: up to 4 pi in the sine instead of 40. On all of it no network of these learns anything in so
#: few steps (`--data functions:waves?val=20000` shows it).
DATA = "functions:waves?val=20000&y=0..0.6283"
COLUMNS = ("network", "c_max", "seed", "params", "macs", "mse", "explained", "train_mse", "seconds")
LABELS = {
    "implicit_mobilenetv3": ("MobileNetV3 block", PURPLE, "s"),
    "implicit_ghostnet": ("GhostNet block", ORANGE, "D"),
    "implicit_mgic_mobilenetv3": ("MGIC-MobileNetV3 block", TEAL, "o"),
}


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
    net: ImplicitNetwork, data: Data, *, steps: int, batch_size: int, lr: float, seed: int
) -> tuple[float, float, float]:
    """Trains by Adam: linear warm-up over a tenth of the steps, then a cosine to 0.

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


def measure(table: Table, data: Data, recipe: dict[str, Any], c_maxs: Sequence[int], seeds: int) -> None:
    """Trains what the table still lacks, small networks first, and adds a row for each."""
    todo = [
        (c_max, seed, name)
        for c_max in c_maxs
        for seed in range(seeds)
        for name in NETWORKS
        if table.find(network=name, c_max=c_max, seed=seed) is None
    ]
    for number, (c_max, seed, name) in enumerate(todo, start=1):
        net = build(name, c_max, recipe["s_g"], recipe["s_c"], seed)
        cost = count(net, data.info.input_size)
        fitted = {key: recipe[key] for key in ("steps", "batch_size", "lr")}
        mse, train_mse, seconds = fit(net, data, **fitted, seed=seed)
        # 100 (1 - MSE / variance), from the variance of the same samples.
        explained = 100 * (1 - mse / float(data.val.labels.astype("float64").var()))
        table.append(
            {
                "network": name,
                "c_max": c_max,
                "seed": seed,
                "params": cost.params,
                "macs": cost.macs,
                "mse": f"{mse:.4g}",
                "explained": f"{explained:.2f}",
                "train_mse": f"{train_mse:.4g}",
                "seconds": f"{seconds:.1f}",
            }
        )
        say(f"{number}/{len(todo)}  {name} c_max={c_max} seed={seed}: MSE {mse:.4g} in {seconds:.0f} s")


def build(name: str, c_max: int, s_g: int, s_c: int, seed: int) -> ImplicitNetwork:
    """One of :data:`NETWORKS` with the weights of ``seed``."""
    arguments = {"s_g": s_g, "s_c": s_c} if "mgic" in name else {}
    with seeded(mix(seed, "weights")):
        return NETWORKS[name](c_max, **start_of(name).first, **arguments)


Point = tuple[int, int, int, list[float]]


def gather(table: Table) -> dict[str, list[Point]]:
    """Network -> (params, MACs, c_max, MSE of each seed), by params."""
    points: dict[str, dict[int, Point]] = {}
    for row in table.rows:
        c_max = int(row["c_max"])
        fresh: Point = (int(row["params"]), int(row["macs"]), c_max, [])
        points.setdefault(row["network"], {}).setdefault(c_max, fresh)[3].append(float(row["mse"]))
    return {name: sorted(points[name].values()) for name in NETWORKS if name in points}


def draw(table: Table, data: Data, path: Path) -> None:
    """mse.png: mean MSE over the seeds against parameters, every seed a point."""
    made = figure(8.4, 5.0)
    axes = made.add_subplot()
    recipe = table.fixed
    for name, points in gather(table).items():
        label, color, marker = LABELS[name]
        params = [point[0] for point in points]
        axes.plot(
            params, [statistics.fmean(point[3]) for point in points], color=color, marker=marker, markersize=7,
            linewidth=1.6, markeredgecolor="white", markeredgewidth=0.9, label=label, zorder=4,
        )  # fmt: skip
        for count_, _, c_max, errors in points:
            axes.scatter([count_] * len(errors), errors, s=12, color=color, alpha=0.45, linewidths=0, zorder=3)
            axes.annotate(
                str(c_max), (count_, max(errors)), xytext=(0, 5), textcoords="offset points", ha="center",
                fontsize=8, color=color,
            )  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    dress(
        axes,
        "Implicit function: error against parameters",
        f"f = a cos(bx) sin(cy); {int(recipe['steps']):,} steps of {recipe['batch_size']} samples; lines: mean over "
        "seeds; numbers: c_max",
        "Parameters",
        f"MSE on {len(data.val):,} held-out samples",
    )
    axes.legend(loc="lower left", frameon=False, fontsize=9, labelcolor=MUTED)
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
        f"  rate {recipe['lr']} (warm-up over a tenth of the steps, cosine to 0), float32",
        f"- MGIC: s_g = {recipe['s_g']}, s_c = {recipe['s_c']}; R and P begin uniform, N at one (the first versions' "
        "start)",
        "- the paper, after 9.5 billion samples, finds MGIC's error the lowest; this is",
        f"  {int(recipe['steps']):,} times {recipe['batch_size']} samples on a tenth of y's range",
        f"- machine: {describe(table.rows[-1])}; one thread, CPU seconds of one training",
        "",
        "| block | c_max | params | MACs | MSE, mean (min to max) | seeds | explained variance | CPU s |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, points in gather(table).items():
        for params, macs, c_max, errors in points:
            mean = statistics.fmean(errors)
            seconds = statistics.fmean(
                float(row["seconds"]) for row in table.rows if (row["network"], row["c_max"]) == (name, str(c_max))
            )
            lines.append(
                f"| {LABELS[name][0].removesuffix(' block')} | {c_max} | {params:,} | {macs:,} "
                f"| {mean:.2g} ({min(errors):.2g} to {max(errors):.2g}) | {len(errors)} "
                f"| {100 * (1 - mean / variance):.1f} % | {seconds:.0f} |"
            )
    write_atomic(path, "\n".join([*lines, "", "![MSE against parameters](mse.png)", ""]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m mgic_nas.experiments.{NAME}", description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the results, for example runs/implicit")
    parser.add_argument("--data", default=DATA, help="what to learn (default: %(default)s)")
    parser.add_argument("--c-max", type=int, nargs="+", default=[32, 64, 128], help="widths (default: 32 64 128)")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each network (default: 3)")
    parser.add_argument("--steps", type=int, default=1500, help="updates of a training (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=512, help="samples of an update (default: %(default)s)")
    parser.add_argument("--lr", type=float, default=0.01, help="highest learning rate (default: %(default)s)")
    parser.add_argument("--s-g", type=int, default=16, help="channels a group (default: %(default)s)")
    parser.add_argument("--s-c", type=int, default=16, help="coarsest width (default: %(default)s)")
    return parser


def run(args: argparse.Namespace) -> None:
    """Measures, then writes the picture and the page."""
    torch.set_num_threads(1)
    data = load_data(args.data)
    recipe = {name: getattr(args, name) for name in ("steps", "batch_size", "lr", "s_g", "s_c")}
    table = Table(args.out / "results.csv", COLUMNS, ("network", "c_max", "seed"), {"data": data.spec, **recipe})
    measure(table, data, recipe, args.c_max, args.seeds)
    draw(table, data, args.out / "mse.png")
    write(table, data, args.out / "README.md")
    say(f"{args.out}: results.csv, README.md, mse.png")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    args = _parser().parse_args(argv)
    return command(NAME, functools.partial(run, args))


if __name__ == "__main__":
    sys.exit(main())

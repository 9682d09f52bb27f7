"""Tables 3 and 12, small: plain, Ghost- and MGIC-ResNets on CIFAR-10, trained alike and counted by the same code.

    python -m mgic_nas.experiments.cifar --data CIFAR10 --out runs/cifar_rows

The same command goes on where it was stopped, at the last finished epoch; the folder then holds results.csv (one row a
training), times.csv, README.md and accuracy.png. The paper's own trainings are
``--size 32 --train 45000 --depth 56 --epochs 100 --recipe paper``, where there is a GPU.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from .._figure import GREY, ORANGE, TEAL, dress, figure, save
from .._files import write_atomic
from ..errors import UserError, did_you_mean
from ..families import family
from ..retraining.results import Network
from ..retraining.single import describe as described
from ..retraining.start import Asked, load, train_networks
from ..tasks.base import DataInfo
from ._record import Table, command, describe, say
from ._runtimes import alternate, inference, missing, version

NAME = "cifar"
#: The preset "full" with a warm-up that fits few epochs.
RECIPE = {"name": "full", "warmup_epochs": 1}
KEY = ("row", "seed")
COLUMNS = (*KEY, "arch_id", "params", "macs", "val_acc", "test_acc", "test_images", "seconds")
TIMES = ("row", "runtime", "version", "ms")
BATCH = 32  # images of a timed inference
VALIDATION = 5000  # images
RUNTIMES_SHOWN = ("torch", "onnxruntime", "openvino")
DRAWN = ("onnxruntime", "torch")  # the first that was measured
SECONDS = 20.0  # of CPU, for timing all rows in one runtime


class Shown(NamedTuple):
    """A row: its arguments, what the paper reports of it in the form of ResNet-56, and how it is drawn."""

    arguments: Mapping[str, Any]
    paper: str  # top-1 % of Table 3 or 12
    color: str
    marker: str


def _mgic(s_c: int, s_g: int, paper: str, **more: Any) -> Shown:
    return Shown({"s_g": s_g, "s_c": s_c, **more}, paper, TEAL, "v" if more else "o")


ROWS: dict[str, Shown] = {
    "plain": Shown({"levels": "none"}, "93.0", GREY, "s"),
    "Ghost": Shown({"block": "ghost_basic", "levels": "none"}, "92.7", ORANGE, "D"),
    "MGIC s_c=64 s_g=16": _mgic(64, 16, "94.7"),
    "MGIC s_c=16 s_g=16": _mgic(16, 16, "94.3"),
    "MGIC s_c=16 s_g=8": _mgic(16, 8, "94.2"),
    "MGIC s_c=16 s_g=4": _mgic(16, 4, "92.8"),
    "MGIC s_c=16 s_g=8, first stage plain": _mgic(16, 8, "–", min_levels=0),
}


def networks(names: Sequence[str], depth: int, info: DataInfo) -> dict[str, Network]:
    """Row -> its network of 20, 32, 44, 56, ... layers on some data."""
    blocks, rest = divmod(depth - 2, 6)
    if rest or blocks < 1:
        raise UserError(f"--depth must be 6 n + 2, such as 20 or 56, not {depth}")
    for name in names:
        if name not in ROWS:
            raise UserError(f"--rows: no row {name!r}.{did_you_mean(name, ROWS)}")
    return {name: described("mgic_resnet20", {"depths": blocks, **ROWS[name].arguments}, info) for name in names}


def measure(table: Table, rows: Mapping[str, Network], asked: Asked, folder: Path) -> None:
    """Makes the trainings that are left, first those of the first seed, and adds a row for each."""
    for seeds in range(1, asked.seeds + 1):
        done = train_networks(folder, dataclasses.replace(asked, seeds=seeds), list(rows.values()))
        for name, network in rows.items():
            for trained in done.trained:
                found = trained.result
                if found["arch_id"] == network.arch_id and table.find(row=name, seed=trained.seed) is None:
                    table.append(
                        {
                            "row": name,
                            "seed": trained.seed,
                            "arch_id": network.arch_id,
                            "params": network.params,
                            "macs": network.macs,
                            "val_acc": found["val_acc"],
                            "test_acc": found["test"]["acc"],
                            "test_images": found["test"]["items"],
                            "seconds": found["seconds"],
                        }
                    )


def measure_times(table: Table, rows: Mapping[str, Network], info: DataInfo) -> None:
    """CPU milliseconds an image of the networks with their BatchNorms folded, in turns, one thread."""
    x = torch.randn(BATCH, *info.input_size)
    for runtime in RUNTIMES_SHOWN:
        left = [name for name in rows if table.find(row=name, runtime=runtime) is None]
        if not left or missing(runtime):
            continue
        works = {name: inference(build(rows[name], info), x, runtime) for name in rows}
        for name, taken in alternate(works, SECONDS).items():
            if name in left:
                ms = 1000 * statistics.median(taken) / BATCH
                table.append({"row": name, "runtime": runtime, "version": version(runtime), "ms": f"{ms:.4g}"})


def build(network: Network, info: DataInfo) -> torch.nn.Module:
    """A row's network, untrained."""
    return family(network.model).build(network.config, info.num_classes, info.in_chans)


class Point(NamedTuple):
    """What is known of a row; accuracies are percent, of each seed."""

    name: str
    params: int
    macs: int
    test: list[float]
    val: list[float]
    ms: dict[str, float]  # runtime -> an image


def gather(table: Table, times: Table) -> list[Point]:
    """The rows that were trained, in :data:`ROWS`' order."""
    points = []
    for name in ROWS:
        found = sorted((row for row in table.rows if row["row"] == name), key=lambda row: int(row["seed"]))
        if found:
            test, val = ([float(row[column]) for row in found] for column in ("test_acc", "val_acc"))
            ms = {row["runtime"]: float(row["ms"]) for row in times.rows if row["row"] == name}
            points.append(Point(name, int(found[0]["params"]), int(found[0]["macs"]), test, val, ms))
    return points


def draw(points: Sequence[Point], about: str, path: Path) -> None:
    """accuracy.png: test accuracy against MACs, and against the time in the runtime of :data:`DRAWN`."""
    runtimes = [name for name in DRAWN if all(name in point.ms for point in points)][:1]
    made = figure(5.6 * (1 + len(runtimes)), 4.6)
    panels = made.subplots(1, 1 + len(runtimes), squeeze=False, sharey=True)[0]
    for axes, runtime in zip(panels, [None, *runtimes]):
        for point in points:
            shown = ROWS[point.name]
            if runtime is None or runtime in point.ms:
                x = point.macs / 1e6 if runtime is None else point.ms[runtime]
                mean = statistics.fmean(point.test)
                axes.plot([x], [mean], shown.marker, color=shown.color, markersize=8, markeredgecolor="white", zorder=4)
                axes.scatter([x] * len(point.test), point.test, s=12, color=shown.color, alpha=0.45, linewidths=0)
                label = point.name.replace("MGIC ", "").replace("s_c=", "").replace(" s_g=", ", ")
                axes.annotate(label, (x, mean), xytext=(7, -3), textcoords="offset points", fontsize=7.5)
        axes.margins(x=0.22, y=0.12)
        if runtime is None:
            dress(axes, "Accuracy against MACs", about, "M MACs", "test top-1 %")
        else:
            dress(axes, f"... and against time in {runtime}", f"one thread, batches of {BATCH}", "ms an image")
    save(made, path)


def page(points: Sequence[Point], table: Table, times: Table) -> str:
    """README.md: a row a network, as the paper's tables have them."""
    said = table.fixed
    runtimes = [name for name in RUNTIMES_SHOWN if any(name in point.ms for point in points)]
    plain = next((point for point in points if point.name == "plain"), None)
    lines = [
        f"# CIFAR-10 at {said['size']}x{said['size']}: ResNet-{said['depth']}, plain, Ghost and MGIC",
        "",
        "The rows of Tables 3 and 12, smaller than the paper's: every one is `mgic_resnet20` with other arguments, "
        "counted and trained by the same code. `python -m mgic_nas.experiments.cifar` makes this folder.",
        "",
        f"- data: CIFAR-10 as JPEG of quality 75, {int(said['train']):,} images to train on, resized to "
        f"{said['size']}x{said['size']}; all 10,000 test images, looked at once a training",
        f"- recipe, the same for all: `{said['recipe']}`, {said['epochs']} epochs",
        f"- ms: CPU time of an image, BatchNorms folded, batches of {BATCH}, one thread, all rows in turns",
        "- top-1: mean over seeds, in brackets the mean difference to the plain network of the same seeds. One score",
        "  has a standard error of about 0.4 points from its test images alone",
        "- paper: ResNet-56 at 32x32, 100 epochs, 50,000 images",
        "",
        f"| network | params | M MACs | {''.join(f'ms, {name} | ' for name in runtimes)}test top-1 % | seeds | paper |",
        f"| --- | ---: | ---: | {'---: | ' * len(runtimes)}---: | ---: | ---: |",
    ]
    for point in points:
        ms = "".join(f"{point.ms[name]:.3f} | " if name in point.ms else "– | " for name in runtimes)
        text = f"{statistics.fmean(point.test):.2f}"
        pairs = list(zip(point.test, plain.test)) if plain not in (None, point) and plain else []
        if pairs:
            text += f" ({statistics.fmean(a - b for a, b in pairs):+.2f})"
        seeds = ", ".join(f"{acc:.2f}" for acc in point.test)
        lines.append(
            f"| {point.name} | {point.params:,} | {point.macs / 1e6:.2f} | {ms}{text} | {seeds} "
            f"| {ROWS[point.name].paper} |"
        )
    versions = ", ".join(dict.fromkeys(f"{row['runtime']} {row['version']}" for row in times.rows))
    lines += ["", "![Accuracy against MACs and time](accuracy.png)", ""]
    lines.append(f"{len(table.rows)} trainings, {describe(table.rows[-1])}{', ' * bool(versions)}{versions}.")
    return "\n".join(lines) + "\n"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m mgic_nas.experiments.{NAME}", description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True, metavar="SPEC", help="CIFAR-10 as load_data takes it")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results, for example runs/cifar_rows")
    parser.add_argument("--rows", nargs="+", default=list(ROWS), metavar="ROW", help="of: " + "; ".join(ROWS))
    parser.add_argument("--size", type=int, default=16, help="pixels a side (default: %(default)s)")
    parser.add_argument("--train", type=int, default=20_000, help="images to train on (default: %(default)s)")
    parser.add_argument("--depth", type=int, default=20, help="layers: 6 n + 2 (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=15, help="of a training (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=2, help="trainings of each network (default: %(default)s)")
    parser.add_argument("--recipe", help="a preset's name (default: full with one epoch of warm-up)")
    parser.add_argument("--concurrent", type=int, help="trainings at a time (default: what the machine holds)")
    parser.add_argument("--weights", type=Path, help="folder of weights and checkpoints (default: OUT/trainings)")
    return parser


def run(args: argparse.Namespace) -> None:
    """Trains and times, then writes the page and the picture."""
    spec = f"{args.data}{'&' if '?' in args.data else '?'}size={args.size}&train={args.train}&val={VALIDATION}"
    recipe = args.recipe or RECIPE
    asked = Asked(spec, args.epochs, args.seeds, recipe, executor="local", concurrent=args.concurrent)
    info = load(spec).info
    rows = networks(args.rows, args.depth, info)
    given = ", ".join(f"{key}={value}" for key, value in recipe.items()) if isinstance(recipe, dict) else recipe
    fixed = {name: getattr(args, name) for name in ("size", "train", "depth", "epochs")} | {"recipe": given}
    table = Table(args.out / "results.csv", COLUMNS, KEY, fixed)
    times = Table(args.out / "times.csv", TIMES, ("row", "runtime"), {name: fixed[name] for name in ("size", "depth")})
    try:
        measure(table, rows, asked, args.weights or args.out / "trainings")
        measure_times(times, rows, info)
    finally:
        if points := gather(table, times):
            about = f"ResNet-{args.depth} at {args.size}x{args.size}, {args.train:,} images, {args.epochs} epochs"
            write_atomic(args.out / "README.md", page(points, table, times))
            draw(points, about, args.out / "accuracy.png")
    say(f"{args.out}: results.csv, times.csv, README.md, accuracy.png")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    args = _parser().parse_args(argv)
    return command(NAME, functools.partial(run, args))


if __name__ == "__main__":
    sys.exit(main())

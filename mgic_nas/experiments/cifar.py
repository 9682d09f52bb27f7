"""Tables 3 and 12, small: plain, Ghost- and MGIC-ResNets on CIFAR-10, trained alike and counted by the same code.

    python -m mgic_nas.experiments.cifar --data CIFAR10 --out runs/cifar_rows

The same command goes on where it was stopped, at the last finished epoch; the folder then holds results.csv (one row a
training), times.csv, README.md and accuracy.png. Where there is a GPU, ``--size 32 --train 45000 --depth 56
--epochs 100 --recipe paper`` comes near to the paper's own trainings.
"""

from __future__ import annotations

import argparse
import functools
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .._figure import GREY, ORANGE, TEAL
from ..errors import UserError
from ..retraining.start import Asked, load
from ._record import command
from ._rows import Comparison, Shown, add_options, compare, networks, winners

NAME = "cifar"
#: The preset "full" with a warm-up that fits few epochs.
RECIPE = {"name": "full", "warmup_epochs": 1}
VALIDATION = 5000  # images
#: What a command has where it says nothing: pixels a side, images to train on, layers (6 n + 2), epochs, seeds.
FORM = {"size": 16, "train": 20_000, "depth": 20, "epochs": 15, "seeds": 2}


def _mgic(s_c: int, s_g: int, paper: str, **more: Any) -> Shown:
    return Shown({"s_g": s_g, "s_c": s_c, **more}, paper, TEAL, "v" if more else "o")


#: With the accuracies of Tables 3 and 12 in the form of ResNet-56.
ROWS: dict[str, Shown] = {
    "plain": Shown({"levels": "none"}, "93.0", GREY, "s"),
    "Ghost": Shown({"block": "ghost_basic", "levels": "none"}, "92.7", ORANGE, "D"),
    "MGIC s_c=64 s_g=16": _mgic(64, 16, "94.7"),
    "MGIC s_c=16 s_g=16": _mgic(16, 16, "94.3"),
    "MGIC s_c=16 s_g=8": _mgic(16, 8, "94.2"),
    "MGIC s_c=16 s_g=4": _mgic(16, 4, "92.8"),
    "MGIC s_c=16 s_g=8, first stage plain": _mgic(16, 8, "–", min_levels=0),
    "MGIC s_c=16 s_g=8, plain transitions": _mgic(16, 8, "–", transition="plain"),
}


def blocks(depth: int) -> int:
    """Blocks a stage of a ResNet of so many layers."""
    number, rest = divmod(depth - 2, 6)
    if rest or number < 1:
        raise UserError(f"--depth must be 6 n + 2, such as 20 or 56, not {depth}")
    return number


def comparison(args: argparse.Namespace, recipe: str) -> Comparison:
    """What the page and the picture say."""
    form = f"{args.size}x{args.size}"
    searched, told = {}, []
    if args.winners is not None:
        searched = winners(args.winners)
        page = f"../{Path(args.winners).name}/report.md"
        told = [
            f"- searched: the winners of [a search]({page}) on the training images alone; it saw no test image",
            "- without levels: plain blocks in a winner's layout (the same blocks, widths and depths): what the winner "
            "owes to its layout, and not to MGIC",
        ]
    return Comparison(
        rows={**ROWS, **searched},
        score="top-1 %",
        heading=f"CIFAR-10 at {form}: ResNet-{args.depth}, plain, Ghost and MGIC",
        lines=[
            "The rows of Tables 3 and 12, smaller than the paper's: every one is `mgic_resnet20` with other arguments, "
            f"counted and trained by the same code. `{' '.join(made_by(args))}` makes this folder.",
            "",
            f"- data: CIFAR-10 as JPEG of quality 75, {args.train:,} images to train on, resized to {form}; all 10,000 "
            "test images, looked at once a training. One score has a standard error of about 0.5 points from them",
            f"- recipe, the same for all: `{recipe}`, {args.epochs} epochs",
            "- paper: ResNet-56 at 32x32, 100 epochs, 50,000 images; where there is a GPU, `--size 32 --train 45000 "
            "--depth 56 --epochs 100 --recipe paper` comes near to it",
            *told,
        ],
        about=f"ResNet-{args.depth} at {form}, {args.train:,} images, {args.epochs} epochs; MGIC: s_c, s_g",
    )


def made_by(args: argparse.Namespace) -> list[str]:
    """The words of the command that makes the folder, but for where data and results are."""
    words = ["python -m mgic_nas.experiments.cifar"]
    words += [f"--{name} {getattr(args, name)}" for name in FORM if getattr(args, name) != FORM[name]]
    if list(args.rows) != list(ROWS):
        words += ["--rows", *(shlex.quote(name) for name in args.rows)]
    words += [f"--winners {Path(args.winners).name}"] if args.winners else []
    words += [f"--recipe {shlex.quote(args.recipe)}"] if args.recipe else []
    return words


def run(args: argparse.Namespace) -> None:
    """Trains and times, then writes the page and the picture."""
    spec = f"{args.data}{'&' if '?' in args.data else '?'}size={args.size}&train={args.train}&val={VALIDATION}"
    recipe = args.recipe or RECIPE
    asked = Asked(spec, args.epochs, args.seeds, recipe, executor="local", concurrent=args.concurrent)
    common = {"depths": blocks(args.depth)}
    given = recipe if isinstance(recipe, str) else ", ".join(f"{key}={value}" for key, value in recipe.items())
    about = comparison(args, given)
    names = [*args.rows, *(name for name in about.rows if name not in ROWS)]
    rows = networks(about, names, "mgic_resnet20", common, load(spec).info)
    fixed = {name: getattr(args, name) for name in ("size", "train", "depth", "epochs")} | {"recipe": given}
    compare(about, rows, asked, fixed, args.out, args.weights)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    parser = argparse.ArgumentParser(prog=f"python -m mgic_nas.experiments.{NAME}", description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True, metavar="SPEC", help="CIFAR-10 as load_data takes it")
    add_options(parser, ROWS, "runs/cifar_rows", epochs=FORM["epochs"], seeds=FORM["seeds"])
    parser.add_argument("--size", type=int, default=FORM["size"], help="pixels a side (default: %(default)s)")
    parser.add_argument("--train", type=int, default=FORM["train"], help="images to train on (default: %(default)s)")
    parser.add_argument("--depth", type=int, default=FORM["depth"], help="layers: 6 n + 2 (default: %(default)s)")
    parser.add_argument("--winners", metavar="RUN", help="a search's folder, whose winners are trained as rows, too")
    parser.add_argument("--recipe", help="a preset's name (default: full with one epoch of warm-up)")
    args = parser.parse_args(argv)
    return command(NAME, functools.partial(run, args))


if __name__ == "__main__":
    sys.exit(main())

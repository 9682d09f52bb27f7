"""Table 9's kind, small: plain and MGIC MobileNetV3 with LR-ASPP on segmentation masks, trained alike.

    python -m mgic_nas.experiments.shapes --out runs/shapes_rows

The masks are the embedded shapes, or whatever ``--data`` names. The same command goes on where it was stopped; the
folder then holds results.csv (one row a training), times.csv, README.md and accuracy.png.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Sequence

from .._figure import GREY, ORANGE, PURPLE, TEAL
from ..retraining.start import Asked, load
from ._record import command
from ._rows import Comparison, Shown, add_options, compare, networks

NAME = "shapes"
MODEL = "mgic_lraspp_mobilenetv3_small"
DATA = "segmentation:shapes?train=2000&val=200&test=1000"
RECIPE = "quick"

#: With s_g = s_c = 64, the paper's MGIC-Small, no channels are above s_c where a level could begin: of all its blocks
#: only the widest have groups, and none has a level. s_c = 16 has levels.
ROWS: dict[str, Shown] = {
    "plain": Shown({"levels": "none"}, "68.38", GREY, "s"),
    "MGIC s_c=64 s_g=64": Shown({"s_g": 64, "s_c": 64}, "68.52", ORANGE, "D"),
    "MGIC s_c=16 s_g=64": Shown({"s_g": 64, "s_c": 16}, "–", TEAL, "o"),
    "MGIC s_c=16 s_g=16": Shown({"s_g": 16, "s_c": 16}, "–", TEAL, "o"),
    "MGIC s_c=16 s_g=8": Shown({"s_g": 8, "s_c": 16}, "–", TEAL, "o"),
    "MGIC s_c=16 s_g=16, plain transitions": Shown({"s_g": 16, "s_c": 16, "transition": "plain"}, "–", PURPLE, "o"),
    "MGIC s_c=16 s_g=8, plain transitions": Shown({"s_g": 8, "s_c": 16, "transition": "plain"}, "–", PURPLE, "o"),
}


def run(args: argparse.Namespace) -> None:
    """Trains and times, then writes the page and the picture."""
    asked = Asked(args.data, args.epochs, args.seeds, RECIPE, executor="local", concurrent=args.concurrent)
    info = load(args.data).info
    side = "x".join(map(str, info.input_size[1:]))
    about = Comparison(
        rows=ROWS,
        score="mIoU %",
        heading="MobileNetV3-Small with LR-ASPP, plain and MGIC, on masks",
        lines=[
            f"Table 9's kind, small: `{MODEL}` with other arguments, counted and trained by the same code. "
            "`python -m mgic_nas.experiments.shapes` makes this folder.",
            "",
            f"- data: `{args.data}`, {info.num_classes} classes, {side}: {info.sizes['train']:,} images to train on, "
            f"{info.sizes['test']:,} to test, looked at once a training",
            f"- recipe, the same for all: `{RECIPE}`, {args.epochs} epochs from scratch",
            "- s_g = s_c = 64 is the paper's MGIC-MobileNetV3-S: it has grouped convs and no level at all; with "
            "s_c = 16 there are levels",
            "- paper: Cityscapes, 1024x2048, pre-trained on ImageNet",
            "- where a width changes, the MGIC forms have a grouped 3x3 conv before the block, and the plain network "
            "has its blocks do it: a difference to the form without any level is of that, not of the levels; with "
            "plain transitions (`transition='plain'`) the plain network's blocks do it in MGIC too",
        ],
        about=f"{info.sizes['train']:,} images of {side}, {args.epochs} epochs",
    )
    rows = networks(about, args.rows, MODEL, {}, info)
    compare(about, rows, asked, {"data": args.data, "epochs": args.epochs, "recipe": RECIPE}, args.out, args.weights)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    parser = argparse.ArgumentParser(prog=f"python -m mgic_nas.experiments.{NAME}", description=__doc__.split("\n")[0])
    parser.add_argument("--data", default=DATA, metavar="SPEC", help="masks as load_data takes them (%(default)s)")
    add_options(parser, ROWS, "runs/shapes_rows", epochs=12, seeds=3)
    args = parser.parse_args(argv)
    return command(NAME, functools.partial(run, args))


if __name__ == "__main__":
    sys.exit(main())

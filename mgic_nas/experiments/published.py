"""A few published ImageNet results, to lay over a front: ``mgic-nas report RUN --reference runs/tables/published.csv``.

    python -m mgic_nas.experiments.published --data timm_baselines.csv --out runs/tables

The data is a table of timm's own evaluations with exact counts of convolution and linear layers. Kept are networks
trained on ImageNet-1k alone and evaluated at 224 pixels, each with its best recipe, below 5 GMACs: those that no other
one beats at its MACs or fewer, and those that the paper compares with. Networks with an inference form (several
branches folded into one) count as that.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .._files import read_csv, write_csv
from ..errors import UserError
from ._record import command, say

NAME = "published"
IMG_SIZE = "224"
MOST_GMACS = 5.0
#: What the paper's Tables 5 and 7 compare with, where timm has an evaluation.
COMPARED = (
    "ghostnet_100", "mobilenetv2_050", "mobilenetv2_100", "mobilenetv3_large_100", "mobilenetv3_small_075",
    "mobilenetv3_small_100", "resnet18", "resnet34", "resnet50", "resnext50_32x4d", "semnasnet_100",
)  # fmt: skip
COLUMNS = ("name", "params", "macs", "top1", "img_size", "recipe", "source")


def published(rows: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """The rows that are kept, by MACs, with :data:`COLUMNS`."""
    best: dict[str, dict[str, str]] = {}
    for row in rows:
        usable = row["img_size"] == IMG_SIZE and row["plain_in1k"] == "yes" and row["top1"] and row["gmacs_conv_linear"]
        if usable and _gmacs(row) < MOST_GMACS and _top1(row) > _top1(best.get(row["model"])):
            best[row["model"]] = row
    kept, highest = [], 0.0
    for row in sorted(best.values(), key=lambda row: (_gmacs(row), -_top1(row))):
        if _top1(row) > highest or row["model"] in COMPARED:
            kept.append(_point(row))
        highest = max(highest, _top1(row))
    return kept


def _gmacs(row: dict[str, str]) -> float:
    return float(row["reparam_gmacs_conv_linear"] or row["gmacs_conv_linear"])


def _top1(row: dict[str, str] | None) -> float:
    return float(row["top1"]) if row else 0.0


def _point(row: dict[str, str]) -> dict[str, str]:
    # "top1,params,img_size: results/results-imagenet.csv@4e5207c7 (2025-10-30); gmacs,macts: ..."
    _, _, file = row["source"].partition(";")[0].rpartition("/")
    params = float(row["reparam_params_m"] or row["param_count_m"])
    values = (
        row["model"],
        str(round(params * 1e6)),
        str(round(_gmacs(row) * 1e9)),
        row["top1"],
        row["img_size"],
        row["tag"],
        f"timm {file}",
    )
    return dict(zip(COLUMNS, values))


def run(data: Path, out: Path) -> None:
    """Writes ``out``/published.csv."""
    try:
        rows = read_csv(data)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {data}: {getattr(error, 'strerror', None) or error}") from None
    try:
        points = published(rows)
    except KeyError as error:
        raise UserError(f"{data} has no column {error.args[0]}: name a table of timm's evaluations") from None
    out.mkdir(parents=True, exist_ok=True)
    write_csv(out / "published.csv", COLUMNS, points)
    say(f"{out / 'published.csv'}: {len(points)} networks.")


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog=f"python -m mgic_nas.experiments.{NAME}", description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True, type=Path, metavar="CSV", help="timm's evaluations, with exact counts")
    parser.add_argument("--out", type=Path, default=Path("runs/tables"), metavar="DIR", help="(default: runs/tables)")
    args = parser.parse_args(argv)
    return command(NAME, lambda: run(args.data, args.out))


if __name__ == "__main__":
    sys.exit(main())

"""Table 8 on this machine's CPU: MGIC-MobileNetV3 beside MobileNetV3 and GhostNet, time of an image and of training.

    python -m mgic_nas.experiments.speed --out runs/speed

One thread, CPU time, all networks in turns, so that what counts is the ratios. The same command goes on where it was
stopped; the folder then holds times.csv and README.md.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import timm
import torch

from .._files import write_atomic
from ..cost.count import count
from ._record import Table, command, describe, say
from ._runtimes import alternate, inference, missing, ratio, training, version

NAME = "speed"
SIZE = (3, 224, 224)
#: (runtime, "infer" or "train")
WAYS = (("torch", "infer"), ("onnxruntime", "infer"), ("openvino", "infer"), ("torch", "train"))
BATCH = {"infer": 1, "train": 8}
SECONDS = 60.0  # of CPU, for each way
KEY = ("network", "runtime", "mode")
COLUMNS = (*KEY, "batch", "params", "macs", "ms", "ratio", "rounds", "version")


class Shown(NamedTuple):
    """A network, and what Table 8 says of it: ms of an image on a CPU, seconds of 128 images' training on a GPU."""

    label: str
    infer: float | None = None
    train: float | None = None


#: By timm names; ratios are to the first.
NETWORKS = {
    "mgic_mobilenetv3_large_100": Shown("MGIC-MobileNetV3 1.0x (s_g = s_c = 64)", 172, 0.311),
    "mobilenetv3_large_075": Shown("MobileNetV3 0.75x", 140, 0.215),
    "ghostnet_100": Shown("GhostNet 1.0x", 170, 0.237),
    "mobilenetv3_large_100": Shown("MobileNetV3 1.0x"),
}


def measure(table: Table) -> None:
    """Times all networks in every way that the table lacks and that is installed here."""
    torch.set_num_threads(1)
    for runtime, mode in WAYS:
        if missing(runtime) or table.find(network=next(reversed(NETWORKS)), runtime=runtime, mode=mode):
            continue
        nets = {name: timm.create_model(name) for name in NETWORKS}
        costs = {name: count(net, SIZE) for name, net in nets.items()}
        x = torch.randn(BATCH[mode], *SIZE)
        works = {
            name: training(net, x) if mode == "train" else inference(net, x, runtime) for name, net in nets.items()
        }
        times = alternate(works, SECONDS)
        first = next(iter(times.values()))
        for name, taken in times.items():
            table.append(
                {
                    "network": name,
                    "runtime": runtime,
                    "mode": mode,
                    "batch": BATCH[mode],
                    "params": costs[name].params,
                    "macs": costs[name].macs,
                    "ms": f"{1000 * statistics.median(taken):.4g}",
                    "ratio": f"{ratio(taken, first):.3f}",
                    "rounds": len(taken),
                    "version": version(runtime),
                }
            )
        say(f"{runtime}, {mode}: " + ", ".join(f"{name} {ratio(taken, first):.2f}" for name, taken in times.items()))


def page(table: Table) -> str:
    """README.md."""
    ways = [way for way in WAYS if any((row["runtime"], row["mode"]) == way for row in table.rows)]
    names = [f"{runtime}, training of {BATCH[mode]}" if mode == "train" else runtime for runtime, mode in ways]
    lines = [
        "# Table 8 on a CPU: time beside MobileNetV3 and GhostNet",
        "",
        "`python -m mgic_nas.experiments.speed --out runs/speed`: one image of 224x224, BatchNorms folded; training is "
        f"a forward and a backward pass of {BATCH['train']} images. One thread, float32, CPU milliseconds, median; in "
        "brackets the ratio to MGIC-MobileNetV3, the median over rounds that all networks take part in. The paper's "
        "ratios are of its CPU and, in training, of its GPU with 128 images.",
        "",
        f"| network | params | MACs | {' | '.join(names)} | paper: CPU | paper: training |",
        f"| --- | ---: | ---: |{' ---: |' * (len(names) + 2)}",
    ]
    first = next(iter(NETWORKS.values()))
    for name, shown in NETWORKS.items():
        rows = {(row["runtime"], row["mode"]): row for row in table.rows if row["network"] == name}
        if not rows:
            continue
        some = next(iter(rows.values()))
        cells = [
            f"{float(rows[way]['ms']):.1f} ({float(rows[way]['ratio']):.2f})" if way in rows else "–" for way in ways
        ]
        for value, reference, unit in ((shown.infer, first.infer, "ms"), (shown.train, first.train, "s")):
            cells.append("–" if value is None or reference is None else f"{value:g} {unit} ({value / reference:.2f})")
        lines.append(
            f"| {shown.label} | {int(some['params']):,} | {int(some['macs']) / 1e6:.1f} M | {' | '.join(cells)} |"
        )
    versions = ", ".join(f"{name} {of}" for name, of in {row["runtime"]: row["version"] for row in table.rows}.items())
    lines += ["", f"Measured on {describe(table.rows[-1])}; {versions}.", ""]
    return "\n".join(lines)


def run(args: argparse.Namespace) -> None:
    """Measures, then writes the page."""
    table = Table(args.out / "times.csv", COLUMNS, KEY)
    measure(table)
    write_atomic(args.out / "README.md", page(table))
    say(f"{args.out}: times.csv, README.md")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    parser = argparse.ArgumentParser(prog=f"python -m mgic_nas.experiments.{NAME}", description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the results, for example runs/speed")
    args = parser.parse_args(argv)
    return command(NAME, functools.partial(run, args))


if __name__ == "__main__":
    sys.exit(main())

"""From which width an MGIC block is worth its place: parameters, MACs, memory and time beside the plain block's.

    python -m mgic_nas.experiments.width --out runs/width

Section 3.4: at fixed s_g and s_c a block's cost grows linearly with its width, a plain one's quadratically. One block,
basic or bottleneck, at each width, in torch (inference and training), onnxruntime and OpenVINO; one thread, and the
plain block measured in turns with its MGIC forms. The same command goes on where it was stopped; the folder then holds
times.csv, memory.csv, README.md and widths.png.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from .._files import write_atomic
from ..errors import UserError
from ..models.mgic import MGICBlock, row_convs
from ..models.rows import Row, hierarchy
from ._maps import kept_maps, peak_maps
from ._record import Table, command, say
from ._runtimes import Work, alternate, inference, missing, ratio, training, version
from ._width_view import draw, page

NAME = "width"
EXPANSIONS = {"basic": 1, "bottleneck": 4}  # tensors are so many times as wide as the levels
WIDTHS = (64, 128, 256, 512, 1024, 2048)
GROUP_SIZES = (8, 16, 32, 64)
#: How a block is run: (runtime, "infer" or "train").
WAYS = (("torch", "infer"), ("torch", "train"), ("onnxruntime", "infer"), ("openvino", "infer"))
BATCH = {"infer": 1, "train": 4}
SECONDS = 5.0  # of each comparison, or more where five rounds take longer
KEY = ("block", "width", "s_g", "runtime", "mode")
COLUMNS = (
    *KEY, "s_c", "levels", "side", "batch", "params", "plain_params", "macs", "plain_macs", "ms", "plain_ms", "ratio",
    "rounds", "version",
)  # fmt: skip
MEMORY_KEY = ("block", "width", "s_g")
MEMORY = (*MEMORY_KEY, "s_c", "side", "peak", "plain_peak", "kept", "plain_kept")
PLAIN = 0  # in the place of s_g


class Kind(NamedTuple):
    """A block on tensors of ``width`` channels."""

    block: str
    width: int

    @property
    def side(self) -> int:
        """Of its square maps: narrower ones where networks have their wide blocks."""
        return 14 if self.width < 1024 else 7

    def row(self, s_g: int) -> Row:
        """Its row; plain for :data:`PLAIN`."""
        expansion = EXPANSIONS[self.block]
        narrow = self.width // expansion
        shape = (lambda _, w: (expansion * w, w)) if s_g else (lambda _, w: (self.width, narrow))
        levels = hierarchy(narrow, s_g or narrow, coarsest(s_g) if s_g else narrow, shape)
        return Row(self.block, self.width, self.width, levels=levels)

    def group_sizes(self) -> list[int]:
        """Those with which it has more than one level."""
        return [s_g for s_g in GROUP_SIZES if len(self.row(s_g).levels) > 1]


def coarsest(s_g: int) -> int:
    """s_c: as the paper's tables have it, s_g, and no narrower than the CIFAR nets' 16."""
    return max(16, s_g)


def counts(row: Row, side: int) -> tuple[int, int]:
    """Parameters and MACs."""
    convs = row_convs(row)
    return sum(c.params for c in convs), sum(c.macs(side, side) for c in convs)


def build(kind: Kind, s_g: int) -> nn.Module:
    """The block with random weights, the same for the same arguments."""
    torch.manual_seed(0)
    return MGICBlock(kind.row(s_g))


def kinds() -> Iterator[Kind]:
    """Every block, narrow ones first."""
    return (Kind(block, width) for width, block in itertools.product(WIDTHS, EXPANSIONS))


def measure(times: Table, memory: Table, seconds: float) -> None:
    """Measures what the tables lack; a runtime that is not installed is said and left out."""
    absent = {runtime for runtime, _ in WAYS if missing(runtime)}
    for runtime in sorted(absent):
        say(f"{runtime} is not installed: it is left out")
    for kind in kinds():
        _memory(memory, kind)
        for runtime, mode in WAYS:
            if runtime not in absent:
                _times(times, kind, runtime, mode, seconds)


def _memory(table: Table, kind: Kind) -> None:
    x = torch.randn(1, kind.width, kind.side, kind.side)
    wanted = [s_g for s_g in kind.group_sizes() if table.find(**kind._asdict(), s_g=s_g) is None]
    if not wanted:
        return
    plain = build(kind, PLAIN)
    plain_peak, plain_kept = peak_maps(plain, x), kept_maps(plain, x)
    for s_g in wanted:
        net = build(kind, s_g)
        row = {"peak": peak_maps(net, x), "plain_peak": plain_peak, "kept": kept_maps(net, x), "plain_kept": plain_kept}
        shown = {name: f"{value:.3f}" for name, value in row.items()}
        table.append({**kind._asdict(), "s_g": s_g, "s_c": coarsest(s_g), "side": kind.side, **shown})


def _times(table: Table, kind: Kind, runtime: str, mode: str, seconds: float) -> None:
    way = {**kind._asdict(), "runtime": runtime, "mode": mode}
    wanted = [s_g for s_g in kind.group_sizes() if table.find(**way, s_g=s_g) is None]
    if not wanted:
        return
    x = torch.randn(BATCH[mode], kind.width, kind.side, kind.side)

    def work(s_g: int) -> Work:
        net = build(kind, s_g)
        return training(net, x) if mode == "train" else inference(net, x, runtime)

    taken = alternate({str(s_g): work(s_g) for s_g in (PLAIN, *wanted)}, seconds)
    plain = taken.pop(str(PLAIN))
    plain_counts = counts(kind.row(PLAIN), kind.side)
    for s_g in wanted:
        row, found = kind.row(s_g), taken[str(s_g)]
        params, macs = counts(row, kind.side)
        table.append(
            {
                **way,
                "s_g": s_g,
                "s_c": coarsest(s_g),
                "levels": len(row.levels),
                "side": kind.side,
                "batch": BATCH[mode],
                "params": params,
                "plain_params": plain_counts[0],
                "macs": macs,
                "plain_macs": plain_counts[1],
                "ms": f"{1e3 * statistics.median(found):.4f}",
                "plain_ms": f"{1e3 * statistics.median(plain):.4f}",
                "ratio": f"{ratio(found, plain):.3f}",
                "rounds": len(found),
                "version": version(runtime),
            }
        )
    shown = ", ".join(f"s_g={s_g}: {ratio(taken[str(s_g)], plain):.2f}" for s_g in wanted)
    say(f"{kind.block} {kind.width}, {mode} in {runtime}, times the plain block's: {shown}")


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog=f"mgic_nas.experiments.{NAME}", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", default="runs/width", metavar="DIR")
    parser.add_argument("--seconds", type=float, default=SECONDS, metavar="S", help="CPU time of each comparison")
    args = parser.parse_args(argv)
    out = Path(args.out)

    def work() -> None:
        if not 0 < args.seconds < 3600:
            raise UserError(f"--seconds must be above 0 and below 3600, not {args.seconds:g}")
        torch.set_num_threads(1)
        times = Table(out / "times.csv", COLUMNS, KEY)
        memory = Table(out / "memory.csv", MEMORY, MEMORY_KEY)
        try:
            measure(times, memory, args.seconds)
        finally:
            write_atomic(out / "README.md", page(times.rows, memory.rows))
            if times.rows:
                draw(times.rows, out / "widths.png")

    return command(NAME, functools.partial(work))


if __name__ == "__main__":
    sys.exit(main())

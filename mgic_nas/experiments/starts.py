"""How MGIC blocks should begin: the starts of R, P, N and the residual branches, compared by short trainings.

    python -m mgic_nas.experiments.starts --cifar10 FOLDER --out runs/init

Every start trains the same networks on the same batches, with paired seeds. The same command goes on where it was
stopped, and several at a time share the trainings; the folder then holds results.csv (one row a training, with its
learning curve), README.md and curves.png.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .._figure import GREY, ORANGE, PURPLE, TEAL, dress, figure, save
from .._files import write_atomic
from ..models.mgic import TRANSFER_INITS
from ..train.job import Job, Setup
from ..train.loop import train
from ..train.recipes import get_recipe
from . import _starts_depth as depth
from . import _starts_errors as errors
from ._record import Table, command, describe, say

NAME = "starts"
RECIPE = "quick"
SEEDS = 3
COLUMNS = (
    "network", "data", "transfer_init", "zero_init_correction", "zero_init_last", "group_fan", "epochs", "seed",
    "val_acc", "curve", "train_loss", "seconds",
)  # fmt: skip
KEY = COLUMNS[:8]
#: Name -> (model, arguments).
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "ResNet": ("mgic_resnet20", {"depths": 2}),
    "MobileNetV3-small": ("mgic_mobilenetv3_small_100", {}),
}
ALL, LONG = 5, (1, 20)  # epochs: of every start; of the best two and the earlier defaults
BEST = 2


#: Which became the default, and why; the numbers stand in the page's tables.
CHOSEN = """
## What networks begin with, and why

- **R and P by aggregation, N from 0**, in every network: on both networks and both data sets it is the best of the
  four combinations, or level with it, for residual branches that begin at zero, and by far better than uniform rows
  with N from 1, the first versions' start, which does not stay.
- **Residual branches from 0**, as in timm's ResNets. In MobileNetV3 they have to: from one, logits of untrained
  networks are out of bounds, and accuracies are lower everywhere. In ResNets it depends on the depth (see the table
  by depth): with one or two blocks a stage neither is better on all data after 5 epochs, and both are level after 20;
  with three and more, which all registered ResNets but `mgic_resnet18` have, from zero is better, with nine by up to
  12 points.
  `mgic_resnet34` from one would be out of bounds as well. For a space of shallow networks and short trainings
  `zero_init_last: false` is worth a try.
"""


class Start(NamedTuple):
    """One way to begin."""

    transfer_init: str
    zero_init_correction: bool
    zero_init_last: bool
    group_fan: bool

    def __str__(self) -> str:
        norm, last = (0 if zero else 1 for zero in self[1:3])
        return f"{self.transfer_init}, N from {norm}, last BatchNorm from {last}, fan of {'one' if self[3] else 'all'}"

    def arguments(self, network: str) -> dict[str, Any]:
        """Of the model: MobileNetV3's convs have no other fan than that of one group."""
        given = self._asdict()
        return given if network == "ResNet" else {name: v for name, v in given.items() if name != "group_fan"}


#: What the networks began with in the first versions.
PRESENT = {"ResNet": Start("uniform", False, True, False), "MobileNetV3-small": Start("uniform", False, False, True)}
#: What they begin with in version 0.2.0.
SECOND = Start("aggregation", True, True, True)
_GRID = tuple(Start(*choice, True) for choice in itertools.product(TRANSFER_INITS, (False, True), (True, False)))
#: Name -> the starts that are compared; group_fan is that of a ResNet's changes of width.
STARTS: dict[str, tuple[Start, ...]] = {"ResNet": (*_GRID, PRESENT["ResNet"]), "MobileNetV3-small": _GRID}


def may_be_default(network: str, start: Start) -> bool:
    """Whether untrained networks of the sizes for CIFAR are within tests/models/test_starts.py's bounds.

    MobileNetV3-large gives logits of deviation 40 and more unless its residual branches start at zero; in ResNets that
    start at one, N from 1 adds up to 10^8 over 54 blocks, and N from 0 does not, but for the first stage of
    ``mgic_resnet34``, 10.5 times its stem (bound: 10).
    """
    return start.group_fan and (start.zero_init_last or (network == "ResNet" and start.zero_init_correction))


def data_specs(cifar10: str) -> dict[str, str]:
    """Name -> spec, both at 32x32."""
    return {"Fashion": "fashion?size=32", "CIFAR-10": f"{cifar10}?train=10000&val=2000"}


class Training(NamedTuple):
    """A row that the table is to have."""

    network: str
    data: str
    start: Start
    epochs: int
    seed: int

    def key(self) -> dict[str, Any]:
        values = self._asdict()
        return {**values.pop("start")._asdict(), **values}


def wanted(table: Table, data: Sequence[str]) -> Iterator[Training]:
    """The trainings that are still to be made, those first that decide which others are."""
    for seed, network, name in itertools.product(range(SEEDS), NETWORKS, data):
        for start in STARTS[network]:
            if table.find(**(training := Training(network, name, start, ALL, seed)).key()) is None:
                yield training
    for seed, epochs, network, name in itertools.product(range(SEEDS), LONG, NETWORKS, data):
        for start in long_starts(table, network):
            if table.find(**(training := Training(network, name, start, epochs, seed)).key()) is None:
                yield training


def long_starts(table: Table, network: str) -> list[Start]:
    """The best that may become the default, by the mean of all data after :data:`ALL` epochs, and those before."""
    means = {
        start: [acc for rows in accuracies(table, network, ALL, start).values() for acc in rows]
        for start in STARTS[network]
        if may_be_default(network, start)
    }
    best = sorted((s for s in means if means[s]), key=lambda s: statistics.fmean(means[s]), reverse=True)[:BEST]
    return list(dict.fromkeys([*best, PRESENT[network], SECOND]))


def accuracies(table: Table, network: str, epochs: int, start: Start) -> dict[str, list[float]]:
    """Data -> val_acc (percent) by seed."""
    found: dict[str, dict[int, float]] = {}
    for row in table.rows:
        if (row["network"], row["epochs"]) == (network, str(epochs)) and _start(row) == start:
            found.setdefault(row["data"], {})[int(row["seed"])] = float(row["val_acc"])
    return {data: [by_seed[seed] for seed in sorted(by_seed)] for data, by_seed in found.items()}


def _start(row: dict[str, str]) -> Start:
    return Start(row["transfer_init"], *(row[name] == "True" for name in Start._fields[1:]))


def _shown(table: Table, network: str) -> list[Start]:
    """The compared starts, and others that were recorded."""
    return list(dict.fromkeys([*STARTS[network], *(_start(r) for r in table.rows if r["network"] == network)]))


def measure(table: Table, specs: dict[str, str], threads: int) -> None:
    """Makes the trainings that the table lacks."""
    while training := next((t for t in wanted(table, list(specs)) if table.claim(**t.key())), None):
        model, arguments = NETWORKS[training.network]
        setup = Setup(model, specs[training.data], training.epochs, get_recipe(RECIPE), "", "cpu", threads)
        job = Job(
            0, 1, {**arguments, **training.start.arguments(training.network)}, 0, training.epochs, seed=training.seed
        )
        begin = time.process_time()
        try:
            curve = list(train(job, setup))
        except FloatingPointError:  # it diverged: a result as well
            curve = [{"val_acc": 0.0, "train_loss": float("nan")}]
        seconds = time.process_time() - begin
        table.append(
            {
                **training.key(),
                "val_acc": f"{curve[-1]['val_acc']:.2f}",
                "curve": json.dumps([round(epoch["val_acc"], 2) for epoch in curve]),
                "train_loss": f"{curve[-1]['train_loss']:.4g}",
                "seconds": f"{seconds:.1f}",
            }
        )
        say(
            f"{training.network}, {training.data}, {training.start}, {training.epochs} epochs, seed {training.seed}: "
            f"{curve[-1]['val_acc']:.2f} % in {seconds:.0f} CPU-seconds"
        )


def page(table: Table, more: Sequence[str] = ()) -> str:
    """README.md: a table for each network and number of epochs, with paired differences to the present start."""
    lines = [
        "# How MGIC blocks begin",
        "",
        f"`python -m mgic_nas.experiments.{NAME} --cifar10 FOLDER --out runs/init`, recipe `{RECIPE}`; "
        "5,000 Fashion-MNIST images resized from 14x14, 10,000 of CIFAR-10 (JPEG), both at 32x32; top-1 % on 2,000 "
        "others, mean over seeds, and in brackets the mean difference to the first versions' start, same seeds, ± its "
        "standard error.",
        *CHOSEN.rstrip().splitlines(),
    ]
    for network, epochs in itertools.product(NETWORKS, sorted({ALL, *LONG})):
        rows = []
        present = accuracies(table, network, epochs, PRESENT[network])
        for start in _shown(table, network):
            found = accuracies(table, network, epochs, start)
            if found:
                cells = [_cell(found.get(data, []), present.get(data, [])) for data in data_specs("")]
                mark = " (first versions)" if start == PRESENT[network] else ""
                mean = statistics.fmean(statistics.fmean(values) for values in found.values())
                rows.append((mean, f"| {start}{mark} | {' | '.join(cells)} |"))
        if rows:
            lines += ["", f"## {network}, {epochs} epoch{'s' * (epochs > 1)}", ""]
            lines += [f"| start | {' | '.join(data_specs(''))} |", "|---|---|---|"]
            lines += [line for _, line in sorted(rows, reverse=True)]
    lines += more
    if left := sum(1 for _ in wanted(table, list(data_specs("")))):
        lines += ["", f"Not finished: at least {left} trainings are still to be made; the same command makes them."]
    if table.rows:
        lines += [
            "",
            "![Learning curves](curves.png)",
            "",
            f"{len(table.rows)} trainings of several starts, {describe(table.rows[-1])}.",
        ]
    return "\n".join(lines) + "\n"


def _cell(values: Sequence[float], present: Sequence[float]) -> str:
    if not values:
        return "–"
    text = f"{statistics.fmean(values):.2f}"
    differences = [a - b for a, b in zip(values, present)]
    if not any(differences):
        return text
    if len(differences) == 1:
        return f"{text} ({differences[0]:+.2f}, one seed)"
    error = statistics.stdev(differences) / len(differences) ** 0.5
    return f"{text} ({statistics.fmean(differences):+.2f} ± {error:.2f})"


def draw(table: Table, path: Path) -> None:
    """curves.png: validation accuracy by epoch of every start at :data:`ALL` epochs, mean over seeds."""
    made = figure(11.0, 7.0)
    axes = made.subplots(len(NETWORKS), len(data_specs("")), squeeze=False)
    colours = (TEAL, ORANGE, PURPLE, GREY)  # of (R and P, N)
    for (i, network), (j, data) in itertools.product(enumerate(NETWORKS), enumerate(data_specs(""))):
        for start in _shown(table, network):
            curves = [
                json.loads(row["curve"])
                for row in table.rows
                if (row["network"], row["data"], row["epochs"]) == (network, data, str(ALL)) and _start(row) == start
            ]
            if curves := [c for c in curves if len(c) == ALL]:
                means = [statistics.fmean(values) for values in zip(*curves)]
                axes[i][j].plot(
                    range(1, ALL + 1),
                    means,
                    color=colours[2 * TRANSFER_INITS.index(start.transfer_init) + start.zero_init_correction],
                    linestyle=("-" if start.group_fan else "--") if start.zero_init_last else ":",
                    linewidth=1.6,
                    label=str(start),
                )
        dress(axes[i][j], f"{network} on {data}", x="epoch", y="top-1 %")
        if axes[i][j].get_legend_handles_labels()[0]:
            axes[i][j].legend(fontsize=6)
    save(made, path)


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog=f"mgic_nas.experiments.{NAME}", description=__doc__.splitlines()[0])
    parser.add_argument("--cifar10", required=True, metavar="FOLDER", help="CIFAR-10 as load_data takes it")
    parser.add_argument("--out", default="runs/init", metavar="DIR")
    parser.add_argument(
        "--coarse",
        default="runs/coarse",
        metavar="DIR",
        help="of mgic_nas.experiments.coarse: whose maps Table 1 is on",
    )
    parser.add_argument("--threads", type=int, default=1, metavar="N")
    args = parser.parse_args(argv)
    out = Path(args.out)

    def work() -> None:
        table = Table(out / "results.csv", COLUMNS, KEY, {"recipe": RECIPE})
        more: list[str] = []
        try:
            more = errors.page(errors.measure(out / "errors.csv", args.cifar10, Path(args.coarse)))
            deep = depth.data_specs(args.cifar10)
            more += depth.page(depth.measure(out / "depth.csv", deep, args.threads), deep)
            measure(table, data_specs(args.cifar10), args.threads)
        finally:
            write_atomic(out / "README.md", page(table, more))
            draw(table, out / "curves.png")

    return command(NAME, functools.partial(work))


if __name__ == "__main__":
    sys.exit(main())

"""Table 11, small: DGCNN, diffGCN and MGIC-diffGCN on ModelNet-10, trained alike.

    python -m mgic_nas.experiments.points --data shared/data/modelnet10 --out runs/points

Every network gets the same clouds, points, recipe and seeds. The same command goes on where it was stopped, at the
last finished epoch, and several at a time share the trainings; the folder then holds results.csv (one row a training),
README.md and accuracy.png. ``--winners RUN`` trains what a search over points found beside them.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from .._figure import GREY, INK, MUTED, ORANGE, PURPLE, TEAL, dress, figure, save
from .._files import write_atomic
from ..cost.count import count
from ..errors import UserError, did_you_mean
from ..families import start_of
from ..models.points import NETWORKS, PointNetwork
from ..tasks import Data
from ..tasks._random import seeded
from ..tasks.base import mix
from ..tasks.points import load
from ._record import Table, command, describe, say
from ._rows import winners

NAME = "points"
REFERENCE = "mgic_diffgcn"  # what the others are compared with
#: The points of a cloud in the paper, at which MACs are compared.
PAPER_POINTS = 1024
LINES = 1.5  # points of accuracy that two lines of text take in the picture


class Trained(NamedTuple):
    """What is trained: a network, how it begins, what Table 11 says of it (params M, MACs M, test accuracy %)."""

    label: str
    network: str
    arguments: Mapping[str, Any]
    color: str
    paper: tuple[float, float, float] | None = None
    searched: bool = False


_MGIC = (0.11, 13.7, 92.9)
#: By the names of the rows. The residuals of MGIC's layers are a part of what they gain: the residual diffGCN has them
#: without the levels.
TRAINED = {
    "dgcnn": Trained("DGCNN", "dgcnn", {}, INK, (0.16, 125.0, 91.6)),
    "diffgcn": Trained("diffGCN", "diffgcn", {}, ORANGE, (0.57, 64.0, 92.5)),
    "diffgcn_residual": Trained("diffGCN, residual", "mgic_diffgcn", {"levels": "none"}, MUTED),
    "mgic_diffgcn_first": Trained(
        "MGIC-diffGCN, first start", "mgic_diffgcn", start_of("mgic_diffgcn").first, GREY, _MGIC
    ),
    "mgic_diffgcn": Trained(
        "MGIC-diffGCN", "mgic_diffgcn", {"transfer_init": "aggregation", "zero_init_correction": True}, TEAL, _MGIC
    ),
}
COLUMNS = (
    "network", "seed", "params", "macs_1024", "macs", "train_loss", "val_acc", "test_acc", "cpu_seconds", "seconds"
)  # fmt: skip
SMOOTHING = 0.2
WEIGHT_DECAY = 0.05


class Training:
    """One network between two epochs. What is random in an epoch follows from (seed, epoch): it can be resumed."""

    def __init__(self, name: str, what: Trained, data: Data, args: argparse.Namespace, seed: int) -> None:
        self.name, self.what, self.data, self.args, self.seed = name, what, data, args, seed
        with seeded(mix(seed, "weights")):  # on the CPU, so the same weights on every device
            self.net: PointNetwork = NETWORKS[what.network](num_classes=data.info.num_classes, **what.arguments)
        self.net.to(args.device)
        self.optimizer = torch.optim.AdamW(self.net.parameters(), lr=args.lr, weight_decay=WEIGHT_DECAY)
        self.steps = data.train.steps(args.batch_size)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, args.lr, total_steps=self.steps * args.epochs, pct_start=0.1, cycle_momentum=False
        )
        self.epoch = 0
        self.loss = self.seconds = self.cpu_seconds = 0.0
        self.checkpoint = Path(args.out) / f".{re.sub(r'[^A-Za-z0-9_.]+', '-', name)}-{seed}.pt"
        if self.checkpoint.exists():
            self._load()

    @property
    def identity(self) -> dict[str, Any]:
        """What a checkpoint must have in common with this training."""
        return {**fixed(self.data, self.args), "network": self.name, "seed": self.seed}

    def run(self) -> dict[str, Any]:
        """Trains the epochs that are left, then scores the validation and, once, the test part."""
        while self.epoch < self.args.epochs:
            self._train_epoch()
            say(
                f"{self.what.label}, seed {self.seed}: epoch {self.epoch} of {self.args.epochs}, "
                f"loss {self.loss:.3f}, {self.cpu_seconds:.0f} s of CPU"
            )
            self._save()
        test = self.data.test
        assert test is not None  # a file of clouds has one
        device, size = self.args.device, 2 * self.args.batch_size
        scores = {part: self.data.task.evaluate(self.net, split, device=device, batch_size=size)["val_acc"]
                  for part, split in (("val", self.data.val), ("test", test))}  # fmt: skip
        cost = count(self.net, self.data.info.input_size)
        return {
            "network": self.name,
            "seed": self.seed,
            "params": cost.params,
            "macs_1024": count(self.net, (3, PAPER_POINTS)).macs,
            "macs": cost.macs,
            "train_loss": f"{self.loss:.4f}",
            "val_acc": f"{scores['val']:.2f}",
            "test_acc": f"{scores['test']:.2f}",
            "cpu_seconds": f"{self.cpu_seconds:.0f}",
            "seconds": f"{self.seconds:.0f}",
        }

    def _train_epoch(self) -> None:
        begin, cpu = time.perf_counter(), time.process_time()
        self.net.train()
        total = 0.0
        batches = self.data.train.batches(
            self.args.batch_size, device=self.args.device, seed=self.seed, epoch=self.epoch, augment=True
        )
        with seeded(mix(self.seed, self.epoch)):
            for x, y in batches:
                loss = self.data.task.loss(self.net(x), y, smoothing=SMOOTHING)
                self.optimizer.zero_grad(set_to_none=True)
                loss.backward()
                self.optimizer.step()
                self.schedule.step()
                total += loss.item()
        self.epoch += 1
        self.loss = total / self.steps
        self.seconds += time.perf_counter() - begin
        self.cpu_seconds += time.process_time() - cpu

    def _save(self) -> None:
        state = {
            "identity": self.identity,
            "net": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "done": (self.epoch, self.loss, self.seconds, self.cpu_seconds),
        }
        temporary = self.checkpoint.with_suffix(".part")
        torch.save(state, temporary)
        temporary.replace(self.checkpoint)

    def _load(self) -> None:
        state = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
        if state["identity"] != self.identity:
            raise UserError(f"{self.checkpoint} is of another training: ask for the same, or name another folder")
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.epoch, self.loss, self.seconds, self.cpu_seconds = state["done"]


def fixed(data: Data, args: argparse.Namespace) -> dict[str, Any]:
    """What all trainings of a folder share."""
    return {
        "data": data.info.name,
        "fingerprint": data.info.fingerprint,
        "points": data.info.input_size[1],
        "train": data.info.sizes["train"],
        "val": data.info.sizes["val"],
        "test": data.info.sizes["test"],
        "epochs": args.epochs,
        "batch_size": args.batch_size,
        "lr": args.lr,
        "threads": args.threads,
    }


class Point(NamedTuple):
    """What is known of a network; accuracies are percent, of each seed."""

    of: Trained
    params: int
    macs_1024: int
    macs: int
    test: list[float]
    val: list[float]
    seeds: list[int]
    cpu_seconds: float  # a training's, mean


def gather(table: Table, shown: Mapping[str, Trained]) -> dict[str, Point]:
    """The networks that were trained, in their order."""
    points = {}
    for name, what in shown.items():
        if rows := sorted((row for row in table.rows if row["network"] == name), key=lambda row: int(row["seed"])):
            test, val, seconds = (
                [float(row[column]) for row in rows] for column in ("test_acc", "val_acc", "cpu_seconds")
            )
            params, macs_1024, macs = (int(rows[0][column]) for column in ("params", "macs_1024", "macs"))
            seeds = [int(row["seed"]) for row in rows]
            points[name] = Point(what, params, macs_1024, macs, test, val, seeds, statistics.fmean(seconds))
    return points


def _differs(point: Point, other: Point) -> str:
    """The mean difference of their common seeds, and its standard error where they share two or more."""
    theirs = dict(zip(other.seeds, other.test))
    pairs = [score - theirs[seed] for seed, score in zip(point.seeds, point.test) if seed in theirs]
    if not pairs or point is other:
        return "–"
    if len(pairs) == 1:
        return f"{pairs[0]:+.2f}"
    return f"{statistics.fmean(pairs):+.2f} ± {statistics.stdev(pairs) / len(pairs) ** 0.5:.2f}"


def page(table: Table, args: argparse.Namespace, shown: Mapping[str, Trained]) -> str:
    """README.md: the numbers beside the paper's, and how they came about."""
    points, some = gather(table, shown), table.rows[0]
    lines = [
        "# Point clouds: Table 11, small",
        "",
        f"{len(points)} networks on {some['data']}: {int(some['train']):,} training, {int(some['val']):,} validation "
        f"and {int(some['test']):,} test clouds of {some['points']} points, k = 10, {some['epochs']} epochs.",
        "",
        f"| network | params | MACs at {PAPER_POINTS:,} points | MACs as trained | val % | test % | difference | seeds "
        "| CPU s | paper: params M / MACs M / test % |",
        "|---|---:|---:|---:|---:|---:|---:|---|---:|---|",
    ]
    reference = points.get(REFERENCE)
    for point in points.values():
        numbers = " | ".join(f"{number:,}" for number in (point.params, point.macs_1024, point.macs))
        paper = " / ".join(map(str, point.of.paper or "–"))
        lines.append(
            f"| {point.of.label} | {numbers} | {statistics.fmean(point.val):.2f} | {statistics.fmean(point.test):.2f} "
            f"| {_differs(point, reference) if reference else '–'} | {', '.join(f'{s:.2f}' for s in point.test)} "
            f"| {point.cpu_seconds:.0f} | {paper} |"
        )
    ranked = sorted(points.values(), key=lambda point: -statistics.fmean(point.test))
    means = ", ".join(f"{point.of.label} {statistics.fmean(point.test):.2f}" for point in ranked)
    lines += [
        "",
        f"Difference: of the test accuracies to {TRAINED[REFERENCE].label}'s of the same seeds, mean ± standard error.",
        "",
        f"Mean test accuracy, best first: {means}. In the paper: MGIC-diffGCN, diffGCN, DGCNN.",
    ]
    for point in points.values():
        if point.of.searched:
            arguments = ", ".join(f"{key}={value!r}" for key, value in point.of.arguments.items())
            lines += ["", f"{point.of.label}: `{point.of.network}({arguments})`"]
    out = Path(args.out).name if Path(args.out).is_absolute() else args.out
    option = f"--points {some['points']} --epochs {some['epochs']} --batch-size {some['batch_size']} --lr {some['lr']}"
    if args.networks != list(TRAINED):
        option += f" --networks {' '.join(args.networks)}"
    option += f" --seeds {' '.join(map(str, args.seeds))}"
    option += f" --winners {Path(args.winners).name}" if args.winners else ""
    lines += [
        "",
        f"Recipe, the same for all: AdamW, one cycle up to {some['lr']}, weight decay {WEIGHT_DECAY}, batch "
        f"{some['batch_size']}, label smoothing {SMOOTHING}; each epoch sees other {some['points']} of a cloud's "
        f"{PAPER_POINTS:,} points, each axis scaled by 2/3 to 3/2, the cloud shifted by up to 0.2. In MGIC R and P "
        "begin as aggregates and N at zero (in the first versions' start uniform, and at one). The residual diffGCN is "
        "MGIC's network without levels: what MGIC owes to the residuals of its layers alone. No test cloud took part "
        "in any choice: the last epoch's weights are scored on them once.",
        "",
        f"These are short trainings on few points; the paper's accuracies, at {PAPER_POINTS:,} points, are no target "
        f"for them. One test cloud is {100 / int(some['test']):.2f} %, and where a network has one seed, differences "
        "of about a point say little. Where counts differ from the paper's: `mgic_nas/models/points.py` says why.",
        "",
        f"Measured on {describe(some)}, {some['threads']} thread{'s' if some['threads'] != '1' else ''}.",
        "",
        f"    python -m mgic_nas.experiments.points --data DATA --out {out} {option}",
        "",
        "![Test accuracy against MACs](accuracy.png)",
        "",
    ]
    return "\n".join(lines)


def draw(table: Table, path: Path, shown: Mapping[str, Trained]) -> None:
    """accuracy.png: test accuracy against MACs at the paper's number of points; hollow: the paper's own."""
    made = figure(7.2, 4.4)
    axes = made.add_subplot()
    first = table.rows[0]
    points = gather(table, shown).values()
    for point in points:
        color = point.of.color
        macs, mean = point.macs_1024 / 1e6, statistics.fmean(point.test)
        if point.of.paper is not None:
            _, there, paper = point.of.paper
            axes.scatter(there, paper, s=70, marker="D", facecolors="white", edgecolors=color, linewidths=1.5, zorder=3)
            axes.plot([macs, there], [mean, paper], color=color, linewidth=1, linestyle=(0, (1, 2)), zorder=2)
        axes.scatter([macs] * len(point.test), point.test, s=16, color=color, alpha=0.5, linewidths=0, zorder=4)
        axes.scatter(macs, mean, s=95, color=color, edgecolors="white", linewidths=1, zorder=5)
        beside = (o for o in points if point.macs_1024 < o.macs_1024 < 2 * point.macs_1024)
        crowded = any(abs(statistics.fmean(o.test) - mean) < LINES for o in beside)  # to its right
        axes.annotate(
            f"{point.of.label}\n{mean:.1f} %, {point.params:,} params", (macs, mean),
            xytext=(-10 if crowded else 10, 0), textcoords="offset points", ha="right" if crowded else "left",
            va="center", fontsize=8.5, color=color, linespacing=1.35,
        )  # fmt: skip
    for marker, face, text in (("o", MUTED, "here"), ("D", "white", f"paper, {PAPER_POINTS:,} points")):
        axes.scatter([], [], s=55, marker=marker, facecolors=face, edgecolors=MUTED, label=text)
    axes.set_xscale("log")
    axes.set_xlim(7, 260)
    axes.set_xticks([10, 20, 50, 100, 200], ["10 M", "20 M", "50 M", "100 M", "200 M"])
    axes.minorticks_off()
    low, high = axes.get_ylim()
    axes.set_ylim(low - 0.22 * (high - low), high + 0.05 * (high - low))
    dress(
        axes,
        "Point clouds: accuracy against cost",
        f"{first['data']}; here {first['points']} points a cloud and {first['epochs']} epochs",
        f"MACs of a cloud of {PAPER_POINTS:,} points",
        "Test accuracy, %",
    )
    made.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8.5, labelcolor=MUTED)
    save(made, path)


def run(args: argparse.Namespace) -> None:
    """Trains what the folder does not hold yet, and writes the table and the page after each."""
    shown = dict(TRAINED)
    if args.winners is not None:
        for name, won in winners(args.winners).items():
            if won.model not in NETWORKS:
                raise UserError(
                    f"--winners {args.winners}: {won.model} is no network of points ({', '.join(NETWORKS)})"
                )
            shown[name] = Trained(name, won.model, won.arguments, PURPLE, searched=True)
    for name in args.networks:
        if name not in shown:
            raise UserError(f"no network {name!r}.{did_you_mean(name, shown)}")
    torch.set_num_threads(args.threads)
    joined = "&" if "?" in args.data else "?"
    data = load(f"{args.data}{joined}points={args.points}")
    out = Path(args.out)
    table = Table(out / "results.csv", COLUMNS, ("network", "seed"), fixed(data, args))
    for seed in args.seeds:
        for name in (*args.networks, *(name for name in shown if name not in TRAINED)):
            if table.claim(network=name, seed=seed):
                training = Training(name, shown[name], data, args, seed)
                row = table.append(training.run(), args.device)
                training.checkpoint.unlink(missing_ok=True)
                say(f"{shown[name].label}, seed {seed}: test {row['test_acc']} %, val {row['val_acc']} %")
            if table.rows:
                draw(table, out / "accuracy.png", shown)
                write_atomic(out / "README.md", page(table, args, shown))
    say(f"{table.path} and README.md beside it hold {len(table.rows)} trainings.")


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog=f"python -m mgic_nas.experiments.{NAME}", description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True, help="npz of point clouds, or its folder; see mgic_nas.tasks.points")
    parser.add_argument("--out", default="runs/points", help="folder of the results (%(default)s)")
    parser.add_argument("--networks", nargs="+", default=list(TRAINED), metavar="NAME", help=", ".join(TRAINED))
    parser.add_argument("--winners", metavar="RUN", help="a search's folder, whose winners are trained as well")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], metavar="N")
    parser.add_argument("--points", type=int, default=256, help="points of a cloud (%(default)s)")
    parser.add_argument("--epochs", type=int, default=12, help="(%(default)s)")
    parser.add_argument("--batch-size", type=int, default=32, help="(%(default)s)")
    parser.add_argument("--lr", type=float, default=0.003, help="highest learning rate (%(default)s)")
    parser.add_argument("--device", default="cpu", help="(%(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="(%(default)s)")
    args = parser.parse_args(argv)
    return command(NAME, lambda: run(args))


if __name__ == "__main__":
    sys.exit(main())

"""Table 1 and Figure 3, small: what is left of 64 feature maps after R and P alone.

    python -m mgic_nas.experiments.coarse --data /data/cifar10 --out runs/coarse

Trains a small CNN on the images, takes the maps of its first layer (3x3 conv, BN, ReLU), and trains R and P of
c = 64, s_c = 8 to reconstruct them.

R and P are linear maps of each pixel, so the error over any set of maps depends on these through their 64x64 matrix
of second moments alone. That is measured once, and every step of the training then sees all pixels of all training
images, at no more than the cost of a few small matrix products.

The same command goes on where it was stopped; the folder then holds first_layer.safetensors and network.json,
transfers-*.safetensors (R and P of seed 0), results.csv (one row a training), README.md, mse.png and maps.png.
"""

from __future__ import annotations

import argparse
import functools
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from safetensors.torch import save as serialise
from torch import nn

from .._files import read_json, write_atomic, write_json
from ..errors import UserError
from ..models.coarse import CoarseRepresentation
from ..tasks import Data, Split, load_data
from ..tasks._random import seeded
from ..tasks.base import mix
from ._coarse_view import ADAM_LR, ADAM_STEPS, CHANNELS, COARSEST, PAPER, draw_errors, draw_maps, write
from ._record import Table, command, machine, say

NAME = "coarse"
COLUMNS = (
    "s_g", "seed", "params", "mse", "relative", "train_mse", "initial_mse", "adam_mse", "adam_aggregation_mse",
    "steps_taken", "seconds",
)  # fmt: skip


# --- the network whose first layer is looked at -------------------------------------------------------------


def small_cnn(num_classes: int, in_chans: int) -> nn.Sequential:
    """A plain CNN for small images; its first module is the layer of 64 maps."""

    def layer(c_in: int, c_out: int, stride: int) -> nn.Sequential:
        conv = nn.Conv2d(c_in, c_out, 3, stride=stride, padding=1, bias=False)
        return nn.Sequential(conv, nn.BatchNorm2d(c_out), nn.ReLU(inplace=True))

    return nn.Sequential(
        layer(in_chans, CHANNELS, 1),
        nn.MaxPool2d(2),
        layer(CHANNELS, 128, 2),
        layer(128, 256, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(256, num_classes),
    )


def train_cnn(data: Data, epochs: int, seed: int) -> tuple[nn.Sequential, float]:
    """The trained network and its CPU seconds. SGD, Nesterov momentum 0.9, one cycle up to 0.1, batch 128."""
    begin = time.process_time()
    with seeded(mix(seed, "weights")):
        net = small_cnn(data.info.num_classes, data.info.in_chans)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
    total = epochs * data.train.steps(128)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=total, pct_start=0.2)
    for epoch in range(epochs):
        net.train()
        for x, y in data.train.batches(128, seed=seed, epoch=epoch, augment=True):
            loss = F.cross_entropy(net(x), y)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
        accuracy = data.task.evaluate(net, data.val)["val_acc"]
        say(f"CNN, epoch {epoch + 1}/{epochs}: {accuracy:.1f} % on validation images")
    return net.eval(), time.process_time() - begin


def first_layer(data: Data, epochs: int, seed: int, folder: Path) -> tuple[nn.Module, dict[str, Any]]:
    """The first layer in eval mode and the network's record: from the folder where it is there, else trained."""
    weights, record = folder / "first_layer.safetensors", folder / "network.json"
    asked = {"data": data.info.name, "fingerprint": data.info.fingerprint, "epochs": epochs, "seed": seed}
    found = read_json(record)
    if found is None:
        net, seconds = train_cnn(data, epochs, seed)
        assert data.test is not None
        found = {
            **asked,
            "train_images": len(data.train),
            "val_accuracy": round(data.task.evaluate(net, data.val)["val_acc"], 2),
            "test_accuracy": round(data.task.evaluate(net, data.test)["val_acc"], 2),
            "params": sum(p.numel() for p in net.parameters()),
            "seconds": round(seconds, 1),
            **machine(),
        }
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(weights, serialise(net[0].state_dict()))
        write_json(record, found)  # last: with it the network counts as trained
    for name, value in asked.items():
        if found[name] != value:
            raise UserError(
                f"{record} is of {name}={found[name]}, not {value}: ask for the same, or name another folder"
            )
    layer = small_cnn(data.info.num_classes, data.info.in_chans)[0]
    layer.load_state_dict(load_file(weights))
    return layer.eval(), found


# --- reconstruction -----------------------------------------------------------------------------------------


@torch.no_grad()
def maps_of(layer: nn.Module, split: Split, count: int) -> Iterator[torch.Tensor]:
    """The maps (B, 64, H, W) of the first ``count`` images of a split, a batch at a time."""
    for x, _ in split.batches(250):
        yield layer(x[:count])
        count -= len(x)
        if count <= 0:
            return


@torch.no_grad()
def error(net: nn.Module, maps: torch.Tensor) -> float:
    """The mean squared error of a reconstruction."""
    total = sum(F.mse_loss(net(part), part, reduction="sum").double() for part in maps.split(64))
    return float(total) / maps.numel()


def moments(maps: Iterable[torch.Tensor]) -> torch.Tensor:
    """The mean of x x^T over all pixels x of maps (N, channels, H, W), float64 (channels, channels)."""
    total, pixels = torch.zeros((), dtype=torch.float64), 0
    for part in maps:
        x = part.transpose(0, 1).flatten(1)
        total = total + (x @ x.T).double()
        pixels += x.shape[1]
    return total / pixels


def loss_of(net: nn.Module, second: torch.Tensor) -> torch.Tensor:
    """The mean squared error of a linear ``net`` on maps of these second moments: tr (I - M) S (I - M)^T / c."""
    identity = torch.eye(len(second), dtype=second.dtype)
    rest = (identity - net(identity[:, :, None, None]).flatten(1)).T  # a column of the batch is a column of M
    return ((rest @ second) * rest).sum() / len(second)


def fit(net: nn.Module, second: torch.Tensor, steps: int) -> tuple[float, int]:
    """Trains ``net`` to return what it is given, by L-BFGS in float64 until it stands still or ``steps`` are done.

    Returns:
        The final MSE on the training maps, and the steps taken.
    """
    net.double()
    optimizer = torch.optim.LBFGS(
        net.parameters(), max_iter=steps, max_eval=2 * steps, history_size=50, tolerance_grad=1e-9,
        tolerance_change=1e-12, line_search_fn="strong_wolfe",
    )  # fmt: skip

    def closure() -> torch.Tensor:
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(net, second)
        loss.backward()
        return loss

    optimizer.step(closure)
    taken = int(optimizer.state[next(net.parameters())]["n_iter"])
    reached = float(loss_of(net, second).detach())
    net.float()
    return reached, taken


def fit_adam(net: nn.Module, second: torch.Tensor) -> None:
    """The same from the same start, by :data:`ADAM_STEPS` steps of Adam with a cosine to 0: for comparison.

    Uniform R and P start as averages, all nearly alike, so their product starts near rank 1 (at s_g = 32 the second
    singular value is 1e-4 of the first), and first-order methods stay for long on the plateaus of a rank that is still
    too low; the wider the groups, the longer. From aggregation it starts with full rank.
    """
    net.double()
    optimizer = torch.optim.Adam(net.parameters(), lr=ADAM_LR)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, ADAM_STEPS)
    for _ in range(ADAM_STEPS):
        loss = loss_of(net, second)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
    net.float()


def best_linear(maps: torch.Tensor, rank: int) -> float:
    """The least MSE of any linear map of this rank, fitted to these very maps: the tail of their spectrum.

    R and P alone are such a map, so no choice of s_g can be below it.
    """
    return float(torch.linalg.eigvalsh(moments(maps.split(64)))[:-rank].sum()) / maps.shape[1]


def measure(table: Table, layer: nn.Module, data: Data, maps: torch.Tensor, args: argparse.Namespace) -> None:
    """Trains what the table still lacks and adds a row for each."""
    todo = [(s_g, seed) for s_g in args.s_g for seed in range(args.seeds) if table.find(s_g=s_g, seed=seed) is None]
    if not todo:
        return
    second = moments(maps_of(layer, data.train, args.train_images))
    power = float(maps.double().square().mean())
    for number, (s_g, seed) in enumerate(todo, start=1):
        begin = time.process_time()
        net = build(s_g, seed)
        initial = error(net, maps)
        train_mse, taken = fit(net, second, args.steps)
        seconds = time.process_time() - begin
        mse = error(net, maps)
        by_adam = [build(s_g, seed), build(s_g, seed, "aggregation")]
        for other in by_adam:
            fit_adam(other, second)
        if seed == 0:  # the one that is drawn; before its row, so that a row means that it is there
            write_weights(net, args.out, s_g)
        table.append(
            {
                "s_g": s_g,
                "seed": seed,
                "params": sum(p.numel() for p in net.parameters()),
                "mse": f"{mse:.5g}",
                "relative": f"{mse / power:.5g}",
                "train_mse": f"{train_mse:.5g}",
                "initial_mse": f"{initial:.5g}",
                "adam_mse": f"{error(by_adam[0], maps):.5g}",
                "adam_aggregation_mse": f"{error(by_adam[1], maps):.5g}",
                "steps_taken": taken,
                "seconds": f"{seconds:.1f}",
            }
        )
        say(f"{number}/{len(todo)}  s_g={s_g} seed={seed}: MSE {initial:.4g} -> {mse:.4g} in {seconds:.0f} s")


def build(s_g: int, seed: int, transfer_init: str = "uniform") -> CoarseRepresentation:
    """R and P with the weights of ``seed``."""
    with seeded(mix(seed, "weights")):
        return CoarseRepresentation(CHANNELS, s_g, COARSEST, transfer_init=transfer_init)


def write_weights(net: nn.Module, folder: Path, s_g: int) -> None:
    """Keeps a trained R and P for the picture."""
    write_atomic(folder / f"transfers-{s_g}.safetensors", serialise(net.state_dict()))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m mgic_nas.experiments.{NAME}", description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True, help="images, as in mgic-nas search --data: a folder of CIFAR-10")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results, for example runs/coarse")
    parser.add_argument("--epochs", type=int, default=4, help="of the CNN (default: %(default)s)")
    parser.add_argument("--s-g", type=int, nargs="+", default=list(PAPER), help="group sizes (default: 32 16 8 4)")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each s_g (default: 3)")
    parser.add_argument("--steps", type=int, default=2000, help="of L-BFGS at most (default: %(default)s)")
    parser.add_argument("--train-images", type=int, default=10_000, help="images to train on (default: %(default)s)")
    parser.add_argument("--images", type=int, default=1000, help="validation images (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the CNN (default: %(default)s)")
    return parser


def run(args: argparse.Namespace) -> None:
    """The network, the measurements, the pictures and the page."""
    torch.set_num_threads(1)
    data = load_data(args.data)
    if data.test is None:
        raise UserError(f"{args.data} has no test images: name a data set with a test part")
    layer, network = first_layer(data, args.epochs, args.seed, args.out)
    maps = torch.cat(list(maps_of(layer, data.val, args.images)))
    used = min(args.train_images, len(data.train))
    fixed = {"data": data.info.name, "train_images": used, "images": len(maps), "steps": args.steps}
    table = Table(args.out / "results.csv", COLUMNS, ("s_g", "seed"), fixed)
    measure(table, layer, data, maps, args)
    bound = best_linear(maps, COARSEST)
    draw_errors(table, bound, args.out / "mse.png")
    draw_maps(table, layer, data, args.out)
    write(table, network, maps, bound, args.out / "README.md")
    say(f"{args.out}: network.json, results.csv, README.md, mse.png, maps.png")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    args = _parser().parse_args(argv)
    return command(NAME, functools.partial(run, args))


if __name__ == "__main__":
    sys.exit(main())

"""What MGIC networks and a search cost on a GPU, in a table: ``python tests/benchmarks/gpu.py``.

Training steps of MGIC networks against the plain ones, in turns (op by op, channels last, bfloat16, compiled); how many
trials of a search an hour share the device best; and how long a trial takes to start. ``--device cpu`` measures the
same there, and ``--tiny`` only sees that everything runs.
"""

import argparse
import contextlib
import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import timm
import torch
from torch import nn

import mgic_nas
from mgic_nas._machine import cpu_model
from mgic_nas.engine.executors.local import Worker, environment
from mgic_nas.engine.executors.packing import Machine, _Copies, this_machine
from mgic_nas.engine.executors.slots import visible_gpus
from mgic_nas.train import Job, Setup, get_recipe

Row = list[str]
MODEL, CONFIG = "mgic_resnet20", {"s_g": 8, "s_c": 16}  # of the trials
IMAGES = 10_000  # of a training of the trials an hour: 2,000 images, 5 epochs


@dataclass(frozen=True)
class Pair:
    """An MGIC network and the plain one that it stands for, at one image size."""

    mgic: str
    arguments: dict[str, Any]
    plain: str
    plain_arguments: dict[str, Any]
    side: int
    batch: int
    classes: int

    def build(self) -> tuple[nn.Module, nn.Module]:
        common = {"num_classes": self.classes}
        return (
            timm.create_model(self.mgic, **common, **self.arguments),
            timm.create_model(self.plain, **common, **self.plain_arguments),
        )


PAIRS = [
    Pair("mgic_resnet56", {"s_g": 8, "s_c": 16}, "mgic_resnet56", {"levels": "none"}, 32, 128, 10),
    Pair(
        "mgic_resnet56",
        {"s_g": 8, "s_c": 16, "width_mult": 4},
        "mgic_resnet56",
        {"levels": "none", "width_mult": 4},
        32,
        128,
        10,
    ),
    Pair("mgic_resnet50", {"s_g": 32, "s_c": 64}, "resnet50", {}, 224, 64, 1000),
    Pair("mgic_mobilenetv3_large_100", {"s_g": 16, "s_c": 64}, "mobilenetv3_large_100", {}, 224, 64, 1000),
]
TINY = [
    Pair("mgic_resnet20", {"s_g": 4, "s_c": 8, "depths": 1}, "mgic_resnet20", {"levels": "none", "depths": 1}, 8, 2, 10)
]

#: name -> (channels last, bfloat16, compiled)
WAYS = {
    "eager": (False, False, False),
    "channels_last": (True, False, False),
    "bf16": (False, True, False),
    "channels_last, bf16": (True, True, False),
    "compiled": (False, False, True),
    "compiled, channels_last, bf16": (True, True, True),
}


def training_step(net: nn.Module, pair: Pair, way: str, device: torch.device) -> Callable[[], None]:
    """One step of SGD on a fixed batch, ended when it is done."""
    last, half, compiled = WAYS[way]
    layout = torch.channels_last if last else torch.contiguous_format
    net = net.to(device).to(memory_format=layout).train()
    program = torch.compile(net) if compiled else net
    x = torch.randn(pair.batch, 3, pair.side, pair.side, device=device).contiguous(memory_format=layout)
    y = torch.randint(pair.classes, (pair.batch,), device=device)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9, nesterov=True, fused=True)

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            loss = nn.functional.cross_entropy(program(x), y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return step


def milliseconds(steps: Sequence[Callable[[], None]], repeats: int) -> list[float]:
    """Median wall time of each, in turns, after three that do not count."""
    times: list[list[float]] = [[] for _ in steps]
    for _ in range(3 + repeats):
        for found, step in zip(times, steps, strict=True):
            begin = time.perf_counter()
            step()
            found.append(1e3 * (time.perf_counter() - begin))
    return [statistics.median(found[3:]) for found in times]


def steps(pairs: Sequence[Pair], ways: Sequence[str], device: torch.device, repeats: int) -> Iterator[Row]:
    """A row for each pair and way; what fails says so."""
    for pair in pairs:
        arguments = ", ".join(f"{name}={value}" for name, value in pair.arguments.items())
        for way in ways:
            what = f"step of {pair.batch} at {pair.side}x{pair.side}: {pair.mgic}({arguments}), {way}"
            try:
                torch.compiler.reset()
                mgic, plain = milliseconds([training_step(net, pair, way, device) for net in pair.build()], repeats)
            except Exception as error:  # out of memory, or a compiler that is missing: the others are worth having
                yield [what, f"failed: {' '.join(str(error).split())[:80]}", ""]
            else:
                yield [what, f"{mgic:.1f} ms, plain {plain:.1f} ms", f"{mgic / plain:.2f}x"]


def a_setup(device: str) -> Setup:
    recipe = get_recipe("quick")
    return Setup(MODEL, "fashion?train=2000&val=500", 5, recipe, "", device="cpu" if device == "cpu" else "auto")


def packing(machine: Machine, device: str, choices: Sequence[int]) -> Iterator[Row]:
    """Trials an hour with several on one device, measured as a search's probe does."""
    one = 0.0
    with _Copies(a_setup(device), CONFIG, machine, 600) as copies:
        for number in choices:
            try:
                readings = copies.measure(number, machine.threads(number))
            except (RuntimeError, TimeoutError) as error:
                yield [f"trials at a time: {number}", f"failed: {error}"[:80], ""]
                return
            rate = sum(reading.images / reading.seconds for reading in readings)
            one = one or rate
            yield [f"trials at a time: {number}", f"{3600 * rate / IMAGES:,.0f} an hour", f"{rate / one:.2f}x"]


def starts(device: str) -> Iterator[Row]:
    """From nothing to a worker, to the end of its first trial of one batch, and of its second."""
    recipe = get_recipe("quick")
    setup = Setup(MODEL, "fashion?train=64&val=10", 1, recipe, "", device="cpu" if device == "cpu" else "auto")
    gpus = [] if device == "cpu" else visible_gpus()[:1]
    begin = time.perf_counter()
    worker = Worker(0, environment(1, gpus), (setup, "mgic_nas.train:train"))
    try:
        worker.connection.recv()  # it is ready
        yield ["start of a worker process", f"{time.perf_counter() - begin:.2f} s", ""]
        for number, name in enumerate(("first trial of a worker, one batch", "second trial of a worker, one batch")):
            begin = time.perf_counter()
            worker.start(Job(number, 0, CONFIG, 0, 1))
            kind, content = worker.connection.recv()
            if kind != "epoch":
                raise RuntimeError(f"the worker says {kind}: {content}")
            worker.answer(True)
            worker.connection.recv()  # done
            yield [name, f"{time.perf_counter() - begin:.2f} s", ""]
    finally:
        worker.hang_up()
        worker.bury()


def table(device: torch.device, rows: Sequence[Row]) -> str:
    """Markdown."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_model()
    lines = [["what", "measured", "ratio"], ["---"] * 3, *rows]
    title = f"{name}, torch {torch.__version__}, mgic_nas {mgic_nas.__version__}"
    return "\n".join([title, "", *(f"| {' | '.join(line)} |" for line in lines)])


def main(argv: Sequence[str] | None = None) -> list[Row]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--tiny", action="store_true", help="only see that everything runs")
    args = parser.parse_args(argv)
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("there is no GPU here: --device cpu")
    device = torch.device(args.device)
    machine = this_machine() if args.device == "cuda" else Machine(cpu_model(), 1 if args.tiny else 2)
    ways = list(WAYS)[:3] if args.tiny else list(WAYS)
    choices = (1, 2, 4, 8) if args.device == "cuda" else machine.choices
    parts = (
        steps(TINY if args.tiny else PAIRS, ways, device, 1 if args.tiny else args.repeats),
        packing(machine, args.device, choices),
        starts(args.device),
    )
    found = []
    with contextlib.suppress(KeyboardInterrupt):  # what was measured is shown
        for row in itertools.chain.from_iterable(parts):
            found.append(row)
            print(": ".join(row[:2]), row[2], flush=True)
    print(f"\n{table(device, found)}")
    return found


if __name__ == "__main__":
    main()

"""How users' results were measured at commit bb2c7bb, for the script that recorded them and the tests that compare.

Only what users have is used here: the command line, the names in ``mgic_nas.__all__``, timm, and files on disk.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import hashlib
import io
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import yaml
from torch import nn

import mgic_nas
from mgic_nas.families import start_of

DATA = Path(__file__).parent / "data"
ROOT = Path(__file__).parents[2]

# ---- files ----


def load(name: str) -> Any:
    """The content of ``data/<name>.json.gz``."""
    return json.loads(gzip.decompress((DATA / f"{name}.json.gz").read_bytes()))


def read_csv(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


def trials(path: Path) -> list[dict[str, str]]:
    """The rows of a trials.csv without what depends on the machine."""
    dropped = {"seconds", "peak_memory_mb"} | (set() if rounds_alike() else {"val_acc", "on_front", "state", "epochs"})
    return [{k: v for k, v in row.items() if k not in dropped} for row in read_csv(path)]


def unpack(name: str, folder: Path) -> Path:
    """The recorded run ``data/<name>.tar.xz`` as ``folder/run``, with its search space beside it."""
    shutil.copy(DATA / "tiny.yaml", folder)
    with tarfile.open(DATA / f"{name}.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder / "run"


# ---- commands ----

# Workers get as many threads as the machine has cores, whatever OMP_NUM_THREADS says, and with the number of threads
# the last digits of a training change. On one core there is one thread, on every machine.
_ON_ONE_CORE = """\
import os, sys
if hasattr(os, "sched_setaffinity"):  # Linux
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[os.getpid() % len(cores)]})
from mgic_nas.cli import main
"""
# bb2c7bb had neither this memory layout nor the fused optimiser in "quick": other sums of the same numbers.
_RECIPE_AS_IT_WAS = """\
import dataclasses
from mgic_nas.train import RECIPES
RECIPES["quick"] = dataclasses.replace(RECIPES["quick"], channels_last=False, fused=False)
"""
_MAIN = "sys.exit(main(sys.argv[1:]))\n"


def command(*argv: str, old_recipe: bool = False) -> list[str]:
    """``mgic-nas`` on one core; ``-P``: the current folder is not searched for packages.

    ``old_recipe``: for a new search, whose accuracies are compared with what bb2c7bb's recipe came to.
    """
    return [sys.executable, "-P", "-c", _ON_ONE_CORE + (_RECIPE_AS_IT_WAS if old_recipe else "") + _MAIN, *argv]


def environment() -> dict[str, str]:
    """One thread for what the driver calculates, no GPU, and messages of one width."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "COLUMNS": "100"}


def shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the names of shipped spaces mean what they meant at bb2c7bb."""
    then = {path.stem: path for path in sorted((DATA / "search_spaces").glob("*.yaml"))}
    for module in ("mgic_nas.space.shipped", "mgic_nas.profiling"):
        monkeypatch.setattr(f"{module}.shipped_spaces", lambda: then)


def first_start(name: str, folder: Path) -> None:
    """Puts a shipped space of bb2c7bb into ``folder``, with the start of then, which runs did not name."""
    written = mgic_nas.SearchSpace.from_yaml(DATA / "search_spaces" / f"{name}.yaml").to_dict()
    kwargs = {**start_of(written["model"]).first, **written.get("kwargs", {})}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump({**written, "kwargs": kwargs}, sort_keys=False))


def without_start(text: str) -> str:
    """Lines of ``create_model`` without the start, which they name in later versions where it is not the default."""
    return re.sub(r", (transfer_init|zero_init_correction|zero_init_last|group_fan)=[\w\\\"]+", "", text)


def call(*argv: str, cwd: Path, old_recipe: bool = False) -> subprocess.CompletedProcess[str]:
    """Runs ``mgic-nas`` to its end, whatever its exit code is; see :func:`command`."""
    words = command(*argv, old_recipe=old_recipe)
    return subprocess.run(words, cwd=cwd, env=environment(), capture_output=True, text=True, timeout=580, check=False)


def call_here(*argv: str) -> dict[str, Any]:
    """The same in this process and folder: exit code, stdout and stderr."""
    from mgic_nas.cli import main

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(argv)
        except SystemExit as stopped:  # argparse
            code = stopped.code
    return {"code": code, "stdout": out.getvalue(), "stderr": err.getvalue()}


def _search(space: str, data: str, budgets: Sequence[str], count: int, epochs: int, *options: str) -> list[str]:
    limits = [word for budget in budgets for word in ("--budget", budget)]
    numbers = ["--trials", str(count), "--epochs", str(epochs), "--seed", "0"]
    return ["search", space, "--data", data, *limits, *numbers, "--executor", "local", "--out", "run", *options]


def _tiny(count: int, epochs: int, *options: str) -> list[str]:
    return _search("tiny.yaml", "fashion?train=400&val=200", ["0.2M", "0.3M"], count, epochs, *options)


ONE = ("--concurrent", "1")
#: Recorded trials.csv -> the search that made it.
SEARCHES = {
    "quickstart": _search("quickstart.yaml", "fashion", ["0.5M", "1M", "2M"], 8, 1, *ONE),
    "quickstart-short": _search("quickstart.yaml", "fashion?train=1500&val=400", ["0.5M", "1M"], 3, 2, *ONE),
}
#: Recorded run -> the command that made it, and that goes on with it.
RUNS = {
    "finished": _tiny(4, 5, *ONE),
    "killed": _tiny(6, 6, "--concurrent", "2", "--sampler", "random"),
    "paused": _tiny(6, 8, *ONE, "--rungs", "halving"),
}
MORE_TRIALS = _tiny(6, 5, *ONE)  # goes on with "finished"
REPLAY = ["replay", "runs/table_fashion", "--sampler", "cost", "--sampler", "cost+thaw", "--seeds", "4"]
#: Commands that train nothing; exit code, stdout and stderr are recorded. In a folder with a copy of runs/.
COMMANDS = [
    "models",
    "models --json",
    "tables --json",
    "tables --markdown",
    "profile mgic_resnet56 --set s_g=8 --set s_c=16 --budget 60M",
    "profile mgic_resnet56 --set width_mult=[0.5,0.75,1.0] --set block=bottleneck --json",
    "profile mgic_diffgcn --json",
    "profile mgicify:resnet18 --set s_g=32 --set s_c=64",
    "profile mgicify:mobilenetv3_small_100 --set s_g=16 --set s_c=32 --json",
    "profile quickstart --data fashion --budget 0.1M --budget 1M",
    "profile quickstart --data fashion --budget 0.1M --budget 1M --json",
    "profile cifar10_small --input-size 3,32,32 --budget 5M --budget params=50k --json",
    "profile fashion_table --data fashion --budget 0.2M",
    "search quickstart --data fashion --budget 0.5M --budget 1k --trials 4",
    "search quickstart --data fashoin --budget 1M --trials 4",
    "search quickstrat --data fashion --budget 1M --trials 4",
    "search quickstart --data fashion --budget 5Q --trials 4",
    "search quickstart --data fashion --budget 1M --trials 4 --sampler tpee",
    "search quickstart --data fashion --budget 1M --trials 4 --rungs asha",
    "replay runs/table_fashion --sampler random --budget 1k",  # names the cheapest of the table: it is read
    "replay runs/points --sampler random",
    "report runs/cifar10_small",
    "report runs/table_fashion",
]

SUBCOMMANDS = ("models", "profile", "search", "report", "tables", "record", "replay")


def options(help_text: str) -> list[str]:
    """Every option of a command, and every value that its help says can be chosen."""
    return sorted(set(re.findall(r"--[a-z-]+|\{[a-z,]+\}", help_text)))


# ---- runs ----

REPORTED = ("report.md", "budgets.csv", "front.csv", "trials.csv")


def opened(run: Path) -> dict[str, Any]:
    """What a user is told of a run that is at ``run`` in the current folder, and the files of its report."""
    held = mgic_nas.load_run(run)
    found: dict[str, Any] = {
        "trials": json.loads(held.trials().to_json(orient="records")),
        "front": json.loads(held.front().to_json(orient="records")),
        "text": str(held),
    }
    try:
        best = held.best()
        found["best"] = best.to_dict()
        found["weights"] = weights(best.create_model())
    except mgic_nas.UserError as error:
        found["best"] = str(error)
    done = call_here("report", str(run), "--json")
    found["report"] = {**done, "stdout": json.loads(done["stdout"])}
    found["files"] = {name: (run / name).read_text() for name in REPORTED if (run / name).exists()}
    relative: dict[str, Any] = json.loads(without_start(json.dumps(found)).replace(f"{Path.cwd()}/", ""))
    return relative


def as_reported(name: str, text: str) -> str:
    """What holds of a file of a report, whatever is worded anew: numbers, lines to copy and the front.

    The lines that load a winner named the run's folder, and are valid in it now, wherever it is. Of report.md it is the
    front, network by network.
    """
    if name == "report.md":
        return "\n".join(re.findall(r"^\| [\d.,]+\u202f?[kMGT]? \|.*$", text, re.MULTILINE))
    text = re.sub(r"local-dir:[^\"]*/winners/", "local-dir:winners/", text)
    if name == "budgets.csv":  # columns were added to it since
        added = {"expected_acc", "sd", "p_best", "chosen_by"}
        rows = csv.DictReader(io.StringIO(text))
        return json.dumps([{key: cell for key, cell in row.items() if key not in added} for row in rows])
    return text


# ---- numbers ----


def differences(found: Any, expected: Any, path: str = "") -> list[str]:
    """Where a JSON value is not as expected: numbers to 1e-9, and what was added to it does not count."""
    if isinstance(expected, dict) and isinstance(found, dict):
        parts = [(found.get(key, "(missing)"), value, f"{path}.{key}") for key, value in expected.items()]
    elif isinstance(expected, list) and isinstance(found, list) and len(found) == len(expected):
        parts = [(f, e, f"{path}[{i}]") for i, (f, e) in enumerate(zip(found, expected))]
    elif isinstance(expected, float | int) and isinstance(found, float | int):
        return [] if math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-9) else [f"{path}: {found}, was {expected}"]
    else:
        return [] if found == expected else [f"{path}: {found!r}, was {expected!r}"]
    return [line for part in parts for line in differences(*part)]


def pattern(count: int) -> torch.Tensor:
    """Numbers between -0.5 and 0.5 without visible order: exactly the same everywhere."""
    return (torch.arange(count, dtype=torch.int64) * 7919 % 10007).double() / 10007 - 0.5


@cache
def rounds_alike() -> bool:
    """Whether trainings have to give exactly the recorded accuracies on this machine."""
    recorded: str = json.loads((DATA / "searches.json").read_text())["rounding"]
    return rounding() == recorded


def rounding() -> str:
    """What a small training comes to, to the last bit: it depends on torch's version and on the processor.

    Where it is what it was when the results were recorded, trainings have to give exactly the same accuracies.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()),
            nn.Sequential(nn.Conv2d(8, 16, 3, 2, padding=1, groups=4), nn.BatchNorm2d(16), nn.ReLU()),
            nn.Sequential(nn.Conv2d(16, 16, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)),
        )
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, nesterov=True)
        images = pattern(64 * 14 * 14).float().view(64, 1, 14, 14)
        for _ in range(20):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(images), torch.arange(64) % 10).backward()
            optimizer.step()
    torch.set_num_threads(threads)
    numbers = b"".join(value.detach().numpy().tobytes() for value in net.state_dict().values())
    return hashlib.sha256(numbers).hexdigest()[:16]


# ---- networks ----


def build(case: Mapping[str, Any]) -> nn.Module:
    """The network of a case, as a user makes it, under seed 0."""
    torch.manual_seed(0)
    name, config = case["model"], case["config"]
    if case["how"] == "mgicify":
        return mgic_nas.mgicify(name, **config, **start_of("mgicified").first)
    data = {"num_classes": case["num_classes"], "in_chans": case["input_size"][0], **start_of(name).first}
    if case["how"] == "timm":
        net: nn.Module = timm.create_model(name, **data, **config)
        return net
    return mgic_nas.create_model(name, **data, **config)


def structure(net: nn.Module) -> list[str]:
    """``layer1.0.weight 16x4x3x3 float32`` for every entry of the state_dict, in its order."""
    return [
        f"{key} {'x'.join(map(str, value.shape))} {str(value.dtype).removeprefix('torch.')}"
        for key, value in net.state_dict().items()
    ]


def weights(net: nn.Module) -> list[list[float]]:
    """(dot product with :func:`pattern`, sum of absolute values) of every entry of the state_dict."""
    found = []
    for value in net.state_dict().values():
        flat = value.detach().double().flatten()
        found.append([_short(flat @ pattern(flat.numel()), 5), _short(flat.abs().sum(), 5)])
    return found


def outputs(net: nn.Module, size: Sequence[int]) -> dict[str, list[float]]:
    """What the network makes of two fixed inputs, calculated in float64 so that no processor shows.

    ``eval``: numbers of the output. ``train``: of the output in training mode, drop path and dropout under seed 1,
    and of the gradient.
    """
    inputs = pattern(2 * size[0] * size[1] * size[2]).view(2, *size)
    net = net.double().eval()
    with torch.no_grad():
        evaluated = net(inputs).flatten()
    torch.manual_seed(1)
    trained = net.train()(inputs).flatten()
    (trained @ pattern(trained.numel())).backward()
    gradient = sum(float(p.grad.abs().sum()) for p in net.parameters() if p.grad is not None)
    return {
        "eval": [_short(v, 9) for v in (evaluated @ pattern(evaluated.numel()), evaluated.abs().sum(), *evaluated[:8])],
        "train": [_short(v, 9) for v in (trained.detach().abs().sum(), gradient)],
    }


def _short(value: Any, digits: int) -> float:
    return float(f"{float(value):.{digits}g}")

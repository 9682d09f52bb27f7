"""Records what users of commit bb2c7bb have: run once with the package of that commit, and never with another one.

    git worktree add /tmp/base bb2c7bb
    PYTHONPATH=/tmp/base:tests python -P tests/compat/make_golden.py [networks|commands|searches|runs|opened|replay] ...

It writes into tests/compat/data:

    networks.json.gz    every registered name, other configurations and converted networks: arch_id, cost, state_dict,
                        initial weights under seed 0, outputs and gradients for fixed inputs
    commands.json.gz    exit code, stdout and stderr of commands that train nothing; the options of each
                        command; what `report` writes of runs/cifar10_small
    searches.json       how this machine rounds, see common.rounding
    <search>.csv        trials.csv of the searches in common.SEARCHES
    <run>.tar.xz        the folders of the runs in common.RUNS: finished; killed (kill -9 of the driver while two
                        trainings were at work); paused (killed likewise, with trials paused at a rung). Each was made
                        in a folder that is gone, without report.html (5 MB), report.md and front.png
    opened.json.gz      what load_run and `report` say of each of them, unpacked in another folder
    <run>-resumed.csv   trials.csv once bb2c7bb has gone on with the run, where it was made; finished-extended.csv with
                        more trials
    replay.json.gz      the replay.json of common.REPLAY

Everything is calculated with one thread on one core (common.command), without a GPU.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import torch

import mgic_nas
from compat import common

COMMIT = "bb2c7bb"
GONE = Path("/tmp/made-with-bb2c7bb")

#: Other configurations: model, its arguments, classes, input size.
CONFIGURATIONS: list[tuple[str, dict[str, Any], int, tuple[int, int, int]]] = [
    ("mgic_resnet20", {"s_g": 4, "s_c": 8, "width_mult": 0.25, "depths": 1, "block": "ghost"}, 10, (1, 14, 14)),
    ("mgic_resnet20", {"s_g": 8, "s_c": 16, "block": "convnext", "drop_path_rate": 0.2}, 10, (3, 32, 32)),
    ("mgic_resnet20", {"s_g": 1, "s_c": 16, "min_groups": 2, "drop_rate": 0.3}, 100, (3, 32, 32)),
    ("mgic_resnet32", {"s_g": 16, "s_c": 32, "block": "ghost", "drop_path_rate": 0.1}, 10, (3, 32, 32)),
    ("mgic_resnet56", {"s_g": 8, "s_c": 16, "width_mult": [0.5, 0.75, 1.0]}, 10, (3, 32, 32)),
    ("mgic_resnet56", {"s_g": 4, "s_c": 32, "depths": [3, 5, 7], "block": "bottleneck"}, 10, (3, 32, 32)),
    ("mgic_resnet18", {"s_g": 16, "s_c": 32, "depths": [1, 2, 1, 2], "block": "resnext"}, 100, (3, 64, 64)),
    ("mgic_resnet50", {"s_g": 32, "s_c": 64, "width_mult": 0.5, "depths": 1, "drop_path_rate": 0.1}, 10, (3, 64, 64)),
    (
        "mgic_mobilenetv3_large_100",
        {"s_g": 16, "s_c": 32, "act_layer": "relu", "width_mult": [0.5, 0.6, 0.7, 0.8, 0.9, 1], "drop_path_rate": 0.2},
        10,
        (3, 64, 64),
    ),
    ("mgic_mobilenetv3_small_100", {"s_g": 8, "s_c": 16, "width_mult": 0.5, "drop_rate": 0.1}, 10, (3, 64, 64)),
    ("mgic_diffgcn", {"s_g": 8, "s_c": 16, "width": 32, "k": 5}, 40, (3, 64, 1)),
    ("mgic_lraspp_mobilenetv3_small", {"s_g": 8, "s_c": 16, "width_mult": 0.5}, 3, (3, 64, 64)),
    ("implicit_mgic_mobilenetv3", {"s_g": 8, "s_c": 32, "c_max": 64}, 2, (5, 1, 1)),
    ("mgicify:ghostnet_050", {"s_g": 8, "s_c": 16, "drop_rate": 0.1}, 10, (3, 64, 64)),
    ("mgicify:efficientnet_lite0", {"s_g": 16, "s_c": 32, "drop_path_rate": 0.1}, 10, (3, 64, 64)),
]  # fmt: skip
#: Arguments of mgic_nas.mgicify.
CONVERTED: list[tuple[str, dict[str, Any]]] = [
    ("resnet18", {"s_g": 32, "s_c": 64}),
    ("mobilenetv3_small_100", {"s_g": 16, "s_c": 32}),
    ("convnext_atto", {"s_g": 16, "s_c": 32}),
    ("ghostnet_050", {"s_g": 8, "s_c": 16}),
    ("regnety_002", {"s_g": 8, "s_c": 16}),
    ("resnet18", {"s_g": 16, "s_c": 64, "init": "weights", "min_levels": 1, "min_groups": 2}),
    ("mobilenetv3_small_100", {"s_g": 16, "s_c": 32, "init": "weights"}),
]
#: An argument at its default, to make a search space of one setting around a network.
NEUTRAL = {"dgcnn": ("k", 10), "diffgcn": ("k", 10), "mgic_diffgcn": ("k", 10), "implicit": ("c_max", 128)}


def save(name: str, value: Any, indent: int | None = None) -> None:
    """Compressed, and the same bytes for the same value."""
    text = json.dumps(value, indent=indent).encode()
    (common.DATA / f"{name}.json.gz").write_bytes(gzip.compress(text, 9, mtime=0))


# ---- networks ----


def networks() -> None:
    from mgic_nas.cost import family, in_timm

    cases = []
    for row in json.loads(common.call("models", "--json", cwd=Path("/tmp")).stdout):
        channels, height, width = row["input_size"]
        how = "timm" if row["timm"] else "create_model"
        classes = family(row["name"]).num_classes
        seen = [channels, min(height, 64), min(width, 64)]
        cases.append({"how": how, "model": row["name"], "config": {}, "num_classes": classes, "seen": seen})
        cases[-1]["input_size"] = [channels, height, width]
    for name, config, classes, size in CONFIGURATIONS:
        how = "timm" if in_timm(name) and ":" not in name else "create_model"
        case = {"how": how, "model": name, "config": config, "num_classes": classes, "seen": size, "input_size": size}
        cases.append(case)
    for name, config in CONVERTED:
        case = {"how": "mgicify", "model": name, "config": config, "num_classes": 1000}
        cases.append({**case, "seen": [3, 64, 64], "input_size": [3, 224, 224]})
    for case in cases:
        started = time.monotonic()
        case.update(measured(case))
        print(f"{time.monotonic() - started:5.1f} s  {case['how']} {case['model']} {case['config']}", flush=True)
    save("networks", cases)


def measured(case: dict[str, Any]) -> dict[str, Any]:
    from mgic_nas.cost import family

    found: dict[str, Any] = {}
    name, config = case["model"], dict(case["config"])
    if case["how"] == "mgicify":
        name = f"mgicify:{name}"
        config.pop("init", None)
    cost = mgic_nas.profile(name, input_size=tuple(case["input_size"]), num_classes=case["num_classes"], **config)
    found["cost"] = {k: getattr(cost, k) for k in ("macs", "macs_without_transfers", "params", "activations")}
    argument, value = next((v for k, v in NEUTRAL.items() if name.startswith(k)), ("drop_path_rate", 0.0))
    argument, value = next(((k, v) for k, v in config.items() if not isinstance(v, list)), (argument, value))
    config.pop(argument, None)
    written: dict[str, Any] = {"model": name, "kwargs": config, "params": {argument: {"choices": [value]}}}
    found["space"], found["setting"] = written, {argument: value}
    found["arch_id"] = mgic_nas.SearchSpace.from_dict(written).arch_id(found["setting"])
    plain = {k: v for k, v in case["config"].items() if k != "init"}
    assert found["arch_id"] == family(name).arch_id(plain), name
    net = common.build(case)
    found["structure"], found["weights"] = common.structure(net), common.weights(net)
    found["outputs"] = common.outputs(net, case["seen"])
    return found


# ---- commands ----


def commands() -> None:
    folder = GONE / "commands"
    shutil.copytree(common.ROOT / "runs", folder / "runs")
    os.chdir(folder)
    found = [{"command": line, **common.call_here(*line.split())} for line in common.COMMANDS]
    run = folder / "runs" / "cifar10_small"
    written = {name: (run / name).read_text() for name in common.REPORTED}
    options = {name: common.options(common.call_here(name, "--help")["stdout"]) for name in common.SUBCOMMANDS}
    save("commands", {"commands": found, "options": options, "cifar10_small": written})
    os.chdir("/")
    shutil.rmtree(folder)


# ---- searches ----


def searches() -> None:
    said = {"rounding": common.rounding(), "torch": torch.__version__, "processor": _processor()}
    (common.DATA / "searches.json").write_text(json.dumps(said, indent=1) + "\n")
    for name, words in common.SEARCHES.items():
        folder = GONE / name
        folder.mkdir(parents=True)
        _succeed(words, folder)
        shutil.copy(folder / "run" / "trials.csv", common.DATA / f"{name}.csv")
        shutil.rmtree(folder)


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"


def _succeed(words: list[str], folder: Path) -> None:
    started = time.monotonic()
    done = common.call(*words, cwd=folder)
    print(f"{time.monotonic() - started:5.1f} s  {' '.join(words)}", flush=True)
    if done.returncode:
        raise SystemExit(done.stderr)


# ---- runs ----


def runs() -> None:
    ready = {"killed": _two_at_work, "paused": _some_paused}
    for name, words in common.RUNS.items():
        folder = GONE / name
        folder.mkdir(parents=True)
        shutil.copy(common.DATA / "tiny.yaml", folder)
        if name in ready:
            _kill(words, folder, ready[name])
        else:
            _succeed(words, folder)
        _pack(name, folder / "run")
        _succeed(words, folder)
        shutil.copy(folder / "run" / "trials.csv", common.DATA / f"{name}-resumed.csv")
        if name == "finished":
            _succeed(common.MORE_TRIALS, folder)
            shutil.copy(folder / "run" / "trials.csv", common.DATA / f"{name}-extended.csv")
        shutil.rmtree(folder)


def opened() -> None:
    told = {}
    for name in common.RUNS:
        folder = GONE / name
        folder.mkdir(parents=True)
        common.unpack(name, folder)
        os.chdir(folder)
        told[name] = common.opened(Path("run"))
        os.chdir("/")
        shutil.rmtree(folder)
    save("opened", told)


def _kill(words: list[str], folder: Path, ready: Any) -> None:
    """Runs a search until it is in a certain state, kills its driver, and waits for the workers to end."""
    driver = subprocess.Popen(common.command(*words), cwd=folder, env=common.environment(), stderr=subprocess.DEVNULL)
    while not ready(folder / "run" / "trials"):
        if driver.poll() is not None:
            raise SystemExit(f"{folder}: the search was over before it was killed")
        time.sleep(0.01)
    workers = _children(driver.pid)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        time.sleep(0.05)


def _children(pid: int) -> list[int]:
    return [int(p) for task in Path(f"/proc/{pid}/task").iterdir() for p in (task / "children").read_text().split()]


def _epochs(attempt: Path) -> int:
    table = attempt / "epochs.csv"
    return max(0, len(table.read_text().splitlines()) - 1) if table.exists() else 0


def _at_work(folder: Path) -> list[Path]:
    """Attempts in the middle of their training."""
    return [a for a in folder.glob("*/attempt-*") if not (a / "result.json").exists() and _epochs(a)]


def _two_at_work(folder: Path) -> bool:
    done = [*folder.glob("*/attempt-*/result.json")]
    return len(done) >= 2 and len([a for a in _at_work(folder) if _epochs(a) < 5]) == 2


def _some_paused(folder: Path) -> bool:
    """Several checkpoints, and a training that has gone on from one."""
    checkpoints = {path.parents[1] for path in folder.glob("*/attempt-*/checkpoint.pt")}
    going_on = [a for a in _at_work(folder) if a.name != "attempt-1"]
    return len(checkpoints) >= 4 and len(going_on) == 1


def _pack(name: str, run: Path) -> None:
    left_out = {"report.html", "report.md", "front.png"}

    def cleaned(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        return None if Path(info.name).name in left_out else info

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz", preset=9) as archive:
        archive.add(run, "run", filter=cleaned)
    (common.DATA / f"{name}.tar.xz").write_bytes(buffer.getvalue())
    print(
        f"{name}: {len(buffer.getvalue()):,} bytes",
        *sorted(str(p.relative_to(run)) for p in run.rglob("*")),
        sep="\n  ",
    )


# ---- replay ----


def replay() -> None:
    folder = GONE / "replay"
    folder.mkdir(parents=True)
    shutil.copytree(common.ROOT / "runs" / "table_fashion", folder / "runs" / "table_fashion")
    _succeed([*common.REPLAY, "--out", "out"], folder)
    save("replay", json.loads((folder / "out" / "replay.json").read_text()))
    shutil.rmtree(folder)


def main() -> None:
    steps = {f.__name__: f for f in (networks, commands, searches, runs, opened, replay)}
    package = Path(mgic_nas.__file__).parents[1]
    found = subprocess.run(["git", "-C", package, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    if not found.stdout.startswith(COMMIT):
        raise SystemExit(f"{package} is at {found.stdout[:7]}: these files are of {COMMIT}")
    torch.set_num_threads(1)
    for name in sys.argv[1:] or steps:
        started, cpu = time.monotonic(), sum(os.times()[:4])
        steps[name]()
        minutes = (sum(os.times()[:4]) - cpu) / 60
        print(f"{name}: {time.monotonic() - started:.0f} s, {minutes:.1f} CPU-minutes", flush=True)
    shutil.rmtree(GONE, ignore_errors=True)


if __name__ == "__main__":
    main()

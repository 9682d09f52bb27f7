"""What a stranger writes: a module with a family and a train function, which leaves a mark where it is imported."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import mgic_nas
from mgic_nas import _registry
from mgic_nas.families import names, own, registry

MODULE = '''
import os
from pathlib import Path

import torch
from torch import nn

import mgic_nas

Path(__file__).with_name("imported").touch()


def build(config, num_classes, in_chans):
    width, depth = config["width"], config["depth"]
    layers = [nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16 * in_chans, width), nn.ReLU()]
    for _ in range(depth - 1):
        layers += [nn.Linear(width, width), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(width, num_classes))


mgic_nas.register_family("stranger_mlp", build, arguments=["width", "depth"])


def cost(setting):
    return 100 * setting["width"] * setting["depth"]


def train(setting, epochs, report, checkpoint):
    """Adds to a number in its checkpoint, and kills its driver once."""
    done, total = eval(checkpoint.read_text()) if checkpoint.exists() else (0, 40.0)
    for epoch in range(done + 1, epochs + 1):
        total += setting["width"] / 10 / epoch
        checkpoint.write_text(repr((epoch, total)))
        mark = Path(__file__).with_name("kill")
        if epoch == 2 and setting["width"] == 32 and mark.exists():
            mark.unlink()
            os.kill(os.getppid(), 9)
        with open(Path(__file__).with_name("epochs"), "a") as file:
            file.write(f"{setting['width']} {setting['depth']} {epoch}\\n")
        report(total, epoch)
    return total


def other_train(setting, epochs, report):
    return 1.0
'''
SPACE = "family: strange_code:stranger_mlp\nparams:\n  width: {choices: [8, 16]}\n  depth: {low: 1, high: 2}\n"


def write(folder: Path) -> Path:
    """The module ``strange_code`` and a space.yaml that names it; the path of its mark."""
    (folder / "strange_code.py").write_text(MODULE)
    (folder / "space.yaml").write_text(SPACE)
    return folder / "imported"


def run(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    """A script of a stranger, which can import what lies beside it."""
    (folder / "script.py").write_text(code)
    environment = {**os.environ, "PYTHONPATH": str(Path(mgic_nas.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "script.py"], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


@contextlib.contextmanager
def fresh() -> Iterator[None]:
    """As in a process that has registered no family; afterwards it is as before."""
    known = (names.FAMILIES._entries, _registry._REGISTRATIONS, own._DEFINED, names.OWN_MODULES)
    before = [dict(one) for one in known]  # type: ignore[call-overload]
    for name in own._DEFINED:
        del names.FAMILIES._entries[name], _registry._REGISTRATIONS["mgic_nas.families.own:OWN", name]
    own._DEFINED.clear()
    names.OWN_MODULES.clear()
    registry.family.cache_clear()
    try:
        yield
    finally:
        for one, was in zip(known, before, strict=True):
            one.clear()  # type: ignore[attr-defined]
            one.update(was)  # type: ignore[attr-defined]
        registry.family.cache_clear()

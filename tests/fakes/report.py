"""Made-up runs for the report's tests: nothing here was ever trained, and nothing here is a result."""

import dataclasses
import json
import math
import random
import subprocess
from pathlib import Path

from mgic_nas._files import write_csv
from mgic_nas.engine.storage.config import RunConfig
from mgic_nas.engine.storage.record import Record
from mgic_nas.engine.storage.trial import Trial
from mgic_nas.report.data import Summary

SPACE = {
    "model": "mgic_resnet20",
    "kwargs": {"depths": 1},
    "params": {
        "s_g": {"choices": [2, 4, 8]},
        "s_c": {"choices": [4, 8, 16]},
        "width_mult": {"low": 0.25, "high": 1.0, "step": 0.25},
        "block": {"choices": ["basic", "inverted_residual"]},
    },
    "where": ["s_c >= s_g"],
}
DATA = {
    "spec": "fashion",
    "fingerprint": "0123456789ab",
    "name": "fashion",
    "num_classes": 10,
    "input_size": [1, 14, 14],
    "mean": [0.29],
    "std": [0.32],
    "classes": [f"class {n}" for n in range(10)],
    "interpolation": "bilinear",
    "crop_pct": 1.0,
    "sizes": {"train": 5400, "val": 1600, "test": 1000},
}

ERROR = """Traceback (most recent call last):
  File "loop.py", line 7, in train
FloatingPointError: loss is NaN in epoch 1"""


def config(**changes):
    """A run.yaml's content, with some fields changed."""
    values = {
        "name": "demo",
        "space": SPACE,
        "data": DATA,
        "budgets": ["0.5M", "1M", "2M"],
        "trials": 24,
        "epochs": 3,
        "recipe": {"optimizer": "sgd", "lr": 0.1, "batch_size": 64, "label_smoothing": 0.0},
        "sampler": "tpe",
        "executor": "ray",
        "space_source": "quickstart (shipped)",
        "versions": {"python": "3.11.9", "mgic_nas": "0.1.0", "torch": "2.15.0", "timm": "1.0.31"},
        "created": "2026-11-20T10:00:00+01:00",
    }
    return RunConfig(**{**values, **changes})


def rows(trials=24, seed=0, failed=(), running=(), stopped=(), epochs=3):
    """(rows as of trials.csv, curves): accuracies grow with the logarithm of made-up costs, and scatter."""
    draw = random.Random(seed)
    table, curves = [], {}
    for number in range(trials):
        setting = {
            "s_g": draw.choice([2, 4, 8]),
            "s_c": draw.choice([4, 8, 16]),
            "width_mult": draw.choice([0.25, 0.5, 0.75, 1.0]),
            "block": draw.choice(["basic", "inverted_residual"]),
        }
        macs = int(1.15e6 * setting["width_mult"] ** 1.4 * (setting["s_g"] * setting["s_c"]) ** 0.3 / 1.4)
        macs += draw.randrange(20_000)
        acc = 76 + 5.2 * math.log2(macs / 4e5) - (3 if setting["block"] == "basic" else 0) + draw.gauss(0, 1.2)
        state = "complete"
        for name, numbers in (("failed", failed), ("running", running), ("stopped", stopped)):
            state = name if number in numbers else state
        done = state == "complete"
        ran = {"complete": epochs, "stopped": 2, "running": 1, "failed": 0}[state]
        curves[number] = [
            (e, round(acc - 22 * math.exp(-0.9 * e) + 22 * math.exp(-0.9 * epochs), 3)) for e in range(1, ran + 1)
        ]
        table.append(
            {
                "number": number,
                "arch_id": f"{draw.getrandbits(48):012x}",
                "state": state,
                **{f"p.{name}": value for name, value in setting.items()},
                "macs": macs,
                "macs_without_transfers": int(macs * 0.93),
                "params": int(macs * 0.031),
                "activations": int(macs * 0.05 + 9000),
                "val_acc": round(acc, 4) if done or state == "stopped" else None,
                "epochs": ran,
                "seconds": 19.0 + draw.random() * 4 if ran else 1.5,
                "peak_memory_mb": 412.5 if ran else None,
                "seed": 1000 + number,
                "on_front": False,
                "error": ERROR if state == "failed" else None,
            }
        )
    return table, curves


def summary(folder="runs/demo", *, reference=(), record=None, table=None, rejected=None, **changes) -> Summary:
    """A finished run of 24 made-up trials, or what the arguments make of it.

    Args:
        record: further fields of the :class:`Record`.
        table: as :func:`rows` gives it.
    """
    run = config(**changes)
    table, curves = table if table is not None else rows()
    trials = []
    for row in table:
        trial = Trial.from_row(row, SPACE["kwargs"])
        curve = tuple({"epoch": epoch, "val_acc": acc} for epoch, acc in curves.get(trial.number, ()))
        trials.append(dataclasses.replace(trial, curve=curve, started=0.0, ended=312.0, result_attempt=1))
    known = Record(
        entries=tuple(trials),
        rejected=rejected or {"over budget": 31, "duplicate": 9},
        uniform=0,
        ended="",
        trials_folder=Path(folder) / "trials",
    )
    known = dataclasses.replace(known, **(record or {}))
    return Summary(Path(folder), run, known, tuple(reference), "published.csv")


def folder(path, table=None, **changes):
    """A run on disk, as somebody is sent one: run.yaml and trials.csv."""
    path.mkdir(parents=True, exist_ok=True)
    config(**changes).save(path)
    table = table if table is not None else rows()[0]
    write_csv(path / "trials.csv", list(table[0]), table)
    return path


def drawn(html, folder):
    """What the page's script draws in node, with a stand-in for a browser's document: a dict a figure."""
    (folder / "report.html").write_text(html)
    dom = Path(__file__).with_name("dom.js").read_text()
    command = ["node", "-e", dom, str(folder / "report.html")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert not done.stderr, done.stderr
    return json.loads(done.stdout.splitlines()[-1])

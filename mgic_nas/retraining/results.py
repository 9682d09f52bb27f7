"""What came of trainings: read from their folders, summed up, and written as a table."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .._files import read_json, write_csv
from .._text import plural, size_text, standard_error
from ..families.names import in_timm, literal
from ..tasks import metric_of
from .config import TrainingConfig

RETRAINED = "retrain"  # the folder in a run's, beside retrain.csv
RESULT = "result.json"
#: Of retrain.csv and train.csv. Accuracies are percent; ``test_error`` is the standard error that the number of test
#: images alone gives one accuracy, empty where a score is no share of images; ``weights_epoch`` is the epoch whose
#: weights were scored and kept; ``seconds`` are of training and validation.
COLUMNS = (
    *("network", "trial", "budgets", "seed", "arch_id", "macs", "params", "epochs", "weights_epoch"),
    *("val_acc", "val_loss", "test_acc", "test_error", "test_images", "test_loss"),
    *("seconds", "peak_memory_mb", "device"),
)


@dataclass(frozen=True)
class Network:
    """A network that is trained.

    Attributes:
        name: of its folder.
        model, config: what it is built from.
        arch_id: of its family; networks with the same one are trained once.
        macs, params: what it costs at the data's input size.
        trial: its number in the run.
        budgets: labels of the budgets whose winner it is.
        line: that builds it, untrained.
        search_acc: what it reached on the validation part in the search, percent.
    """

    name: str
    model: str
    config: dict[str, Any] = field(hash=False)
    arch_id: str
    macs: int
    params: int
    trial: int | None = None
    budgets: tuple[str, ...] = ()
    line: str = ""
    search_acc: float | None = None

    def about(self) -> dict[str, Any]:
        """What a result and a row of the table say of it."""
        return {
            "network": self.name,
            "trial": self.trial,
            "budgets": list(self.budgets),
            "arch_id": self.arch_id,
            "macs": self.macs,
            "params": self.params,
            "in_timm": in_timm(self.model),
            "search_acc": self.search_acc,
        }


@dataclass(frozen=True)
class Trained:
    """One finished training.

    Attributes:
        folder: with config.json and model.safetensors.
        result: its result.json: ``network``, ``seed``, ``val_acc``, ``test`` (see :mod:`mgic_nas.train.final`), ...
    """

    folder: Path
    result: dict[str, Any] = field(repr=False, hash=False)

    @property
    def seed(self) -> int:
        return int(self.result["seed"])

    @property
    def test_acc(self) -> float | None:
        """Percent; None without a test split."""
        return (self.result.get("test") or {}).get("acc")

    @property
    def line(self) -> str:
        """That gives the network back with its weights, after ``import timm, mgic_nas``."""
        if self.result.get("in_timm", True):
            return f"timm.create_model({literal(f'local-dir:{self.folder}')}, pretrained=True)"
        return f"mgic_nas.load_winner({literal(str(self.folder))})"

    def row(self, of_items: bool) -> dict[str, Any]:
        """Of the table, with :data:`COLUMNS`."""
        test = self.result.get("test") or {}
        found = {name: self.result.get(name) for name in COLUMNS}
        error = standard_error(test.get("acc"), test.get("items")) if of_items else None
        return found | {
            "budgets": " ".join(self.result.get("budgets") or ()),
            "test_acc": test.get("acc"),
            "test_loss": test.get("loss"),
            "test_images": test.get("items"),
            "test_error": None if error is None else round(error, 4),
        }


@dataclass(frozen=True)
class Summary:
    """The seeds of one network. Accuracies in percent; ``spread`` is their standard deviation, from two seeds on."""

    network: str
    trained: tuple[Trained, ...]
    budgets: tuple[str, ...]
    test_mean: float | None
    test_spread: float | None
    test_error: float | None
    val_mean: float | None
    val_spread: float | None

    @classmethod
    def of(cls, trained: Sequence[Trained], of_items: bool) -> Summary:
        tests = [t.test_acc for t in trained if t.test_acc is not None]
        vals = [t.result["val_acc"] for t in trained if t.result.get("val_acc") is not None]
        first = trained[0].result
        items = (first.get("test") or {}).get("items")
        mean = statistics.fmean(tests) if tests else None
        return cls(
            network=str(first["network"]),
            trained=tuple(trained),
            budgets=tuple(first.get("budgets") or ()),
            test_mean=mean,
            test_spread=statistics.stdev(tests) if len(tests) > 1 else None,
            test_error=standard_error(mean, items) if of_items else None,
            val_mean=statistics.fmean(vals) if vals else None,
            val_spread=statistics.stdev(vals) if len(vals) > 1 else None,
        )


@dataclass(frozen=True)
class Trainings:
    """All that was trained in a folder so far. ``str()`` of it is a page to read.

    Attributes:
        folder: of the trainings.
        table: their csv.
        config: how they were trained.
        trained: the finished ones, by network and seed.
    """

    folder: Path
    table: Path
    config: TrainingConfig = field(repr=False)
    trained: tuple[Trained, ...] = field(repr=False)

    @property
    def networks(self) -> dict[str, Summary]:
        """Network -> the summary of its seeds, by MACs. No order of preference: nothing is chosen by a test score."""
        metric = metric_of(self.config.data["spec"])
        names = dict.fromkeys(t.result["network"] for t in sorted(self.trained, key=lambda t: t.result["macs"]))
        return {
            name: Summary.of([t for t in self.trained if t.result["network"] == name], metric.of_items)
            for name in names
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON. Of a network ``test_acc`` and ``val_acc`` are means over its seeds."""
        return {
            "folder": str(self.folder),
            "table": str(self.table),
            "metric": metric_of(self.config.data["spec"]).name,
            "epochs": self.config.epochs,
            "weights": self.config.weights,
            "with_val": self.config.with_val,
            "note": self.config.note,
            "networks": {
                name: {
                    "budgets": list(one.budgets),
                    "test_acc": one.test_mean,
                    "test_spread": one.test_spread,
                    "test_error": one.test_error,
                    "val_acc": one.val_mean,
                    "val_spread": one.val_spread,
                    "seeds": {t.seed: {"test_acc": t.test_acc, "folder": str(t.folder)} for t in one.trained},
                }
                for name, one in self.networks.items()
            },
        }

    def __str__(self) -> str:
        config = self.config
        metric = metric_of(config.data["spec"])
        parts = "training and validation part" if config.with_val else "training part"
        recipe = config.recipe.get("name", "custom")
        taught = f", taught by {config.teacher.get('name')}" if config.teacher else ""
        epochs = plural(config.epochs, "epoch")
        lines = [f"{self.folder}: {epochs} of recipe {recipe} on the {parts}{taught}, {config.weights} weights"]
        for name, one in self.networks.items():
            first = one.trained[0].result
            within = f" (within {', '.join(one.budgets)})" if one.budgets else ""
            size = size_text(config.data["input_size"])
            lines.append(f"  {name}{within}: {first['macs']:,} MACs at {size}, {first['params']:,} params")
            if one.test_mean is not None:
                lines.append(f"    test {metric.short} {_spread(one.test_mean, one.test_spread)}{self._seeds(one)}")
                if one.test_error is not None:
                    items = first["test"]["items"]
                    lines.append(f"      standard error of one score on {items:,} {metric.items}: {one.test_error:.2f}")
            if one.val_mean is not None:
                which = " (the best epoch's)" if config.weights == "best" else ""
                lines.append(f"    validation {metric.short} {_spread(one.val_mean, one.val_spread)}{which}")
                searched = first.get("search_acc")
                if searched is not None and one.val_mean < searched:
                    lines.append(
                        f"      warning: the search's training reached {searched:.2f} %: give it more epochs, or a "
                        "recipe for few, such as --recipe quick, in another --out"
                    )
            lines.append(f"    {one.trained[0].line}")
        if not any(t.result.get("test") for t in self.trained) and self.trained:
            lines.append(f"  {no_test(config.data)}")
        if config.note:
            lines.append(f"  {config.note}")
        lines.append(f"  table: {self.table}")
        return "\n".join(lines)

    @staticmethod
    def _seeds(one: Summary) -> str:
        return f" (seeds: {', '.join(f'{t.test_acc:.2f}' for t in one.trained)})" if len(one.trained) > 1 else ""


def _spread(mean: float, spread: float | None) -> str:
    return f"{mean:.2f} %" if spread is None or math.isnan(spread) else f"{mean:.2f} ± {spread:.2f} %"


def no_test(data: dict[str, Any]) -> str:
    """Why there is no test score, and how to get one."""
    spec = str(data["spec"])
    cut = f"{spec}{'&' if '?' in spec else '?'}test=0.1"
    return (
        f"no test score: these data have no test split; put images in test/ beside train/, or cut some from the "
        f"training part with --data '{cut}' and another --out"
    )


def read_trainings(folder: Path) -> Trainings | None:
    """All that was trained in a folder so far; None where nothing was. UserError where training.yaml cannot be read."""
    config = TrainingConfig.load(folder)
    found = read_trained(folder) if config is not None else []
    if config is None or not found:
        return None
    return Trainings(folder, folder.with_name(f"{folder.name}.csv"), config, tuple(found))


def read_trained(folder: Path) -> list[Trained]:
    """The finished trainings in a folder, by network and seed. What is no result of ours is passed over."""
    found = []
    for path in folder.glob(f"*/seed-*/{RESULT}"):
        trained = read_one(path.parent)
        if trained is not None:
            found.append(trained)
    return sorted(found, key=lambda t: (str(t.result["network"]), t.seed))


def read_one(folder: Path) -> Trained | None:
    """A finished training; None where there is none, or something else."""
    try:
        result = read_json(folder / RESULT)
        return Trained(folder, result) if result is not None and _sound(result, folder) else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _sound(result: dict[str, Any], folder: Path) -> bool:
    """Whether the values that are used have their types; texts are printed, and may be somebody else's."""
    test = result["test"] or {"acc": 0.0, "loss": 0.0, "items": 1}
    accuracies = filter(None, [result["val_acc"], result.get("search_acc")])
    numbers = [result["macs"], result["params"], test["acc"], test["loss"], *accuracies]
    whole = [result["seed"], result["epochs"], test["items"]]
    texts = [result["network"], *(result.get("budgets") or ())]
    return (
        all(isinstance(text, str) and text.isprintable() for text in texts)
        and folder.parts[-2:] == (result["network"], f"seed-{result['seed']}")
        and all(isinstance(value, int | float) and math.isfinite(value) for value in numbers)
        and all(isinstance(value, int) for value in whole)
    )


def write_table(path: Path, trained: Iterable[Trained], of_items: bool) -> None:
    """The csv, whole or not at all; see :data:`COLUMNS`."""
    write_csv(path, COLUMNS, [t.row(of_items) for t in trained])

"""What is exported, whether it comes from a run or from a folder."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from torch import nn

from .._text import size_text
from ..deploy.carried import Carried
from ..engine.storage.config import RUN_YAML, RunConfig
from ..errors import UserError
from ..networks import CONFIG, WEIGHTS, loads_in_timm, open_folder
from ..retraining.results import read_one
from ..tasks import metric_of


@dataclass(frozen=True)
class ValidationScore:
    """What a search chose by.

    Attributes:
        metric: its name.
        value: in percent.
        error: the standard error, in points; None where it is not known.
        items: how many of what it was measured on: "2,000 images".
    """

    metric: str
    value: float
    error: float | None
    items: str


@dataclass(frozen=True)
class Source:
    """A trained network with what a reader of its model card wants to know.

    Attributes:
        name: for people.
        net: in eval mode, on the CPU.
        carried: how its inputs are prepared, and what its outputs are called.
        digest: of its weights.
        write: writes ``config.json`` and ``model.safetensors`` into a folder.
        in_timm: whether timm loads such a folder; else :func:`mgic_nas.load_winner` does.
        spec: of the data that it was trained on, where known.
        data_name: of that data, for the card: a spec may be a path.
        score: of the search, where known.
        facts: heading -> text, for the card.
        license: of the code that builds it.
    """

    name: str
    net: nn.Module
    carried: Carried
    digest: str
    write: Callable[[Path], None]
    in_timm: bool
    spec: str | None = None
    data_name: str = ""
    score: ValidationScore | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    license: str = "mit"


def of_folder(folder: Path) -> Source:
    """The source of a folder with ``config.json`` and ``model.safetensors``; below a run, its data are the run's.

    Raises:
        UserError: there is none, or it cannot be read.
    """
    opened = open_folder(folder)
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise UserError(f"{folder} has no {WEIGHTS}: export a folder that was saved so.")

    def write(target: Path) -> None:
        for name in (CONFIG, WEIGHTS):
            shutil.copyfile(folder / name, target / name)

    config = getattr(opened.net, "pretrained_cfg", None) or {}
    run = run_above(folder)
    return Source(
        name=f"{opened.carried.architecture} from {folder.name}",
        net=opened.net.cpu(),
        carried=opened.carried,
        digest=digest_of(weights),
        write=write,
        in_timm=loads_in_timm(folder),
        spec=None if run is None else str(run.data["spec"]),
        data_name="" if run is None else str(run.data.get("name", "")),
        facts={} if run is None else {"Found by": f"a search, run {run.name}", **_retrained(folder, run)},
        license=str(dict(config).get("license") or "mit"),
    )


def _retrained(folder: Path, run: RunConfig) -> dict[str, str]:
    """What a training after the search came to, for the card; nothing for another folder."""
    found = read_one(folder)
    if found is None:
        return {}
    metric, size = metric_of(str(run.data["spec"])), size_text(run.input_size)
    facts = {}
    with contextlib.suppress(KeyError, TypeError, ValueError):  # result.json may be anybody's
        result = found.result
        facts["Cost"] = f"{result['macs']:,} MACs at {size}, {result['params']:,} parameters"
        facts["Trained"] = f"{result['epochs']} epochs after the search, validation {metric.text(result['val_acc'])}"
        if found.test_acc is not None:
            facts["Test"] = f"{metric.text(found.test_acc)} on {result['test']['items']:,} {metric.items}, scored once"
    return facts


def digest_of(weights: Path) -> str:
    """sha256 of a file."""
    with open(weights, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def run_above(folder: Path) -> RunConfig | None:
    """The configuration of the run in whose ``winners/`` or ``retrain/`` a folder lies; None for others."""
    for above in folder.absolute().parents[:3]:
        if (above / RUN_YAML).is_file():
            try:
                return RunConfig.load(above)
            except (UserError, OSError, yaml.YAMLError):
                return None
    return None

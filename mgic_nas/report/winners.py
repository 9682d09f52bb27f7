"""winners/<budget>/: networks that ``timm.create_model("local-dir:...", pretrained=True)`` gives back with weights.

timm's own writer makes them; what is no timm name is written for ``mgic_nas.load_winner("...")``. A model's cfg
knows its family's preprocessing, not that of the data it was trained on: the data's mean, std, size and crop are
written into ``pretrained_cfg``, or the weights would load and the accuracy be silently wrong.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .._files import read_json, replaced_folder, write_json
from ..engine.storage.folder import refuse_links_in
from ..engine.storage.trial import Trial
from ..families import SETTINGS, create_model_line, literal, recorded_config
from .data import Summary, Winner

FOLDER = "winners"
_ORIGIN = "origin.json"  # what an export was made from: the same again is not copied again


def export_winners(summary: Summary) -> dict[str, str]:
    """Writes the winner of every budget and removes those of earlier builds that no longer win.

    Returns:
        budget label -> why its winner could not be exported, for those that could not.
    """
    base = summary.folder / FOLDER
    refuse_links_in(base, levels=1)
    problems: dict[str, str] = {}
    if summary.config.trained_by:
        why = f"they are {summary.config.trained_by}'s own"
        return {winner.budget.label: why for winner in summary.winners if winner.trial}
    for winner in summary.winners:
        if winner.trial is None:
            continue
        target = base / winner.budget.label
        if winner.weights is None or not winner.weights.is_file():
            # A run whose trials/ was cleared keeps the winner that was made from them.
            if not _is_export_of(target, {**_data_config(summary), "arch_id": winner.trial.arch_id}):
                problems[winner.budget.label] = "its weights are no longer there"
            continue
        try:
            _export(summary, winner.trial, winner.weights, target)
        except (RuntimeError, OSError, ValueError, TypeError) as error:
            # Torn or foreign weights, a full disk: the rest of the report is still worth having.
            problems[winner.budget.label] = " ".join(str(error).split())[:300] or type(error).__name__
    _remove_others(base, {w.budget.label for w in summary.winners if w.trial and w.budget.label not in problems})
    return problems


def local_dir(summary: Summary, winner: Winner) -> str:
    """The line that gives a winner back with its trained weights, in the run's own folder, after :func:`imports`."""
    path = f"{FOLDER}/{winner.budget.label}"
    if summary.config.in_timm:
        return f"timm.create_model({literal(f'local-dir:{path}')}, pretrained=True)"
    return f"mgic_nas.load_winner({literal(path)})"


def imports(summary: Summary) -> str:
    """What the lines need: mgic_nas registers its networks with timm when it is imported."""
    if summary.config.model == SETTINGS:
        return f"# as {summary.config.trained_by} takes it"
    return "import timm, mgic_nas" if summary.config.in_timm else "import mgic_nas"


def made(summary: Summary, trial: Trial) -> str:
    """:func:`create_model` with a name for what it gives."""
    return f"{'setting' if summary.config.model == SETTINGS else 'net'} = {create_model(summary, trial)}"


def create_model(summary: Summary, trial: Trial) -> str:
    """The line that builds a trial's network, untrained."""
    return create_model_line(
        summary.config.model,
        recorded_config(summary.config.model, trial.config),
        summary.config.num_classes,
        summary.config.input_size[0],
        summary.config.in_timm,
    )


def _export(summary: Summary, trial: Trial, weights: Path, target: Path) -> None:
    origin = {**_data_config(summary), "arch_id": trial.arch_id, "weights": _digest(weights)}
    if _is_export_of(target, origin):
        return
    # Three seconds, which a report without a new winner does not need.
    import torch

    from ..networks import build_recorded, load_weights, save_network

    with torch.random.fork_rng(devices=[]):  # a report leaves the caller's random numbers alone
        net = build_recorded(
            summary.config.model, trial.config, summary.config.num_classes, summary.config.input_size[0]
        )
    load_weights(net, weights)
    with replaced_folder(target) as folder:
        save_network(
            folder,
            net,
            summary.config.model,
            trial.config,
            num_classes=summary.config.num_classes,
            in_chans=summary.config.input_size[0],
            data_config=_data_config(summary),
            label_names=[str(name) for name in summary.config.data.get("classes") or ()],
        )
        write_json(folder / _ORIGIN, origin)


def _data_config(summary: Summary) -> dict[str, Any]:
    """The preprocessing of the data that the winner was trained on, as timm's data config names it."""
    data = summary.config.data
    config: dict[str, Any] = {
        "input_size": list(summary.config.input_size),
        "interpolation": str(data.get("interpolation") or "bilinear"),
        "crop_pct": float(data.get("crop_pct") or 1.0),
        "crop_mode": "center",
    }
    return config | ({k: data[k] for k in ("mean", "std")} if data.get("mean") and data.get("std") else {})


def _is_export_of(target: Path, origin: dict[str, Any]) -> bool:
    """Whether ``target`` is a whole export made from (at least) this."""
    if not all((target / name).is_file() for name in ("config.json", "model.safetensors")):
        return False
    with contextlib.suppress(OSError, ValueError):
        found = read_json(target / _ORIGIN)
        return isinstance(found, dict) and origin.items() <= found.items()
    return False


def _digest(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _remove_others(base: Path, keep: Iterable[str]) -> None:
    if not base.is_dir():
        return
    for folder in base.iterdir():
        if folder.name not in keep and folder.is_dir():
            shutil.rmtree(folder)
    with contextlib.suppress(OSError):
        base.rmdir()  # only where it is empty

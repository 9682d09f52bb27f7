"""A network that a run chose: what it is worth, the network with its weights, and the ways in which it ships."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from . import families
from ._text import size_text, standard_error
from .deploy.carried import Carried, read_carried
from .engine.storage.config import MEASURED
from .engine.storage.trial import Trial
from .engine.surrogate.expectation import Expected
from .errors import UserError
from .exporting.ship import Export, export
from .exporting.source import Source, ValidationScore, digest_of
from .networks import load_weights, load_winner, save_network
from .retraining.results import RETRAINED, read_one
from .space import SearchSpace
from .tasks import metric_of

if TYPE_CHECKING:
    from torch import nn

    from .engine.storage.config import RunConfig


@dataclass(frozen=True, repr=False)
class Winner:
    """The network that a run chose within some limits.

    Attributes:
        trial: what is known of it.
        row: its row of trials.csv.
        config: of the run.
        folder: of the run.
        weights: the file of its trained weights; None where they were not kept.
        chosen_by: ``expected`` or ``measured`` accuracy.
        expected: what another training of it would reach, (accuracy, standard deviation) in percent; None where no
            model could be fitted.
        p_best: the probability that it is the best complete network within the limits.
    """

    trial: Trial
    row: Mapping[str, object]
    config: RunConfig
    folder: Path
    weights: Path | None = None
    chosen_by: str = MEASURED
    expected: Expected | None = None
    p_best: float | None = None

    def __str__(self) -> str:
        """Three lines: what it is worth and costs, the line that builds it, and where its weights are."""
        trial, metric = self.trial, metric_of(self.config.data["spec"])
        error = standard_error(trial.val_acc, (self.config.data.get("sizes") or {}).get("val"))
        worth = f"{metric.short} {trial.val_acc or 0.0:.2f}{f' ± {error:.2f}' if metric.of_items and error else ''} %"
        if self.expected is not None and self.chosen_by != MEASURED:
            worth += f" (expected {self.expected.acc:.2f} ± {self.expected.sd:.2f} %)"
        latency = "".join(f", {kind} {seconds * 1e3:.4g} ms" for kind, seconds in trial.latencies.items())
        weights = f"weights in {self.weights}" if self.weights is not None else "its weights were not kept"
        if by := self.config.trained_by:
            weights = f"its weights are {by}'s own"
        params = f"{trial.params:,}" if trial.params else "unknown"
        return (
            f"trial {trial.number} of {self.folder}: {worth} (validation), {trial.macs:,} MACs at "
            f"{size_text(self.config.input_size)}, {params} params{latency}\n  {self.line}\n  {weights}"
        )

    def __repr__(self) -> str:
        return f"Winner({str(self.folder)!r}, trial {self.trial.number})"

    @cached_property
    def arguments(self) -> dict[str, object]:
        """The keyword arguments of its model."""
        return self._space.config(self.trial.setting)

    @property
    def line(self) -> str:
        """The line that builds it, untrained, after ``import timm, mgic_nas``."""
        return self._space.create_model_line(self.trial.setting, self.config.num_classes, self.config.input_size[0])

    def create_model(self, pretrained: bool = True) -> nn.Module:
        """The network in eval mode.

        Its ``pretrained_cfg`` says how the images were prepared, for ``timm.data.resolve_model_data_config``.

        Args:
            pretrained: with its trained weights.

        Raises:
            UserError: its weights were not kept, or cannot be read.
        """
        if (by := self.config.trained_by) and (pretrained or self.config.model == families.SETTINGS):
            mend = "" if self.config.model == families.SETTINGS else "; pretrained=False builds the network"
            raise UserError(
                f"{self.folder}: {by} trained trial {self.trial.number}, and its weights are that function's own{mend}."
            )
        if pretrained and self.weights is None:
            raise UserError(
                f"{self.folder}: the weights of trial {self.trial.number} were not kept (only those are that "
                "some limits on the costs can choose); search with keep='all' to keep every one's."
            )
        family = families.recorded_family(self.config.space) or families.family(self.config.model)
        net = family.build(
            self.arguments,
            self.config.num_classes,
            self.config.input_size[0],
            pretrained_cfg_overlay=self._data_config(),
        )
        if pretrained and self.weights is not None:
            load_weights(net, self.weights)
        return net.eval()

    @cached_property
    def carried(self) -> Carried:
        """How its inputs are prepared, and what its outputs are called. UserError where run.yaml does not say it."""
        classes = [str(name) for name in self.config.data.get("classes") or ()]
        config = {
            "architecture": self.config.model,
            "num_classes": self.config.num_classes,
            "label_names": classes,
            "pretrained_cfg": self._data_config(),
        }
        return read_carried(config, str(self.folder / "run.yaml"))

    def retrained(self, seed: int = 0, out: str | Path | None = None) -> nn.Module:
        """The network in eval mode, with the weights that :meth:`Run.retrain` gave it.

        Args:
            seed: of the training.
            out: where it was told to write; by default the run's folder.

        Raises:
            UserError: it was not trained with this seed, or its weights cannot be read.
        """
        folder = Path(out or self.folder) / RETRAINED / f"trial-{self.trial.number}" / f"seed-{seed}"
        found = read_one(folder)
        if found is None or found.result.get("arch_id") != self.trial.arch_id:
            raise UserError(
                f"{folder}: trial {self.trial.number} was not retrained with seed {seed}: "
                f"mgic-nas retrain {self.folder} --trial {self.trial.number}"
            )
        return load_winner(folder)

    def export(
        self, to: str, out: str | os.PathLike[str], *, int8: bool = False, fuse: bool = True, data: str | None = None
    ) -> Export:
        """Writes it as a folder that ships.

        What is written is compared with the network on validation images before it is kept; its sizes, scores and
        latencies are in the folder's README.md and export.json.

        Args:
            to: ``"hf"`` (``config.json``, safetensors and a model card, as the Hugging Face hub has them), ``"onnx"``,
                ``"pt2"`` (``torch.export``) or ``"openvino"``; of any number of images at a time.
            out: the folder; the same call again replaces what it wrote, anything else in it is refused.
            int8: with ``"onnx"``: in 8 bits, too, calibrated on training images.
            fuse: BatchNorms folded, in the form that is fastest here (:func:`mgic_nas.fuse`); not with ``"hf"``.
            data: a spec, where the run's own data are somewhere else by now.

        Raises:
            UserError: its weights were not kept, a package is missing, ``out`` has other content, or it cannot be
                exported; nothing is written then.
        """
        return export(self._source(), to, out, int8=int8, fused=fuse, data=data)

    def to_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        weights = None if self.weights is None else str(self.weights)
        mean, sd = self.expected or (None, None)
        judged = {"expected_acc": mean, "sd": sd, "p_best": self.p_best, "chosen_by": self.chosen_by}
        return {**self.row, "line": self.line, "arguments": self.arguments, "weights": weights, **judged}

    def _source(self) -> Source:
        """What an export says of it."""
        net, config, trial = self.create_model(), self.config, self.trial
        assert self.weights is not None  # or there is no network

        def write(folder: Path) -> None:
            save_network(
                folder,
                net,
                config.model,
                self.arguments,
                num_classes=config.num_classes,
                in_chans=config.input_size[0],
                data_config=self.carried.data_config(),
                label_names=self.carried.label_names,
            )

        size, metric = size_text(config.input_size), metric_of(config.data["spec"])
        sizes = config.data.get("sizes") or {}
        latencies = "".join(f", {kind} {seconds * 1e3:.4g} ms" for kind, seconds in trial.latencies.items())
        made = {name: config.versions[name] for name in ("mgic_nas", "torch") if name in config.versions}
        versions = ", ".join(f"{name} {version}" for name, version in made.items())
        score = trial.val_acc or 0.0
        error = standard_error(score, sizes.get("val")) if metric.of_items else None
        return Source(
            name=f"trial {trial.number} of run {config.name}",
            net=net,
            carried=self.carried,
            digest=digest_of(self.weights),
            write=write,
            in_timm=config.in_timm,
            spec=str(config.data["spec"]),
            data_name=str(config.data.get("name", "")),
            score=ValidationScore(metric.name, score, error, f"{sizes.get('val', 0):,} validation {metric.items}"),
            facts={
                "Network": f"`{self.line}`",
                "Cost": f"{trial.macs:,} MACs at {size}, {trial.params or 0:,} parameters{latencies}",
                "Budgets of the search": ", ".join(config.budgets),
                "Found by": f"a search of {config.trials} trials in {config.space_source or 'a space made in Python'}, "
                f"{config.epochs} epochs each, sampler {config.sampler}, seed {config.seed}, recipe "
                f"{config.recipe.get('name', 'quick')}" + (f" ({versions})" if versions else ""),
                "Trained on": f"{config.data.get('name')}, {sizes.get('train', 0):,} {metric.items}",
            },
        )

    @cached_property
    def _space(self) -> SearchSpace:
        return SearchSpace.from_recorded(self.config.space, source=self.config.space_source or "run.yaml")

    def _data_config(self) -> dict[str, object]:
        data = self.config.data
        names = ("input_size", "mean", "std", "interpolation", "crop_pct")
        found = {name: data[name] for name in names if data.get(name) is not None}
        return {k: tuple(v) if isinstance(v, list) else v for k, v in found.items()} | {"crop_mode": "center"}

"""An executor that trains in this process, and folders of networks."""

from pathlib import Path
from typing import Any

import timm
import torch

from mgic_nas.engine.faults import Fault
from mgic_nas.networks import save_network
from mgic_nas.train import work


def train_here(controller: Any, setup: Any, *_: Any) -> None:
    """One job after the other; what it raises is told as a worker would tell it."""
    while (job := controller.next()) is not None:
        try:
            for row in work(job, setup):
                controller.report(job, row)
            controller.finish(job)
        except Exception as error:
            controller.fail(job, Fault.of(error))


def save(
    folder: Path, classes: tuple[str, ...], channels: int = 3, side: int = 32, model: str = "test_resnet"
) -> tuple[str, torch.nn.Module]:
    """A network as its folder's spec, and itself."""
    torch.manual_seed(1)
    net = timm.create_model(model, num_classes=len(classes), in_chans=channels).eval()
    size, mean, std = (channels, side, side), (0.4, 0.5, 0.6)[:channels], (0.2, 0.3, 0.1)[:channels]
    config = {"input_size": size, "mean": mean, "std": std, "interpolation": "bicubic", "crop_pct": 1.0}
    folder.mkdir(parents=True)
    save_network(
        folder, net, model, {}, num_classes=len(classes), in_chans=channels, data_config=config, label_names=classes
    )
    return f"local-dir:{folder}", net

"""A winner carries the data's mean, std and size; timm's own tools must then score it as the search did."""

from pathlib import Path
from typing import Any

import pytest
import torch
from fakes.tasks import write_folder, write_parquet
from timm.data import create_loader, resolve_data_config

from mgic_nas.tasks import Data, load_data


@pytest.fixture(params=["fashion", "parquet", "oblong", "resized", "large"])
def data(request: pytest.FixtureRequest, tmp_path: Path) -> Data:
    if request.param == "fashion":
        return load_data("fashion?val=200")
    if request.param == "large":
        write_folder(tmp_path, ["a", "b", "c"], 12, size=(140, 150))
        return load_data(f"{tmp_path}?val=12")
    size = {"parquet": (8, 8), "oblong": (8, 10), "resized": (20, 15)}[request.param]
    write_parquet(tmp_path / "train.parquet", [0, 1, 2] * 40, size=size)
    return load_data(f"{tmp_path}?val=30" + ("&size=9" if request.param == "resized" else ""))


def network(data: Data) -> torch.nn.Module:
    torch.manual_seed(0)
    channels, classes = data.info.in_chans, data.info.num_classes
    pool = torch.nn.AdaptiveAvgPool2d(2)
    return torch.nn.Sequential(torch.nn.Conv2d(channels, 8, 3), pool, torch.nn.Flatten(), torch.nn.Linear(32, classes))


def timm_loader(data: Data, **options: Any) -> Any:
    """As timm's validate.py makes it from a model's pretrained_cfg."""
    config = resolve_data_config({}, pretrained_cfg=data.info.data_config())
    mode = config.pop("crop_mode")
    assert config == {k: v for k, v in data.info.data_config().items() if k != "crop_mode"}
    return create_loader(
        data.val.as_dataset(),
        batch_size=7,
        crop_mode=mode,
        num_workers=0,
        device=torch.device("cpu"),
        **config,
        **options,
    )


def test_timms_loader_reproduces_the_validation_accuracy(data: Data) -> None:
    net = network(data)
    ours = data.task.evaluate(net, data.val)
    loader = timm_loader(data)
    with torch.inference_mode():
        right = sum(int((net(x).argmax(1) == y).sum()) for x, y in loader)
    assert abs(right - ours["val_acc"] * len(data.val) / 100) <= 1
    x = torch.cat([x for x, _ in loader])
    assert torch.allclose(x, torch.cat([x for x, _ in data.val.batches(512)]), atol=1e-5)


def test_without_timms_prefetcher_the_inputs_are_the_same_to_the_bit(data: Data) -> None:
    x = torch.cat([x for x, _ in timm_loader(data, use_prefetcher=False)])
    ours = torch.cat([x for x, _ in data.val.batches(512)])
    exact = "tensor" in type(data.val).__name__.lower()
    assert torch.equal(x, ours) if exact else torch.allclose(x, ours, atol=1e-5)


def test_evaluating_leaves_the_network_in_its_mode_and_counts_every_image(data: Data) -> None:
    net = network(data).train()
    first = data.task.evaluate(net, data.val, batch_size=7)
    assert net.training
    second = data.task.evaluate(net.eval(), data.val, batch_size=512)
    assert not net.training
    assert first["val_acc"] == second["val_acc"]
    assert first["val_loss"] == pytest.approx(second["val_loss"], rel=1e-5)


def test_the_metric_is_the_percentage_of_right_answers() -> None:
    data = load_data("fashion?val=200")

    class Always(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.one_hot(torch.full((len(x),), 3), 10).float()

    scores = data.task.evaluate(Always(), data.val)
    assert scores["val_acc"] == 10.0
    output, target = torch.eye(10)[:4], torch.arange(4)
    plain, smooth = data.task.loss(output, target), data.task.loss(output, target, smoothing=0.1)
    assert float(plain) == pytest.approx(float(torch.nn.functional.cross_entropy(output, target)))
    assert float(smooth) > float(plain)

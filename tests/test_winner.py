"""The winner in a stranger's hands: timm alone loads it, and timm's own loader gives the accuracy that was promised."""

from pathlib import Path

import pytest
import timm
import torch
from timm.data import create_loader, resolve_model_data_config

import mgic_nas
from mgic_nas import UserError, load_run
from mgic_nas.tasks import load_data

SPACE = {
    "model": "mgic_resnet20",
    "kwargs": {"depths": 1},
    "params": {"s_g": {"choices": [4, 8]}, "width_mult": {"low": 0.25, "high": 0.5, "step": 0.25, "per_stage": 3}},
}


@pytest.mark.parametrize("data", ["fashion?train=400&val=200"])
def test_timms_loader_reproduces_the_accuracy_of_every_winner(tmp_path: Path, data: str) -> None:
    run = mgic_nas.search(
        mgic_nas.SearchSpace.from_dict(SPACE),
        data=data,
        budgets=["0.3M", "1M"],
        trials=3,
        epochs=2,
        out=tmp_path / "run",
        executor="local",
        concurrent=1,
        progress=False,
    )
    split = load_data(data).val
    folders = sorted((run.folder / "winners").iterdir())
    assert folders
    for folder in folders:
        net = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
        config = resolve_model_data_config(net)
        assert config["input_size"] == (1, 14, 14)
        loader = create_loader(
            split.as_dataset(),
            **{k: config[k] for k in ("input_size", "mean", "std", "interpolation", "crop_pct")},
            batch_size=64,
            use_prefetcher=False,
            num_workers=0,
        )
        with torch.no_grad():
            right = sum(int((net(x).argmax(1) == y).sum()) for x, y in loader)
        promised = run.best(macs=folder.name).row["val_acc"]
        assert abs(right - promised / 100 * len(split)) <= 1


@pytest.mark.parametrize("written", ["3M", "macs=3M", "3000000", 3e6, "macs=3e6"])
def test_a_budget_may_name_its_kind(written: str | float) -> None:
    run = load_run(Path(__file__).parents[1] / "runs" / "cifar10_small")
    assert run.within(written).trial == run.best(macs="3M").trial
    assert run.within("params=50k").trial == run.best(params="50k").trial


def test_a_budget_on_a_latency_is_written_as_the_run_prints_it() -> None:
    run = load_run(Path(__file__).parents[1] / "runs" / "cifar10_small")
    for kind in ("latency", "latency-onnxruntime-b8"):
        with pytest.raises(UserError, match="none was measured in this run"):
            run.within(f"{kind}=5ms")

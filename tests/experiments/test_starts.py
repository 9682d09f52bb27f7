"""The comparison of starts."""

from typing import Any

import pytest

from mgic_nas.experiments import starts


def test_experiment_goes_on_where_it_was_stopped(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after any training, it makes the rest, and the page shows differences on the same seeds."""
    monkeypatch.setattr(starts, "NETWORKS", {"ResNet": ("mgic_resnet20", {"depths": 1, "width_mult": 0.5})})
    monkeypatch.setattr(starts, "STARTS", {"ResNet": starts.STARTS["ResNet"][:2]})
    monkeypatch.setattr(starts, "SEEDS", 2)
    monkeypatch.setattr(starts, "ALL", 1)
    monkeypatch.setattr(starts, "LONG", ())
    monkeypatch.setattr(starts, "data_specs", lambda cifar10: {"Fashion": "fashion?train=64&val=50"})
    monkeypatch.setattr(
        starts.errors, "_problems", lambda *_: [("one", [{"transfer_init": "uniform"}], lambda *_: 0.5)]
    )
    monkeypatch.setattr(starts.errors, "SEEDS", 2)
    monkeypatch.setattr(starts.depth, "DEPTHS", (1,))
    monkeypatch.setattr(starts.depth, "SEEDS", 1)
    monkeypatch.setattr(starts.depth, "EPOCHS", 1)
    monkeypatch.setattr(starts.depth, "data_specs", lambda cifar10: {"Fashion": "fashion?train=64&val=50"})
    trained = []
    real = starts.train

    def killed(job: Any, setup: Any) -> Any:
        trained.append(job.config)
        if len(trained) == 3:
            raise KeyboardInterrupt
        return real(job, setup)

    monkeypatch.setattr(starts, "train", killed)
    command = ["--cifar10", "none", "--out", str(tmp_path)]
    assert starts.main(command) == 130
    assert starts.main(command) == 0
    assert len(trained) == 5
    text = (tmp_path / "README.md").read_text()
    assert "## ResNet, 1 epoch" in text
    assert "±" in text
    assert "4 trainings" in text
    assert "## By depth" in text
    assert "| one | uniform | 0.5 (0.5 to 0.5) |" in text

"""One training: if these fail, two candidates are no longer compared on equal terms."""

import math
from collections.abc import Iterable
from typing import Any

import pytest
import torch

from mgic_nas.errors import UserError
from mgic_nas.tasks import load_data
from mgic_nas.train import Job, Setup, get_recipe, loop, train
from mgic_nas.train.loop import Training
from mgic_nas.train.recipes import FUSED


def timeless(curve: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key not in ("seconds", "cpu_seconds")} for row in curve]


def rows(job: Job, setup: Setup) -> list[dict[str, Any]]:
    return timeless(train(job, setup))


def trained(job: Job, setup: Setup) -> Training:
    training = Training(job, setup)
    list(training.epochs())
    return training


def same(first: Any, second: Any) -> bool:
    """Bit for bit, through dicts and lists."""
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return bool(first == second)


def test_every_epoch_is_reported(bench: Any) -> None:
    reported = list(train(bench.job(), bench.setup()))
    assert [row["epoch"] for row in reported] == [1, 2, 3]
    assert set(reported[0]) == {"epoch", "train_loss", "val_acc", "val_loss", "lr", "seconds", "cpu_seconds"}
    assert all(math.isfinite(value) for row in reported for value in row.values())
    assert all(row["seconds"] > 0 for row in reported)


def test_quick_learns_in_three_epochs(bench: Any) -> None:
    reported = list(train(bench.job(config={}), bench.setup(data="fashion")))
    assert reported[-1]["val_acc"] > 60
    assert reported[-1]["train_loss"] < reported[0]["train_loss"]


def test_the_same_job_gives_the_same_weights_whatever_ran_before(bench: Any) -> None:
    first = trained(bench.job(), bench.setup())
    torch.rand(7)
    other = Training(bench.job(seed=2), bench.setup())
    again = Training(bench.job(), bench.setup())
    for _ in zip(again.epochs(), other.epochs()):  # interleaved, as two generators in one process are
        torch.rand(3)
    assert same(first.net.state_dict(), again.net.state_dict())
    assert not same(first.net.state_dict(), other.net.state_dict())


def test_training_leaves_the_callers_random_numbers_alone(bench: Any) -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    list(train(bench.job(last_epoch=1), bench.setup()))
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.parametrize(
    "recipe", ["quick", "paper", {"name": "quick", "opt": "adamw", "clip_grad": 1.0, "smoothing": 0.1}]
)
def test_one_epoch_and_two_after_a_checkpoint_are_three_to_the_bit(bench: Any, tmp_path: Any, recipe: Any) -> None:
    setup = bench.setup(recipe=get_recipe(recipe))
    straight = trained(bench.job(), setup)
    first = trained(bench.job(last_epoch=1), setup)
    torch.save(first.state(), tmp_path / "checkpoint.pt")
    second = trained(bench.job(first_epoch=1, checkpoint=str(tmp_path / "checkpoint.pt")), setup)
    assert same(straight.net.state_dict(), second.net.state_dict())
    assert same(straight.optimizer.state_dict(), second.optimizer.state_dict())
    assert timeless(straight.curve) == timeless(second.curve)
    assert second.seconds > first.seconds


def test_a_checkpoint_of_another_job_is_refused(bench: Any, tmp_path: Any) -> None:
    path = str(tmp_path / "checkpoint.pt")
    torch.save(trained(bench.job(last_epoch=1), bench.setup()).state(), path)
    for wrong in ({"seed": 2}, {"first_epoch": 2}):
        with pytest.raises(ValueError, match="and the job at"):
            Training(bench.job(**{"first_epoch": 1, "checkpoint": path} | wrong), bench.setup())


def test_the_schedule_spans_the_whole_training_however_short_the_job(bench: Any) -> None:
    setup = bench.setup(epochs=9, recipe=get_recipe({"name": "quick", "warmup_epochs": 0}))
    part, whole = rows(bench.job(last_epoch=2), setup), rows(bench.job(last_epoch=9), setup)
    assert part == whole[:2]
    rates = [row["lr"] for row in whole]
    assert rates == sorted(rates, reverse=True)
    lr = setup.recipe.lr
    assert rates[-1] < lr / 100
    assert rates[4] == pytest.approx(lr * (1 + math.cos(math.pi * 24 / 45)) / 2)  # the 25th of 45 updates


def test_the_papers_schedule_divides_by_ten(bench: Any) -> None:
    setup = bench.setup(epochs=4, recipe=get_recipe({"name": "paper", "batch_size": 64, "decay_epochs": 2}))
    assert [row["lr"] for row in rows(bench.job(last_epoch=4), setup)] == pytest.approx([0.1, 0.1, 0.01, 0.01])
    milestones = {"name": "paper", "batch_size": 64, "sched": "multistep", "decay_milestones": [1, 3]}
    setup = bench.setup(epochs=4, recipe=get_recipe(milestones))
    reported = rows(bench.job(last_epoch=4), setup)
    assert [row["lr"] for row in reported][1:3] == pytest.approx([0.01, 0.001])


def test_weight_decay_spares_biases_and_norms_unless_the_recipe_says_all(bench: Any) -> None:
    spared = Training(bench.job(), bench.setup()).optimizer.param_groups
    assert sorted(group["weight_decay"] for group in spared) == [0.0, 5e-4]
    every = Training(bench.job(), bench.setup(recipe=get_recipe("paper"))).optimizer.param_groups
    assert [group["weight_decay"] for group in every] == [1e-4]
    assert not every[0]["nesterov"]


def test_a_loss_that_is_not_finite_is_an_error_that_names_the_epoch(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FloatingPointError, match=r"loss became .* in epoch 1"):
        list(train(bench.job(), bench.setup(recipe=get_recipe({"name": "quick", "lr": 1e30, "warmup_epochs": 0}))))

    class Sick(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = torch.nn.Linear(196, 10)
            self.epochs = 0

        def train(self, mode: bool = True) -> "Sick":
            self.epochs += mode and not self.training
            return super().train(mode)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.linear(x.flatten(1)) * (1 if self.training or self.epochs < 1 else math.nan)

    monkeypatch.setattr(loop, "build_network", lambda *_: Sick())
    training = train(bench.job(), bench.setup())
    next(training)
    with pytest.raises(FloatingPointError, match="validation loss became nan in epoch 2"):
        next(training)


def test_what_torch_raises_arrives_as_it_is(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(torch.nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr(loop, "build_network", lambda *_: Full(2, 2))
    with pytest.raises(torch.OutOfMemoryError):
        list(train(bench.job(), bench.setup()))


def test_data_that_changed_since_the_run_began_is_refused(bench: Any) -> None:
    spec = "fashion?train=320&val=200"
    fingerprint = load_data(spec).info.fingerprint
    list(train(bench.job(last_epoch=1), bench.setup(fingerprint=fingerprint)))
    with pytest.raises(UserError, match="not what the run began with"):
        list(train(bench.job(), bench.setup(fingerprint="0" * 16)))


def test_a_worker_reads_a_data_set_once(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    original = loop.load_data
    loop.cached_data.cache_clear()
    monkeypatch.setattr(loop, "load_data", lambda spec: read.append(spec) or original(spec))
    for number in range(3):
        next(train(bench.job(number=number), bench.setup()))
    assert len(read) == 1


def test_threads_are_set_and_the_memory_layout_is_the_recipes(bench: Any) -> None:
    Training(bench.job(), bench.setup(threads=2))
    assert torch.get_num_threads() == 2
    training = Training(bench.job(), bench.setup(recipe=get_recipe({"name": "quick", "channels_last": True})))
    assert torch.get_num_threads() == 1
    weight = training.net[4].weight  # type: ignore[index]
    assert weight.is_contiguous(memory_format=torch.channels_last)  # type: ignore[call-arg]
    assert math.isfinite(next(training.epochs())["val_loss"])


@pytest.mark.parametrize("opt", ["sgd", "momentum", "adam", "adamw", "lookahead_sgd", "rmsprop", "lamb"])
def test_the_fused_optimizer_takes_the_same_steps(bench: Any, opt: str) -> None:
    """It is used where torch has it, and any other optimiser is left as it is."""
    recipe = {"name": "quick", "opt": opt, "lr": 0.01}
    plain = trained(bench.job(last_epoch=1), bench.setup(recipe=get_recipe({**recipe, "fused": False})))
    fused = trained(bench.job(last_epoch=1), bench.setup(recipe=get_recipe(recipe)))
    assert bool(fused.optimizer.param_groups[0].get("fused")) == (opt in FUSED)
    for a, b in zip(fused.net.parameters(), plain.net.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


def test_an_unknown_optimizer_is_refused(bench: Any) -> None:
    with pytest.raises(UserError, match="opt='sgdd'"):
        Training(bench.job(), bench.setup(recipe=get_recipe({"name": "quick", "opt": "sgdd"})))


def test_more_epochs_than_the_training_has_are_refused(bench: Any) -> None:
    with pytest.raises(ValueError, match="in a training of 3"):
        next(train(bench.job(last_epoch=4), bench.setup()))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("amp", ["auto", "off"])
def test_a_gpu_trains_and_goes_on_from_a_checkpoint(bench: Any, tmp_path: Any, amp: str) -> None:
    setup = bench.setup(data="fashion", recipe=get_recipe({"name": "quick", "amp": amp}))
    first = trained(bench.job(last_epoch=1), setup)
    assert first.device.type == "cuda"
    assert 0 < first.peak_memory_mb < 2000
    torch.save(first.state(), tmp_path / "checkpoint.pt")
    second = trained(bench.job(first_epoch=1, checkpoint=str(tmp_path / "checkpoint.pt")), setup)
    assert second.curve[-1]["val_acc"] > 60
